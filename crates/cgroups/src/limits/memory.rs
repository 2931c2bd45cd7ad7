//! Limits of memory and swap.

use super::invalid;
use crate::error::Result;
use crate::units::{Bytes, Limit};

/// Limits of memory and swap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryLimits {
    /// Hard limit of memory.
    pub limit: Option<Limit<Bytes>>,
    /// Soft limit: what is protected or reclaimed last when memory is short.
    pub reservation: Option<Limit<Bytes>>,
    /// Limit of memory and swap together, as OCI and v1 count it.
    pub swap: Option<Limit<Bytes>>,
    /// Limit of kernel memory (v1; removed from newer kernels).
    pub kernel: Option<Limit<Bytes>>,
    /// Limit of TCP buffers (v1).
    pub kernel_tcp: Option<Limit<Bytes>>,
    /// How readily memory is swapped out, 0 to 100 (v1).
    pub swappiness: Option<u64>,
    /// Whether processes wait instead of being killed when memory is out (v1).
    pub disable_oom_killer: Option<bool>,
    /// Whether running out of memory kills all processes of the cgroup, not one (v2).
    pub oom_group: Option<bool>,
    /// Refuse a limit that is below the current usage, instead of letting the
    /// kernel reclaim or kill.
    pub check_before_update: bool,
}

impl MemoryLimits {
    /// Whether nothing is asked for that is written anywhere.
    pub(crate) fn is_empty(&self) -> bool {
        *self
            == Self {
                check_before_update: self.check_before_update,
                ..Self::default()
            }
    }

    pub(super) fn check(&self) -> Result<()> {
        match self.swappiness {
            Some(101..) => Err(invalid("memory.swappiness", "must be 0 to 100")),
            _ => Ok(()),
        }
    }
}
