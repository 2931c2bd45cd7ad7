//! Cgroups of a test.

use crate::view::cgroup_roots;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Directories of any hierarchy whose name has the tag, topmost only.
pub(super) fn tagged(tag: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for root in cgroup_roots()? {
        walk(&root, tag, &mut found)?;
    }
    Ok(found)
}

/// Removes a cgroup and those below it; one with processes stays.
pub(crate) fn remove(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    let _ = fs::remove_dir(folder);
}

fn walk(folder: &Path, tag: &str, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let list = match fs::read_dir(folder) {
        Ok(list) => list,
        // Cgroups of others come and go meanwhile.
        Err(error) if gone(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in list {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if gone(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.file_name().to_string_lossy().contains(tag) {
            found.push(entry.path());
        } else {
            walk(&entry.path(), tag, found)?;
        }
    }
    Ok(())
}

fn gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV))
}
