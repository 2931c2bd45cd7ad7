//! Limits as properties of a unit (systemd.resource-control(5)), so that systemd
//! keeps them when it writes the cgroup's files anew.

use super::wire::Value;
use crate::convert::{blkio_weight_to_io_weight, shares_to_weight, v2_swap_limit};
use crate::device::{DeviceKind, DeviceList, DeviceRule};
use crate::error::{Error, Result};
use crate::layout::Version;
use crate::limits::{CpuLimits, Limits};
use crate::units::{Bytes, Limit, Micros};

/// What systemd takes for "no bound".
pub(super) const INFINITY: u64 = u64::MAX;

/// The highest CPU or node number accepted in a list.
const MAX_CPU: usize = 8191;

/// Which properties a manager has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect {
    /// The version of systemd.
    pub(super) systemd: u32,
    /// The version of cgroups for which it has them.
    pub(super) cgroups: Version,
}

impl Dialect {
    /// What a container's scope has, whatever its limits.
    pub(super) fn accounting(self) -> [&'static str; 4] {
        let io = match self.cgroups {
            Version::V1 => "BlockIOAccounting",
            Version::V2 => "IOAccounting",
        };
        ["MemoryAccounting", "CPUAccounting", "TasksAccounting", io]
    }

    /// The properties for these limits that this version of systemd has. The rest
    /// is written into the delegated cgroup.
    pub(super) fn properties(self, limits: &Limits) -> Result<Vec<(&'static str, Value)>> {
        limits.check()?;
        let mut properties = match self.cgroups {
            Version::V1 => self.of_v1(limits),
            Version::V2 => self.of_v2(limits)?,
        };
        let CpuLimits { quota, period, .. } = limits.cpu;
        if let Some(quota) = quota.or(period.map(|_| Limit::Max)) {
            properties.extend(self.quota(quota, period));
        }
        properties.extend(limits.pids.map(|limit| {
            // Zero is no bound that systemd knows; the cgroup itself has it.
            let tasks = limit.value().unwrap_or(INFINITY);
            ("TasksMax", Value::U64(tasks.max(1)))
        }));
        if let Some(rules) = &limits.devices {
            properties.extend(self.devices(rules));
        }
        if self.cgroups == Version::V2 {
            // As in the cgroup itself, they are written last.
            let files = self.of_files(&limits.unified);
            properties.retain(|(name, _)| !files.iter().any(|(other, _)| name == other));
            properties.extend(files);
        }
        Ok(properties)
    }

    fn of_v1(self, limits: &Limits) -> Vec<(&'static str, Value)> {
        let memory = limits
            .memory
            .limit
            .map(|limit| ("MemoryLimit", bytes(limit)));
        let shares = limits
            .cpu
            .shares
            .map(|shares| ("CPUShares", Value::U64(shares.0)));
        let weight = limits
            .blkio
            .weight
            .map(|weight| ("BlockIOWeight", Value::U64(weight.into())));
        [memory, shares, weight].into_iter().flatten().collect()
    }

    fn of_v2(self, limits: &Limits) -> Result<Vec<(&'static str, Value)>> {
        let memory = &limits.memory;
        let swap = v2_swap_limit(memory.limit, memory.swap).unwrap_or_default();
        let mut properties = Vec::new();
        properties.extend(memory.limit.map(|limit| ("MemoryMax", bytes(limit))));
        properties.extend(memory.reservation.map(|limit| ("MemoryLow", bytes(limit))));
        properties.extend(swap.map(|limit| ("MemorySwapMax", bytes(limit))));
        let weight = |shares| ("CPUWeight", Value::U64(shares_to_weight(shares)));
        let idle = self.idle(limits.cpu.idle == Some(true));
        properties.extend(idle.or(limits.cpu.shares.map(weight)));
        let io = limits.blkio.weight.map(blkio_weight_to_io_weight);
        properties.extend(io.map(|weight| ("IOWeight", Value::U64(weight))));
        if self.systemd >= 244 {
            for (name, list) in [
                ("AllowedCPUs", &limits.cpu.cpus),
                ("AllowedMemoryNodes", &limits.cpu.mems),
            ] {
                if let Some(list) = list {
                    properties.push((name, Value::Bytes(bit_mask(name, list)?)));
                }
            }
        }
        Ok(properties)
    }

    fn knows_idle(self) -> bool {
        self.cgroups == Version::V2 && self.systemd >= 252
    }

    /// There is no property for not being idle but a weight.
    pub(super) fn idle(self, idle: bool) -> Option<(&'static str, Value)> {
        (idle && self.knows_idle()).then_some(("CPUWeight", Value::U64(0)))
    }

    /// For a cgroup that may be idle: as systemd has it, a weight ends that. The kernel would refuse it.
    pub(super) fn wake(self, limits: &mut Limits) {
        let has = |file| limits.unified.contains_key(file);
        let weight = limits.cpu.shares.is_some() || has("cpu.weight");
        let idle = limits.cpu.idle.is_some() || has("cpu.idle");
        if self.knows_idle() && weight && !idle {
            limits.cpu.idle = Some(false);
        }
    }

    pub(super) fn quota(
        self,
        quota: Limit<Micros>,
        period: Option<Micros>,
    ) -> Vec<(&'static str, Value)> {
        let period = period.unwrap_or(Micros(100_000)).0.max(1);
        let per_second = match quota {
            Limit::Max => INFINITY,
            // systemd counts in steps of 1 %; upwards, as the cgroup has the exact value.
            Limit::Value(Micros(quota)) => {
                let exact = u128::from(quota) * 1_000_000 / u128::from(period);
                u64::try_from(exact.next_multiple_of(10_000)).unwrap_or(INFINITY)
            }
        };
        let mut properties = vec![("CPUQuotaPerSecUSec", Value::U64(per_second))];
        if self.systemd >= 242 {
            properties.push(("CPUQuotaPeriodUSec", Value::U64(period)));
        }
        properties
    }

    fn devices(self, rules: &[DeviceRule]) -> Vec<(&'static str, Value)> {
        let drivers = std::fs::read_to_string("/proc/devices").unwrap_or_default();
        let (policy, allowed) = device_list(rules, &drivers, self.cgroups);
        vec![
            ("DevicePolicy", Value::Str(policy.into())),
            // A list is added to the one that is there; an empty one takes that away.
            ("DeviceAllow", Value::Pairs(Vec::new())),
            ("DeviceAllow", Value::Pairs(allowed)),
        ]
    }
}

fn bytes(limit: Limit<Bytes>) -> Value {
    Value::U64(limit.value().map_or(INFINITY, |bytes| bytes.0))
}

/// A list like `0-2,7` as a mask, lowest CPU in the lowest bit of the first byte.
pub(super) fn bit_mask(field: &'static str, list: &str) -> Result<Vec<u8>> {
    let invalid = || Error::InvalidLimit {
        field,
        reason: format!("{list:?} must be a list like 0-2,7, up to {MAX_CPU}"),
    };
    let mut mask = Vec::new();
    for range in list
        .split(',')
        .map(str::trim)
        .filter(|range| !range.is_empty())
    {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |text: &str| text.parse::<usize>().ok().filter(|n| *n <= MAX_CPU);
        let (first, last) = number(first).zip(number(last)).ok_or_else(invalid)?;
        if first > last {
            return Err(invalid());
        }
        if mask.len() <= last / 8 {
            mask.resize(last / 8 + 1, 0);
        }
        for cpu in first..=last {
            mask[cpu / 8] |= 1 << (cpu % 8);
        }
    }
    Ok(mask)
}

/// The rules as systemd can be told them: a policy, and what it allows.
///
/// On v2 its own program and ours are both asked for every access, so that one that
/// cannot be told must not be refused by systemd: then it is told to allow everything.
/// On v1 there is one list, which systemd may write anew at any time: what cannot be
/// told is lost then, but nothing is ever gained.
fn device_list(
    rules: &[DeviceRule],
    drivers: &str,
    cgroups: Version,
) -> (&'static str, Vec<(String, String)>) {
    let everything = ("auto", Vec::new());
    let Ok(list) = DeviceList::from_rules(rules) else {
        return match cgroups {
            Version::V2 => everything,
            Version::V1 => ("strict", Vec::new()),
        };
    };
    let rules = list.to_rules();
    // The first one is for every device: only what denies can be given as a list.
    let Some((_, rest)) = rules.split_first().filter(|(first, _)| !first.allow) else {
        return everything;
    };
    let told = rest.iter().map(|rule| {
        let device = tell_device(rule, drivers)?;
        Some((device, rule.access.to_string()))
    });
    match cgroups {
        Version::V1 => ("strict", told.flatten().collect()),
        Version::V2 => told
            .collect::<Option<_>>()
            .map_or(everything, |allowed| ("strict", allowed)),
    }
}

fn tell_device(rule: &DeviceRule, drivers: &str) -> Option<String> {
    let kind = match rule.kind {
        DeviceKind::Char => "char",
        DeviceKind::Block => "block",
        DeviceKind::All => return None,
    };
    match (rule.major, rule.minor) {
        (None, None) => Some(format!("{kind}-*")),
        (Some(major), Some(minor)) => Some(format!("/dev/{kind}/{major}:{minor}")),
        (Some(major), None) => {
            let name = only_driver(drivers, rule.kind, major)?;
            Some(format!("{kind}-{name}"))
        }
        (None, Some(_)) => None,
    }
}

/// The driver of a major number in `/proc/devices`, if its name has no other number:
/// systemd allows all numbers of a name.
fn only_driver(drivers: &str, kind: DeviceKind, major: u32) -> Option<&str> {
    let heading = match kind {
        DeviceKind::Block => "Block devices:",
        _ => "Character devices:",
    };
    let lines = drivers.lines().skip_while(|line| *line != heading).skip(1);
    let of_kind: Vec<(u32, &str)> = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.trim_start().split_once(' '))
        .filter_map(|(number, name)| Some((number.parse().ok()?, name)))
        .collect();
    let (_, name) = of_kind.iter().find(|(number, _)| *number == major)?;
    // A name with wildcards in it would mean others, too.
    let is_plain = !name.contains(['*', '?', '[']);
    let is_alone = of_kind.iter().filter(|(_, other)| other == name).count() == 1;
    (is_plain && is_alone).then_some(*name)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::device::Access;

    pub(in crate::systemd) fn of(limits: &Limits, systemd: u32) -> Vec<(&'static str, Value)> {
        let cgroups = Version::V2;
        Dialect { systemd, cgroups }.properties(limits).unwrap()
    }

    #[test]
    fn plain_limits() {
        let limits = Limits::new()
            .memory_limit(Bytes::mib(1))
            .memory_and_swap_limit(Bytes::mib(3))
            .cpu_shares(1024)
            .cpu_quota(Micros(12_345), Micros(100_000))
            .pids_limit(Limit::Max)
            .blkio_weight(100);
        assert_eq!(
            of(&limits, 252),
            [
                ("MemoryMax", Value::U64(1 << 20)),
                ("MemorySwapMax", Value::U64(2 << 20)),
                ("CPUWeight", Value::U64(100)),
                ("IOWeight", Value::U64(910)),
                ("CPUQuotaPerSecUSec", Value::U64(130_000)),
                ("CPUQuotaPeriodUSec", Value::U64(100_000)),
                ("TasksMax", Value::U64(u64::MAX)),
            ]
        );
        let mut period = Limits::new();
        period.cpu.period = Some(Micros(50_000));
        assert_eq!(
            of(&period, 252),
            [
                ("CPUQuotaPerSecUSec", Value::U64(u64::MAX)),
                ("CPUQuotaPeriodUSec", Value::U64(50_000)),
            ]
        );
        let cgroups = Version::V1;
        let systemd = 252;
        assert_eq!(
            Dialect { systemd, cgroups }.properties(&limits).unwrap()[..3],
            [
                ("MemoryLimit", Value::U64(1 << 20)),
                ("CPUShares", Value::U64(1024)),
                ("BlockIOWeight", Value::U64(100)),
            ]
        );
        assert!(
            of(&limits, 241)
                .iter()
                .all(|(name, _)| *name != "CPUQuotaPeriodUSec")
        );
    }

    #[test]
    fn cpu_lists() {
        assert_eq!(bit_mask("cpu", "0-2,7").unwrap(), [0b1000_0111]);
        assert_eq!(bit_mask("cpu", "8").unwrap(), [0, 1]);
        assert_eq!(bit_mask("cpu", "1, 3").unwrap(), [0b1010]);
        for bad in ["x", "3-1", "8192", "0-99999999", "-1", "1-"] {
            assert!(bit_mask("cpu", bad).is_err(), "{bad}");
        }
    }

    const DRIVERS: &str = "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n\
                           136 pts\n188 usb\n189 usb\n\nBlock devices:\n  8 sd\n 65 sd\n";

    #[test]
    fn device_rules_that_can_be_told_and_others() {
        let null = DeviceRule::allow(DeviceKind::Char, Some(1), Some(3), Access::ALL);
        let mknod = DeviceRule::allow(DeviceKind::Block, None, None, Access::MKNOD);
        let pts = DeviceRule::allow(DeviceKind::Char, Some(136), None, Access::READ);
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let told = |rules: &[DeviceRule], cgroups| device_list(rules, DRIVERS, cgroups);
        let all_three = vec![
            pair("block-*", "m"),
            pair("/dev/char/1:3", "rwm"),
            pair("char-pts", "r"),
        ];
        assert_eq!(
            told(&[null, mknod, pts], Version::V2),
            ("strict", all_three)
        );
        // One of two numbers of a driver, and one that has none.
        for major in [188, 200] {
            let rules = [
                null,
                DeviceRule::allow(DeviceKind::Char, Some(major), None, Access::ALL),
            ];
            assert_eq!(told(&rules, Version::V2), ("auto", Vec::new()));
            let only_null = vec![pair("/dev/char/1:3", "rwm")];
            assert_eq!(told(&rules, Version::V1), ("strict", only_null));
        }
        let everything = [DeviceRule::allow(DeviceKind::All, None, None, Access::ALL)];
        assert_eq!(told(&everything, Version::V1), ("auto", Vec::new()));
    }
}
