//! v1's `cpuset`: a new cgroup starts with no CPUs and no memory nodes, and
//! takes no process until it has both.

use std::path::Path;

use crate::error::{Error, Result};
use crate::fs;

const FILES: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];

/// Gives the cgroup the CPUs and memory nodes of its parent, but for those that
/// a limit will set (`given`: CPUs, nodes), and those that one which is not new
/// has already.
pub(crate) fn inherit(
    mountpoint: &Path,
    path: &Path,
    new: bool,
    given: (bool, bool),
) -> Result<()> {
    let Some(parent) = path
        .parent()
        .filter(|parent| parent.starts_with(mountpoint))
    else {
        return Ok(());
    };
    for (file, given) in FILES.into_iter().zip([given.0, given.1]) {
        if !new {
            effective(mountpoint, path, file)?;
            continue;
        }
        // Even where it is given, it has to be allowed above.
        let list = effective(mountpoint, parent, file)?;
        if !given {
            copy(path, file, &list)?;
        }
    }
    Ok(())
}

/// The list of an existing cgroup; an empty one is filled from above first.
fn effective(mountpoint: &Path, path: &Path, file: &'static str) -> Result<String> {
    // From the cgroup upwards to the first that has a list.
    let mut empty = Vec::new();
    let mut current = path;
    let list = loop {
        let text =
            fs::read_file(current, file).map_err(|errno| fs::read_error(current, file, errno))?;
        let text = text.trim();
        if !text.is_empty() || current == mountpoint {
            break text.to_owned();
        }
        empty.push(current);
        match current.parent() {
            Some(parent) => current = parent,
            None => break String::new(),
        }
    };
    for path in empty.into_iter().rev() {
        copy(path, file, &list)?;
    }
    Ok(list)
}

fn copy(path: &Path, file: &'static str, list: &str) -> Result<(), Error> {
    fs::write_file(path, file, list).map_err(|errno| fs::write_error(path, file, list, errno))
}
