//! The container's cgroup: where it is, and what it limits.

use std::path::PathBuf;

use orlop_cgroups::{Access, Cgroup, CgroupPath, DeviceKind, DeviceRule, Limits, Version};

use super::{Compiler, limits, unit};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::plan::CgroupPlan;
use crate::spec;

/// The container's directories in the v1 hierarchies; in the unified one it is born.
pub(super) fn v1_directories(host: &Host, path: &CgroupPath) -> Vec<PathBuf> {
    let places = Cgroup::plan_paths(&host.cgroups, path)
        .into_iter()
        .zip(host.cgroups.hierarchies());
    let v1 = places.filter(|(_, hierarchy)| hierarchy.version() == Version::V1);
    v1.map(|(place, _)| place.path).collect()
}

/// The container's cgroup; none where it can't have one and nothing asks for it.
pub(super) fn cgroup(compiler: &mut Compiler<'_>) -> Result<Option<CgroupPlan>> {
    let host = compiler.host;
    let confined = !host.is_privileged() || host.in_user_namespace;
    let asked = compiler.linux.resources.as_ref();
    let mut limits = match (&compiler.options.limits, asked) {
        (Some(limits), _) => limits.clone(),
        (None, None) => Limits::default(),
        (None, Some(asked)) => {
            let converted = limits::convert(asked, host.cgroups.mode())?;
            for warning in converted.passed_over {
                compiler.build.warn(warning);
            }
            converted.limits
        }
    };
    let path = compiler.linux.cgroups_path.as_deref().unwrap_or_default();
    let has_limits = limits != Limits::default();
    let is_asked_for =
        has_limits || compiler.options.limits.is_some() || compiler.options.systemd_cgroup;
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
    if compiler.options.systemd_cgroup {
        return as_unit(compiler, path, limits, confined).map(Some);
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
            "{path:?} names a slice and a scope of systemd: ask for systemd's cgroups, or name a path"
        );
        return Err(Error::invalid("linux.cgroupsPath", message));
    }
    let path = CgroupPath::new(&path)
        .map_err(|error| Error::invalid("linux.cgroupsPath", error.to_string()))?;
    let unit = None;
    Ok(Some(CgroupPlan { path, limits, unit }))
}

/// Annotations that start with this set properties of the unit.
const UNIT_PROPERTY: &str = "org.systemd.property.";

fn as_unit(
    compiler: &mut Compiler<'_>,
    path: &str,
    limits: Limits,
    of_user: bool,
) -> Result<CgroupPlan> {
    let (path, unit) = unit::unit(path, compiler.options.id.as_ref(), of_user)?;
    for name in compiler.spec.annotations.keys() {
        if name.starts_with(UNIT_PROPERTY) {
            compiler.build.warn(format!(
                "annotations.{name} is passed over: not supported yet"
            ));
        }
    }
    let unit = Some(unit);
    Ok(CgroupPlan { path, limits, unit })
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
