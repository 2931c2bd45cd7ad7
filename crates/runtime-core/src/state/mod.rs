//! What is known about containers, on disk.
//!
//! ```text
//! <root>/             0700; by default on a tmpfs below /run
//!   <id>/             0700; made exclusively: it claims the id, and it is itself the lock (flock)
//!     state.json      what was made for the container, written before it is made
//!     cgroup.json     of that what finds the container's processes, should state.json be damaged
//!     config.json     the container's Spec, as it was given
//!     gate            the socket at which a created container waits
//!     notify/         with NOTIFY_SOCKET: what the container sees at /run/notify, with its socket
//! ```
//!
//! A directory without `state.json` whose lock is free is what a `create` left that was killed
//! before it made anything: the id is free.

mod change;
mod claim;
mod container;
mod lock;
mod oci;
mod place;
mod record;
mod root;
mod status;

pub(crate) use claim::Claim;
pub(crate) use container::{ContainerDir, LockedDir};
pub use oci::OciState;
pub(crate) use place::Place;
pub(crate) use record::{CgroupPlace, FileId, Phase, State};
pub(crate) use root::StateRoot;
pub use status::Status;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
