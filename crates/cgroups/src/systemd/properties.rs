//! Limits as properties of a unit (systemd.resource-control(5)), so that systemd
//! keeps them when it writes the cgroup's files anew.

use super::wire::Value;
use crate::convert::{blkio_weight_to_io_weight, shares_to_weight, v2_swap_limit};
use crate::device::{DeviceKind, DeviceList, DeviceRule};
use crate::error::{Error, Result};
use crate::limits::{CpuLimits, Limits};
use crate::units::{Bytes, Limit, Micros};

/// What systemd takes for "no bound".
const INFINITY: u64 = u64::MAX;

/// The highest CPU or node number accepted in a list.
const MAX_CPU: usize = 8191;

/// The properties for these limits that this version of systemd has. The rest
/// is written into the delegated cgroup.
pub(super) fn from_limits(limits: &Limits, version: u32) -> Result<Vec<(&'static str, Value)>> {
    limits.check()?;
    let bytes = |limit: Limit<Bytes>| Value::U64(limit.value().map_or(INFINITY, |bytes| bytes.0));
    let memory = &limits.memory;
    let swap = v2_swap_limit(memory.limit, memory.swap).unwrap_or_default();
    let mut properties = Vec::new();
    properties.extend(memory.limit.map(|limit| ("MemoryMax", bytes(limit))));
    properties.extend(memory.reservation.map(|limit| ("MemoryLow", bytes(limit))));
    properties.extend(swap.map(|limit| ("MemorySwapMax", bytes(limit))));
    properties.extend(cpu(&limits.cpu, version));
    properties.extend(limits.pids.map(|limit| {
        // Zero is no bound that systemd knows; the cgroup itself has it.
        let tasks = limit.value().unwrap_or(INFINITY);
        ("TasksMax", Value::U64(tasks.max(1)))
    }));
    let weight = limits.blkio.weight.map(blkio_weight_to_io_weight);
    properties.extend(weight.map(|weight| ("IOWeight", Value::U64(weight))));
    if version >= 244 {
        for (name, list) in [
            ("AllowedCPUs", &limits.cpu.cpus),
            ("AllowedMemoryNodes", &limits.cpu.mems),
        ] {
            if let Some(list) = list {
                properties.push((name, Value::Bytes(bit_mask(name, list)?)));
            }
        }
    }
    if let Some(rules) = &limits.devices {
        properties.extend(devices(rules));
    }
    Ok(properties)
}

fn cpu(cpu: &CpuLimits, version: u32) -> Vec<(&'static str, Value)> {
    let mut properties = Vec::new();
    // 0 means idle, from version 252.
    let weight = match (cpu.idle, cpu.shares) {
        (Some(true), _) if version >= 252 => Some(0),
        (_, shares) => shares.map(shares_to_weight),
    };
    properties.extend(weight.map(|weight| ("CPUWeight", Value::U64(weight))));
    let Some(quota) = cpu.quota else {
        return properties;
    };
    let period = cpu.period.unwrap_or(Micros(100_000)).0.max(1);
    let per_second = match quota {
        Limit::Max => INFINITY,
        // systemd counts in steps of 1 %; upwards, as the cgroup has the exact value.
        Limit::Value(Micros(quota)) => {
            let exact = u128::from(quota) * 1_000_000 / u128::from(period);
            u64::try_from(exact.next_multiple_of(10_000)).unwrap_or(INFINITY)
        }
    };
    properties.push(("CPUQuotaPerSecUSec", Value::U64(per_second)));
    if version >= 242 {
        properties.push(("CPUQuotaPeriodUSec", Value::U64(period)));
    }
    properties
}

/// A list like `0-2,7` as a mask, lowest CPU in the lowest bit of the first byte.
fn bit_mask(field: &'static str, list: &str) -> Result<Vec<u8>> {
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

/// The rules as systemd can be told them. Its own program and ours are both
/// asked for every access, so that one that cannot be told must not be refused
/// by systemd: then it is told to allow everything.
fn devices(rules: &[DeviceRule]) -> Vec<(&'static str, Value)> {
    let told = DeviceList::from_rules(rules)
        .ok()
        .and_then(|list| tell(&list.to_rules()));
    let (policy, allowed) = told.map_or(("auto", Vec::new()), |allowed| ("strict", allowed));
    vec![
        ("DevicePolicy", Value::Str(policy.into())),
        // A list is added to the one that is there; an empty one takes that away.
        ("DeviceAllow", Value::Pairs(Vec::new())),
        ("DeviceAllow", Value::Pairs(allowed)),
    ]
}

fn tell(rules: &[DeviceRule]) -> Option<Vec<(String, String)>> {
    // The first one is for every device: only what denies can be given as a list.
    let (first, rest) = rules.split_first()?;
    if first.allow {
        return None;
    }
    rest.iter()
        .map(|rule| Some((tell_device(rule)?, rule.access.to_string())))
        .collect()
}

fn tell_device(rule: &DeviceRule) -> Option<String> {
    let kind = match rule.kind {
        DeviceKind::Char => "char",
        DeviceKind::Block => "block",
        DeviceKind::All => return None,
    };
    match (rule.major, rule.minor) {
        (None, None) => Some(format!("{kind}-*")),
        (Some(major), Some(minor)) => Some(format!("/dev/{kind}/{major}:{minor}")),
        // Drivers go by name there, which need not be known on this host.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Access;

    fn of(limits: &Limits, version: u32) -> Vec<(&'static str, Value)> {
        from_limits(limits, version).unwrap()
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
                ("CPUQuotaPerSecUSec", Value::U64(130_000)),
                ("CPUQuotaPeriodUSec", Value::U64(100_000)),
                ("TasksMax", Value::U64(u64::MAX)),
                ("IOWeight", Value::U64(910)),
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

    #[test]
    fn device_rules_that_can_be_told_and_others() {
        let null = DeviceRule::allow(DeviceKind::Char, Some(1), Some(3), Access::ALL);
        let mknod = DeviceRule::allow(DeviceKind::Block, None, None, Access::MKNOD);
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            devices(&[null, mknod]),
            [
                ("DevicePolicy", Value::Str("strict".into())),
                ("DeviceAllow", Value::Pairs(vec![])),
                (
                    "DeviceAllow",
                    Value::Pairs(vec![pair("block-*", "m"), pair("/dev/char/1:3", "rwm")])
                ),
            ]
        );
        let pts = DeviceRule::allow(DeviceKind::Char, Some(136), None, Access::ALL);
        let everything = DeviceRule::allow(DeviceKind::All, None, None, Access::ALL);
        for rules in [vec![null, pts], vec![everything]] {
            assert_eq!(
                devices(&rules)[0],
                ("DevicePolicy", Value::Str("auto".into()))
            );
        }
    }
}
