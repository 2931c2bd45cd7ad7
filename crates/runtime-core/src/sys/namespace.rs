//! `ioctl_ns(2)`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `NS_GET_USERNS` of `linux/nsfs.h`.
const NS_GET_USERNS: libc::c_ulong = 0xb701;
/// `NS_GET_NSTYPE` of `linux/nsfs.h`.
const NS_GET_NSTYPE: libc::c_ulong = 0xb703;

/// The `CLONE_NEW*` flag of a namespace's file; `None` if it is none.
pub(crate) fn namespace_kind(file: BorrowedFd<'_>) -> Option<u32> {
    // SAFETY: the request takes no argument and stores nothing.
    let kind = unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_NSTYPE as _) };
    u32::try_from(kind).ok()
}

/// The user namespace that owns a namespace.
///
/// # Errors
/// `EPERM` where that is neither the caller's nor one below it.
pub(crate) fn owning_user_namespace(file: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: the request takes no argument and stores nothing.
    let owner = unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_USERNS as _) };
    if owner < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel made the descriptor for this call, and nothing else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(owner) })
}
