//! A directory that others could write to is emptied, whatever they left in it.

use std::collections::VecDeque;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, Dir, Mode, OFlags, RenameFlags, chmodat, openat, renameat_with, unlinkat,
};
use rustix::io::{Errno, Result};

/// Removes all that is in a directory and below. Links are removed, never followed.
///
/// What lies deeper is first moved up: neither the stack nor the descriptors limit the depth.
pub(crate) fn empty(directory: BorrowedFd<'_>) -> Result<()> {
    let mut names = Names(0);
    let mut full = VecDeque::new();
    for name in entries(directory)? {
        if remove(directory, &name)? == Removed::No {
            full.push_back(name);
        }
    }
    while let Some(name) = full.pop_front() {
        let inner = match open_own(directory, &name) {
            Err(Errno::NOENT) => continue,
            inner => inner?,
        };
        for name in entries(inner.as_fd())? {
            if remove(inner.as_fd(), &name)? == Removed::No {
                full.push_back(names.move_up(inner.as_fd(), &name, directory)?);
            }
        }
        unlinkat(directory, &*name, AtFlags::REMOVEDIR)?;
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Removed {
    Yes,
    /// It is a directory with something in it.
    No,
}

fn remove(directory: BorrowedFd<'_>, name: &CStr) -> Result<Removed> {
    let removed = match unlinkat(directory, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => unlinkat(directory, name, AtFlags::REMOVEDIR),
        removed => removed,
    };
    match removed {
        Ok(()) | Err(Errno::NOENT) => Ok(Removed::Yes),
        Err(Errno::NOTEMPTY) => Ok(Removed::No),
        Err(errno) => Err(errno),
    }
}

/// All names are read before one is removed: a directory that changes may hide some.
fn entries(directory: BorrowedFd<'_>) -> Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Opens a directory below, to change it: its mode may forbid that even to its owner.
fn open_own(directory: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = openat(directory, name, flags | OFlags::PATH, Mode::empty())?;
    // Another's can't be given one, and may be open to us nevertheless.
    let path = format!("/proc/self/fd/{}", found.as_raw_fd());
    let _ = chmodat(CWD, path.as_str(), Mode::RWXU, AtFlags::empty());
    openat(&found, c".", flags | OFlags::RDONLY, Mode::empty())
}

/// The names of what was moved up: numbers, of which some may be taken.
struct Names(u64);

impl Names {
    fn move_up(
        &mut self,
        from: BorrowedFd<'_>,
        name: &CStr,
        to: BorrowedFd<'_>,
    ) -> Result<CString> {
        // A directory that moves is changed: `..` is another.
        drop(open_own(from, name)?);
        loop {
            let new = CString::new(self.0.to_string()).unwrap_or_default();
            self.0 += 1;
            match renameat_with(from, name, to, &*new, RenameFlags::NOREPLACE) {
                Ok(()) => return Ok(new),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use rustix::fs::{Mode, OFlags, mkdirat, openat};

    use super::empty;
    use crate::state::testing::Scratch;

    #[test]
    fn whatever_is_in_it_goes_and_links_are_not_followed() {
        let scratch = Scratch::new();
        let outside = scratch.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("canary"), "alive").unwrap();
        let inside = scratch.path().join("inside");
        // Names that are given to what is moved up, too.
        for path in ["0/0/0", "1/2/0", "1/0", "notify.sock/a", "closed/a/b"] {
            fs::create_dir_all(inside.join(path)).unwrap();
            fs::write(inside.join(path).join("file"), "").unwrap();
        }
        for link in ["link", "0/link", "1/2/link"] {
            symlink(&outside, inside.join(link)).unwrap();
        }
        let closed = inside.join("closed");
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
        empty(fs::File::open(&inside).unwrap().as_fd()).unwrap();
        fs::remove_dir(&inside).unwrap();
        assert_eq!(fs::read_to_string(outside.join("canary")).unwrap(), "alive");
    }

    #[test]
    fn no_depth_is_too_great() {
        let scratch = Scratch::new();
        let inside = scratch.path().join("inside");
        fs::create_dir(&inside).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut deepest = rustix::fs::open(&inside, flags, Mode::empty()).unwrap();
        for _ in 0..1200 {
            mkdirat(&deepest, c"d", Mode::RWXU).unwrap();
            deepest = openat(&deepest, c"d", flags, Mode::empty()).unwrap();
        }
        drop(deepest);
        empty(fs::File::open(&inside).unwrap().as_fd()).unwrap();
        fs::remove_dir(&inside).unwrap();
    }
}
