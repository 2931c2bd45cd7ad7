//! The figures of a container in the form that callers of runc read.

use std::collections::BTreeMap;
use std::time::Duration;

use orlop::cgroups::{
    BlkioEntry, BlkioStats, Bytes, Counter, CpuStats, CpusetStats, HugetlbStats, Limit,
    MemoryStats, PidsStats, Stats,
};
use orlop::{MemoryTraffic, ResctrlStats};
use serde::Serialize;

use super::event_pressure::Psi;

/// What v1 calls no bound: the largest number of bytes in whole pages of 4096.
const V1_UNBOUNDED: u64 = i64::MAX as u64 / 4096 * 4096;

/// All figures. Numbers that are zero are left out where runc does so.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    cpu: Cpu,
    cpuset: Cpuset,
    memory: Memory,
    pids: Pids,
    blkio: Blkio,
    hugetlb: BTreeMap<String, Hugetlb>,
    intel_rdt: IntelRdt,
    /// runc makes no interfaces, and so has no figures of them.
    network_interfaces: Option<()>,
}

#[derive(Debug, Default, Serialize)]
struct IntelRdt {
    #[serde(skip_serializing_if = "Option::is_none")]
    l3_cache_info: Option<CacheInfo>,
    #[serde(skip_serializing_if = "String::is_empty")]
    l3_cache_schema_root: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    l3_cache_schema: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mem_bw_info: Option<BandwidthInfo>,
    #[serde(skip_serializing_if = "String::is_empty")]
    mem_bw_schema_root: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    mem_bw_schema: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mbm_stats: Option<Vec<Traffic>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cmt_stats: Option<Vec<Occupancy>>,
}

#[derive(Debug, Serialize)]
struct CacheInfo {
    #[serde(skip_serializing_if = "String::is_empty")]
    cbm_mask: String,
    #[serde(skip_serializing_if = "is_zero")]
    min_cbm_bits: u64,
    #[serde(skip_serializing_if = "is_zero")]
    num_closids: u64,
}

#[derive(Debug, Serialize)]
struct BandwidthInfo {
    #[serde(skip_serializing_if = "is_zero")]
    bandwidth_gran: u64,
    #[serde(skip_serializing_if = "is_zero")]
    delay_linear: u64,
    #[serde(skip_serializing_if = "is_zero")]
    min_bandwidth: u64,
    #[serde(skip_serializing_if = "is_zero")]
    num_closids: u64,
}

#[derive(Debug, Serialize)]
struct Traffic {
    #[serde(skip_serializing_if = "is_zero")]
    mbm_total_bytes: u64,
    #[serde(skip_serializing_if = "is_zero")]
    mbm_local_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Occupancy {
    #[serde(skip_serializing_if = "is_zero")]
    llc_occupancy: u64,
}

/// Times are in nanoseconds.
#[derive(Debug, Serialize)]
struct Cpu {
    usage: CpuUsage,
    throttling: Throttling,
    #[serde(skip_serializing_if = "Option::is_none")]
    psi: Option<Psi>,
}

#[derive(Debug, Serialize)]
struct CpuUsage {
    #[serde(skip_serializing_if = "is_zero")]
    total: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    percpu: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    percpu_kernel: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    percpu_user: Vec<u64>,
    kernel: u64,
    user: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Throttling {
    #[serde(skip_serializing_if = "is_zero")]
    periods: u64,
    #[serde(skip_serializing_if = "is_zero")]
    throttled_periods: u64,
    #[serde(skip_serializing_if = "is_zero")]
    throttled_time: u64,
}

#[derive(Debug, Serialize)]
struct Cpuset {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cpus: Vec<u16>,
    cpu_exclusive: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mems: Vec<u16>,
    mem_hardwall: i64,
    mem_exclusive: i64,
    memory_migrate: i64,
    memory_spread_page: i64,
    memory_spread_slab: i64,
    memory_pressure: i64,
    sched_load_balance: i64,
    sched_relax_domain_level: i64,
}

#[derive(Debug, Serialize)]
struct Memory {
    #[serde(skip_serializing_if = "is_zero")]
    cache: u64,
    usage: MemoryEntry,
    swap: MemoryEntry,
    kernel: MemoryEntry,
    #[serde(rename = "kernelTCP")]
    kernel_tcp: MemoryEntry,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    raw: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    psi: Option<Psi>,
}

#[derive(Debug, Default, Serialize)]
struct MemoryEntry {
    limit: u64,
    #[serde(skip_serializing_if = "is_zero")]
    usage: u64,
    #[serde(skip_serializing_if = "is_zero")]
    max: u64,
    failcnt: u64,
}

#[derive(Debug, Serialize)]
struct Pids {
    #[serde(skip_serializing_if = "is_zero")]
    current: u64,
    #[serde(skip_serializing_if = "is_zero")]
    limit: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Blkio {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    io_service_bytes_recursive: Vec<Entry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    io_serviced_recursive: Vec<Entry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    io_queue_recursive: Vec<Entry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    io_service_time_recursive: Vec<Entry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    io_wait_time_recursive: Vec<Entry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    io_merged_recursive: Vec<Entry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    io_time_recursive: Vec<Entry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sectors_recursive: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    psi: Option<Psi>,
}

#[derive(Debug, Serialize)]
struct Entry {
    #[serde(skip_serializing_if = "is_zero")]
    major: u64,
    #[serde(skip_serializing_if = "is_zero")]
    minor: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    op: String,
    #[serde(skip_serializing_if = "is_zero")]
    value: u64,
}

#[derive(Debug, Serialize)]
struct Hugetlb {
    #[serde(skip_serializing_if = "is_zero")]
    usage: u64,
    #[serde(skip_serializing_if = "is_zero")]
    max: u64,
    failcnt: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Figures {
    /// The cgroup's figures, and those of the resctrl group where there is one.
    pub(super) fn new(stats: &Stats, rdt: Option<ResctrlStats>) -> Self {
        let hugetlb = stats.hugetlb.iter();
        Self {
            cpu: (&stats.cpu).into(),
            cpuset: (&stats.cpuset).into(),
            memory: (&stats.memory).into(),
            pids: (&stats.pids).into(),
            blkio: (&stats.blkio).into(),
            hugetlb: hugetlb
                .map(|one| (one.page_size.to_string(), one.into()))
                .collect(),
            intel_rdt: rdt.map(IntelRdt::from).unwrap_or_default(),
            network_interfaces: None,
        }
    }
}

impl From<ResctrlStats> for IntelRdt {
    fn from(rdt: ResctrlStats) -> Self {
        let mut shown = Self::default();
        if let Some(cache) = rdt.cache {
            shown.l3_cache_info = Some(CacheInfo {
                cbm_mask: cache.info.cbm_mask,
                min_cbm_bits: cache.info.min_cbm_bits,
                num_closids: cache.info.num_closids,
            });
            (shown.l3_cache_schema_root, shown.l3_cache_schema) = (cache.root_schema, cache.schema);
        }
        if let Some(bandwidth) = rdt.bandwidth {
            shown.mem_bw_info = Some(BandwidthInfo {
                bandwidth_gran: bandwidth.info.bandwidth_gran,
                delay_linear: bandwidth.info.delay_linear,
                min_bandwidth: bandwidth.info.min_bandwidth,
                num_closids: bandwidth.info.num_closids,
            });
            (shown.mem_bw_schema_root, shown.mem_bw_schema) =
                (bandwidth.root_schema, bandwidth.schema);
        }
        let traffic = |one: MemoryTraffic| Traffic {
            mbm_total_bytes: one.total,
            mbm_local_bytes: one.local,
        };
        let occupancy = |llc_occupancy| Occupancy { llc_occupancy };
        shown.mbm_stats = rdt
            .traffic
            .map(|all| all.into_iter().map(traffic).collect());
        shown.cmt_stats = rdt
            .occupancy
            .map(|all| all.into_iter().map(occupancy).collect());
        shown
    }
}

impl From<&CpuStats> for Cpu {
    fn from(cpu: &CpuStats) -> Self {
        let all = |times: &[Duration]| times.iter().copied().map(nanos).collect();
        Self {
            usage: CpuUsage {
                total: nanos(cpu.usage),
                percpu: all(&cpu.per_cpu),
                percpu_kernel: all(&cpu.per_cpu_system),
                percpu_user: all(&cpu.per_cpu_user),
                kernel: nanos(cpu.system),
                user: nanos(cpu.user),
            },
            throttling: Throttling {
                periods: cpu.throttling.periods,
                throttled_periods: cpu.throttling.throttled_periods,
                throttled_time: nanos(cpu.throttling.throttled_time),
            },
            psi: cpu.pressure.map(Psi::from),
        }
    }
}

impl From<&CpusetStats> for Cpuset {
    fn from(cpuset: &CpusetStats) -> Self {
        // What only v1 has tells that it is v1, where alone runc shows the lists.
        let list = |text: &str| {
            if cpuset.flags.is_empty() {
                Vec::new()
            } else {
                numbers(text)
            }
        };
        let flag = |name: &str| cpuset.flags.get(name).copied().unwrap_or(0);
        Self {
            cpus: list(&cpuset.cpus),
            cpu_exclusive: flag("cpu_exclusive"),
            mems: list(&cpuset.mems),
            mem_hardwall: flag("mem_hardwall"),
            mem_exclusive: flag("mem_exclusive"),
            memory_migrate: flag("memory_migrate"),
            memory_spread_page: flag("memory_spread_page"),
            memory_spread_slab: flag("memory_spread_slab"),
            memory_pressure: flag("memory_pressure"),
            sched_load_balance: flag("sched_load_balance"),
            sched_relax_domain_level: flag("sched_relax_domain_level"),
        }
    }
}

/// The numbers of a list such as `0-2,7`.
fn numbers(list: &str) -> Vec<u16> {
    let mut all = Vec::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        if let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) {
            all.extend(first..=last);
        }
    }
    all
}

impl From<&MemoryStats> for Memory {
    fn from(memory: &MemoryStats) -> Self {
        let on_v2 = !memory.events.is_empty();
        let unbounded = if on_v2 { u64::MAX } else { V1_UNBOUNDED };
        let entry = |counter: Option<Counter>| {
            counter.map_or_else(MemoryEntry::default, |counter| {
                let limit = counter
                    .limit
                    .map(|limit| limit.value().map_or(unbounded, |Bytes(bytes)| bytes));
                MemoryEntry {
                    limit: limit.unwrap_or(0),
                    usage: counter.usage.0,
                    max: counter.peak.map_or(0, |Bytes(peak)| peak),
                    failcnt: counter.failures,
                }
            })
        };
        Self {
            cache: memory.cache.0,
            usage: entry(Some(memory.memory)),
            swap: entry(memory.memory_and_swap),
            kernel: entry(memory.kernel),
            kernel_tcp: entry(memory.kernel_tcp),
            raw: memory.stat.clone(),
            psi: memory.pressure.map(Psi::from),
        }
    }
}

impl From<&PidsStats> for Pids {
    fn from(pids: &PidsStats) -> Self {
        Self {
            current: pids.current,
            limit: pids.limit.and_then(Limit::value).unwrap_or(0),
        }
    }
}

impl From<&BlkioStats> for Blkio {
    fn from(blkio: &BlkioStats) -> Self {
        let all = |entries: &[BlkioEntry]| entries.iter().map(Entry::from).collect();
        Self {
            io_service_bytes_recursive: all(&blkio.bytes),
            io_serviced_recursive: all(&blkio.operations),
            io_queue_recursive: all(&blkio.queued),
            io_service_time_recursive: all(&blkio.service_time),
            io_wait_time_recursive: all(&blkio.wait_time),
            io_merged_recursive: all(&blkio.merged),
            io_time_recursive: all(&blkio.time),
            sectors_recursive: all(&blkio.sectors),
            psi: blkio.pressure.map(Psi::from),
        }
    }
}

impl From<&BlkioEntry> for Entry {
    fn from(entry: &BlkioEntry) -> Self {
        Self {
            major: entry.device.major.into(),
            minor: entry.device.minor.into(),
            op: entry.operation.clone(),
            value: entry.value,
        }
    }
}

impl From<&HugetlbStats> for Hugetlb {
    fn from(pages: &HugetlbStats) -> Self {
        Self {
            usage: pages.usage.0,
            max: pages.peak.map_or(0, |Bytes(peak)| peak),
            failcnt: pages.failures,
        }
    }
}

#[cfg(test)]
mod tests {
    use orlop::Allocated;

    use super::*;

    #[test]
    fn lists_of_cpus() {
        assert_eq!(numbers("0-2,7\n"), [0, 1, 2, 7]);
        assert!(numbers("").is_empty());
        assert_eq!(numbers("x,3"), [3]);
    }

    #[test]
    fn what_was_not_used_is_written_as_runc_does() {
        let json = serde_json::to_string(&Figures::new(&Stats::default(), None)).unwrap();
        let entry = r#"{"limit":0,"failcnt":0}"#;
        let expected = [
            r#"{"cpu":{"usage":{"kernel":0,"user":0},"throttling":{}},"cpuset":{"cpu_exclusive":0,"#,
            r#""mem_hardwall":0,"mem_exclusive":0,"memory_migrate":0,"memory_spread_page":0,"#,
            r#""memory_spread_slab":0,"memory_pressure":0,"sched_load_balance":0,"#,
            r#""sched_relax_domain_level":0},"#,
            &format!(
                r#""memory":{{"usage":{entry},"swap":{entry},"kernel":{entry},"kernelTCP":{entry}}},"#
            ),
            r#""pids":{},"blkio":{},"hugetlb":{},"intel_rdt":{},"network_interfaces":null}"#,
        ];
        assert_eq!(json, expected.concat());
    }

    #[test]
    fn the_figures_of_resctrl_have_runc_s_keys() {
        let mut rdt = ResctrlStats::default();
        assert_eq!(
            serde_json::to_string(&IntelRdt::from(rdt.clone())).unwrap(),
            "{}"
        );
        rdt.cache = Some(Allocated {
            info: orlop::CacheInfo {
                cbm_mask: "fffff".to_owned(),
                min_cbm_bits: 1,
                num_closids: 16,
            },
            root_schema: "L3:0=fffff".to_owned(),
            schema: "L3:0=f".to_owned(),
        });
        rdt.bandwidth = Some(Allocated {
            info: orlop::BandwidthInfo {
                bandwidth_gran: 10,
                delay_linear: 1,
                min_bandwidth: 20,
                num_closids: 8,
            },
            root_schema: "MB:0=100".to_owned(),
            schema: "MB:0=50".to_owned(),
        });
        rdt.occupancy = Some(vec![4096, 0]);
        rdt.traffic = Some(vec![MemoryTraffic { total: 7, local: 3 }]);
        let expected = [
            r#"{"l3_cache_info":{"cbm_mask":"fffff","min_cbm_bits":1,"num_closids":16},"#,
            r#""l3_cache_schema_root":"L3:0=fffff","l3_cache_schema":"L3:0=f","#,
            r#""mem_bw_info":{"bandwidth_gran":10,"delay_linear":1,"min_bandwidth":20,"num_closids":8},"#,
            r#""mem_bw_schema_root":"MB:0=100","mem_bw_schema":"MB:0=50","#,
            r#""mbm_stats":[{"mbm_total_bytes":7,"mbm_local_bytes":3}],"#,
            r#""cmt_stats":[{"llc_occupancy":4096},{}]}"#,
        ];
        assert_eq!(
            serde_json::to_string(&IntelRdt::from(rdt)).unwrap(),
            expected.concat()
        );
    }
}
