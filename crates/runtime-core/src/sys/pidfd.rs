//! What the kernel says of a pidfd: `ioctl_pidfs(2)`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// `struct pidfd_info` of `linux/pidfd.h`, as Linux 6.13 had it first.
#[derive(Debug, Default)]
#[repr(C)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    pid: u32,
    others: [u32; 11],
}

/// `PIDFD_GET_INFO`: `_IOWR(0xff, 11, struct pidfd_info)`.
const PIDFD_GET_INFO: libc::c_ulong = 0xc000_ff0b | (size_of::<PidfdInfo>() as libc::c_ulong) << 16;
/// `PIDFD_INFO_PID`.
const PID: u64 = 1;

/// The pid behind a pidfd, in the caller's PID namespace.
///
/// # Errors
/// `ENOTTY` or `EINVAL` before Linux 6.13, `ESRCH` when the process is gone.
pub(crate) fn pid_of_pidfd(pidfd: BorrowedFd<'_>) -> io::Result<i32> {
    let mut info = PidfdInfo {
        mask: PID,
        ..PidfdInfo::default()
    };
    // SAFETY: the request reads and writes as many bytes as it names itself, those of `info`.
    let done = unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO as _, &raw mut info) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    let pid = i32::try_from(info.pid).ok().filter(|pid| *pid > 0);
    pid.ok_or_else(|| io::ErrorKind::NotFound.into())
}
