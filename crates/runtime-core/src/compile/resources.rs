//! The container's cgroup: where it is, and what it limits.

use std::path::PathBuf;

use orlop_cgroups::{Access, Cgroup, CgroupPath, DeviceKind, DeviceRule, Limits, Mode, Version};

use super::{Compiler, limits, unit};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::options::CgroupPolicy;
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
    if compiler.options.cgroup_policy == CgroupPolicy::None {
        if asked.is_some_and(|asked| *asked != spec::Resources::default()) {
            let passed_over = "linux.resources is passed over: the container gets no cgroup";
            compiler.build.warn(passed_over);
        }
        return Ok(None);
    }
    let mut limits = wanted_limits(compiler)?;
    let path = compiler.linux.cgroups_path.as_deref().unwrap_or_default();
    let has_limits = limits != Limits::default();
    let options = compiler.options;
    let is_asked_for = has_limits
        || options.limits.is_some()
        || options.systemd_cgroup
        || !path.is_empty()
        || options.cgroup_policy == CgroupPolicy::BestEffort;
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
    Ok(Some(CgroupPlan {
        path,
        limits,
        delegated_only: confined,
        owner: owner(compiler),
        unit: None,
    }))
}

/// The limits that the caller gives, or else those of the Spec.
fn wanted_limits(compiler: &mut Compiler<'_>) -> Result<Limits> {
    let asked = compiler.linux.resources.as_ref();
    match (&compiler.options.limits, asked) {
        (Some(limits), _) => Ok(limits.clone()),
        (None, None) => Ok(Limits::default()),
        (None, Some(asked)) => {
            let converted = limits::convert(asked, compiler.host.cgroups.mode())?;
            for warning in converted.passed_over {
                compiler.build.warn(warning);
            }
            Ok(converted.limits)
        }
    }
}

fn as_unit(
    compiler: &mut Compiler<'_>,
    path: &str,
    limits: Limits,
    of_user: bool,
) -> Result<CgroupPlan> {
    let annotations = &compiler.spec.annotations;
    let (path, unit) = unit::unit(path, compiler.options.id.as_ref(), of_user, annotations)?;
    Ok(CgroupPlan {
        path,
        limits,
        delegated_only: false,
        owner: owner(compiler),
        unit: Some(unit),
    })
}

/// Whose the cgroup becomes: the container's own user, where it sees its cgroup as the root and may
/// write there (config-linux.md, "Cgroup ownership").
fn owner(compiler: &Compiler<'_>) -> Option<(u32, u32)> {
    let host = compiler.host;
    let private = compiler.namespaces.is_private(libc::CLONE_NEWCGROUP as u32);
    let writable = compiler.spec.mounts.iter().any(|mount| {
        let is_cgroup = matches!(mount.kind.as_deref(), Some("cgroup" | "cgroup2"));
        let is_read_only = mount.options.iter().any(|option| option == "ro");
        is_cgroup && !is_read_only && mount.destination.trim_end_matches('/') == "/sys/fs/cgroup"
    });
    // On v1 nothing below can be handed on safely, and who has no privilege hands nothing on.
    if host.cgroups.mode() != Mode::V2 || !private || !writable || !host.is_privileged() {
        return None;
    }
    let user = &compiler.process.user;
    let linux = compiler.linux;
    let owner = if compiler.namespaces.has_user() {
        let uid = on_host(&linux.uid_mappings, user.uid)?;
        (uid, on_host(&linux.gid_mappings, user.gid)?)
    } else {
        (user.uid, user.gid)
    };
    (owner != (host.uid, host.gid)).then_some(owner)
}

fn on_host(mappings: &[spec::IdMapping], id: u32) -> Option<u32> {
    mappings.iter().find_map(|mapping| {
        let offset = id.checked_sub(mapping.container_id)?;
        (offset < mapping.size).then(|| mapping.host_id.checked_add(offset))?
    })
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
    // runc passes over it, and configurations have it.
    let letters = letters.replace('a', "");
    let access = Access::parse(&letters)
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

#[cfg(test)]
mod tests {
    use orlop_cgroups::Layout;

    use super::*;
    use crate::options::Options;
    use crate::plan::Plan;
    use crate::spec::Spec;

    const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n";

    fn spec(change: impl FnOnce(&mut serde_json::Value)) -> Spec {
        let mut json = serde_json::json!({
            "ociVersion": "1.0.0", "root": { "path": "rootfs" },
            "process": { "args": ["a"], "cwd": "/", "user": { "uid": 5, "gid": 6 } },
            "mounts": [{ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup" }],
            "linux": {
                "namespaces": [{ "type": "mount" }, { "type": "cgroup" }, { "type": "user" }],
                "uidMappings": [{ "containerID": 0, "hostID": 1000, "size": 10 }],
                "gidMappings": [{ "containerID": 0, "hostID": 2000, "size": 10 }],
            },
        });
        change(&mut json);
        Spec::from_slice(json.to_string().as_bytes()).unwrap()
    }

    fn owner_of(host: &Host, change: impl FnOnce(&mut serde_json::Value)) -> Option<(u32, u32)> {
        let options = Options::new("/b").id("c".parse().unwrap());
        let plan = Plan::compile(&spec(change), &options, host).unwrap();
        plan.cgroup.unwrap().owner
    }

    #[test]
    fn a_cgroup_that_the_container_may_manage_becomes_its_user_s() {
        let v2 = Host::root_with(Layout::parse(V2, "0::/\n"));
        assert_eq!(owner_of(&v2, |_| {}), Some((1005, 2006)));
        assert_eq!(owner_of(&v2, no_user_namespace), Some((5, 6)));
    }

    #[test]
    fn any_other_cgroup_stays_the_caller_s() {
        let v2 = Host::root_with(Layout::parse(V2, "0::/\n"));
        let read_only = |json: &mut serde_json::Value| {
            json["mounts"][0]["options"] = serde_json::json!(["ro"]);
        };
        assert_eq!(owner_of(&v2, read_only), None);
        let shared = |json: &mut serde_json::Value| {
            json["linux"]["namespaces"] =
                serde_json::json!([{ "type": "mount" }, { "type": "user" }]);
        };
        assert_eq!(owner_of(&v2, shared), None);
        let root = |json: &mut serde_json::Value| {
            no_user_namespace(json);
            json["process"]["user"] = serde_json::json!({ "uid": 0, "gid": 0 });
        };
        assert_eq!(owner_of(&v2, root), None);
        let unmapped = |json: &mut serde_json::Value| json["process"]["user"]["gid"] = 70.into();
        let compiled = Plan::compile(
            &spec(unmapped),
            &Options::new("/b").id("c".parse().unwrap()),
            &v2,
        );
        assert!(compiled.is_err() || compiled.unwrap().cgroup.unwrap().owner.is_none());
        let v1 = "30 23 0:26 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n";
        let v1 = Host::root_with(Layout::parse(v1, "1:pids:/\n"));
        assert_eq!(owner_of(&v1, |_| {}), None);
    }

    fn no_user_namespace(json: &mut serde_json::Value) {
        json["linux"] =
            serde_json::json!({ "namespaces": [{ "type": "mount" }, { "type": "cgroup" }] });
    }
}
