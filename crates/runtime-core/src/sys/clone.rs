//! The one clone: a child that shares the caller's memory for as long as it takes to exec init.
//!
//! `CLONE_VM | CLONE_VFORK` costs the same for a caller of any size, and suspends the calling
//! thread until the child has executed. Without `CLONE_VFORK` the kernel would take the two for one
//! process of several: a score for its out-of-memory killer would be set for both, and the killer
//! would end the caller along with a child that a full cgroup costs its life. So the child does
//! nothing in between that takes time or memory. It runs on a stack of its own, with all signals
//! blocked, and makes raw system calls only: no allocation, no lock, no libc, not even `errno`.

use std::arch::asm;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use orlop_init::raw::{nr, syscall};
use orlop_init::{Kind, Part, Record};

/// How init is born.
#[derive(Debug)]
pub(crate) struct Birth<'a> {
    /// `CLONE_NEW*` flags.
    pub namespaces: u32,
    /// The cgroup v2 directory to be born in.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// The sealed init program.
    pub init: BorrowedFd<'a>,
    /// Init's end of the control socket.
    pub control: BorrowedFd<'a>,
    /// How many descriptors from 3 on it keeps.
    pub preserve: u32,
}

/// A child that has executed init, or died trying.
#[derive(Debug)]
pub(crate) struct Born {
    pub pid: i32,
    pub pidfd: OwnedFd,
}

const CLONE_CLEAR_SIGHAND: u64 = 1 << 32;
const CLONE_INTO_CGROUP: u64 = 1 << 33;
const STACK: usize = 16 * 1024;

/// `struct clone_args` of `linux/sched.h`.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// What the child needs, laid out before it exists.
struct ChildContext {
    /// Whether it is in a new user namespace.
    has_rights: bool,
    init: i32,
    control: i32,
    /// The number that the control socket gets in init.
    target: i32,
    argv: [*const libc::c_char; 3],
    env: [*const libc::c_char; 1],
}

#[repr(C, align(16))]
struct Stack([MaybeUninit<u8>; STACK]);

/// Clones a child that executes init. The calling thread waits until it has.
pub(crate) fn clone_init(birth: &Birth<'_>) -> io::Result<Born> {
    let target = 3 + birth.preserve as i32;
    let number = std::ffi::CString::new(target.to_string())?;
    let context = ChildContext {
        has_rights: birth.namespaces & libc::CLONE_NEWUSER as u32 != 0,
        init: birth.init.as_raw_fd(),
        control: birth.control.as_raw_fd(),
        target,
        argv: [c"orlop-init".as_ptr(), number.as_ptr(), std::ptr::null()],
        env: [std::ptr::null()],
    };
    let mut stack = Stack([MaybeUninit::uninit(); STACK]);
    let mut pidfd: i32 = -1;
    let mut flags = (libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD) as u64;
    flags |= u64::from(birth.namespaces) | CLONE_CLEAR_SIGHAND;
    if birth.cgroup.is_some() {
        flags |= CLONE_INTO_CGROUP;
    }
    let args = CloneArgs {
        flags,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        stack: (&raw mut stack.0) as u64,
        stack_size: STACK as u64,
        cgroup: birth.cgroup.map_or(0, |fd| fd.as_raw_fd() as u64),
        ..CloneArgs::default()
    };
    let signals = BlockedSignals::all();
    // SAFETY: stack, context and arguments outlive the call, which returns only once the child
    // has left this memory by exec or exit; no handler can run in the child meanwhile.
    let pid = unsafe { clone3(&args, &context) };
    drop(signals);
    if pid < 0 {
        return Err(io::Error::from_raw_os_error(-pid as i32));
    }
    // SAFETY: the kernel stored a new descriptor, which nothing else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Born {
        pid: pid as i32,
        pidfd,
    })
}

/// Returns the child's pid, or a negative error number, in the caller.
///
/// # Safety
/// Everything that `args` points to, and `context`, must live until this returns.
#[cfg(target_arch = "x86_64")]
unsafe fn clone3(args: &CloneArgs, context: &ChildContext) -> isize {
    let result: isize;
    // SAFETY: by the kernel's ABI only rax, rcx and r11 change in the caller; the child starts with
    // the other registers as they are, on its own stack, and never leaves `child`.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") nr::CLONE3 => result,
            in("rdi") &raw const *args,
            in("rsi") size_of::<CloneArgs>(),
            in("r12") &raw const *context,
            in("r13") child as extern "C" fn(&ChildContext) -> !,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// Returns the child's pid, or a negative error number, in the caller.
///
/// # Safety
/// Everything that `args` points to, and `context`, must live until this returns.
#[cfg(target_arch = "aarch64")]
unsafe fn clone3(args: &CloneArgs, context: &ChildContext) -> isize {
    let result: isize;
    // SAFETY: by the kernel's ABI only x0 changes in the caller; the child starts with the other
    // registers as they are, on its own stack, and never leaves `child`.
    unsafe {
        asm!(
            "svc #0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, x20",
            "blr x21",
            "brk #1",
            "2:",
            in("x8") nr::CLONE3,
            inlateout("x0") &raw const *args => result,
            in("x1") size_of::<CloneArgs>(),
            in("x20") &raw const *context,
            in("x21") child as extern "C" fn(&ChildContext) -> !,
        );
    }
    result
}

/// The child: places its descriptors, executes init. Raw system calls only.
extern "C" fn child(context: &ChildContext) -> ! {
    let kept = if context.has_rights { keep_rights() } else { 0 };
    let errno = match kept {
        0 => execute_init(context),
        failed => -failed as i32,
    };
    let record = Record {
        kind: Kind::Failed,
        op: u32::MAX,
        value: errno,
        part: Part::Program,
    };
    let bytes = record.to_bytes();
    raw(
        nr::WRITE,
        [
            context.control as usize,
            bytes.as_ptr() as usize,
            bytes.len(),
            0,
            0,
            0,
        ],
    );
    loop {
        raw(nr::EXIT_GROUP, [125, 0, 0, 0, 0, 0]);
    }
}

/// Returns only on failure, with the error number.
fn execute_init(context: &ChildContext) -> i32 {
    const F_SETFD: usize = 2;
    const F_DUPFD_CLOEXEC: usize = 1030;
    const CLOSE_RANGE_CLOEXEC: usize = 4;
    let ChildContext {
        mut init,
        control,
        target,
        ..
    } = *context;
    if init <= target {
        let moved = raw(
            nr::FCNTL,
            [init as usize, F_DUPFD_CLOEXEC, target as usize + 1, 0, 0, 0],
        );
        if moved < 0 {
            return -moved as i32;
        }
        init = moved as i32;
    }
    let placed = if control == target {
        raw(nr::FCNTL, [control as usize, F_SETFD, 0, 0, 0, 0])
    } else {
        raw(nr::DUP3, [control as usize, target as usize, 0, 0, 0, 0])
    };
    if placed < 0 {
        return -placed as i32;
    }
    for kept in 3..target {
        let result = raw(nr::FCNTL, [kept as usize, F_SETFD, 0, 0, 0, 0]);
        if result < 0 {
            return -result as i32;
        }
    }
    let rest = [
        target as usize + 1,
        u32::MAX as usize,
        CLOSE_RANGE_CLOEXEC,
        0,
        0,
        0,
    ];
    let closed = raw(nr::CLOSE_RANGE, rest);
    if closed < 0 {
        return -closed as i32;
    }
    let arguments = [
        init as usize,
        c"".as_ptr() as usize,
        context.argv.as_ptr() as usize,
        context.env.as_ptr() as usize,
        libc::AT_EMPTY_PATH as usize,
        0,
    ];
    -raw(nr::EXECVEAT, arguments) as i32
}

/// Makes the capabilities in a new user namespace survive the exec. Without maps nobody is its root
/// yet, and what is not root's keeps ambient ones only (`capabilities(7)`).
fn keep_rights() -> isize {
    const VERSION_3: u32 = 0x2008_0522;
    const PR_CAP_AMBIENT: usize = 47;
    const PR_CAP_AMBIENT_RAISE: usize = 2;
    let header = [VERSION_3, 0];
    // Effective, permitted and inheritable, in two halves; the kernel leaves out what it does not know.
    let all = [u32::MAX; 6];
    let pointers = [header.as_ptr() as usize, all.as_ptr() as usize, 0, 0, 0, 0];
    let set = raw(nr::CAPSET, pointers);
    if set < 0 {
        return set;
    }
    for capability in 0..64 {
        let raise = [PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0, 0];
        match raw(nr::PRCTL, raise) as i32 {
            0 => {}
            // Beyond the last one.
            errno if errno == -libc::EINVAL => break,
            errno => return errno as isize,
        }
    }
    0
}

fn raw(number: usize, arguments: [usize; 6]) -> isize {
    // SAFETY: every call in this file passes descriptors, and pointers to what outlives the child.
    unsafe { syscall(number, arguments) }
}

/// Blocks every signal for this thread while it lives.
struct BlockedSignals(libc::sigset_t);

impl BlockedSignals {
    fn all() -> Self {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigfillset initialises the set it is given.
        unsafe { libc::sigfillset(all.as_mut_ptr()) };
        // SAFETY: the first set is initialised; the second one is written.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) };
        // SAFETY: pthread_sigmask stored the old mask; with valid arguments it can't fail.
        Self(unsafe { before.assume_init() })
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: the mask is the one that was in force before.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut())
        };
    }
}
