//! The entry point: C's `main`, without what Rust's own does before it.
//!
//! That looks for the stack's guard page and makes a stack for the message that an overflow gets,
//! some forty system calls with musl: a tenth of this program's life.
#![allow(unsafe_code)]

use std::ffi::{CStr, OsStr, OsString};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::{io, slice};

use rustix::fs::{Mode, OFlags};

use crate::arena;

// SAFETY: C's start-up code calls this once, and no other definition of this name is linked.
#[unsafe(no_mangle)]
extern "C" fn main(count: libc::c_int, pointers: *const *const libc::c_char) -> libc::c_int {
    let count = usize::try_from(count).unwrap_or_default();
    arena::touch();
    touch_stack();
    // SAFETY: C promises so many arguments behind the pointer, for the program's whole life.
    let pointers = unsafe { slice::from_raw_parts(pointers, count) };
    let arguments = pointers.iter().skip(1).map(|pointer| {
        // SAFETY: each is a NUL-terminated string that lives as long.
        let argument = unsafe { CStr::from_ptr(*pointer) };
        OsStr::from_bytes(argument.to_bytes()).to_owned()
    });
    let arguments: Vec<OsString> = arguments.collect();
    if !fill_standard_descriptors() {
        return 1;
    }
    // SAFETY: ignoring a signal installs no handler. A closed pipe is an error, not the end.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    // SAFETY: the default action is no handler. Ignored, it would keep this program from its children's end, and be
    // ignored by the container's programs.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    let status = crate::run(arguments.into_iter());
    let flushed = io::stdout().flush();
    libc::c_int::from(if status == 0 && flushed.is_err() {
        1
    } else {
        status
    })
}

/// Has the kernel give the stack that every command needs, in one call in place of a fault for each
/// page.
fn touch_stack() {
    const NEEDED: usize = 48 << 10;
    const PAGE: usize = 4096;
    let here = 0_u8;
    let end = (&raw const here as usize) & !(PAGE - 1);
    // SAFETY: what is populated is as it was: zeroes, or what is there. Where the stack has not grown so
    // far, or the kernel knows no such call (before Linux 5.14), nothing is done.
    unsafe {
        libc::madvise(
            (end - NEEDED) as *mut libc::c_void,
            NEEDED,
            libc::MADV_POPULATE_WRITE,
        )
    };
}

/// A closed standard descriptor would be given to the next file that is opened.
fn fill_standard_descriptors() -> bool {
    while !all_are_open() {
        match rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty()) {
            // It took the lowest free number; that is to stay.
            Ok(null) => std::mem::forget(null),
            Err(_) => return false,
        }
    }
    true
}

fn all_are_open() -> bool {
    let mut standard = [0, 1, 2].map(|fd| libc::pollfd {
        fd,
        events: 0,
        revents: 0,
    });
    // SAFETY: the pointer and the number are those of an array that outlives the call.
    let done = unsafe { libc::poll(standard.as_mut_ptr(), standard.len() as libc::nfds_t, 0) };
    done >= 0 && standard.iter().all(|fd| fd.revents & libc::POLLNVAL == 0)
}
