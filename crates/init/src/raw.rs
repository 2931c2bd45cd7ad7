//! The system call instruction and the call numbers of each processor.
//!
//! For code that may not touch libc: `init`, and the child of a clone that shares its caller's
//! memory.

use core::arch::asm;

/// Makes a system call; the result is negative for an error.
///
/// # Safety
/// The arguments must be what the call with this number expects.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[must_use]
pub unsafe fn syscall(number: usize, args: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the caller vouches for the arguments; the registers are those of the kernel's ABI.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            in("r10") args[3], in("r8") args[4], in("r9") args[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// Makes a system call; the result is negative for an error.
///
/// # Safety
/// The arguments must be what the call with this number expects.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
#[must_use]
pub unsafe fn syscall(number: usize, args: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the caller vouches for the arguments; the registers are those of the kernel's ABI.
    unsafe {
        asm!(
            "svc #0",
            in("x8") number,
            inlateout("x0") args[0] as isize => result,
            in("x1") args[1], in("x2") args[2], in("x3") args[3],
            in("x4") args[4], in("x5") args[5],
            options(nostack),
        );
    }
    result
}

/// System call numbers: `asm/unistd_64.h` on x86_64, `asm-generic/unistd.h` on aarch64.
macro_rules! numbers {
    ($($name:ident $x86_64:literal $aarch64:literal;)*) => {
        /// System call numbers of this processor.
        pub mod nr {
            $(
                #[cfg(target_arch = "x86_64")]
                #[doc = stringify!($name)]
                pub const $name: usize = $x86_64;
                #[cfg(target_arch = "aarch64")]
                #[doc = stringify!($name)]
                pub const $name: usize = $aarch64;
            )*
        }
    };
}

numbers! {
    READ 0 63; WRITE 1 64; CLOSE 3 57; FSTAT 5 80; MMAP 9 222; RT_SIGACTION 13 134;
    RT_SIGPROCMASK 14 135; IOCTL 16 29; SENDMSG 46 211; RECVMSG 47 212;
    EXIT_GROUP 231 94; CLONE 56 220; EXECVE 59 221; WAITID 247 95; FCNTL 72 25;
    GETCWD 79 17; CHDIR 80 49; FCHDIR 81 50; UMASK 95 166; FSTATFS 138 44;
    SETSID 112 157; SETGROUPS 116 159; SETRESUID 117 147; SETRESGID 119 149; CAPGET 125 90;
    CAPSET 126 91; PERSONALITY 135 92; PIVOT_ROOT 155 41; PRCTL 157 167; SETRLIMIT 160 164;
    CHROOT 161 51; MOUNT 165 40; UMOUNT2 166 39; SETHOSTNAME 170 161; SETDOMAINNAME 171 162;
    KEYCTL 250 219; MKDIRAT 258 34; MKNODAT 259 33; FCHOWNAT 260 54;
    UNLINKAT 263 35; SYMLINKAT 266 36; READLINKAT 267 78; PPOLL 271 73; UNSHARE 272 97;
    ACCEPT4 288 242; DUP3 292 24; PIPE2 293 59; SETNS 308 268; SECCOMP 317 277;
    STATX 332 291; FACCESSAT2 439 439; PIDFD_SEND_SIGNAL 424 424; OPEN_TREE 428 428; MOVE_MOUNT 429 429;
    FSOPEN 430 430; FSCONFIG 431 431; FSMOUNT 432 432; CLOSE_RANGE 436 436; OPENAT2 437 437;
    MOUNT_SETATTR 442 442;
    SOCKET 41 198; EXECVEAT 322 281; CLONE3 435 435;
    SCHED_SETAFFINITY 203 122; SET_MEMPOLICY 238 237; IOPRIO_SET 251 30; SCHED_SETATTR 314 274;
    GETDENTS64 217 61; SENDFILE 40 71; FCHMOD 91 52; FSETXATTR 190 7;
}
