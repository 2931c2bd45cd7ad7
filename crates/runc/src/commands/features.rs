//! `features`: what this program can do, whatever the host can.

use std::collections::BTreeMap;

use orlop::spec::OCI_VERSION;
use orlop::{features, seccomp};
use serde::Serialize;
use serde_json::ser::PrettyFormatter;

use crate::cli::{Argument, Arity, Command, Matches};
use crate::context::Context;
use crate::failure::Failure;

pub(super) const COMMAND: Command = Command {
    name: "features",
    summary: "show what this program can do",
    arguments: "",
    first_argument: Argument::Free,
    description: "Prints the features structure of the OCI runtime specification, as JSON: hooks, mount \
                  options, namespaces, capabilities, cgroups, seccomp. It tells of this program, not of \
                  the host that it runs on.",
    flags: &[],
    arity: Arity::Exactly(0),
    passes_on: false,
    run,
};

/// The oldest version of the specification whose configurations are understood.
const OLDEST_VERSION: &str = "1.0.0";

/// The features structure, see `features.md` and `features-linux.md`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Features {
    oci_version_min: &'static str,
    oci_version_max: &'static str,
    hooks: Vec<&'static str>,
    mount_options: Vec<String>,
    linux: Linux,
    annotations: BTreeMap<&'static str, String>,
    /// Annotations that change what runs, or beginnings of such (with a dot at the end), so that a
    /// caller may want to filter them.
    potentially_unsafe_config_annotations: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Linux {
    namespaces: Vec<&'static str>,
    capabilities: Vec<&'static str>,
    cgroup: Cgroup,
    seccomp: Seccomp,
    apparmor: Enabled,
    selinux: Enabled,
    intel_rdt: IntelRdt,
    memory_policy: MemoryPolicy,
    mount_extensions: MountExtensions,
    net_devices: Enabled,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Cgroup {
    v1: bool,
    v2: bool,
    systemd: bool,
    systemd_user: bool,
    rdma: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Seccomp {
    enabled: bool,
    actions: Vec<&'static str>,
    operators: Vec<&'static str>,
    archs: Vec<&'static str>,
    known_flags: Vec<&'static str>,
    supported_flags: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct IntelRdt {
    enabled: bool,
    schemata: bool,
    monitoring: bool,
}

#[derive(Debug, Serialize)]
struct MemoryPolicy {
    modes: Vec<&'static str>,
    flags: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct MountExtensions {
    idmap: Enabled,
}

#[derive(Debug, Serialize)]
struct Enabled {
    enabled: bool,
}

fn run(_: &Context, _: &Matches) -> Result<u8, Failure> {
    super::print(render(&collect())?)
}

fn collect() -> Features {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let mut annotations = BTreeMap::from([("org.orlop.version", version)]);
    if let Some(version) = seccomp::library_version() {
        annotations.insert("io.github.seccomp.libseccomp.version", version);
    }
    // By the name that runc gave it, and crun took over, and callers look for.
    let checkpoint = "org.opencontainers.runc.checkpoint.enabled";
    annotations.insert(checkpoint, features::CHECKPOINT.to_string());
    Features {
        oci_version_min: OLDEST_VERSION,
        oci_version_max: OCI_VERSION,
        hooks: features::hooks(),
        mount_options: features::mount_options(),
        linux: linux(),
        annotations,
        potentially_unsafe_config_annotations: features::annotations(),
    }
}

fn linux() -> Linux {
    Linux {
        namespaces: features::namespaces(),
        capabilities: features::capabilities(),
        cgroup: Cgroup {
            v1: features::CGROUPS,
            v2: features::CGROUPS,
            systemd: features::SYSTEMD,
            systemd_user: features::SYSTEMD,
            rdma: features::CGROUPS,
        },
        seccomp: Seccomp {
            enabled: seccomp::ENABLED,
            actions: seccomp::known_actions(),
            operators: seccomp::known_operators(),
            archs: seccomp::known_architectures(),
            known_flags: seccomp::known_flags(),
            supported_flags: seccomp::known_flags(),
        },
        apparmor: Enabled {
            enabled: features::APPARMOR,
        },
        selinux: Enabled {
            enabled: features::SELINUX,
        },
        intel_rdt: IntelRdt {
            enabled: features::INTEL_RDT,
            schemata: features::INTEL_RDT,
            monitoring: features::INTEL_RDT,
        },
        memory_policy: MemoryPolicy {
            modes: features::memory_modes(),
            flags: features::memory_flags(),
        },
        mount_extensions: MountExtensions {
            idmap: Enabled {
                enabled: features::IDMAPPED_MOUNTS,
            },
        },
        net_devices: Enabled {
            enabled: features::NET_DEVICES,
        },
    }
}

fn render(features: &Features) -> Result<Vec<u8>, Failure> {
    let mut json = Vec::new();
    let formatter = PrettyFormatter::with_indent(b"    ");
    features
        .serialize(&mut serde_json::Serializer::with_formatter(
            &mut json, formatter,
        ))
        .map_err(|error| Failure::new(format!("render the features: {error}")))?;
    json.push(b'\n');
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    #[test]
    fn the_structure_is_as_before() {
        let mut features = collect();
        // They change with the machine's libseccomp.
        features.annotations.clear();
        features.linux.seccomp.archs.clear();
        let json = String::from_utf8(render(&features).unwrap()).unwrap();
        golden::compare("commands/testdata/features.json", &json);
    }

    #[test]
    fn what_containerd_looks_for_is_there() {
        let features = serde_json::to_value(collect()).unwrap();
        assert!(
            features["linux"]["seccomp"]["actions"]
                .as_array()
                .unwrap()
                .len()
                > 5
        );
        assert!(
            features["mountOptions"]
                .as_array()
                .unwrap()
                .iter()
                .any(|option| option == "rro")
        );
        assert!(features["linux"]["mountExtensions"]["idmap"]["enabled"].is_boolean());
    }
}
