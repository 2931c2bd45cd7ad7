//! `init`: executes a container's program of operations, then becomes the user's program.
//!
//! It runs with privilege among hostile files, so it holds no libc, no allocator, no text and no
//! secrets: a mapped program, a table of descriptors, and system calls.
#![no_std]
#![no_main]

#[path = "../src/ops.rs"]
#[allow(dead_code)]
mod ops;
#[path = "../src/raw.rs"]
#[allow(dead_code)]
mod raw;
#[path = "../src/report.rs"]
#[allow(dead_code)]
mod report;
#[path = "../src/wire.rs"]
#[allow(dead_code)]
mod wire;

mod arch;
mod console;
mod control;
mod copy_up;
mod credentials;
mod execute;
mod files;
mod home;
mod hook;
mod image;
mod mem;
mod mount;
mod process;
mod resolve;
mod scheduling;
mod sys;
mod timens;

use control::Control;
use image::Image;
use report::Part;

/// The exit status when a container could not be set up; the caller has the record by then.
const EXIT_FAILED: i32 = 125;

/// A failed step: the error number, and the part of the operation that failed.
#[derive(Clone, Copy)]
struct Failure {
    errno: i32,
    part: Part,
}

impl From<sys::Errno> for Failure {
    fn from(errno: sys::Errno) -> Self {
        Self { errno: errno.0, part: Part::Call }
    }
}

type Step = Result<(), Failure>;

/// Names the part of an operation in which a call failed.
trait During<T> {
    fn during(self, part: Part) -> Result<T, Failure>;
}

impl<T> During<T> for Result<T, sys::Errno> {
    fn during(self, part: Part) -> Result<T, Failure> {
        self.map_err(|errno| Failure { errno: errno.0, part })
    }
}

/// Reads the control socket's number from the arguments, and runs the program.
fn start(argument: Option<&core::ffi::CStr>) -> ! {
    let Some(fd) = argument.and_then(decimal) else { sys::exit(EXIT_FAILED) };
    // It had to outlast the exec of this program, and must not that of the next: its end there
    // tells the caller that the container's program runs.
    if sys::dup_to(sys::Fd(fd), sys::Fd(fd), true).is_err() {
        sys::exit(EXIT_FAILED);
    }
    let mut control = Control::new(fd);
    let mut slots = execute::Slots::new();
    let received = match control.receive_program(&mut slots) {
        Ok(program) => program,
        Err(errno) => control.fail_start(errno),
    };
    match Image::map(received) {
        Ok(image) => execute::run(image, control, slots),
        Err(errno) => control.fail_start(errno),
    }
}

fn decimal(text: &core::ffi::CStr) -> Option<i32> {
    let mut value: i32 = 0;
    for byte in text.to_bytes() {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(i32::from(byte - b'0'))?;
    }
    (!text.is_empty()).then_some(value)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    sys::exit(EXIT_FAILED)
}

// `core` comes compiled with unwinding; nothing here unwinds, but the name must resolve.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
