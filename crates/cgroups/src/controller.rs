//! The kernel's controllers and sets of them.

use std::fmt;

/// A resource controller. Names differ between the versions only for block io
/// (`blkio` and `io`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Controller {
    /// CPU time: shares, quota, real time.
    Cpu,
    /// CPU time accounting (v1 only; part of `cpu` on v2).
    Cpuacct,
    /// CPUs and memory nodes.
    Cpuset,
    /// Memory and swap.
    Memory,
    /// Number of tasks.
    Pids,
    /// Block io: `blkio` on v1, `io` on v2.
    Blkio,
    /// Device access lists (v1 only; an eBPF program on v2).
    Devices,
    /// Freezing (v1 only; part of the core on v2).
    Freezer,
    /// Huge pages.
    Hugetlb,
    /// RDMA handles and objects.
    Rdma,
    /// Class id of network packets (v1 only).
    NetCls,
    /// Priority of network packets per interface (v1 only).
    NetPrio,
    /// `perf` monitoring by cgroup.
    PerfEvent,
    /// Miscellaneous scalar resources.
    Misc,
    /// Device memory (v2 only).
    Dmem,
}

impl Controller {
    const ALL: [Self; 15] = [
        Self::Cpu,
        Self::Cpuacct,
        Self::Cpuset,
        Self::Memory,
        Self::Pids,
        Self::Blkio,
        Self::Devices,
        Self::Freezer,
        Self::Hugetlb,
        Self::Rdma,
        Self::NetCls,
        Self::NetPrio,
        Self::PerfEvent,
        Self::Misc,
        Self::Dmem,
    ];

    /// The controller of that name in `/proc/self/cgroup`, a mount option, or
    /// `cgroup.controllers`; `None` for one that this crate does not know.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        if name == "io" {
            return Some(Self::Blkio);
        }
        Self::ALL
            .into_iter()
            .find(|controller| controller.v1_name() == name)
    }

    /// The name on v1 (and in OCI).
    #[must_use]
    pub fn v1_name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cpuacct => "cpuacct",
            Self::Cpuset => "cpuset",
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Blkio => "blkio",
            Self::Devices => "devices",
            Self::Freezer => "freezer",
            Self::Hugetlb => "hugetlb",
            Self::Rdma => "rdma",
            Self::NetCls => "net_cls",
            Self::NetPrio => "net_prio",
            Self::PerfEvent => "perf_event",
            Self::Misc => "misc",
            Self::Dmem => "dmem",
        }
    }

    /// The name in v2's `cgroup.controllers`.
    #[must_use]
    pub fn v2_name(self) -> &'static str {
        match self {
            Self::Blkio => "io",
            other => other.v1_name(),
        }
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.v1_name())
    }
}

/// A set of controllers.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ControllerSet(u16);

impl ControllerSet {
    /// The set with nothing in it.
    pub const EMPTY: Self = Self(0);

    /// The known controllers of a list separated by commas or white space;
    /// unknown names are left out.
    #[must_use]
    pub fn parse(list: &str) -> Self {
        list.split(|c: char| c == ',' || c.is_ascii_whitespace())
            .filter_map(Controller::from_name)
            .collect()
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this one is in it.
    #[must_use]
    pub fn contains(self, controller: Controller) -> bool {
        self.0 & (1 << controller as u8) != 0
    }

    /// This set and one more.
    #[must_use]
    pub fn with(self, controller: Controller) -> Self {
        Self(self.0 | 1 << controller as u8)
    }

    /// What is in this set and not in the other.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The controllers in it, in a fixed order.
    pub fn iter(self) -> impl Iterator<Item = Controller> {
        Controller::ALL
            .into_iter()
            .filter(move |controller| self.contains(*controller))
    }
}

impl FromIterator<Controller> for ControllerSet {
    fn from_iter<I: IntoIterator<Item = Controller>>(controllers: I) -> Self {
        controllers.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Debug for ControllerSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_controller() {
        for controller in Controller::ALL {
            assert_eq!(
                Controller::from_name(controller.v1_name()),
                Some(controller)
            );
            assert_eq!(
                Controller::from_name(controller.v2_name()),
                Some(controller)
            );
        }
        assert_eq!(Controller::from_name("name=systemd"), None);
    }

    #[test]
    fn lists_with_commas_and_spaces() {
        let set = ControllerSet::parse("cpu,cpuacct\n");
        assert_eq!(
            set.iter().collect::<Vec<_>>(),
            [Controller::Cpu, Controller::Cpuacct]
        );
        assert_eq!(ControllerSet::parse("io pids debug"), {
            ControllerSet::EMPTY
                .with(Controller::Pids)
                .with(Controller::Blkio)
        });
    }
}
