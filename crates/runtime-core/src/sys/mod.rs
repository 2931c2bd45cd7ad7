//! System calls that no library wraps. All of this crate's unsafe code is below here.
#![allow(unsafe_code)]

mod caps;
mod clone;
mod close;
#[cfg(feature = "checkpoint")]
mod criu;
mod mount;
mod namespace;
mod pidfd;
mod probe;
mod rlimit;
mod scheduler;
mod signal;

pub(crate) use caps::permitted_capabilities;
pub(crate) use clone::{Birth, clone_init};
pub(crate) use close::close_all;
#[cfg(feature = "checkpoint")]
pub(crate) use criu::{keep_open, with_bound};
pub(crate) use mount::{map_mount_ids, mount_setattr};
pub(crate) use namespace::{namespace_kind, owning_user_namespace};
pub(crate) use pidfd::pid_of_pidfd;
pub(crate) use probe::has_call;
pub(crate) use rlimit::raise_hard_limit;
pub(crate) use scheduler::set_scheduler;
pub(crate) use signal::pidfd_send_signal;
