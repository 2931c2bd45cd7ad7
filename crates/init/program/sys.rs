//! System calls, one safe function each. Together with `arch`, `raw`, `mem` and `image` this is all the
//! unsafe code of the program.

use core::ffi::CStr;

use crate::raw::{nr, syscall};

/// A kernel error number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    pub const PERM: Self = Self(1);
    pub const NOENT: Self = Self(2);
    pub const INTR: Self = Self(4);
    pub const AGAIN: Self = Self(11);
    pub const ACCES: Self = Self(13);
    pub const BUSY: Self = Self(16);
    pub const EXIST: Self = Self(17);
    pub const XDEV: Self = Self(18);
    pub const NODEV: Self = Self(19);
    pub const NOTDIR: Self = Self(20);
    pub const INVAL: Self = Self(22);
    pub const MFILE: Self = Self(24);
    pub const NAMETOOLONG: Self = Self(36);
    pub const LOOP: Self = Self(40);
    pub const PROTO: Self = Self(71);
    pub const CONNRESET: Self = Self(104);
    pub const TIMEDOUT: Self = Self(110);
}

pub type Result<T> = core::result::Result<T, Errno>;

/// An open descriptor. Nothing closes it but exec or `close_range`: the program is short-lived.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fd(pub i32);

/// The working directory, where a call takes a directory.
pub const CWD: Fd = Fd(-100);

pub const O_WRONLY: u64 = 1;
pub const O_RDWR: u64 = 2;
pub const O_NOCTTY: u64 = 0o400;
pub const O_NONBLOCK: u64 = 0o4000;
#[cfg(target_arch = "x86_64")]
pub const O_DIRECTORY: u64 = 0o200_000;
#[cfg(target_arch = "x86_64")]
pub const O_NOFOLLOW: u64 = 0o400_000;
#[cfg(target_arch = "aarch64")]
pub const O_DIRECTORY: u64 = 0o40_000;
#[cfg(target_arch = "aarch64")]
pub const O_NOFOLLOW: u64 = 0o100_000;
pub const O_CLOEXEC: u64 = 0o2_000_000;
pub const O_PATH: u64 = 0o10_000_000;

pub const RESOLVE_NO_XDEV: u64 = 1;
pub const RESOLVE_NO_MAGICLINKS: u64 = 2;
pub const RESOLVE_NO_SYMLINKS: u64 = 4;
pub const RESOLVE_BENEATH: u64 = 8;
pub const RESOLVE_IN_ROOT: u64 = 16;

pub const AT_EMPTY_PATH: usize = 0x1000;
const AT_RECURSIVE: usize = 0x8000;
const AT_SYMLINK_NOFOLLOW: usize = 0x100;
const OPEN_TREE_CLONE: usize = 1;
pub const MS_BIND: u64 = 0x1000;
pub const S_IFMT: u32 = 0o170_000;
pub const S_IFDIR: u32 = 0o040_000;
pub const S_IFLNK: u32 = 0o120_000;
pub const S_IFREG: u32 = 0o100_000;
pub const S_IFCHR: u32 = 0o020_000;
pub const MOUNT_ATTR_RDONLY: u64 = 1;
const SIG_SETMASK: usize = 2;
pub const SIGPIPE: u32 = 13;

macro_rules! call {
    ($number:expr $(, $arg:expr)* $(,)?) => {{
        let mut args = [0usize; 6];
        let given = [$($arg as usize),*];
        args[..given.len()].copy_from_slice(&given);
        // SAFETY: each wrapper below passes what this call expects, with pointers that live through it.
        let result = unsafe { syscall($number, args) };
        if result < 0 { Err(Errno(-result as i32)) } else { Ok(result as usize) }
    }};
}

/// What a zero-argument call needs, which the macro's array can't infer.
fn call0(number: usize) -> Result<usize> {
    call!(number, 0)
}

fn fd(result: Result<usize>) -> Result<Fd> {
    result.map(|value| Fd(value as i32))
}

fn done(result: Result<usize>) -> Result<()> {
    result.map(|_| ())
}

pub fn exit(status: i32) -> ! {
    loop {
        let _ = call!(nr::EXIT_GROUP, status);
    }
}

/// `ioctl(2)` `SIOCSIFFLAGS` on `lo`, through any socket.
pub fn loopback_up() -> Result<()> {
    const AF_INET: usize = 2;
    const SOCK_DGRAM: usize = 2;
    const SIOCSIFFLAGS: usize = 0x8914;
    const IFF_UP: u8 = 1;
    let socket = fd(call!(nr::SOCKET, AF_INET, SOCK_DGRAM | O_CLOEXEC as usize, 0))?;
    // struct ifreq: 16 bytes of name, then the flags in a union of 24.
    let mut request = [0u64; 5];
    request[0] = u64::from_le_bytes(*b"lo\0\0\0\0\0\0");
    request[2] = u64::from(IFF_UP);
    done(call!(nr::IOCTL, socket.0, SIOCSIFFLAGS, request.as_ptr()))?;
    close(socket)
}

/// Sleeps until a signal ends the process.
pub fn park() -> ! {
    loop {
        let _ = call!(nr::PPOLL, 0, 0, 0, 0, 0);
    }
}

pub fn read(from: Fd, buffer: &mut [u8]) -> Result<usize> {
    retry(|| call!(nr::READ, from.0, buffer.as_mut_ptr(), buffer.len()))
}

pub fn write(to: Fd, bytes: &[u8]) -> Result<usize> {
    retry(|| call!(nr::WRITE, to.0, bytes.as_ptr(), bytes.len()))
}

/// Writes what a pipe takes without waiting for its reader.
pub fn write_some(to: Fd, bytes: &[u8]) -> Result<usize> {
    const F_SETFL: usize = 4;
    done(call!(nr::FCNTL, to.0, F_SETFL, O_NONBLOCK))?;
    write(to, bytes)
}

/// Reads and writes wait from here on.
pub fn set_blocking(which: Fd) -> Result<()> {
    const F_SETFL: usize = 4;
    done(call!(nr::FCNTL, which.0, F_SETFL, 0))
}

fn retry<T>(mut operation: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match operation() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

pub fn close(which: Fd) -> Result<()> {
    done(call!(nr::CLOSE, which.0))
}

/// Closes every descriptor from `first` on.
pub fn close_from(first: Fd) -> Result<()> {
    done(call!(nr::CLOSE_RANGE, first.0, u32::MAX, 0))
}

pub fn dup_to(from: Fd, to: Fd, close_on_exec: bool) -> Result<()> {
    if from == to {
        const F_SETFD: usize = 2;
        return done(call!(nr::FCNTL, from.0, F_SETFD, usize::from(close_on_exec)));
    }
    done(call!(nr::DUP3, from.0, to.0, if close_on_exec { O_CLOEXEC } else { 0 }))
}

/// A close-on-exec copy numbered `least` or higher.
pub fn dup_above(from: Fd, least: Fd) -> Result<Fd> {
    const F_DUPFD_CLOEXEC: usize = 1030;
    fd(call!(nr::FCNTL, from.0, F_DUPFD_CLOEXEC, least.0))
}

#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// `openat2(2)`. A lookup that a concurrent rename disturbed is tried again, a bounded number of times.
pub fn openat2(dir: Fd, path: &CStr, flags: u64, resolve: u64) -> Result<Fd> {
    const ATTEMPTS: u32 = 4096;
    let how = OpenHow { flags: flags | O_CLOEXEC, mode: 0, resolve };
    let mut attempt = 0;
    loop {
        let result =
            call!(nr::OPENAT2, dir.0, path.as_ptr(), &raw const how, size_of::<OpenHow>());
        attempt += 1;
        match result {
            Err(Errno::AGAIN | Errno::INTR) if attempt < ATTEMPTS => {}
            result => return fd(result),
        }
    }
}

/// Makes a regular file that is not there yet, for writing.
pub fn create(dir: Fd, name: &CStr, mode: u32) -> Result<Fd> {
    const O_CREAT: u64 = 0o100;
    const O_EXCL: u64 = 0o200;
    let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    let how = OpenHow { flags, mode: u64::from(mode), resolve: RESOLVE_BENEATH };
    fd(call!(nr::OPENAT2, dir.0, name.as_ptr(), &raw const how, size_of::<OpenHow>()))
}

/// Reads entries of a directory as `struct linux_dirent64`; 0 at its end.
pub fn read_directory(dir: Fd, buffer: &mut [u8]) -> Result<usize> {
    call!(nr::GETDENTS64, dir.0, buffer.as_mut_ptr(), buffer.len())
}

/// Moves bytes from one file's position to the other's; 0 at the end.
pub fn send_file(to: Fd, from: Fd) -> Result<usize> {
    const MOST: usize = 0x7fff_f000;
    retry(|| call!(nr::SENDFILE, to.0, from.0, 0, MOST))
}

pub fn chmod(which: Fd, mode: u32) -> Result<()> {
    done(call!(nr::FCHMOD, which.0, mode))
}

/// Sets an extended attribute to a string, its end included.
pub fn set_attribute(which: Fd, name: &CStr, value: &CStr) -> Result<()> {
    let bytes = value.to_bytes_with_nul();
    done(call!(nr::FSETXATTR, which.0, name.as_ptr(), bytes.as_ptr(), bytes.len(), 0))
}

/// Sets the owner of an entry itself, a link too.
pub fn chown_entry(dir: Fd, name: &CStr, uid: u32, gid: u32) -> Result<()> {
    done(call!(nr::FCHOWNAT, dir.0, name.as_ptr(), uid, gid, AT_SYMLINK_NOFOLLOW))
}

pub fn mkdirat(dir: Fd, name: &CStr, mode: u32) -> Result<()> {
    done(call!(nr::MKDIRAT, dir.0, name.as_ptr(), mode))
}

pub fn mknodat(dir: Fd, name: &CStr, mode: u32, device: u64) -> Result<()> {
    done(call!(nr::MKNODAT, dir.0, name.as_ptr(), mode, device))
}

pub fn symlinkat(target: &CStr, dir: Fd, name: &CStr) -> Result<()> {
    done(call!(nr::SYMLINKAT, target.as_ptr(), dir.0, name.as_ptr()))
}

pub fn unlinkat(dir: Fd, name: &CStr) -> Result<()> {
    done(call!(nr::UNLINKAT, dir.0, name.as_ptr(), 0))
}

/// Sets the owner of the object that `which` refers to, an `O_PATH` descriptor too.
pub fn chown(which: Fd, uid: u32, gid: u32) -> Result<()> {
    done(call!(nr::FCHOWNAT, which.0, c"".as_ptr(), uid, gid, AT_EMPTY_PATH))
}

/// Whether the effective ids may execute the file.
pub fn may_execute(path: &CStr) -> Result<()> {
    const X_OK: usize = 1;
    const AT_EACCESS: usize = 0x200;
    done(call!(nr::FACCESSAT2, CWD.0, path.as_ptr(), X_OK, AT_EACCESS))
}

/// What `fstat(2)` tells here.
pub struct Stat {
    pub mode: u32,
    pub owner: (u32, u32),
    pub device: (u32, u32),
    pub inode: u64,
}

/// `statx(2)` on the object itself; an empty path means `dir`.
pub fn stat(dir: Fd, path: &CStr) -> Result<Stat> {
    const STATX_BASIC: usize = 0x7ff;
    let mut buffer = [0u32; 64];
    done(call!(
        nr::STATX,
        dir.0,
        path.as_ptr(),
        AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW,
        STATX_BASIC,
        buffer.as_mut_ptr(),
    ))?;
    // struct statx: stx_uid and stx_gid are the words at byte 20, stx_mode is the 16 bits at byte 28, stx_ino at 32, stx_rdev_* at 128.
    Ok(Stat {
        mode: buffer[7] & 0xffff,
        owner: (buffer[5], buffer[6]),
        device: (buffer[32], buffer[33]),
        inode: u64::from(buffer[8]) | u64::from(buffer[9]) << 32,
    })
}

/// The mode of what a path leads to, links followed.
pub fn stat_followed(path: &CStr) -> Result<u32> {
    const STATX_TYPE_MODE: usize = 3;
    let mut buffer = [0u32; 64];
    done(call!(nr::STATX, CWD.0, path.as_ptr(), 0, STATX_TYPE_MODE, buffer.as_mut_ptr()))?;
    Ok(buffer[7] & 0xffff)
}

/// The magic number of the file system that `which` lies on.
pub fn filesystem_magic(which: Fd) -> Result<u64> {
    let mut buffer = [0u64; 15];
    done(call!(nr::FSTATFS, which.0, buffer.as_mut_ptr()))?;
    Ok(buffer[0])
}

pub fn chdir(path: &CStr) -> Result<()> {
    done(call!(nr::CHDIR, path.as_ptr()))
}

pub fn fchdir(dir: Fd) -> Result<()> {
    done(call!(nr::FCHDIR, dir.0))
}

pub fn chroot(path: &CStr) -> Result<()> {
    done(call!(nr::CHROOT, path.as_ptr()))
}

/// Whether the working directory can be named from this root: the kernel puts a mark before the
/// name of one that can't.
pub fn cwd_is_reachable() -> Result<bool> {
    let mut buffer = [0u8; 4096];
    done(call!(nr::GETCWD, buffer.as_mut_ptr(), buffer.len()))?;
    Ok(buffer[0] == b'/')
}

pub fn umask(mask: u32) {
    let _ = call!(nr::UMASK, mask);
}

pub fn mount(source: &CStr, target: &CStr, fstype: &CStr, flags: u64, data: &CStr) -> Result<()> {
    done(call!(
        nr::MOUNT,
        source.as_ptr(),
        target.as_ptr(),
        fstype.as_ptr(),
        flags,
        data.as_ptr(),
    ))
}

pub fn detach(target: &CStr) -> Result<()> {
    const MNT_DETACH: usize = 2;
    done(call!(nr::UMOUNT2, target.as_ptr(), MNT_DETACH))
}

pub fn pivot_root(new: &CStr, old: &CStr) -> Result<()> {
    done(call!(nr::PIVOT_ROOT, new.as_ptr(), old.as_ptr()))
}

/// A detached clone of the mount at a path, or of `dir`'s own where the path is empty.
pub fn open_tree(dir: Fd, path: &CStr, recursive: bool, follow: bool) -> Result<Fd> {
    let flags = OPEN_TREE_CLONE
        | O_CLOEXEC as usize
        | AT_EMPTY_PATH
        | if recursive { AT_RECURSIVE } else { 0 }
        | if follow { 0 } else { AT_SYMLINK_NOFOLLOW };
    fd(call!(nr::OPEN_TREE, dir.0, path.as_ptr(), flags))
}

/// Attaches the mount `from` on `name` below `dir`, or on `dir` itself where the name is empty.
pub fn move_mount(from: Fd, dir: Fd, name: &CStr) -> Result<()> {
    const F_EMPTY_PATH: usize = 4;
    const T_EMPTY_PATH: usize = 0x40;
    let flags = F_EMPTY_PATH | if name.is_empty() { T_EMPTY_PATH } else { 0 };
    done(call!(nr::MOVE_MOUNT, from.0, c"".as_ptr(), dir.0, name.as_ptr(), flags))
}

#[repr(C)]
pub struct MountAttr {
    pub set: u64,
    pub clear: u64,
    pub propagation: u64,
    pub userns: u64,
}

pub fn mount_setattr(dir: Fd, path: &CStr, recursive: bool, attr: &MountAttr) -> Result<()> {
    let flags = AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    done(call!(
        nr::MOUNT_SETATTR,
        dir.0,
        path.as_ptr(),
        flags,
        &raw const *attr,
        size_of::<MountAttr>(),
    ))
}

/// A detached mount of a new instance of a file system with these options.
pub fn new_filesystem(fstype: &CStr, options: &[(&CStr, &CStr)], attributes: u64) -> Result<Fd> {
    const FSOPEN_CLOEXEC: usize = 1;
    const FSCONFIG_SET_STRING: usize = 1;
    const FSCONFIG_CMD_CREATE: usize = 6;
    const FSMOUNT_CLOEXEC: usize = 1;
    let context = fd(call!(nr::FSOPEN, fstype.as_ptr(), FSOPEN_CLOEXEC))?;
    for (key, value) in options {
        let (key, value) = (key.as_ptr(), value.as_ptr());
        done(call!(nr::FSCONFIG, context.0, FSCONFIG_SET_STRING, key, value, 0))?;
    }
    done(call!(nr::FSCONFIG, context.0, FSCONFIG_CMD_CREATE, 0, 0, 0))?;
    let mount = fd(call!(nr::FSMOUNT, context.0, FSMOUNT_CLOEXEC, attributes))?;
    close(context)?;
    Ok(mount)
}

pub fn sethostname(name: &CStr) -> Result<()> {
    done(call!(nr::SETHOSTNAME, name.as_ptr(), name.count_bytes()))
}

pub fn setdomainname(name: &CStr) -> Result<()> {
    done(call!(nr::SETDOMAINNAME, name.as_ptr(), name.count_bytes()))
}

pub fn setsid() -> Result<()> {
    done(call0(nr::SETSID))
}

pub fn unshare(flags: u32) -> Result<()> {
    done(call!(nr::UNSHARE, flags))
}

pub fn setns(namespace: Fd, flags: u32) -> Result<()> {
    done(call!(nr::SETNS, namespace.0, flags))
}

/// Without a name the keyring is a new one.
pub fn join_session_keyring(name: &CStr) -> Result<u32> {
    const KEYCTL_JOIN_SESSION_KEYRING: usize = 1;
    let name = if name.is_empty() { core::ptr::null() } else { name.as_ptr() };
    call!(nr::KEYCTL, KEYCTL_JOIN_SESSION_KEYRING, name).map(|key| key as u32)
}

pub fn prctl(option: u32, a: u64, b: u64) -> Result<usize> {
    call!(nr::PRCTL, option, a, b, 0, 0)
}

pub fn setgroups(groups: &[u8]) -> Result<()> {
    done(call!(nr::SETGROUPS, groups.len() / size_of::<u32>(), groups.as_ptr()))
}

pub fn setresuid(uid: u32) -> Result<()> {
    done(call!(nr::SETRESUID, uid, uid, uid))
}

pub fn setresgid(gid: u32) -> Result<()> {
    done(call!(nr::SETRESGID, gid, gid, gid))
}

/// `capset(2)`, version 3, for this thread.
pub fn capset(effective: u64, permitted: u64, inheritable: u64) -> Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    let data = [
        effective as u32,
        permitted as u32,
        inheritable as u32,
        (effective >> 32) as u32,
        (permitted >> 32) as u32,
        (inheritable >> 32) as u32,
    ];
    done(call!(nr::CAPSET, header.as_ptr(), data.as_ptr()))
}

pub fn setrlimit(resource: u32, soft: u64, hard: u64) -> Result<()> {
    let limit = [soft, hard];
    done(call!(nr::SETRLIMIT, resource, limit.as_ptr()))
}

pub fn personality(domain: u32) -> Result<()> {
    done(call!(nr::PERSONALITY, domain))
}

/// `sched_setaffinity(2)` for this thread.
pub fn set_affinity(cpus: &[u8]) -> Result<()> {
    done(call!(nr::SCHED_SETAFFINITY, 0, cpus.len(), cpus.as_ptr()))
}

/// `struct sched_attr` as Linux 3.14 has it.
#[repr(C)]
pub struct SchedAttr {
    pub size: u32,
    pub policy: u32,
    pub flags: u64,
    pub nice: u32,
    pub priority: u32,
    pub runtime: u64,
    pub deadline: u64,
    pub period: u64,
}

pub fn set_scheduler(attr: &SchedAttr) -> Result<()> {
    done(call!(nr::SCHED_SETATTR, 0, &raw const *attr, 0))
}

pub fn set_io_priority(value: u32) -> Result<()> {
    const IOPRIO_WHO_PROCESS: usize = 1;
    done(call!(nr::IOPRIO_SET, IOPRIO_WHO_PROCESS, 0, value))
}

/// The kernel counts one bit less than it is told.
pub fn set_memory_policy(policy: u32, nodes: &[u8]) -> Result<()> {
    let (mask, bits) = match nodes {
        [] => (core::ptr::null(), 0),
        _ => (nodes.as_ptr(), nodes.len() * 8 + 1),
    };
    done(call!(nr::SET_MEMPOLICY, policy, mask, bits))
}

#[repr(C)]
struct FilterProgram {
    len: u16,
    filter: *const u8,
}

/// Loads a classic BPF program of 8-byte instructions; returns its listener if the flags ask for one.
pub fn seccomp(filter: &[u8], flags: u32) -> Result<Option<Fd>> {
    const NEW_LISTENER: u32 = 1 << 3;
    const SECCOMP_SET_MODE_FILTER: usize = 1;
    let program = FilterProgram { len: (filter.len() / 8) as u16, filter: filter.as_ptr() };
    let listener = fd(call!(nr::SECCOMP, SECCOMP_SET_MODE_FILTER, flags, &raw const program))?;
    Ok((flags & NEW_LISTENER != 0).then_some(listener))
}

/// Empties the signal mask.
pub fn unblock_signals() -> Result<()> {
    let none = 0u64;
    done(call!(nr::RT_SIGPROCMASK, SIG_SETMASK, &raw const none, 0, size_of::<u64>()))
}

/// Gives a signal its default action.
pub fn default_action(signal: u32) -> Result<()> {
    const SIG_DFL: u64 = 0;
    set_action(signal, &[SIG_DFL, 0, 0, 0])
}

/// Lets the kernel kill this process when its parent ends, or not any more. Other ids, another user
/// namespace and a fork undo it.
pub fn die_with_parent(on: bool) -> Result<()> {
    const PR_SET_PDEATHSIG: u32 = 1;
    const SIGKILL: u64 = 9;
    prctl(PR_SET_PDEATHSIG, if on { SIGKILL } else { 0 }, 0).map(|_| ())
}

/// Ignores a signal.
pub fn ignore(signal: u32) -> Result<()> {
    const SIG_IGN: u64 = 1;
    set_action(signal, &[SIG_IGN, 0, 0, 0])
}

fn set_action(signal: u32, action: &[u64; 4]) -> Result<()> {
    done(call!(nr::RT_SIGACTION, signal, action.as_ptr(), 0, size_of::<u64>()))
}

/// Makes a signal end this process, which the kernel spares where it is the first of its PID
/// namespace (`pid_namespaces(7)`).
pub fn end_on(signal: u32) -> Result<()> {
    const SA_RESTORER: u64 = 0x0400_0000;
    let handler = end as extern "C" fn(i32) -> ! as usize as u64;
    // x86_64 demands somewhere to return to, though nothing returns.
    set_action(signal, &[handler, SA_RESTORER, handler, 0])
}

extern "C" fn end(signal: i32) -> ! {
    exit(128 + signal)
}

/// `clone(2)` without shared memory: in the child the result is `None`.
///
/// The child's pidfd is stored in `pidfd` where `CLONE_PIDFD` is among the flags.
pub fn fork(flags: u64, pidfd: &mut i32) -> Result<Option<i32>> {
    let child = call!(nr::CLONE, flags, 0, &raw mut *pidfd, 0, 0)?;
    Ok((child != 0).then_some(child as i32))
}

pub fn kill(pidfd: Fd, signal: u32) -> Result<()> {
    done(call!(nr::PIDFD_SEND_SIGNAL, pidfd.0, signal, 0, 0))
}

/// How a child ended: `Ok` holds its exit status, `Err` its signal.
pub fn wait(pidfd: Fd) -> Result<core::result::Result<i32, i32>> {
    const P_PIDFD: usize = 3;
    const WEXITED: usize = 4;
    const WALL: usize = 0x4000_0000;
    const CLD_EXITED: i32 = 1;
    let mut info = [0i32; 32];
    retry(|| call!(nr::WAITID, P_PIDFD, pidfd.0, info.as_mut_ptr(), WEXITED | WALL, 0))?;
    // siginfo_t of SIGCHLD: si_code is word 2, si_status word 6.
    Ok(if info[2] == CLD_EXITED { Ok(info[6]) } else { Err(info[6]) })
}

/// Waits until `which` can be read, at most so many milliseconds; `None` waits without limit.
pub fn readable_within(which: Fd, milliseconds: Option<u32>) -> Result<bool> {
    let mut time = milliseconds.map(time);
    let [ready, _] = readable([which, which], time.as_mut())?;
    Ok(ready)
}

/// Waits until one of both can be read, or has been hung up; which. None once the time is over, of which
/// it leaves the rest.
pub fn readable(both: [Fd; 2], time: Option<&mut [u64; 2]>) -> Result<[bool; 2]> {
    const POLLIN: u64 = 1;
    const EVENTS: u32 = 48;
    let mut poll = both.map(|which| u64::from(which.0 as u32) | POLLIN << 32);
    let time = time.map_or(core::ptr::null_mut(), |time| time.as_mut_ptr());
    retry(|| call!(nr::PPOLL, poll.as_mut_ptr(), poll.len(), time, 0, 0))?;
    Ok(poll.map(|one| one >> EVENTS != 0))
}

/// The kernel's form of so many milliseconds.
pub fn time(milliseconds: u32) -> [u64; 2] {
    [u64::from(milliseconds / 1000), u64::from(milliseconds % 1000) * 1_000_000]
}

pub fn pipe() -> Result<(Fd, Fd)> {
    let mut ends = [0i32; 2];
    done(call!(nr::PIPE2, ends.as_mut_ptr(), O_CLOEXEC))?;
    Ok((Fd(ends[0]), Fd(ends[1])))
}

/// Accepts a connection on a listening socket.
pub fn accept(listener: Fd) -> Result<Fd> {
    retry(|| fd(call!(nr::ACCEPT4, listener.0, 0, 0, O_CLOEXEC)))
}

/// `ioctl(2)` with an integer argument.
pub fn ioctl_value(which: Fd, request: u32, argument: u64) -> Result<usize> {
    call!(nr::IOCTL, which.0, request, argument)
}

/// `ioctl(2)` that reads a structure of two words.
pub fn ioctl_words(which: Fd, request: u32, argument: [u32; 2]) -> Result<()> {
    done(call!(nr::IOCTL, which.0, request, argument.as_ptr()))
}

/// `execve(2)` with pointer arrays that [`crate::image::Image`] prepared; returns only on failure.
pub fn execve(path: &CStr, argv: &[u64], env: &[u64]) -> Errno {
    match call!(nr::EXECVE, path.as_ptr(), argv.as_ptr(), env.as_ptr()) {
        Err(errno) => errno,
        Ok(_) => Errno::INVAL,
    }
}

#[repr(C)]
struct IoVec {
    base: *const u8,
    len: usize,
}

#[repr(C)]
struct MessageHeader {
    name: usize,
    name_len: u32,
    parts: *const IoVec,
    part_count: usize,
    control: *const u8,
    control_len: usize,
    flags: u32,
}

const SOL_SOCKET: u32 = 1;
const SCM_RIGHTS: u32 = 1;
const CONTROL_HEADER: usize = 16;
/// The most descriptors that the kernel lets one message carry (`SCM_MAX_FD`).
pub const MESSAGE_FDS: usize = 253;
const CONTROL_BYTES: usize = CONTROL_HEADER + (MESSAGE_FDS * 4).next_multiple_of(8);

/// Room for the descriptors of one message, aligned as the kernel wants it.
#[repr(C, align(8))]
struct ControlBuffer([u8; CONTROL_BYTES]);

/// Sends bytes, and one descriptor with them.
pub fn send(socket: Fd, bytes: &[u8], passed: Option<Fd>) -> Result<()> {
    const MSG_NOSIGNAL: usize = 0x4000;
    let part = IoVec { base: bytes.as_ptr(), len: bytes.len() };
    let mut control = ControlBuffer([0; CONTROL_BYTES]);
    let control_len = if let Some(passed) = passed {
        let len = CONTROL_HEADER + 4;
        control.0[..8].copy_from_slice(&len.to_ne_bytes());
        control.0[8..12].copy_from_slice(&SOL_SOCKET.to_ne_bytes());
        control.0[12..16].copy_from_slice(&SCM_RIGHTS.to_ne_bytes());
        control.0[16..20].copy_from_slice(&passed.0.to_ne_bytes());
        CONTROL_HEADER + 8
    } else {
        0
    };
    let header = MessageHeader {
        name: 0,
        name_len: 0,
        parts: &raw const part,
        part_count: 1,
        control: control.0.as_ptr(),
        control_len,
        flags: 0,
    };
    retry(|| done(call!(nr::SENDMSG, socket.0, &raw const header, MSG_NOSIGNAL)))
}

/// Receives one message; calls `each` with every descriptor in it. Returns the bytes received.
pub fn receive(socket: Fd, buffer: &mut [u8], mut each: impl FnMut(Fd)) -> Result<usize> {
    const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;
    const MSG_TRUNC: u32 = 0x20;
    const MSG_CTRUNC: u32 = 8;
    let part = IoVec { base: buffer.as_mut_ptr(), len: buffer.len() };
    let mut control = ControlBuffer([0; CONTROL_BYTES]);
    let mut header = MessageHeader {
        name: 0,
        name_len: 0,
        parts: &raw const part,
        part_count: 1,
        control: control.0.as_mut_ptr(),
        control_len: CONTROL_BYTES,
        flags: 0,
    };
    let received = retry(|| call!(nr::RECVMSG, socket.0, &raw mut header, MSG_CMSG_CLOEXEC))?;
    if header.flags & MSG_TRUNC != 0 {
        return Err(Errno::PROTO);
    }
    // There is room for all that a message may carry, so it was the limit of open files.
    if header.flags & MSG_CTRUNC != 0 {
        return Err(Errno::MFILE);
    }
    if header.control_len > CONTROL_HEADER {
        let mut len = [0; 8];
        len.copy_from_slice(&control.0[..8]);
        let end = usize::from_ne_bytes(len).min(CONTROL_BYTES);
        for chunk in control.0[CONTROL_HEADER..end].chunks_exact(4) {
            let mut number = [0; 4];
            number.copy_from_slice(chunk);
            each(Fd(i32::from_ne_bytes(number)));
        }
    }
    Ok(received)
}

/// Reads a symbolic link given by its own `O_PATH` descriptor; returns the length.
pub fn readlink(link: Fd, buffer: &mut [u8]) -> Result<usize> {
    call!(nr::READLINKAT, link.0, c"".as_ptr(), buffer.as_mut_ptr(), buffer.len())
}

/// Maps `len` bytes of fresh memory.
pub fn map_anonymous(len: usize) -> Result<usize> {
    const PROT_READ_WRITE: usize = 3;
    const MAP_PRIVATE_ANONYMOUS: usize = 0x22;
    call!(nr::MMAP, 0, len, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, usize::MAX, 0)
}

/// Maps a program so that its cells can be filled in: privately, or so that others see it.
pub fn map(from: Fd, len: usize, shared: bool) -> Result<usize> {
    const PROT_READ_WRITE: usize = 3;
    const MAP_SHARED: usize = 1;
    const MAP_PRIVATE: usize = 2;
    let flags = if shared { MAP_SHARED } else { MAP_PRIVATE };
    call!(nr::MMAP, 0, len, PROT_READ_WRITE, flags, from.0, 0)
}
