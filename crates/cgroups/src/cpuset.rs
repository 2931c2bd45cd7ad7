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
    // Below a cgroup with `cgroup.clone_children` the kernel has filled in both. It
    // is worth a look: what a write costs grows with the number of all cpusets.
    if new && parent != mountpoint && !read(path, FILES[0])?.is_empty() {
        return Ok(());
    }
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

/// Has the kernel fill in what is made below a cgroup that is new, and ours.
pub(crate) fn clone_to_children(mountpoint: &Path, path: &Path) -> Result<()> {
    for file in FILES {
        effective(mountpoint, path, file)?;
    }
    let file = "cgroup.clone_children";
    fs::write_file(path, file, "1").map_err(|errno| fs::write_error(path, file, "1", errno))
}

/// The list of an existing cgroup; an empty one is filled from above first.
fn effective(mountpoint: &Path, path: &Path, file: &'static str) -> Result<String> {
    // From the cgroup upwards to the first that has a list.
    let mut empty = Vec::new();
    let mut current = path;
    let list = loop {
        let list = read(current, file)?;
        if !list.is_empty() || current == mountpoint {
            break list;
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

fn read(path: &Path, file: &'static str) -> Result<String> {
    match fs::read_file(path, file) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(errno) => Err(fs::read_error(path, file, errno)),
    }
}

fn copy(path: &Path, file: &'static str, list: &str) -> Result<(), Error> {
    fs::write_file(path, file, list).map_err(|errno| fs::write_error(path, file, list, errno))
}
