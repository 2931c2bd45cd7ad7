//! What a `criu` process is given by its caller: descriptors, and mounts of its own.

use std::io;
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::mount::{MountPropagationFlags, mount_bind_recursive, mount_change};

/// Lets the command's process keep these descriptors; no other child of the caller has them.
pub(crate) fn keep_open(command: &mut Command, descriptors: Vec<RawFd>) {
    let prepare = move || descriptors.iter().try_for_each(|fd| keep_one_open(*fd));
    // SAFETY: between fork and exec the closure makes system calls alone: what it uses was
    // allocated before.
    unsafe { command.pre_exec(prepare) };
}

fn keep_one_open(fd: RawFd) -> io::Result<()> {
    // SAFETY: takes no pointers, and changes a descriptor of the new process alone.
    match unsafe { libc::fcntl(fd, libc::F_SETFD, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Does something on a thread with a mount namespace of its own, in which one directory is bound over
/// another. The namespace lives as long as what was started or opened there.
pub(crate) fn with_bound<T: Send>(
    source: &Path,
    target: &Path,
    act: impl FnOnce() -> T + Send,
) -> io::Result<T> {
    let in_thread = || {
        leave_mounts()?;
        let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        mount_change("/", slave)?;
        mount_bind_recursive(source, target)?;
        Ok(act())
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, in_thread)?;
        let ended = thread.join();
        ended.unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
    })
}

fn leave_mounts() -> io::Result<()> {
    // SAFETY: takes no pointers. The calling thread alone loses what it shared with the others:
    // mounts, root, working directory and umask; it ends before anybody could miss that.
    match unsafe { libc::unshare(libc::CLONE_NEWNS) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
