//! What is asked of a pidfd.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, waitid};

use crate::error::{Context, Error, Result};
use crate::sys;

/// The pid behind a pidfd, in this PID namespace.
pub(super) fn pid_of(pidfd: BorrowedFd<'_>) -> Result<i32> {
    let operation = || "look up the pid of a pidfd".to_owned();
    match sys::pid_of_pidfd(pidfd) {
        // An older kernel.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOTTY | libc::EINVAL)) => {}
        known => return known.context(operation),
    }
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let info = std::fs::read_to_string(path).context(operation)?;
    let line = info.lines().find_map(|line| line.strip_prefix("Pid:"));
    let pid = line
        .and_then(|pid| pid.trim().parse().ok())
        .filter(|pid| *pid > 0);
    pid.ok_or_else(|| Error::system(operation(), std::io::ErrorKind::NotFound))
}

/// Waits for the end of a child.
pub(super) fn reap(pidfd: BorrowedFd<'_>) -> rustix::io::Result<Option<WaitIdStatus>> {
    rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED))
}
