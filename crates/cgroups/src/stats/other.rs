//! Figures of tasks, placement, huge pages and RDMA.

use std::collections::BTreeMap;

use super::value_of;
use crate::error::Result;
use crate::layout::Version;
use crate::limits::PageSize;
use crate::read_back::Reader;
use crate::units::{Bytes, Limit};

/// Tasks (processes and threads).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PidsStats {
    /// How many there are.
    pub current: u64,
    /// The most there were at any time, where the kernel knows it.
    pub peak: Option<u64>,
    /// The limit that holds.
    pub limit: Option<Limit<u64>>,
    /// How often a fork failed because of the limit.
    pub failures: u64,
}

/// CPUs and memory nodes, in list form (`0-2,7`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CpusetStats {
    /// CPUs asked for.
    pub cpus: String,
    /// Memory nodes asked for.
    pub mems: String,
    /// CPUs that can be used.
    pub effective_cpus: String,
    /// Memory nodes that can be used.
    pub effective_mems: String,
    /// The other values of v1, by the kernel's names without `cpuset.`.
    pub flags: BTreeMap<String, i64>,
}

/// Huge pages of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HugetlbStats {
    /// The size of the pages.
    pub page_size: PageSize,
    /// In use.
    pub usage: Bytes,
    /// The most that was in use at any time (v1).
    pub peak: Option<Bytes>,
    /// Reserved, where the kernel counts it.
    pub reserved: Option<Bytes>,
    /// How often the limit was hit.
    pub failures: u64,
}

/// Use of one RDMA device.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RdmaStats {
    /// The device's name.
    pub device: String,
    /// HCA handles in use.
    pub handles: u64,
    /// HCA objects in use.
    pub objects: u64,
}

pub(super) fn read_pids(reader: &Reader<'_>) -> Result<PidsStats> {
    let events = reader.text("pids.events")?.unwrap_or_default();
    Ok(PidsStats {
        current: reader.number("pids.current")?.unwrap_or(0),
        peak: reader.number("pids.peak")?,
        limit: reader.bound("pids.max")?,
        failures: value_of(&events, "max").unwrap_or(0),
    })
}

pub(super) fn read_cpuset(reader: &Reader<'_>) -> Result<CpusetStats> {
    let list = |file: &str| reader.text(file).map(Option::unwrap_or_default);
    let mut stats = CpusetStats {
        cpus: list("cpuset.cpus")?,
        mems: list("cpuset.mems")?,
        ..CpusetStats::default()
    };
    if reader.0.version() == Version::V2 {
        stats.effective_cpus = list("cpuset.cpus.effective")?;
        stats.effective_mems = list("cpuset.mems.effective")?;
        return Ok(stats);
    }
    stats.effective_cpus = list("cpuset.effective_cpus")?;
    stats.effective_mems = list("cpuset.effective_mems")?;
    for flag in [
        "cpu_exclusive",
        "mem_exclusive",
        "mem_hardwall",
        "memory_migrate",
        "memory_pressure",
        "memory_spread_page",
        "memory_spread_slab",
        "sched_load_balance",
        "sched_relax_domain_level",
    ] {
        let value = reader.number(&format!("cpuset.{flag}"))?;
        stats
            .flags
            .extend(value.map(|value| (flag.to_owned(), value)));
    }
    Ok(stats)
}

pub(super) fn read_hugetlb(reader: &Reader<'_>) -> Result<Vec<HugetlbStats>> {
    let v2 = reader.0.version() == Version::V2;
    let current = if v2 { "current" } else { "usage_in_bytes" };
    let mut stats = Vec::new();
    for page_size in reader.page_sizes()? {
        let file = |name: &str| format!("hugetlb.{page_size}.{name}");
        let failures = if v2 {
            let events = reader.text(&file("events"))?.unwrap_or_default();
            value_of(&events, "max")
        } else {
            reader.number(&file("failcnt"))?
        };
        stats.push(HugetlbStats {
            page_size,
            usage: Bytes(reader.number(&file(current))?.unwrap_or(0)),
            peak: reader.number(&file("max_usage_in_bytes"))?.map(Bytes),
            reserved: reader.number(&file(&format!("rsvd.{current}")))?.map(Bytes),
            failures: failures.unwrap_or(0),
        });
    }
    Ok(stats)
}

/// `mlx5_0 hca_handle=2 hca_object=20`
pub(super) fn rdma_line(line: &str) -> Option<RdmaStats> {
    let mut fields = line.split(' ');
    let device = fields.next()?.to_owned();
    let mut stats = RdmaStats {
        device,
        handles: 0,
        objects: 0,
    };
    for field in fields {
        match field.split_once('=')? {
            ("hca_handle", value) => stats.handles = value.parse().ok()?,
            ("hca_object", value) => stats.objects = value.parse().ok()?,
            _ => {}
        }
    }
    Some(stats)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rdma() {
        let stats = rdma_line("mlx5_0 hca_handle=2 hca_object=20").unwrap();
        assert_eq!(
            (stats.device.as_str(), stats.handles, stats.objects),
            ("mlx5_0", 2, 20)
        );
        assert_eq!(rdma_line("mlx5_0 hca_handle"), None);
    }
}
