//! Figures of CPU time.

use std::time::Duration;

use super::pressure::Pressure;
use super::value_of;
use crate::error::Result;
use crate::layout::Version;
use crate::read_back::Reader;

/// CPU time used.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct CpuStats {
    /// In all.
    pub usage: Duration,
    /// In user mode.
    pub user: Duration,
    /// In the kernel.
    pub system: Duration,
    /// In all, by CPU (v1).
    pub per_cpu: Vec<Duration>,
    /// In user mode, by CPU (v1).
    pub per_cpu_user: Vec<Duration>,
    /// In the kernel, by CPU (v1).
    pub per_cpu_system: Vec<Duration>,
    /// What the quota held back.
    pub throttling: Throttling,
    /// Waiting for a CPU.
    pub pressure: Option<Pressure>,
}

/// The effect of a CPU quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Throttling {
    /// Periods in which the cgroup ran.
    pub periods: u64,
    /// Periods in which the quota was used up.
    pub throttled_periods: u64,
    /// For how long tasks were held back.
    pub throttled_time: Duration,
    /// Periods in which unused quota of earlier ones was spent.
    pub bursts: u64,
    /// CPU time from unused quota.
    pub burst_time: Duration,
}

/// The kernel counts these in ticks of 1/100 s for user space, on every
/// architecture that is supported here.
const TICK: Duration = Duration::from_millis(10);

pub(super) fn read(cpu: &Reader<'_>, cpuacct: Option<Reader<'_>>) -> Result<CpuStats> {
    let stat = cpu.text("cpu.stat")?.unwrap_or_default();
    let mut stats = match cpu.0.version() {
        Version::V1 => CpuStats {
            throttling: throttling(&stat, "_time", Duration::from_nanos),
            ..CpuStats::default()
        },
        Version::V2 => parse_v2(&stat),
    };
    if let Some(cpuacct) = cpuacct {
        stats.usage = cpuacct
            .number("cpuacct.usage")?
            .map_or(Duration::ZERO, Duration::from_nanos);
        let ticks = cpuacct.text("cpuacct.stat")?.unwrap_or_default();
        stats.user = from_ticks(value_of(&ticks, "user"));
        stats.system = from_ticks(value_of(&ticks, "system"));
        let per_cpu = cpuacct.text("cpuacct.usage_percpu")?.unwrap_or_default();
        stats.per_cpu = per_cpu.split_whitespace().filter_map(nanos).collect();
        let both = cpuacct.lines("cpuacct.usage_all", usage_line)?;
        (stats.per_cpu_user, stats.per_cpu_system) = both.into_iter().unzip();
    }
    Ok(stats)
}

fn parse_v2(stat: &str) -> CpuStats {
    let micros = |key| Duration::from_micros(value_of(stat, key).unwrap_or(0));
    CpuStats {
        usage: micros("usage_usec"),
        user: micros("user_usec"),
        system: micros("system_usec"),
        throttling: throttling(stat, "_usec", Duration::from_micros),
        ..CpuStats::default()
    }
}

fn throttling(stat: &str, unit: &str, from: fn(u64) -> Duration) -> Throttling {
    let time = |key: &str| from(value_of(stat, &format!("{key}{unit}")).unwrap_or(0));
    Throttling {
        periods: value_of(stat, "nr_periods").unwrap_or(0),
        throttled_periods: value_of(stat, "nr_throttled").unwrap_or(0),
        throttled_time: time("throttled"),
        bursts: value_of(stat, "nr_bursts").unwrap_or(0),
        burst_time: time("burst"),
    }
}

fn from_ticks(ticks: Option<u64>) -> Duration {
    let ticks = u32::try_from(ticks.unwrap_or(0)).unwrap_or(u32::MAX);
    TICK.saturating_mul(ticks)
}

fn nanos(text: &str) -> Option<Duration> {
    text.parse().ok().map(Duration::from_nanos)
}

/// `cpu user system`, below a line of headings.
fn usage_line(line: &str) -> Option<(Duration, Duration)> {
    let mut fields = line.split(' ');
    let _cpu: u32 = fields.next()?.parse().ok()?;
    Some((nanos(fields.next()?)?, nanos(fields.next()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_v2_stat_file() {
        let stats = parse_v2(
            "usage_usec 3000\nuser_usec 2000\nsystem_usec 1000\nnr_periods 7\nnr_throttled 3\n\
             throttled_usec 44\nnr_bursts 1\nburst_usec 9\n",
        );
        assert_eq!(stats.usage, Duration::from_millis(3));
        assert_eq!((stats.user.as_millis(), stats.system.as_millis()), (2, 1));
        assert_eq!(
            (stats.throttling.periods, stats.throttling.throttled_periods),
            (7, 3)
        );
        assert_eq!(stats.throttling.throttled_time, Duration::from_micros(44));
        assert_eq!(stats.throttling.burst_time, Duration::from_micros(9));
    }

    #[test]
    fn v1_files() {
        let throttling = throttling(
            "nr_periods 1\nthrottled_time 5\n",
            "_time",
            Duration::from_nanos,
        );
        assert_eq!(throttling.throttled_time, Duration::from_nanos(5));
        assert_eq!(from_ticks(Some(150)), Duration::from_millis(1500));
        assert_eq!(usage_line("cpu user system"), None);
        assert_eq!(
            usage_line("0 5 6"),
            Some((Duration::from_nanos(5), Duration::from_nanos(6)))
        );
    }
}
