//! Control groups: version 1, version 2 and both at once (hybrid) behind one
//! typed model of limits.
//!
//! ```no_run
//! use orlop_cgroups::{Bytes, Cgroup, CgroupPath, Layout, Limit, Limits, Signal};
//!
//! let layout = Layout::probe()?;
//! let path = CgroupPath::new("/demo/one")?;
//! let limits = Limits::new()
//!     .memory_limit(Bytes::mib(64))
//!     .pids_limit(Limit::Value(32));
//! // Written down before anything is made, so that a crash can be cleaned up.
//! let record = Cgroup::plan_paths(&layout, &path);
//! let cgroup = Cgroup::create(&layout, &path, &limits)?;
//! // ... start something in it ...
//! Cgroup::open(&record).kill_all(Signal::KILL)?;
//! cgroup.destroy()?;
//! # Ok::<(), orlop_cgroups::Error>(())
//! ```
//!
//! A process gets into a cgroup in one of two ways, neither of which waits for
//! an RCU grace period as a write of a pid into `cgroup.procs` does:
//!
//! * it is born in [`Cgroup::v2_dir`] (`CLONE_INTO_CGROUP`), on pure v2 and on
//!   hybrid hosts, and
//! * single-threaded, it writes `0` into each of [`Cgroup::tasks_fds`], on v1
//!   and hybrid hosts.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

#[doc = include_str!("../docs/limits.md")]
pub mod guide {}

mod apply;
mod cgroup;
mod controller;
mod convert;
mod cpuset;
mod create;
mod delegate;
mod destroy;
mod device;
mod error;
mod freeze;
mod fs;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod kill;
mod layout;
mod limits;
mod mountinfo;
mod parse;
mod path;
mod read_back;
mod setting;
mod stats;
mod sys;
#[cfg(feature = "systemd")]
pub mod systemd;
mod tree;
mod units;
mod update;
mod v1;
mod v2;
mod watch;

pub use cgroup::{Cgroup, Member, RecordedPath};
pub use controller::{Controller, ControllerSet};
pub use convert::{blkio_weight_to_io_weight, shares_to_weight, v2_swap_limit};
pub use device::{Access, DeviceKind, DeviceRule};
pub use error::{Error, Result};
pub use freeze::FreezerState;
pub use layout::{Hierarchy, Layout, Mode, UNIFIED, Version};
pub use limits::{
    BlkioLimits, CpuLimits, DeviceRate, DeviceWeight, HugepageLimit, InterfacePriority, Limits,
    MemoryLimits, NetworkLimits, PageSize, RdmaLimit,
};
pub use path::CgroupPath;
pub use stats::{
    BlkioEntry, BlkioStats, Counter, CpuStats, CpusetStats, HugetlbStats, MemoryStats, PidsStats,
    Pressure, RdmaStats, Stall, Stats, Throttling,
};
pub use sys::Signal;
pub use units::{Bytes, CpuShares, DeviceNumber, Limit, Micros};
pub use watch::{Event, MemoryLevel, Resource, Waiting, Watch};
