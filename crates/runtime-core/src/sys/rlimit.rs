//! `prlimit(2)` by the specification's numbers.

use std::io;

/// Raises another process's hard limit to at least `hard`; its soft limit stays.
pub(crate) fn raise_hard_limit(pid: i32, resource: u32, hard: u64) -> io::Result<()> {
    let mut now = libc::rlimit64 {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: a null new limit only reads; the old one is stored in `now`.
    let read = unsafe { libc::prlimit64(pid, resource, std::ptr::null(), &raw mut now) };
    if read != 0 {
        return Err(io::Error::last_os_error());
    }
    if now.rlim_max >= hard {
        return Ok(());
    }
    now.rlim_max = hard;
    // SAFETY: the new limit is a valid structure, and a null old limit is not stored.
    let set = unsafe { libc::prlimit64(pid, resource, &raw const now, std::ptr::null_mut()) };
    if set == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
