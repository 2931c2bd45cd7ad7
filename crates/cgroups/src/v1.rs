//! Limits as v1 takes them (Documentation/admin-guide/cgroup-v1 of the kernel).

use crate::controller::Controller::{Blkio, Cpu, Devices, Memory, NetCls, NetPrio};
use crate::device::ListWrite;
use crate::error::{Error, Result};
use crate::limits::{BlkioLimits, CpuLimits, DeviceRate, MemoryLimits, NetworkLimits};
use crate::setting::{Setting, bound};
use crate::units::{Limit, Micros};

pub(crate) fn memory(memory: &MemoryLimits) -> Result<Vec<Setting>> {
    if memory.oom_group == Some(true) {
        return Err(Error::Unsupported {
            field: "memory.oom.group",
            reason: "cgroup v1 has no such limit (leave it out on this host)".into(),
        });
    }
    let bytes = |field, file, limit: Option<Limit<_>>| {
        limit.map(|limit| Setting::new(Memory, field, file, bound(limit, "-1")))
    };
    // A new cgroup has no bound of either kind, and memory+swap may not be below
    // memory: memory goes first. An update for which that is the wrong order has
    // its first write refused, and repeated after the second.
    let swap = match (memory.limit, memory.swap) {
        (Some(Limit::Max), None) => Some(Limit::Max),
        (_, swap) => swap,
    };
    let asked_for = memory.swap.is_some();
    let swap = bytes("memory.swap", "memory.memsw.limit_in_bytes", swap)
        .map(|setting| setting.or_ignore_if(!asked_for));
    Ok([
        bytes("memory.limit", "memory.limit_in_bytes", memory.limit),
        swap,
        bytes(
            "memory.reservation",
            "memory.soft_limit_in_bytes",
            memory.reservation,
        ),
        bytes("memory.kernel", "memory.kmem.limit_in_bytes", memory.kernel),
        bytes(
            "memory.kernelTCP",
            "memory.kmem.tcp.limit_in_bytes",
            memory.kernel_tcp,
        ),
        memory
            .swappiness
            .map(|value| Setting::new(Memory, "memory.swappiness", "memory.swappiness", value)),
        memory.disable_oom_killer.map(|off| {
            Setting::new(
                Memory,
                "memory.disableOOMKiller",
                "memory.oom_control",
                u8::from(off),
            )
        }),
    ]
    .into_iter()
    .flatten()
    .collect())
}

pub(crate) fn cpu(cpu: &CpuLimits) -> Vec<Setting> {
    let one = |field, file, value: Option<String>| {
        value.map(|value| Setting::new(Cpu, field, file, value))
    };
    let micros = |value: Option<Micros>| value.map(|value| value.to_string());
    let time = |limit: Option<Limit<Micros>>| limit.map(|limit| bound(limit, "-1"));
    // The kernel refuses shares while a cgroup is idle: waking it up goes first,
    // putting it to sleep last.
    let idle = one(
        "cpu.idle",
        "cpu.idle",
        cpu.idle.map(|idle| u8::from(idle).to_string()),
    );
    let shares = one(
        "cpu.shares",
        "cpu.shares",
        cpu.shares.map(|shares| shares.to_string()),
    );
    let (first, second) = if cpu.idle == Some(false) {
        (idle, shares)
    } else {
        (shares, idle)
    };
    [
        first,
        second,
        one(
            "cpu.realtimePeriod",
            "cpu.rt_period_us",
            micros(cpu.realtime_period),
        ),
        one(
            "cpu.realtimeRuntime",
            "cpu.rt_runtime_us",
            time(cpu.realtime_runtime),
        ),
        one("cpu.period", "cpu.cfs_period_us", micros(cpu.period)),
        one("cpu.quota", "cpu.cfs_quota_us", time(cpu.quota)),
        one("cpu.burst", "cpu.cfs_burst_us", micros(cpu.burst)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

pub(crate) fn blkio(blkio: &BlkioLimits) -> Vec<Setting> {
    let mut settings = Vec::new();
    // The weights belong to the io scheduler: BFQ has them under its own name,
    // older kernels' CFQ had them without.
    settings.extend(blkio.weight.map(|weight| {
        Setting::new(Blkio, "blockIO.weight", "blkio.bfq.weight", weight)
            .or_instead("blkio.weight", weight)
    }));
    settings.extend(
        blkio
            .leaf_weight
            .map(|weight| Setting::new(Blkio, "blockIO.leafWeight", "blkio.leaf_weight", weight)),
    );
    for entry in &blkio.weight_device {
        settings.extend(entry.weight.map(|weight| {
            let value = format!("{} {weight}", entry.device);
            Setting::new(
                Blkio,
                "blockIO.weightDevice",
                "blkio.bfq.weight_device",
                &value,
            )
            .or_instead("blkio.weight_device", value)
        }));
        settings.extend(entry.leaf_weight.map(|weight| {
            let value = format!("{} {weight}", entry.device);
            Setting::new(
                Blkio,
                "blockIO.weightDevice",
                "blkio.leaf_weight_device",
                value,
            )
        }));
    }
    let throttles: [(_, _, &[DeviceRate]); 4] = [
        (
            "blockIO.throttleReadBpsDevice",
            "blkio.throttle.read_bps_device",
            &blkio.read_bps,
        ),
        (
            "blockIO.throttleWriteBpsDevice",
            "blkio.throttle.write_bps_device",
            &blkio.write_bps,
        ),
        (
            "blockIO.throttleReadIOPSDevice",
            "blkio.throttle.read_iops_device",
            &blkio.read_iops,
        ),
        (
            "blockIO.throttleWriteIOPSDevice",
            "blkio.throttle.write_iops_device",
            &blkio.write_iops,
        ),
    ];
    for (field, file, rates) in throttles {
        settings.extend(rates.iter().map(|DeviceRate { device, rate }| {
            Setting::new(Blkio, field, file, format!("{device} {rate}"))
        }));
    }
    settings
}

pub(crate) fn network(network: &NetworkLimits) -> Vec<Setting> {
    let class = network
        .class_id
        .map(|id| Setting::new(NetCls, "network.classID", "net_cls.classid", id));
    let priorities = network.priorities.iter().map(|entry| {
        let value = format!("{} {}", entry.interface, entry.priority);
        Setting::new(NetPrio, "network.priorities", "net_prio.ifpriomap", value)
    });
    class.into_iter().chain(priorities).collect()
}

/// Writes to the device lists, as settings.
pub(crate) fn devices(writes: Vec<ListWrite>) -> impl Iterator<Item = Setting> {
    writes
        .into_iter()
        .map(|write| Setting::new(Devices, "devices", write.file, write.value))
}
