//! The system calls for which there is no safe wrapper among our dependencies.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::ptr;
use std::time::Duration;

/// What the kernel accounted to a process and the children it waited for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Peak resident set, in KiB: the largest of one process, not a sum.
    pub max_rss_kib: u64,
    /// Page faults served without I/O.
    pub minor_faults: u64,
}

/// Starts a program with `posix_spawn(3)`, which borrows the caller's memory instead of copying
/// its page tables: so the time does not depend on the caller. Standard input, output and error
/// are `stdio`, signals as a shell would leave them.
///
/// # Errors
/// What `posix_spawn` reports, `ENOENT` for a program that isn't there.
pub fn spawn(
    program: &CStr,
    args: &[CString],
    env: &[CString],
    stdio: [BorrowedFd<'_>; 3],
) -> io::Result<libc::pid_t> {
    let mut setup = SpawnSetup::new()?;
    for (target, fd) in (0..).zip(stdio) {
        setup.dup2(fd, target)?;
    }
    let args = pointers(args);
    let env = pointers(env);
    let mut pid = 0;
    // SAFETY: both arrays end with a null pointer and point to strings that outlive the call;
    // `setup` holds initialised objects.
    let code = unsafe {
        libc::posix_spawn(
            &raw mut pid,
            program.as_ptr(),
            &raw const setup.actions,
            &raw const setup.attributes,
            args.as_ptr(),
            env.as_ptr(),
        )
    };
    check(code)?;
    Ok(pid)
}

/// Waits for a child's end and returns what it used.
///
/// # Errors
/// What `wait4(2)` reports, `ECHILD` if it is no child of ours.
pub fn wait4(pid: libc::pid_t) -> io::Result<(ExitStatus, Usage)> {
    let mut status = 0;
    // SAFETY: rusage is plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to live local variables.
        let reaped = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
        if reaped == pid {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    let usage = Usage {
        max_rss_kib: u64::try_from(usage.ru_maxrss).unwrap_or(0),
        minor_faults: u64::try_from(usage.ru_minflt).unwrap_or(0),
    };
    Ok((ExitStatus::from_raw(status), usage))
}

/// Waits until a child has ended, without reaping it: whether it has within the limit.
///
/// # Errors
/// What `pidfd_open(2)` and `poll(2)` report.
pub fn ends_within(pid: libc::pid_t, limit: Duration) -> io::Result<bool> {
    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
    let ready = retry_on_intr(|| poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit)))?;
    Ok(ready > 0)
}

/// Unshares the caller's mount namespace. To be called before any thread is started.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`.
pub fn unshare_mounts() -> io::Result<()> {
    unshare(libc::CLONE_NEWNS)
}

/// Makes the next child of the caller pid 1 of a new PID namespace.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`.
pub fn unshare_pids_of_children() -> io::Result<()> {
    unshare(libc::CLONE_NEWPID)
}

fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: these flags change what later system calls see, not the caller's memory.
    check_errno(unsafe { libc::unshare(flags) })
}

/// Forks. In the child the closure runs, and its value is the exit status.
///
/// # Errors
/// What `fork(2)` reports, and `Other` when the caller has a second thread, since the child could
/// then hang in a lock that the other thread holds.
pub fn fork(child: impl FnOnce() -> u8) -> io::Result<libc::pid_t> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("fork from a program with threads"));
    }
    // SAFETY: the caller has one thread, so the child's copy of every lock is free.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let code = child();
            // SAFETY: ends the process; nothing of the parent's may run its destructors here.
            unsafe { libc::_exit(code.into()) }
        }
        pid => Ok(pid),
    }
}

/// Reaps any child until `last` has ended; what a PID namespace's pid 1 has to do.
///
/// # Errors
/// What `wait(2)` reports.
pub fn reap_until(last: libc::pid_t) -> io::Result<ExitStatus> {
    loop {
        let mut status = 0;
        // SAFETY: the pointer is to a live local variable.
        let pid = unsafe { libc::wait(&raw mut status) };
        if pid == last {
            return Ok(ExitStatus::from_raw(status));
        }
        if pid == -1 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
}

struct SpawnSetup {
    actions: libc::posix_spawn_file_actions_t,
    attributes: libc::posix_spawnattr_t,
}

impl SpawnSetup {
    fn new() -> io::Result<Self> {
        // SAFETY: plain C structures, initialised by the two calls below before any other use.
        let mut setup: Self = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is to a live structure that is not initialised yet.
        check(unsafe { libc::posix_spawn_file_actions_init(&raw mut setup.actions) })?;
        // SAFETY: as above.
        check(unsafe { libc::posix_spawnattr_init(&raw mut setup.attributes) })?;
        // SAFETY: a signal set is plain bits, for which zero is a value.
        let mut signals: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is to a live set.
        check_errno(unsafe { libc::sigemptyset(&raw mut signals) })?;
        // SAFETY: both pointers are live and initialised.
        check(unsafe {
            libc::posix_spawnattr_setsigmask(&raw mut setup.attributes, &raw const signals)
        })?;
        // Rust programs ignore SIGPIPE, and that would be inherited.
        // SAFETY: the pointer is to a live set.
        check_errno(unsafe { libc::sigaddset(&raw mut signals, libc::SIGPIPE) })?;
        // SAFETY: both pointers are live and initialised.
        check(unsafe {
            libc::posix_spawnattr_setsigdefault(&raw mut setup.attributes, &raw const signals)
        })?;
        let flags = libc::POSIX_SPAWN_SETSIGDEF | libc::POSIX_SPAWN_SETSIGMASK;
        let flags = libc::c_short::try_from(flags).map_err(io::Error::other)?;
        // SAFETY: the pointer is live and initialised.
        check(unsafe { libc::posix_spawnattr_setflags(&raw mut setup.attributes, flags) })?;
        Ok(setup)
    }

    fn dup2(&mut self, fd: BorrowedFd<'_>, target: libc::c_int) -> io::Result<()> {
        // SAFETY: the actions are initialised; the descriptor is open for the call's duration.
        check(unsafe {
            libc::posix_spawn_file_actions_adddup2(&raw mut self.actions, fd.as_raw_fd(), target)
        })
    }
}

impl Drop for SpawnSetup {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, and not used again.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.actions) };
        // SAFETY: as above.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.attributes) };
    }
}

fn pointers(strings: &[CString]) -> Vec<*mut libc::c_char> {
    strings
        .iter()
        .map(|text| text.as_ptr().cast_mut())
        .chain([ptr::null_mut()])
        .collect()
}

fn check(code: libc::c_int) -> io::Result<()> {
    match code {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

fn check_errno(code: libc::c_int) -> io::Result<()> {
    match code {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A system call that waits for an agent's answer.
#[derive(Clone, Copy, Debug)]
pub struct Notification {
    /// The thread that made it, in the caller's PID namespace.
    pub pid: u32,
    /// Its number.
    pub call: i32,
}

/// Takes one notification from a seccomp listener and lets its call fail with this error number, or
/// go on where that is 0. See `seccomp_unotify(2)`.
///
/// # Errors
/// What the ioctls report: `ENOENT` when the process that waited is gone.
pub fn answer_notification(listener: BorrowedFd<'_>, errno: i32) -> io::Result<Notification> {
    // SAFETY: all zeroes is a valid value of both structures of numbers.
    let mut asked: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    request(listener, 0xc050_2100, (&raw mut asked).cast())?;
    // SAFETY: as above.
    let mut answer: libc::seccomp_notif_resp = unsafe { std::mem::zeroed() };
    answer.id = asked.id;
    answer.error = -errno;
    if errno == 0 {
        answer.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
    }
    request(listener, 0xc018_2101, (&raw mut answer).cast())?;
    Ok(Notification {
        pid: asked.pid,
        call: asked.data.nr,
    })
}

fn request(listener: BorrowedFd<'_>, number: u32, argument: *mut libc::c_void) -> io::Result<()> {
    retry_on_intr(|| {
        // SAFETY: the argument is the structure whose size is in the request's number.
        match unsafe { libc::ioctl(listener.as_raw_fd(), number as _, argument) } {
            0 => Ok(()),
            _ => Err(
                rustix::io::Errno::from_io_error(&io::Error::last_os_error())
                    .unwrap_or(rustix::io::Errno::IO),
            ),
        }
    })
    .map_err(io::Error::from)
}

/// A descriptor that this process was started with, by its number.
#[must_use]
pub fn inherited(number: i32) -> OwnedFd {
    // SAFETY: it was open before the process began, and only its first user asks for it.
    unsafe { OwnedFd::from_raw_fd(number) }
}
