//! Limits of block io.

use super::invalid;
use crate::error::Result;
use crate::units::DeviceNumber;

/// Limits of block io.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlkioLimits {
    /// Relative share, 10 to 1000.
    pub weight: Option<u16>,
    /// Relative share of the cgroup's own processes against its children, 10 to
    /// 1000 (v1).
    pub leaf_weight: Option<u16>,
    /// Relative shares by device.
    pub weight_device: Vec<DeviceWeight>,
    /// Bytes read per second.
    pub read_bps: Vec<DeviceRate>,
    /// Bytes written per second.
    pub write_bps: Vec<DeviceRate>,
    /// Reads per second.
    pub read_iops: Vec<DeviceRate>,
    /// Writes per second.
    pub write_iops: Vec<DeviceRate>,
}

/// The share of one block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceWeight {
    /// The device.
    pub device: DeviceNumber,
    /// Relative share, 10 to 1000.
    pub weight: Option<u16>,
    /// Relative share against child cgroups, 10 to 1000 (v1).
    pub leaf_weight: Option<u16>,
}

/// The throttle of one block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRate {
    /// The device.
    pub device: DeviceNumber,
    /// Bytes or operations per second; 0 removes the throttle.
    pub rate: u64,
}

impl BlkioLimits {
    /// Whether nothing is asked for.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn check(&self) -> Result<()> {
        let own = [
            ("blockIO.weight", self.weight),
            ("blockIO.leafWeight", self.leaf_weight),
        ];
        let by_device = self.weight_device.iter().flat_map(|entry| {
            [
                ("blockIO.weightDevice.weight", entry.weight),
                ("blockIO.weightDevice.leafWeight", entry.leaf_weight),
            ]
        });
        for (field, weight) in own.into_iter().chain(by_device) {
            if weight.is_some_and(|weight| !(10..=1000).contains(&weight)) {
                return Err(invalid(field, "must be 10 to 1000"));
            }
        }
        Ok(())
    }
}
