//! `linux.resources` in the cgroup library's terms.

use std::collections::BTreeMap;

use orlop_cgroups::{
    Bytes, CpuShares, DeviceNumber, DeviceRate, DeviceWeight, HugepageLimit, InterfacePriority,
    Limit, Limits, Micros, Mode, RdmaLimit,
};

use crate::error::{Error, Result};
use crate::spec::{self, BlockIo, Cpu, Memory, Resources, ThrottleDevice};

/// Limits, and what of them was passed over, in sentences for a log.
#[derive(Debug, Default)]
pub(crate) struct Converted {
    pub limits: Limits,
    pub passed_over: Vec<String>,
}

/// All but the device rules, for a host with these versions of cgroups.
///
/// What only the other version has is passed over where callers have always sent it to both: the
/// same configuration is to run on either. What was passed over is said.
pub(crate) fn convert(resources: &Resources, mode: Mode) -> Result<Converted> {
    let mut to = Converted::default();
    if let Some(memory) = &resources.memory {
        set_memory(&mut to, memory, mode)?;
    }
    if let Some(cpu) = &resources.cpu {
        set_cpu(&mut to.limits, cpu)?;
    }
    if let Some(limit) = resources.pids.as_ref().and_then(|pids| pids.limit) {
        to.limits.pids = Some(Limit::from_oci(limit));
    }
    if let Some(io) = &resources.block_io {
        set_block_io(&mut to.limits, io)?;
        if mode == Mode::V2 {
            pass_over_leaf_weights(&mut to);
        }
    }
    set_hugepages(&mut to.limits, &resources.hugepage_limits)?;
    set_rdma(&mut to.limits, &resources.rdma);
    if let Some(network) = &resources.network {
        set_network(&mut to, network, mode);
    }
    to.limits.unified.clone_from(&resources.unified);
    pass_over_weight_of_idle(&mut to);
    Ok(to)
}

/// The kernel takes no weight for a cgroup that is idle, and forgets the one that it had.
fn pass_over_weight_of_idle(converted: &mut Converted) {
    let limits = &mut converted.limits;
    let idle = match limits.unified.get("cpu.idle") {
        Some(value) => value.trim() == "1",
        None => limits.cpu.idle == Some(true),
    };
    if !idle {
        return;
    }
    let dropped = [
        ("cpu.shares", limits.cpu.shares.take().is_some()),
        (
            "unified.cpu.weight",
            limits.unified.remove("cpu.weight").is_some(),
        ),
    ];
    for (field, _) in dropped.into_iter().filter(|(_, dropped)| *dropped) {
        pass_over(
            converted,
            field,
            "the kernel is unable to apply both a weight and cpu.idle",
        );
    }
}

fn pass_over(to: &mut Converted, field: &str, why: &str) {
    to.passed_over
        .push(format!("linux.resources.{field} is passed over: {why}"));
}

const NOT_ON_V2: &str = "cgroup v2 has no such limit";

/// Zero means "not set" for the memory fields, as every producer of Specs has it.
fn bytes(value: Option<i64>) -> Option<Limit<Bytes>> {
    value
        .filter(|value| *value != 0)
        .map(|value| Limit::from_oci(value).map(Bytes))
}

fn set_memory(converted: &mut Converted, memory: &Memory, mode: Mode) -> Result<()> {
    if bytes(memory.kernel).is_some() {
        // The kernel took it away in 5.16, and every producer of Specs once sent it.
        let why = "kernels have no such limit any more";
        pass_over(converted, "memory.kernel", why);
    }
    let to = &mut converted.limits.memory;
    to.limit = bytes(memory.limit);
    to.reservation = bytes(memory.reservation);
    to.swap = bytes(memory.swap);
    to.kernel_tcp = bytes(memory.kernel_tcp);
    to.disable_oom_killer = memory.disable_oom_killer.filter(|disable| *disable);
    to.check_before_update = memory.check_before_update.unwrap_or_default();
    if let Some(swappiness) = memory.swappiness {
        if swappiness > 100 {
            let message = format!("{swappiness} is not between 0 and 100");
            return Err(Error::invalid("linux.resources.memory.swappiness", message));
        }
        to.swappiness = Some(swappiness);
    }
    if mode == Mode::V2 {
        let dropped = [
            ("memory.kernelTCP", to.kernel_tcp.take().is_some()),
            ("memory.swappiness", to.swappiness.take().is_some()),
            (
                "memory.disableOOMKiller",
                to.disable_oom_killer.take().is_some(),
            ),
        ];
        for (field, _) in dropped.into_iter().filter(|(_, dropped)| *dropped) {
            pass_over(converted, field, NOT_ON_V2);
        }
    }
    Ok(())
}

fn micros(value: Option<u64>) -> Option<Micros> {
    value.filter(|value| *value != 0).map(Micros)
}

fn set_cpu(limits: &mut Limits, cpu: &Cpu) -> Result<()> {
    let to = &mut limits.cpu;
    let run_time = |value: Option<i64>| {
        value
            .filter(|value| *value != 0)
            .map(|value| Limit::from_oci(value).map(Micros))
    };
    to.shares = cpu.shares.filter(|shares| *shares != 0).map(CpuShares);
    to.quota = run_time(cpu.quota);
    to.period = micros(cpu.period);
    // None at all is a value, too: it takes back what there was.
    to.burst = cpu.burst.map(Micros);
    to.realtime_runtime = run_time(cpu.realtime_runtime);
    to.realtime_period = micros(cpu.realtime_period);
    to.idle = match cpu.idle {
        None => None,
        Some(0) => Some(false),
        Some(1) => Some(true),
        Some(other) => {
            let message = format!("{other} is neither 0 nor 1");
            return Err(Error::invalid("linux.resources.cpu.idle", message));
        }
    };
    to.cpus = cpu.cpus.clone().filter(|cpus| !cpus.is_empty());
    to.mems = cpu.mems.clone().filter(|mems| !mems.is_empty());
    Ok(())
}

fn device_number(field: &str, major: i64, minor: i64) -> Result<DeviceNumber> {
    let number = |value: i64| {
        u32::try_from(value)
            .map_err(|_| Error::invalid(field, format!("{major}:{minor} is no device number")))
    };
    Ok(DeviceNumber {
        major: number(major)?,
        minor: number(minor)?,
    })
}

fn rates(field: &str, devices: &[ThrottleDevice]) -> Result<Vec<DeviceRate>> {
    let rate = |(index, device): (usize, &ThrottleDevice)| {
        let field = format!("linux.resources.blockIO.{field}[{index}]");
        let number = device_number(&field, device.major, device.minor)?;
        Ok(DeviceRate {
            device: number,
            rate: device.rate,
        })
    };
    devices.iter().enumerate().map(rate).collect()
}

fn set_block_io(limits: &mut Limits, io: &BlockIo) -> Result<()> {
    let to = &mut limits.blkio;
    to.weight = io.weight.filter(|weight| *weight != 0);
    to.leaf_weight = io.leaf_weight.filter(|weight| *weight != 0);
    for (index, device) in io.weight_device.iter().enumerate() {
        let field = format!("linux.resources.blockIO.weightDevice[{index}]");
        to.weight_device.push(DeviceWeight {
            device: device_number(&field, device.major, device.minor)?,
            weight: device.weight,
            leaf_weight: device.leaf_weight,
        });
    }
    to.read_bps = rates("throttleReadBpsDevice", &io.throttle_read_bps_device)?;
    to.write_bps = rates("throttleWriteBpsDevice", &io.throttle_write_bps_device)?;
    to.read_iops = rates("throttleReadIOPSDevice", &io.throttle_read_iops_device)?;
    to.write_iops = rates("throttleWriteIOPSDevice", &io.throttle_write_iops_device)?;
    Ok(())
}

fn pass_over_leaf_weights(to: &mut Converted) {
    let io = &mut to.limits.blkio;
    let mut dropped = io.leaf_weight.take().is_some();
    for device in &mut io.weight_device {
        dropped |= device.leaf_weight.take().is_some();
    }
    if dropped {
        pass_over(to, "blockIO.leafWeight", NOT_ON_V2);
    }
}

fn set_hugepages(limits: &mut Limits, asked: &[spec::HugepageLimit]) -> Result<()> {
    for (index, asked) in asked.iter().enumerate() {
        let page_size = asked.page_size.parse().map_err(|_| {
            let field = format!("linux.resources.hugepageLimits[{index}].pageSize");
            let message = format!(
                "{:?} is no page size such as 64KB, 2MB, 1GB",
                asked.page_size
            );
            Error::invalid(field, message)
        })?;
        limits.hugepages.push(HugepageLimit {
            page_size,
            limit: Limit::Value(Bytes(asked.limit)),
        });
    }
    Ok(())
}

fn set_rdma(limits: &mut Limits, asked: &BTreeMap<String, spec::Rdma>) {
    let all = asked.iter().map(|(device, rdma)| RdmaLimit {
        device: device.clone(),
        handles: rdma.hca_handles.map(Limit::Value),
        objects: rdma.hca_objects.map(Limit::Value),
    });
    limits.rdma.extend(all);
}

fn set_network(to: &mut Converted, network: &spec::Network, mode: Mode) {
    // A class of 0 is none.
    let class_id = network.class_id.filter(|class_id| *class_id != 0);
    let is_asked_for = class_id.is_some() || !network.priorities.is_empty();
    if mode == Mode::V2 {
        if is_asked_for {
            pass_over(to, "network", NOT_ON_V2);
        }
        return;
    }
    let limits = &mut to.limits.network;
    limits.class_id = class_id;
    let priorities = network.priorities.iter().map(|one| InterfacePriority {
        interface: one.name.clone(),
        priority: one.priority,
    });
    limits.priorities.extend(priorities);
}

#[cfg(test)]
mod tests {
    use orlop_cgroups::NetworkLimits;

    use super::*;

    fn parsed(json: &str) -> Resources {
        serde_json::from_str(json).unwrap()
    }

    const ALL: &str = r#"{
        "memory": {"limit": 4096, "kernel": 4096, "kernelTCP": 8192, "swappiness": 7,
                   "disableOOMKiller": true, "checkBeforeUpdate": true},
        "cpu": {"idle": 1, "burst": 5, "realtimeRuntime": 7, "realtimePeriod": 9},
        "blockIO": {"weight": 10, "leafWeight": 20,
                    "weightDevice": [{"major": 8, "minor": 0, "weight": 30, "leafWeight": 40}],
                    "throttleReadBpsDevice": [{"major": 8, "minor": 1, "rate": 50}]},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}],
        "rdma": {"mlx5_0": {"hcaHandles": 2}},
        "network": {"classID": 65537, "priorities": [{"name": "eth0", "priority": 3}]},
        "unified": {"memory.high": "5000"}
    }"#;

    #[test]
    fn v1_gets_all_that_the_kernel_still_has() {
        let Converted {
            limits,
            passed_over,
        } = convert(&parsed(ALL), Mode::V1).unwrap();
        let why = "kernels have no such limit any more";
        let kernel = format!("linux.resources.memory.kernel is passed over: {why}");
        assert_eq!(passed_over, [kernel]);
        assert_eq!(limits.memory.kernel, None);
        assert_eq!(limits.memory.kernel_tcp, Some(Limit::Value(Bytes(8192))));
        assert_eq!(limits.memory.swappiness, Some(7));
        assert_eq!(limits.memory.disable_oom_killer, Some(true));
        assert!(limits.memory.check_before_update);
        assert_eq!(
            (limits.cpu.idle, limits.cpu.burst),
            (Some(true), Some(Micros(5)))
        );
        assert_eq!(limits.cpu.realtime_runtime, Some(Limit::Value(Micros(7))));
        assert_eq!(limits.blkio.leaf_weight, Some(20));
        assert_eq!(limits.blkio.read_bps[0].rate, 50);
        assert_eq!(limits.hugepages[0].page_size.to_string(), "2MB");
        assert_eq!(limits.rdma[0].handles, Some(Limit::Value(2)));
        assert_eq!(limits.network.class_id, Some(65537));
        assert_eq!(limits.network.priorities[0].interface, "eth0");
        assert_eq!(limits.unified["memory.high"], "5000");
    }

    #[test]
    fn on_v2_what_only_v1_has_is_passed_over_and_said() {
        let Converted {
            limits,
            passed_over,
        } = convert(&parsed(ALL), Mode::V2).unwrap();
        let fields = [
            "memory.kernel",
            "memory.kernelTCP",
            "memory.swappiness",
            "memory.disableOOMKiller",
            "blockIO.leafWeight",
            "network",
        ];
        assert_eq!(passed_over.len(), fields.len());
        for (said, field) in passed_over.iter().zip(fields) {
            assert!(
                said.starts_with(&format!("linux.resources.{field} ")),
                "{said}"
            );
        }
        assert_eq!(limits.rdma[0].handles, Some(Limit::Value(2)));
        assert_eq!(limits.blkio.weight_device[0].leaf_weight, None);
        assert_eq!(limits.blkio.weight_device[0].weight, Some(30));
        assert_eq!(limits.network, NetworkLimits::default());
    }

    #[test]
    fn an_idle_cgroup_has_no_weight() {
        for (json, fields) in [
            (
                r#"{"cpu": {"shares": 200, "idle": 1}, "unified": {"cpu.weight": "8"}}"#,
                &["cpu.shares", "unified.cpu.weight"][..],
            ),
            (
                r#"{"unified": {"cpu.idle": "1\n", "cpu.weight": "8"}}"#,
                &["unified.cpu.weight"],
            ),
            (
                r#"{"cpu": {"shares": 200, "idle": 1}, "unified": {"cpu.idle": "0"}}"#,
                &[],
            ),
            (r#"{"cpu": {"shares": 200, "idle": 0}}"#, &[]),
        ] {
            let converted = convert(&parsed(json), Mode::V2).unwrap();
            let why = "the kernel is unable to apply both a weight and cpu.idle";
            let said = |field| format!("linux.resources.{field} is passed over: {why}");
            let expected: Vec<_> = fields.iter().map(said).collect();
            assert_eq!(converted.passed_over, expected, "{json}");
            let limits = converted.limits;
            let left = limits.cpu.shares.is_some() || limits.unified.contains_key("cpu.weight");
            assert_eq!(left, fields.is_empty(), "{json}");
        }
    }

    #[test]
    fn zeros_and_empty_lists_ask_for_nothing() {
        let nothing = r#"{"memory": {"limit": 0, "kernel": 0, "kernelTCP": 0, "disableOOMKiller": false},
            "cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "", "mems": ""},
            "blockIO": {"weight": 0, "leafWeight": 0}, "network": {"classID": 0},
            "hugepageLimits": [], "rdma": {}, "unified": {}}"#;
        let Converted {
            limits,
            passed_over,
        } = convert(&parsed(nothing), Mode::V2).unwrap();
        assert_eq!(limits, Limits::default());
        assert!(passed_over.is_empty());
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (json, field) in [
            (
                r#"{"hugepageLimits": [{"pageSize": "2 MB", "limit": 1}]}"#,
                "linux.resources.hugepageLimits[0].pageSize: ",
            ),
            (
                r#"{"memory": {"swappiness": 101}}"#,
                "linux.resources.memory.swappiness: ",
            ),
            (r#"{"cpu": {"idle": 2}}"#, "linux.resources.cpu.idle: "),
        ] {
            let error = convert(&parsed(json), Mode::V1).unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
    }
}
