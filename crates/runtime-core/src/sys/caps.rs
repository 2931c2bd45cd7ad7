//! Capabilities of the calling thread (`capget(2)`).

use std::io;

use crate::error::{Context, Result};

const VERSION_3: u32 = 0x2008_0522;

/// The permitted set of the calling thread, bit n for capability n.
pub(crate) fn permitted_capabilities() -> Result<u64> {
    let mut header = [VERSION_3, 0];
    let mut data = [0u32; 6];
    // SAFETY: version 3 reads two header words and writes six data words, which live here.
    let result = unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), data.as_mut_ptr()) };
    if result != 0 {
        return Err(io::Error::last_os_error()).context(|| "read the capabilities".to_owned());
    }
    // Per half: effective, permitted, inheritable.
    Ok(u64::from(data[1]) | u64::from(data[4]) << 32)
}
