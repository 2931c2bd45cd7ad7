//! Limits of CPU time, and placement.

use super::invalid;
use crate::error::Result;
use crate::units::{CpuShares, Limit, Micros};

/// Limits of CPU time, and placement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CpuLimits {
    /// Relative share when CPUs are contended.
    pub shares: Option<CpuShares>,
    /// CPU time per period.
    pub quota: Option<Limit<Micros>>,
    /// The period of the quota, 1 ms to 1 s.
    pub period: Option<Micros>,
    /// Unused quota that may be spent later.
    pub burst: Option<Micros>,
    /// Real-time CPU time per real-time period (v1).
    pub realtime_runtime: Option<Limit<Micros>>,
    /// The real-time period (v1).
    pub realtime_period: Option<Micros>,
    /// Only run when nothing else wants the CPU (`SCHED_IDLE` for the cgroup).
    pub idle: Option<bool>,
    /// CPUs that may be used, in list form (`0-2,7`).
    pub cpus: Option<String>,
    /// Memory nodes that may be used, in list form.
    pub mems: Option<String>,
}

impl CpuLimits {
    /// Whether CPUs or memory nodes are chosen.
    pub(crate) fn has_placement(&self) -> bool {
        self.cpus.is_some() || self.mems.is_some()
    }

    /// Whether CPU time is limited in any way.
    pub(crate) fn has_time(&self) -> bool {
        *self
            != Self {
                cpus: self.cpus.clone(),
                mems: self.mems.clone(),
                ..Self::default()
            }
    }

    pub(super) fn check(&self) -> Result<()> {
        for (field, list) in [("cpu.cpus", &self.cpus), ("cpu.mems", &self.mems)] {
            // What else there is to a list, the kernel checks.
            let allowed = |c: char| c.is_ascii_digit() || matches!(c, ',' | '-' | ':' | '/' | ' ');
            if list
                .as_ref()
                .is_some_and(|list| list.is_empty() || !list.chars().all(allowed))
            {
                return Err(invalid(field, "must be a list like 0-2,7"));
            }
        }
        Ok(())
    }
}
