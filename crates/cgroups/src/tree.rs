//! Walks over a cgroup and what is below it.
//!
//! A container can nest cgroups as deep and wide as it likes. The walk
//! holds two descriptors, however deep it is, and gets back up by `..`.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, openat, unlinkat};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::fs;

/// What to do with each directory of a walk.
pub(crate) trait Visitor {
    /// Called for each directory before those below it.
    fn enter(&mut self, dir: &OwnedFd) -> Result<(), Errno>;
    /// Called in the parent for each directory below the top, after those below it.
    fn leave(&mut self, parent: &OwnedFd, name: &CStr) -> Result<(), Errno>;
}

/// Walks the tree, children before their parent leaves. Directories that vanish
/// meanwhile are passed over.
pub(crate) fn walk(top: OwnedFd, visitor: &mut impl Visitor) -> Result<(), Errno> {
    let mut current = top;
    visitor.enter(&current)?;
    // The names still to visit on each level, and the name by which it was entered.
    let mut levels: Vec<(Vec<CString>, CString)> =
        vec![(subdirectories(&current)?, CString::default())];
    while let Some((names, _)) = levels.last_mut() {
        if let Some(name) = names.pop() {
            match open_directory(&current, &name) {
                Ok(child) => {
                    visitor.enter(&child)?;
                    levels.push((subdirectories(&child)?, name));
                    current = child;
                }
                Err(errno) if fs::is_gone(errno) => {}
                Err(errno) => return Err(errno),
            }
        } else if let Some((_, name)) = levels.pop() {
            if levels.is_empty() {
                break;
            }
            current = open_directory(&current, c"..")?;
            visitor.leave(&current, &name)?;
        }
    }
    Ok(())
}

fn open_directory(parent: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent.as_fd(), name, flags, Mode::empty())
}

fn subdirectories(dir: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    // Each subdirectory is a link to its parent; two are the directory's own. File
    // systems that do not count them say one.
    if fstat(dir)?.st_nlink == 2 {
        return Ok(names);
    }
    let entries = match Dir::read_from(dir) {
        Ok(entries) => entries,
        Err(errno) if fs::is_gone(errno) => return Ok(names),
        Err(errno) => return Err(errno),
    };
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(errno) if fs::is_gone(errno) => break,
            Err(errno) => return Err(errno),
        };
        let name = entry.file_name();
        if entry.file_type() == FileType::Directory && name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

struct ProcessList {
    pids: Vec<u32>,
}

impl Visitor for ProcessList {
    fn enter(&mut self, dir: &OwnedFd) -> Result<(), Errno> {
        let text = match fs::open_at(dir, "cgroup.procs", OFlags::RDONLY).and_then(fs::read_list) {
            Ok(text) => text,
            // Threaded children have no list of processes; those of the domain's root
            // list them. A vanished one has none.
            Err(errno) if fs::is_gone(errno) || errno == Errno::OPNOTSUPP => return Ok(()),
            Err(errno) => return Err(errno),
        };
        // A process of another PID namespace shows as 0 and cannot be addressed.
        let pids = text.lines().filter_map(|line| line.parse::<u32>().ok());
        self.pids.extend(pids.filter(|pid| *pid != 0));
        Ok(())
    }

    fn leave(&mut self, _: &OwnedFd, _: &CStr) -> Result<(), Errno> {
        Ok(())
    }
}

/// All processes in the cgroup and below it.
pub(crate) fn processes(top: OwnedFd, path: &Path) -> Result<Vec<u32>> {
    let mut list = ProcessList { pids: Vec::new() };
    walk(top, &mut list)
        .map_err(|errno| Error::io("list processes of", path, io::Error::from(errno)))?;
    // v1 lists a process once for each thread that moved between reads.
    list.pids.sort_unstable();
    list.pids.dedup();
    Ok(list.pids)
}

struct Remover;

impl Visitor for Remover {
    fn enter(&mut self, _: &OwnedFd) -> Result<(), Errno> {
        Ok(())
    }

    fn leave(&mut self, parent: &OwnedFd, name: &CStr) -> Result<(), Errno> {
        match unlinkat(parent, name, AtFlags::REMOVEDIR) {
            // One that still has processes is tried again, with the top.
            Ok(()) | Err(Errno::NOENT | Errno::BUSY) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

/// Removes what can be removed below the cgroup, deepest first.
pub(crate) fn remove_below(top: OwnedFd) -> Result<(), Errno> {
    walk(top, &mut Remover)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_and_wide_trees_of_plain_directories() {
        let top = std::env::temp_dir().join(format!("orlop-test-{}-tree", std::process::id()));
        let mut deep = top.clone();
        for level in 0..1500 {
            deep.push("d");
            if level % 500 == 0 {
                for n in 0..20 {
                    std::fs::create_dir_all(deep.join(n.to_string())).unwrap();
                }
            }
        }
        std::fs::create_dir_all(&deep).unwrap();
        let open = || fs::open_dir(&top).unwrap();
        remove_below(open()).unwrap();
        assert_eq!(std::fs::read_dir(&top).unwrap().count(), 0);
        assert_eq!(processes(open(), &top).unwrap(), Vec::<u32>::new());
        std::fs::remove_dir(&top).unwrap();
    }
}
