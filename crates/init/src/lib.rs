//! The operations of a container's Plan in wire form, and the program that executes them.
//!
//! A caller compiles a container into a flat list of [`Op`]s. [`PROGRAM`], a static ELF file
//! without libc or allocator, runs in the container's new namespaces, executes the list one by
//! one, and becomes the user's program. It reports back in [`Record`]s of 16 bytes: no text is
//! formatted on the far side.
#![no_std]

mod ops;
#[doc(hidden)]
pub mod raw;
mod report;
pub mod wire;

pub use ops::Op;
pub use report::{Kind, Part, Record};

/// The `init` program: a static ELF executable for this target.
///
/// Its first argument is the control socket's descriptor number, in decimal.
pub static PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/init"));
