//! `ioctl_ns(2)`.

use std::os::fd::{AsRawFd, BorrowedFd};

/// `NS_GET_NSTYPE` of `linux/nsfs.h`.
const NS_GET_NSTYPE: libc::c_ulong = 0xb703;

/// The `CLONE_NEW*` flag of a namespace's file; `None` if it is none.
pub(crate) fn namespace_kind(file: BorrowedFd<'_>) -> Option<u32> {
    // SAFETY: the request takes no argument and stores nothing.
    let kind = unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_NSTYPE as _) };
    u32::try_from(kind).ok()
}
