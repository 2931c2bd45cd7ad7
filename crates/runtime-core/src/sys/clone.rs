//! The one clone: a child that shares the caller's memory for as long as it takes to exec init.
//!
//! `CLONE_VM` costs the same for a caller of any size. The child runs on a stack of its own, with
//! all signals blocked, and makes raw system calls only: no allocation, no lock, no libc, not even
//! `errno`. The caller goes on meanwhile: most namespaces are made by the child, since that is the
//! longest part of a container's birth.

use std::arch::asm;
use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

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

/// A child that executes init, or dies trying: then it says so on the control socket.
#[derive(Debug)]
pub(crate) struct Born {
    pub pid: i32,
    pub pidfd: OwnedFd,
    pub memory: Shared,
}

/// Index that the record of a failure before init carries.
const BEFORE_INIT: u32 = u32::MAX;

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
    init: i32,
    control: i32,
    /// The number that the control socket gets in init.
    target: i32,
    /// Namespaces that the child makes itself.
    unshare: u32,
    argv: [*const libc::c_char; 3],
    env: [*const libc::c_char; 1],
}

/// What the child uses of the caller's memory, on the heap until it has left.
struct Memory {
    stack: Box<MaybeUninit<Stack>>,
    context: ChildContext,
    /// 1 while the child is there; the kernel clears it (`CLONE_CHILD_CLEARTID`).
    inside: AtomicU32,
    /// What the context's arguments point to.
    _number: CString,
}

#[repr(C, align(16))]
struct Stack([u8; STACK]);

/// The memory that a child was lent. Dropped, it waits until the child has executed or is gone.
#[derive(Debug)]
pub(crate) struct Shared(NonNull<Memory>);

// SAFETY: the owner touches nothing but the atomic number until the child has left.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    fn lend(birth: &Birth<'_>, unshare: u32) -> io::Result<Self> {
        let target = 3 + birth.preserve as i32;
        let number = CString::new(target.to_string())?;
        let memory = Memory {
            stack: Box::new_uninit(),
            context: ChildContext {
                init: birth.init.as_raw_fd(),
                control: birth.control.as_raw_fd(),
                target,
                unshare,
                argv: [c"orlop-init".as_ptr(), number.as_ptr(), std::ptr::null()],
                env: [std::ptr::null()],
            },
            inside: AtomicU32::new(1),
            _number: number,
        };
        Ok(Self(NonNull::from(Box::leak(Box::new(memory)))))
    }

    fn memory(&self) -> &Memory {
        // SAFETY: the memory lives as long as this value, and nobody has it exclusively: the child
        // reads the context and writes to the stack only, the kernel to the atomic number.
        unsafe { self.0.as_ref() }
    }

    /// The child never was.
    fn never_used(&self) {
        self.memory().inside.store(0, Ordering::Relaxed);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        use rustix::thread::futex;
        while self.memory().inside.load(Ordering::Acquire) == 1 {
            // The kernel wakes without `PRIVATE`. Whatever ends the wait, the number decides.
            let _ = futex::wait(&self.memory().inside, futex::Flags::empty(), 1, None);
        }
        // SAFETY: it came from a box, and the child has left it.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// Clones a child that makes its namespaces and executes init, and goes on meanwhile.
pub(crate) fn clone_init(birth: &Birth<'_>) -> io::Result<Born> {
    // A process can't enter a new PID namespace, only be born there.
    let at_birth = birth.namespaces & libc::CLONE_NEWPID as u32;
    let memory = Shared::lend(birth, birth.namespaces & !at_birth)?;
    let lent = memory.memory();
    let mut pidfd: i32 = -1;
    let mut flags = (libc::CLONE_VM | libc::CLONE_PIDFD | libc::CLONE_CHILD_CLEARTID) as u64;
    flags |= u64::from(at_birth) | CLONE_CLEAR_SIGHAND;
    if birth.cgroup.is_some() {
        flags |= CLONE_INTO_CGROUP;
    }
    let args = CloneArgs {
        flags,
        pidfd: (&raw mut pidfd) as u64,
        child_tid: (&raw const lent.inside) as u64,
        exit_signal: libc::SIGCHLD as u64,
        stack: lent.stack.as_ptr() as u64,
        stack_size: STACK as u64,
        cgroup: birth.cgroup.map_or(0, |fd| fd.as_raw_fd() as u64),
        ..CloneArgs::default()
    };
    let signals = BlockedSignals::all();
    // SAFETY: the memory with stack and context is lent until the child has left it by exec or
    // exit; the arguments are read before the call returns; no handler can run in the child.
    let pid = unsafe { clone3(&args, &lent.context) };
    drop(signals);
    if pid < 0 {
        memory.never_used();
        return Err(io::Error::from_raw_os_error(-pid as i32));
    }
    // SAFETY: the kernel stored a new descriptor, which nothing else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Born {
        pid: pid as i32,
        pidfd,
        memory,
    })
}

/// Returns the child's pid, or a negative error number, in the caller.
///
/// # Safety
/// Stack and `context` must live until the child has executed or is gone.
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
/// Stack and `context` must live until the child has executed or is gone.
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

/// The child: makes its namespaces, places its descriptors, executes init. Raw system calls only.
extern "C" fn child(context: &ChildContext) -> ! {
    let unshared = match context.unshare {
        0 => 0,
        flags => raw(nr::UNSHARE, [flags as usize, 0, 0, 0, 0, 0]),
    };
    let (errno, part) = match unshared {
        0 => (execute_init(context), Part::Program),
        failed => (-failed as i32, Part::Call),
    };
    let record = Record {
        kind: Kind::Failed,
        op: BEFORE_INIT,
        value: errno,
        part,
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
