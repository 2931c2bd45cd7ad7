//! A time namespace: `time_namespaces(7)`.

use core::ffi::CStr;

use crate::report::Part;
use crate::sys::{self, CWD, Errno, O_WRONLY, RESOLVE_NO_MAGICLINKS};
use crate::{During, Step};

const CLONE_NEWTIME: u32 = 0x80;

/// Unsharing gives a time namespace to children only; what enters it by `setns(2)` is in it at once,
/// and its clocks are fixed from then on.
pub fn make(offsets: &CStr) -> Step {
    sys::unshare(CLONE_NEWTIME)?;
    if !offsets.is_empty() {
        let path = c"/proc/self/timens_offsets";
        let file = sys::openat2(CWD, path, O_WRONLY, RESOLVE_NO_MAGICLINKS).during(Part::Lookup)?;
        let bytes = offsets.to_bytes();
        if sys::write(file, bytes)? != bytes.len() {
            return Err(Errno::INVAL.into());
        }
        sys::close(file)?;
    }
    let path = c"/proc/self/ns/time_for_children";
    let namespace = sys::openat2(CWD, path, 0, 0).during(Part::Lookup)?;
    sys::setns(namespace, CLONE_NEWTIME).during(Part::Attach)?;
    Ok(sys::close(namespace)?)
}
