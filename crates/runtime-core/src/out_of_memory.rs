//! What fails on the way to the program for want of memory.

use orlop_cgroups::{Bytes, Cgroup, Limit, MemoryStats};

use crate::error::Error;

/// Whether the cgroup's limit left somebody in it without memory.
pub(crate) fn happened(cgroup: &Cgroup) -> bool {
    let is_short = |memory: &MemoryStats| memory.oom_kills > 0 || memory.memory.failures > 0;
    cgroup.stats().is_ok_and(|stats| is_short(&stats.memory))
}

/// A death without a word may have been the kernel's doing, for want of memory. Where there is none at
/// all, init gets ENOMEM, and may not even be able to say so.
pub(crate) fn explain(error: Error, cgroup: Option<&Cgroup>) -> Error {
    let may_be_memory = match &error {
        Error::InitDied { .. } => true,
        // What execve(2) says where there is no page for the arguments.
        Error::Step(step) if step.index == usize::MAX && step.errno == libc::E2BIG => true,
        Error::Step(step) => step.errno == libc::ENOMEM,
        _ => false,
    };
    match cgroup {
        Some(cgroup) if may_be_memory && happened(cgroup) => of(cgroup),
        _ => error,
    }
}

/// The error for somebody in the cgroup who lacked memory.
pub(crate) fn of(cgroup: &Cgroup) -> Error {
    let stats = cgroup.stats().ok();
    let limit = match stats.and_then(|stats| stats.memory.memory.limit) {
        Some(Limit::Value(Bytes(limit))) => Some(limit),
        _ => None,
    };
    Error::OutOfMemory { limit }
}
