//! `pidfd_send_signal(2)` by number: rustix's `Signal` has no real-time signals.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sends a signal to exactly the process that the descriptor stands for.
pub(crate) fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is open while it is borrowed, and a null siginfo is not read.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            no_info,
            0,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
