//! Run something isolated: namespaces, root file system, cgroup limits, capabilities, filters.
//!
//! A [`Spec`](spec::Spec) says what is wanted. [`Plan::compile`] turns it into a flat list of final
//! operations, without privilege or side effects. Spawning a Plan clones one process, which
//! executes a tiny program of its own (never the caller's code) that carries the operations out
//! and becomes the user's program. The caller may have any number of threads, and nothing of its
//! own (working directory, umask, limits, signal mask, descriptors) changes.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod doctor;
pub mod features;
pub mod seccomp;
pub mod spec;

mod annotations;
mod birth;
mod bundle;
mod cgroup_birth;
#[cfg(feature = "checkpoint")]
mod checkpoint;
mod command;
mod compile;
mod console_socket;
mod container;
mod creation;
mod emptying;
mod error;
mod exec;
#[cfg(feature = "failpoints")]
pub mod failpoint;
mod figures;
mod freeze;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod hint;
mod hooks;
mod host;
mod id;
mod idmap;
mod mountinfo;
mod names;
mod net_devices;
mod netlink;
mod notify;
mod options;
mod out_of_memory;
mod pid_file;
mod plan;
mod poll;
mod process_id;
mod removal;
mod resctrl;
mod runtime;
mod seccomp_agent;
mod signal;
mod spawn;
mod start;
mod state;
mod sub_cgroup;
mod sys;
mod time;
mod unit;
mod update;
mod user_namespace;

pub use bundle::Bundle;
#[cfg(feature = "checkpoint")]
pub use checkpoint::{
    CgroupsMode, CheckpointOptions, CriuOptions, NetworkLock, PageServer, RestoreOptions,
};
pub use command::{
    Bind, Capabilities, Capability, Child, Command, Detached, ExitStatus, FileSystem, Isolation,
    Mount, Namespace, Output, Prepared, Process, Resource, Root, Stdio, TerminalSize, Tmpfs,
};
pub use container::{Container, ExecOptions, ExecProcess};
pub use error::{Error, MountError, Result, StepError};
pub use hint::Hint;
pub use host::Host;
pub use id::ContainerId;
pub use notify::Notifications;
pub use options::{CgroupPolicy, Options};
/// Limits and figures of cgroups.
pub use orlop_cgroups as cgroups;
pub use plan::{Plan, PlanText};
pub use resctrl::{Allocated, BandwidthInfo, CacheInfo, MemoryTraffic, ResctrlStats};
pub use runtime::{CreateOptions, Runtime};
pub use signal::Signal;
pub use state::{OciState, Status};
pub use sub_cgroup::SubCgroup;
pub use time::rfc3339;
