//! Run something isolated: namespaces, root file system, cgroup limits, capabilities, filters.
//!
//! A [`Spec`](spec::Spec) says what is wanted. [`Plan::compile`] turns it into a flat list of final
//! operations, without privilege or side effects. Spawning a Plan clones one process, which
//! executes a tiny program of its own (never the caller's code) that carries the operations out
//! and becomes the user's program. The caller may have any number of threads, and nothing of its
//! own (working directory, umask, limits, signal mask, descriptors) changes.

pub mod features;
pub mod seccomp;
pub mod spec;

mod compile;
mod error;
#[cfg(feature = "failpoints")]
pub mod failpoint;
mod host;
mod idmap {
    pub(crate) fn validate(_: &str, _: &[crate::spec::IdMapping]) -> crate::Result<()> { Ok(()) }
    pub(crate) fn write(_: i32, _: &[crate::spec::IdMapping], _: &[crate::spec::IdMapping]) -> crate::Result<()> { Ok(()) }
}
mod id;
mod names;
mod options;
mod plan;
mod spawn;
mod sys;

pub use compile::ExecOptions;
pub use error::{Error, Result, StepError};
pub use host::Host;
pub use id::ContainerId;
pub use options::Options;
pub use plan::{Plan, PlanText};
