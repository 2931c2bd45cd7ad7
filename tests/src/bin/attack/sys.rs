//! The system calls for which there is no safe wrapper among our dependencies.

use std::io;

/// Makes any system call with plain numbers. A pointer that is wanted is always passed as null, so
/// the kernel reads or writes no memory of ours.
pub(crate) fn with_numbers(number: libc::c_long, arguments: [libc::c_ulong; 5]) -> io::Result<()> {
    let [a, b, c, d, e] = arguments;
    // SAFETY: the callers pass calls that act on memory through pointers only, and null for those.
    let value = unsafe { libc::syscall(number, a, b, c, d, e) };
    if value == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// `ptrace(2)` with a request that takes neither address nor data.
pub(crate) fn ptrace(request: libc::c_uint, pid: i32) -> io::Result<()> {
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: the requests used (seize, interrupt, detach) ignore the address and take data 0.
    let value = unsafe { libc::ptrace(request, pid, none, none) };
    check(value)
}

/// Waits until a traced process has stopped or ended.
pub(crate) fn wait_for_stop(pid: i32) -> io::Result<()> {
    let mut status = 0;
    // SAFETY: the pointer is to a live local variable.
    let value = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
    check(value.into())
}

/// `TIOCSTI`: puts a byte into a terminal's input.
pub(crate) fn type_byte(terminal: i32, byte: u8) -> io::Result<()> {
    // SAFETY: the pointer is to a live local variable, of which the kernel reads one byte.
    let value = unsafe { libc::ioctl(terminal, libc::TIOCSTI, &raw const byte) };
    check(value.into())
}

/// `TIOCLINUX` with subcode 3 (paste the selection).
pub(crate) fn paste(terminal: i32) -> io::Result<()> {
    let subcode: u8 = 3;
    // SAFETY: the pointer is to a live local variable, of which the kernel reads one byte.
    let value = unsafe { libc::ioctl(terminal, libc::TIOCLINUX, &raw const subcode) };
    check(value.into())
}

/// `TIOCSCTTY`: makes it the caller's controlling terminal.
pub(crate) fn take_terminal(terminal: i32) -> io::Result<()> {
    // SAFETY: the argument is a number.
    let value = unsafe { libc::ioctl(terminal, libc::TIOCSCTTY, 0) };
    check(value.into())
}

/// `keyctl(KEYCTL_JOIN_SESSION_KEYRING)` with a new, unnamed keyring.
pub(crate) fn new_session_keyring() -> io::Result<()> {
    with_numbers(libc::SYS_keyctl, [1, 0, 0, 0, 0])
}

/// `add_key(2)`: a key of type `user` in the session keyring.
pub(crate) fn add_key(name: &std::ffi::CStr) -> io::Result<()> {
    let session: i32 = -3;
    // SAFETY: the strings end with a null byte, the payload is 6 bytes long; all are live.
    let value = unsafe {
        libc::syscall(
            libc::SYS_add_key,
            c"user".as_ptr(),
            name.as_ptr(),
            c"secret".as_ptr(),
            6_usize,
            session,
        )
    };
    check(value)
}

/// `request_key(2)`: looks for a key of type `user` in all keyrings of the process.
pub(crate) fn find_key(name: &std::ffi::CStr) -> io::Result<()> {
    let none = std::ptr::null::<libc::c_char>();
    // SAFETY: the strings end with a null byte and are live; no call-out is given.
    let value = unsafe {
        libc::syscall(
            libc::SYS_request_key,
            c"user".as_ptr(),
            name.as_ptr(),
            none,
            0,
        )
    };
    check(value)
}

/// A system call through the 32-bit entry, as an i386 program makes it. The numbers are i386's.
#[cfg(target_arch = "x86_64")]
pub(crate) fn i386(number: i32) -> io::Result<()> {
    let mut value: i32 = number;
    // SAFETY: the calls used take no arguments; the kernel clobbers no memory, and of the
    // registers only rax and r8 to r11, which are named.
    unsafe {
        std::arch::asm!(
            "int 0x80",
            inout("eax") value,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    match value {
        error @ -4095..=-1 => Err(io::Error::from_raw_os_error(-error)),
        _ => Ok(()),
    }
}

fn check(value: libc::c_long) -> io::Result<()> {
    match value {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
