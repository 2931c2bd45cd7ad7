//! The typed model of limits, the same for every back end.

mod blkio;
mod builders;
mod cpu;
mod memory;
mod other;

use std::collections::BTreeMap;

pub use blkio::{BlkioLimits, DeviceRate, DeviceWeight};
pub use cpu::CpuLimits;
pub use memory::MemoryLimits;
pub use other::{HugepageLimit, InterfacePriority, NetworkLimits, PageSize, RdmaLimit};

use crate::controller::{Controller, ControllerSet};
use crate::device::DeviceRule;
use crate::error::{Error, Result};
use crate::units::Limit;

/// What a cgroup may use. A field that is `None` (or an empty list) is left as
/// the kernel or an earlier call has set it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Memory and swap.
    pub memory: MemoryLimits,
    /// CPU time and placement.
    pub cpu: CpuLimits,
    /// Number of tasks (processes and threads).
    pub pids: Option<Limit<u64>>,
    /// Block io.
    pub blkio: BlkioLimits,
    /// Huge pages, by size.
    pub hugepages: Vec<HugepageLimit>,
    /// RDMA, by device.
    pub rdma: Vec<RdmaLimit>,
    /// Marks of network packets (v1).
    pub network: NetworkLimits,
    /// Access to devices. With rules everything is denied at first, and of the
    /// rules that match an access the last one decides.
    pub devices: Option<Vec<DeviceRule>>,
    /// Files of the v2 cgroup and what to write there, line by line, after
    /// everything else.
    pub unified: BTreeMap<String, String>,
}

impl Limits {
    /// No limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The controllers without which these limits cannot be applied. Device rules
    /// need `devices` on v1 and none on v2.
    #[must_use]
    pub fn requires(&self) -> ControllerSet {
        let by_field = [
            (!self.memory.is_empty(), Controller::Memory),
            (self.cpu.has_time(), Controller::Cpu),
            (self.cpu.has_placement(), Controller::Cpuset),
            (self.pids.is_some(), Controller::Pids),
            (!self.blkio.is_empty(), Controller::Blkio),
            (!self.hugepages.is_empty(), Controller::Hugetlb),
            (!self.rdma.is_empty(), Controller::Rdma),
            (self.network.class_id.is_some(), Controller::NetCls),
            (!self.network.priorities.is_empty(), Controller::NetPrio),
            (self.devices.is_some(), Controller::Devices),
        ];
        let by_field = by_field
            .into_iter()
            .filter_map(|(needed, one)| needed.then_some(one));
        by_field
            .chain(
                self.unified
                    .keys()
                    .filter_map(|file| controller_of_file(file)),
            )
            .collect()
    }

    /// The same limits one by one, as far as each can be had without the others.
    pub(crate) fn parts(&self) -> Vec<Self> {
        let time = CpuLimits {
            cpus: None,
            mems: None,
            ..self.cpu.clone()
        };
        let placement = CpuLimits {
            cpus: self.cpu.cpus.clone(),
            mems: self.cpu.mems.clone(),
            ..CpuLimits::default()
        };
        let none = Self::default;
        let mut parts = vec![
            Self {
                memory: self.memory.clone(),
                ..none()
            },
            Self {
                cpu: time,
                ..none()
            },
            Self {
                cpu: placement,
                ..none()
            },
            Self {
                pids: self.pids,
                ..none()
            },
            Self {
                blkio: self.blkio.clone(),
                ..none()
            },
            Self {
                hugepages: self.hugepages.clone(),
                ..none()
            },
            Self {
                rdma: self.rdma.clone(),
                ..none()
            },
            Self {
                network: self.network.clone(),
                ..none()
            },
            Self {
                devices: self.devices.clone(),
                ..none()
            },
        ];
        parts.extend(
            self.unified
                .iter()
                .map(|(file, value)| none().unified(file, value)),
        );
        parts.retain(|part| *part != none());
        parts
    }

    /// Refuses values that no kernel takes.
    pub(crate) fn check(&self) -> Result<()> {
        self.memory.check()?;
        self.cpu.check()?;
        self.blkio.check()?;
        self.network.check()?;
        self.rdma.iter().try_for_each(RdmaLimit::check)?;
        // A name with a slash could leave the cgroup.
        let bad =
            |name: &String| name.is_empty() || name.contains(['/', '\0']) || name.starts_with('.');
        if let Some(name) = self.unified.keys().find(|name| bad(name)) {
            let reason = format!("{name:?} must be the name of a file in the cgroup");
            return Err(Error::InvalidLimit {
                field: "unified",
                reason,
            });
        }
        Ok(())
    }
}

/// The controller that a v2 file belongs to; none for those of the core.
pub(crate) fn controller_of_file(file: &str) -> Option<Controller> {
    Controller::from_name(file.split('.').next().unwrap_or_default())
}

fn invalid(field: &'static str, reason: &str) -> Error {
    Error::InvalidLimit {
        field,
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Bytes;

    #[test]
    fn requirements_follow_the_fields() {
        assert!(Limits::new().requires().is_empty());
        let limits = Limits::new()
            .cpus("0")
            .pids_limit(Limit::Max)
            .device_rules([]);
        assert_eq!(
            limits.requires().iter().collect::<Vec<_>>(),
            [Controller::Cpuset, Controller::Pids, Controller::Devices]
        );
        let mut only_checked = Limits::new();
        only_checked.memory.check_before_update = true;
        assert!(only_checked.requires().is_empty());
        let unified = Limits::new()
            .unified("io.max", "x")
            .unified("cgroup.max.depth", "3");
        assert_eq!(
            unified.requires().iter().collect::<Vec<_>>(),
            [Controller::Blkio]
        );
    }

    #[test]
    fn parts_are_the_whole() {
        let limits = Limits::new()
            .memory_limit(Bytes(1))
            .cpu_shares(5)
            .cpus("0")
            .pids_limit(7)
            .blkio_weight(10)
            .device_rules([])
            .unified("a.b", "1")
            .unified("c.d", "2");
        let parts = limits.parts();
        assert_eq!(parts.len(), 8);
        let together: ControllerSet = parts
            .iter()
            .flat_map(|part| part.requires().iter())
            .collect();
        assert_eq!(together, limits.requires());
        assert!(Limits::new().parts().is_empty());
    }

    #[test]
    fn names_of_unified_files_stay_in_the_cgroup() {
        for name in ["", "../x", "a/b", ".", "..", "a\0"] {
            assert!(
                Limits::new().unified(name, "1").check().is_err(),
                "{name:?}"
            );
        }
        Limits::new().unified("memory.high", "1").check().unwrap();
    }
}
