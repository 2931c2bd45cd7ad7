//! Which system calls the kernel has.

use std::io;

/// Whether the kernel has a call, asked with arguments that it refuses: a descriptor that is not
/// open, no buffer, length 0.
pub(crate) fn has_call(number: libc::c_long) -> bool {
    // SAFETY: none of the calls that are asked for takes these as pointers to anything that it may
    // read or write: -1 is no descriptor and no address, and the rest is null and zero.
    let result = unsafe { libc::syscall(number, -1_i64, 0_i64, 0_i64, 0_i64, 0_i64) };
    result != -1 || io::Error::last_os_error().raw_os_error() != Some(libc::ENOSYS)
}
