//! Limits of the specification in the cgroup library's terms.

use std::path::PathBuf;

use orlop_cgroups::{
    Access, Bytes, Cgroup, CgroupPath, CpuShares, DeviceKind, DeviceNumber, DeviceRate, DeviceRule,
    DeviceWeight, Limit, Limits, Micros, Version,
};

use super::Compiler;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::plan::CgroupPlan;
use crate::spec::{self, BlockIo, Cpu, Memory, Resources, ThrottleDevice};

/// The container's directories in the v1 hierarchies; in the unified one it is born.
pub(super) fn v1_directories(host: &Host, path: &CgroupPath) -> Vec<PathBuf> {
    let places = Cgroup::plan_paths(&host.cgroups, path)
        .into_iter()
        .zip(host.cgroups.hierarchies());
    let v1 = places.filter(|(_, hierarchy)| hierarchy.version() == Version::V1);
    v1.map(|(place, _)| place.path).collect()
}

/// The container's cgroup; none where it can't have one and nothing asks for it.
pub(super) fn cgroup(compiler: &Compiler<'_>) -> Result<Option<CgroupPlan>> {
    let host = compiler.host;
    let confined = !host.is_privileged() || host.in_user_namespace;
    let asked = compiler.linux.resources.as_ref();
    let mut limits = match &compiler.options.limits {
        Some(limits) => limits.clone(),
        None => asked.map(limits).transpose()?.unwrap_or_default(),
    };
    let path = compiler.linux.cgroups_path.as_deref().unwrap_or_default();
    let has_limits = limits != Limits::default();
    let is_asked_for = has_limits || compiler.options.limits.is_some();
    if compiler.options.no_cgroup || (confined && !is_asked_for) {
        return Ok(None);
    }
    if host.cgroups.hierarchies().is_empty() && !has_limits {
        return Ok(None);
    }
    // Who can't make device nodes needs no list of those that may be used, and may not set one.
    if !confined {
        let mut rules = limits.devices.take().unwrap_or_default();
        rules.extend(device_rules(asked.map_or(&[], |asked| &asked.devices))?);
        limits.devices = Some(rules);
    }
    let default_path = compiler.options.id.as_ref().map(|id| format!("/{id}"));
    let path = match (path, default_path) {
        ("", Some(id)) => id,
        ("", None) => {
            return Err(Error::invalid(
                "linux.cgroupsPath",
                "missing; limits need a cgroup",
            ));
        }
        (path, _) => path.to_owned(),
    };
    if !path.starts_with('/') && path.contains(':') {
        let message = format!(
            "{path:?} names a systemd slice and scope, which is not supported yet; name a path"
        );
        return Err(Error::invalid("linux.cgroupsPath", message));
    }
    let path = CgroupPath::new(&path)
        .map_err(|error| Error::invalid("linux.cgroupsPath", error.to_string()))?;
    Ok(Some(CgroupPlan { path, limits }))
}

/// All but the device rules.
pub(crate) fn limits(resources: &Resources) -> Result<Limits> {
    let mut limits = Limits::new();
    if let Some(memory) = &resources.memory {
        set_memory(&mut limits, memory)?;
    }
    if let Some(cpu) = &resources.cpu {
        set_cpu(&mut limits, cpu)?;
    }
    if let Some(limit) = resources.pids.as_ref().and_then(|pids| pids.limit) {
        limits.pids = Some(Limit::from_oci(limit));
    }
    if let Some(io) = &resources.block_io {
        set_block_io(&mut limits, io)?;
    }
    Ok(limits)
}

/// Zero means "not set" for the memory fields, as every producer of Specs has it.
fn bytes(value: Option<i64>) -> Option<Limit<Bytes>> {
    value
        .filter(|value| *value != 0)
        .map(|value| Limit::from_oci(value).map(Bytes))
}

fn set_memory(limits: &mut Limits, memory: &Memory) -> Result<()> {
    let to = &mut limits.memory;
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
    to.burst = micros(cpu.burst);
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

/// Devices that every container may use, whatever the list says: kind, major, minor, access.
const ALWAYS: [(DeviceKind, Option<u32>, Option<u32>, Access); 10] = [
    (DeviceKind::Char, None, None, Access::MKNOD),
    (DeviceKind::Block, None, None, Access::MKNOD),
    (DeviceKind::Char, Some(1), Some(3), Access::ALL),
    (DeviceKind::Char, Some(1), Some(5), Access::ALL),
    (DeviceKind::Char, Some(1), Some(7), Access::ALL),
    (DeviceKind::Char, Some(1), Some(8), Access::ALL),
    (DeviceKind::Char, Some(1), Some(9), Access::ALL),
    (DeviceKind::Char, Some(5), Some(0), Access::ALL),
    (DeviceKind::Char, Some(5), Some(2), Access::ALL),
    (DeviceKind::Char, Some(136), None, Access::ALL),
];

/// The list always starts from "deny all": one that only allows is no block-list.
fn device_rules(asked: &[spec::DeviceRule]) -> Result<Vec<DeviceRule>> {
    let mut rules = Vec::with_capacity(asked.len() + ALWAYS.len());
    for (index, rule) in asked.iter().enumerate() {
        rules.push(device_rule(
            rule,
            &format!("linux.resources.devices[{index}]"),
        )?);
    }
    let always = ALWAYS
        .iter()
        .map(|&(kind, major, minor, access)| DeviceRule {
            allow: true,
            kind,
            major,
            minor,
            access,
        });
    rules.extend(always);
    Ok(rules)
}

fn device_rule(rule: &spec::DeviceRule, field: &str) -> Result<DeviceRule> {
    let kind = match rule.kind.as_deref().unwrap_or("a") {
        "a" | "" => DeviceKind::All,
        "b" => DeviceKind::Block,
        "c" | "u" => DeviceKind::Char,
        other => {
            return Err(Error::invalid(
                field,
                format!("type: {other:?} is none of a, b, c"),
            ));
        }
    };
    let letters = rule
        .access
        .as_deref()
        .filter(|letters| !letters.is_empty())
        .unwrap_or("rwm");
    let access = Access::parse(letters)
        .ok_or_else(|| Error::invalid(field, format!("access: {letters:?} is not of r, w, m")))?;
    // Absent and -1 both stand for "any".
    let number = |value: Option<i64>| match value {
        None | Some(-1) => Ok(None),
        Some(value) => u32::try_from(value)
            .map(Some)
            .map_err(|_| Error::invalid(field, format!("{value} is no device number"))),
    };
    Ok(DeviceRule {
        allow: rule.allow,
        kind,
        major: number(rule.major)?,
        minor: number(rule.minor)?,
        access,
    })
}
