//! What a `criu` process is given between its birth and its program.

use std::ffi::CString;
use std::io;
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// A directory, bound over another in a mount namespace of the process's own.
#[derive(Debug, Clone)]
pub(crate) struct RootMount {
    /// What is bound, with all that is mounted in it.
    pub source: CString,
    /// Where it is bound.
    pub target: CString,
}

/// Lets the command's process keep these descriptors, and gives it a mount namespace with this mount.
///
/// Nobody but that process has the descriptors or sees the mount, and both go with it.
pub(crate) fn in_child(command: &mut Command, keep: Vec<RawFd>, root: Option<RootMount>) {
    let prepare = move || {
        keep.iter().try_for_each(|fd| keep_open(*fd))?;
        root.as_ref().map_or(Ok(()), mount)
    };
    // SAFETY: between fork and exec the closure makes system calls alone: what it uses was
    // allocated before.
    unsafe { command.pre_exec(prepare) };
}

fn check(result: libc::c_int) -> io::Result<()> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

fn keep_open(fd: RawFd) -> io::Result<()> {
    // SAFETY: takes no pointers, and changes a descriptor of the new process alone.
    check(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) })
}

fn mount(root: &RootMount) -> io::Result<()> {
    let none = std::ptr::null();
    // SAFETY: takes no pointers; the new process has one thread.
    check(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
    let flags = libc::MS_REC | libc::MS_SLAVE;
    // SAFETY: the path ends with NUL, and the other pointers may be null for this change.
    check(unsafe { libc::mount(none, c"/".as_ptr(), none, flags, none.cast()) })?;
    let (source, target) = (root.source.as_ptr(), root.target.as_ptr());
    let flags = libc::MS_BIND | libc::MS_REC;
    // SAFETY: both paths end with NUL, and live as long as the closure that owns them.
    check(unsafe { libc::mount(source, target, none, flags, none.cast()) })
}
