//! Attributes that a mount keeps in the hands of a user namespace (`mount_namespaces(7)`).
//!
//! The caller changes a bind mount before the container gets it, and may do what the container may
//! not. A configuration that asks for more than the container could do itself is refused, as it would
//! be if the container mounted it.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{StatVfsMountFlags as Flag, fstatvfs};

use crate::error::{Context, Error, Result};
use crate::plan::Attr;

/// What the container may not clear: as `statvfs(3)` and as `mount_setattr(2)` name it, and as the
/// specification does.
const LOCKED: [(Flag, u64, &str); 4] = [
    (Flag::RDONLY, libc::MOUNT_ATTR_RDONLY, "ro"),
    (Flag::NOSUID, libc::MOUNT_ATTR_NOSUID, "nosuid"),
    (Flag::NODEV, libc::MOUNT_ATTR_NODEV, "nodev"),
    (Flag::NOEXEC, libc::MOUNT_ATTR_NOEXEC, "noexec"),
];

/// All about access times, which may not change at all.
const ACCESS_TIME: u64 = libc::MOUNT_ATTR__ATIME | libc::MOUNT_ATTR_NODIRATIME;

/// Fails with `EPERM` where the change clears what is locked.
pub(super) fn check(mount: BorrowedFd<'_>, change: Attr) -> Result<()> {
    let flags = fstatvfs(mount)
        .context(|| "look at the source's options".to_owned())?
        .f_flag;
    let cleared = LOCKED
        .iter()
        .find(|(flag, bit, _)| flags.contains(*flag) && change.clear & bit & !change.set != 0);
    let times = change.clear & libc::MOUNT_ATTR__ATIME != 0
        && change.set & ACCESS_TIME != access_time(flags);
    let what = match cleared {
        Some((.., name)) => name,
        None if times => "the access time option",
        None => return Ok(()),
    };
    Err(Error::system(
        format!("{what} of its source can't be cleared in a user namespace"),
        io::Error::from_raw_os_error(libc::EPERM),
    ))
}

fn access_time(flags: Flag) -> u64 {
    let directories = if flags.contains(Flag::NODIRATIME) {
        libc::MOUNT_ATTR_NODIRATIME
    } else {
        0
    };
    let files = if flags.contains(Flag::NOATIME) {
        libc::MOUNT_ATTR_NOATIME
    } else if flags.contains(Flag::RELATIME) {
        libc::MOUNT_ATTR_RELATIME
    } else {
        libc::MOUNT_ATTR_STRICTATIME
    };
    directories | files
}
