//! The entry point: what the kernel leaves on the stack becomes arguments.

use core::arch::global_asm;

#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {entry}",
    "ud2",
    entry = sym entry,
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, #0",
    "mov x30, #0",
    "mov x0, sp",
    "and sp, x0, #-16",
    "bl {entry}",
    "brk #1",
    entry = sym entry,
);

/// Receives the initial stack: argument count, then the argument pointers.
extern "C" fn entry(stack: *const usize) -> ! {
    // SAFETY: at a process's first instruction the kernel's stack pointer points at argc.
    let count = unsafe { *stack };
    let argument = if count >= 2 {
        // SAFETY: argc words of argument pointers follow argc.
        let pointer = unsafe { *stack.add(2) } as *const core::ffi::c_char;
        // SAFETY: the kernel put a NUL-terminated string there, which lives as long as the stack.
        Some(unsafe { core::ffi::CStr::from_ptr(pointer) })
    } else {
        None
    };
    crate::start(argument)
}
