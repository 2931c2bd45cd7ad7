//! Limits of huge pages, RDMA and network packets.

use std::fmt;
use std::str::FromStr;

use super::invalid;
use crate::error::{Error, Result};
use crate::units::{Bytes, Limit};

/// The size of a huge page, as the kernel's file names have it (`2MB`, `1GB`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageSize(Bytes);

impl PageSize {
    /// The size in bytes.
    #[must_use]
    pub fn bytes(self) -> Bytes {
        self.0
    }
}

impl FromStr for PageSize {
    type Err = Error;

    /// Reads a number with `KB`, `MB` or `GB` (of 1024 each).
    fn from_str(text: &str) -> Result<Self> {
        let bad = || invalid("hugepageLimits.pageSize", "must be like 64KB, 2MB, 1GB");
        let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let (number, unit) = text.split_at(split);
        let shift = match unit {
            "KB" => 10,
            "MB" => 20,
            "GB" => 30,
            _ => return Err(bad()),
        };
        let number: u64 = number.parse().ok().filter(|n| *n > 0).ok_or_else(bad)?;
        number
            .checked_mul(1 << shift)
            .map(|bytes| Self(Bytes(bytes)))
            .ok_or_else(bad)
    }
}

impl fmt::Display for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bytes(bytes) = self.0;
        match bytes {
            0x4000_0000.. => write!(f, "{}GB", bytes >> 30),
            0x10_0000.. => write!(f, "{}MB", bytes >> 20),
            _ => write!(f, "{}KB", bytes >> 10),
        }
    }
}

/// The limit of huge pages of one size. Reservations are limited to the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HugepageLimit {
    /// The size of the pages.
    pub page_size: PageSize,
    /// How much memory may be in such pages.
    pub limit: Limit<Bytes>,
}

/// The limit of one RDMA device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RdmaLimit {
    /// The device's name, for example `mlx5_0`.
    pub device: String,
    /// How many HCA handles.
    pub handles: Option<Limit<u32>>,
    /// How many HCA objects.
    pub objects: Option<Limit<u32>>,
}

impl RdmaLimit {
    pub(super) fn check(&self) -> Result<()> {
        let name = &self.device;
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '=' || c == '\0') {
            return Err(invalid(
                "rdma",
                "the name of a device must not have white space or '='",
            ));
        }
        if self.handles.is_none() && self.objects.is_none() {
            return Err(invalid("rdma", "needs hcaHandles or hcaObjects"));
        }
        Ok(())
    }
}

/// Marks of the cgroup's network packets (v1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetworkLimits {
    /// The class id for traffic control, `major << 16 | minor`.
    pub class_id: Option<u32>,
    /// The priority of packets by network interface.
    pub priorities: Vec<InterfacePriority>,
}

/// The priority of packets that leave by one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfacePriority {
    /// The interface's name, for example `eth0`.
    pub interface: String,
    /// The priority.
    pub priority: u32,
}

impl NetworkLimits {
    pub(super) fn check(&self) -> Result<()> {
        let bad =
            |name: &str| name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '\0');
        if self.priorities.iter().any(|entry| bad(&entry.interface)) {
            return Err(invalid(
                "network.priorities",
                "an interface name must not have white space",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_sizes() {
        for text in ["64KB", "2MB", "32MB", "1GB", "16GB"] {
            assert_eq!(text.parse::<PageSize>().unwrap().to_string(), text);
        }
        assert_eq!("2048KB".parse::<PageSize>().unwrap().to_string(), "2MB");
        for text in [
            "",
            "2",
            "MB",
            "0MB",
            "2 MB",
            "2mb",
            "-2MB",
            "2MB/..",
            "99999999999999999999GB",
            "18014398509481984KB",
        ] {
            assert!(text.parse::<PageSize>().is_err(), "{text:?}");
        }
    }
}
