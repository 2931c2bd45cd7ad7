//! Limits as v2 takes them (Documentation/admin-guide/cgroup-v2.rst of the kernel).

use crate::controller::Controller::{Blkio, Cpu, Memory};
use crate::convert::{blkio_weight_to_io_weight, shares_to_weight, v2_swap_limit};
use crate::error::{Error, Result};
use crate::limits::{BlkioLimits, CpuLimits, DeviceRate, MemoryLimits};
use crate::setting::{Setting, bound};
use crate::units::{Bytes, Limit};

/// What has no counterpart on v2 is an error where it asks for something.
fn refuse<const N: usize>(asked_for: [(&'static str, bool); N]) -> Result<()> {
    asked_for
        .into_iter()
        .find(|(_, asked_for)| *asked_for)
        .map_or(Ok(()), |(field, _)| {
            let reason = "cgroup v2 has no such limit (leave it out on this host)".to_owned();
            Err(Error::Unsupported { field, reason })
        })
}

pub(crate) fn memory(memory: &MemoryLimits) -> Result<Vec<Setting>> {
    let bounds = |limit: Option<Limit<Bytes>>| limit.is_some_and(|limit| limit != Limit::Max);
    refuse([
        ("memory.kernel", bounds(memory.kernel)),
        ("memory.kernelTCP", bounds(memory.kernel_tcp)),
        ("memory.swappiness", memory.swappiness.is_some()),
        (
            "memory.disableOOMKiller",
            memory.disable_oom_killer == Some(true),
        ),
    ])?;
    // Without swap the kernel has no file for it, and cannot exceed any bound.
    let swap = v2_swap_limit(memory.limit, memory.swap)?.map(|swap| {
        Setting::new(Memory, "memory.swap", "memory.swap.max", bound(swap, "max"))
            .or_ignore_if(matches!(swap, Limit::Max | Limit::Value(Bytes(0))))
    });
    let one = |field, file, limit: Option<Limit<_>>| {
        limit.map(|limit| Setting::new(Memory, field, file, bound(limit, "max")))
    };
    Ok([
        swap,
        one("memory.limit", "memory.max", memory.limit),
        one("memory.reservation", "memory.low", memory.reservation),
        memory.oom_group.map(|group| {
            Setting::new(
                Memory,
                "memory.oom.group",
                "memory.oom.group",
                u8::from(group),
            )
        }),
    ]
    .into_iter()
    .flatten()
    .collect())
}

pub(crate) fn cpu(cpu: &CpuLimits) -> Result<Vec<Setting>> {
    refuse([
        ("cpu.realtimeRuntime", cpu.realtime_runtime.is_some()),
        ("cpu.realtimePeriod", cpu.realtime_period.is_some()),
    ])?;
    let idle = cpu
        .idle
        // Older kernels have none that is idle.
        .map(|idle| Setting::new(Cpu, "cpu.idle", "cpu.idle", u8::from(idle)).or_ignore_if(!idle));
    let weight = cpu
        .shares
        .map(|shares| Setting::new(Cpu, "cpu.shares", "cpu.weight", shares_to_weight(shares)));
    // The kernel refuses a weight while a cgroup is idle.
    let (first, second) = if cpu.idle == Some(false) {
        (idle, weight)
    } else {
        (weight, idle)
    };
    // A quota alone keeps the period that is set. A period alone cannot be written;
    // a new cgroup has no quota.
    let max = match (cpu.quota, cpu.period) {
        (None, None) => None,
        (Some(quota), None) => Some(bound(quota, "max")),
        (quota, Some(period)) => Some(format!(
            "{} {period}",
            bound(quota.unwrap_or(Limit::Max), "max")
        )),
    };
    Ok([
        first,
        second,
        max.map(|max| Setting::new(Cpu, "cpu.quota", "cpu.max", max)),
        cpu.burst
            .map(|burst| Setting::new(Cpu, "cpu.burst", "cpu.max.burst", burst)),
    ]
    .into_iter()
    .flatten()
    .collect())
}

pub(crate) fn blkio(blkio: &BlkioLimits) -> Result<Vec<Setting>> {
    let leaf_weight = blkio.leaf_weight.is_some()
        || blkio
            .weight_device
            .iter()
            .any(|entry| entry.leaf_weight.is_some());
    refuse([("blockIO.leafWeight", leaf_weight)])?;
    let mut settings = Vec::new();
    // BFQ, where it is in use, has the weight under its own name and on v1's scale.
    settings.extend(blkio.weight.map(|weight| {
        Setting::new(Blkio, "blockIO.weight", "io.bfq.weight", weight).or_instead(
            "io.weight",
            format!("default {}", blkio_weight_to_io_weight(weight)),
        )
    }));
    for entry in &blkio.weight_device {
        settings.extend(entry.weight.map(|weight| {
            let device = entry.device;
            Setting::new(
                Blkio,
                "blockIO.weightDevice",
                "io.bfq.weight",
                format!("{device} {weight}"),
            )
            .or_instead(
                "io.weight",
                format!("{device} {}", blkio_weight_to_io_weight(weight)),
            )
        }));
    }
    let throttles: [(_, _, &[DeviceRate]); 4] = [
        ("blockIO.throttleReadBpsDevice", "rbps", &blkio.read_bps),
        ("blockIO.throttleWriteBpsDevice", "wbps", &blkio.write_bps),
        ("blockIO.throttleReadIOPSDevice", "riops", &blkio.read_iops),
        (
            "blockIO.throttleWriteIOPSDevice",
            "wiops",
            &blkio.write_iops,
        ),
    ];
    for (field, key, rates) in throttles {
        settings.extend(rates.iter().map(|DeviceRate { device, rate }| {
            let rate = if *rate == 0 {
                "max".to_owned()
            } else {
                rate.to_string()
            };
            Setting::new(Blkio, field, "io.max", format!("{device} {key}={rate}"))
        }));
    }
    Ok(settings)
}
