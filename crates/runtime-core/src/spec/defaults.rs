//! A configuration to start from, as the `spec` command writes it.

use super::{
    Capabilities, DeviceRule, IdMapping, Linux, Mount, Namespace, NamespaceKind, OCI_VERSION,
    Process, Resources, Rlimit, Root, Spec,
};

/// What a process can do that has no other privilege.
const CAPABILITIES: [&str; 3] = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

/// What tells about the host, or about other containers.
const MASKED_PATHS: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// What acts on the host.
const READONLY_PATHS: [&str; 6] = [
    "/proc/bus",
    "/proc/dynamic_debug",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// Destination, type, source and options of each default mount.
const MOUNTS: [(&str, &str, &str, &[&str]); 7] = [
    ("/proc", "proc", "proc", &[]),
    (
        "/dev",
        "tmpfs",
        "tmpfs",
        &["nosuid", "strictatime", "mode=755", "size=65536k"],
    ),
    (
        "/dev/pts",
        "devpts",
        "devpts",
        &[
            "nosuid",
            "noexec",
            "newinstance",
            "ptmxmode=0666",
            "mode=0620",
            "gid=5",
        ],
    ),
    (
        "/dev/shm",
        "tmpfs",
        "shm",
        &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
    ),
    (
        "/dev/mqueue",
        "mqueue",
        "mqueue",
        &["nosuid", "noexec", "nodev"],
    ),
    (
        "/sys",
        "sysfs",
        "sysfs",
        &["nosuid", "noexec", "nodev", "ro"],
    ),
    (
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &["nosuid", "noexec", "nodev", "relatime", "ro"],
    ),
];

/// A shell in a container of its own, with few privileges, for a privileged caller.
///
/// It has no cgroup namespace, so that it fits cgroup v1 too; on a host with cgroup v2 alone push
/// a [`NamespaceKind::Cgroup`] to [`Linux::namespaces`].
#[must_use]
pub fn default_spec() -> Spec {
    Spec {
        oci_version: OCI_VERSION.to_owned(),
        process: Some(process()),
        root: Some(Root {
            path: "rootfs".to_owned(),
            readonly: true,
        }),
        hostname: Some("orlop".to_owned()),
        mounts: MOUNTS
            .iter()
            .map(|&(destination, kind, source, options)| mount(destination, kind, source, options))
            .collect(),
        linux: Some(Linux {
            resources: Some(Resources {
                devices: vec![DeviceRule {
                    allow: false,
                    access: Some("rwm".to_owned()),
                    ..Default::default()
                }],
                ..Default::default()
            }),
            namespaces: [
                NamespaceKind::Pid,
                NamespaceKind::Network,
                NamespaceKind::Ipc,
                NamespaceKind::Uts,
                NamespaceKind::Mount,
            ]
            .map(Namespace::new)
            .into(),
            masked_paths: strings(&MASKED_PATHS),
            readonly_paths: strings(&READONLY_PATHS),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The same for an unprivileged caller with these ids: in a user namespace of its own in which
/// the caller is root, on the host's network, without limits.
#[must_use]
pub fn rootless_spec(uid: u32, gid: u32) -> Spec {
    let mut spec = default_spec();
    if let Some(linux) = &mut spec.linux {
        linux
            .namespaces
            .retain(|namespace| namespace.kind != NamespaceKind::Network);
        linux.namespaces.push(Namespace::new(NamespaceKind::User));
        linux.uid_mappings = vec![IdMapping {
            container_id: 0,
            host_id: uid,
            size: 1,
        }];
        linux.gid_mappings = vec![IdMapping {
            container_id: 0,
            host_id: gid,
            size: 1,
        }];
        linux.resources = None;
    }
    for entry in &mut spec.mounts {
        if entry.destination == "/sys" {
            // A new sysfs needs a network namespace that belongs to the user namespace.
            *entry = mount(
                "/sys",
                "none",
                "/sys",
                &["rbind", "nosuid", "noexec", "nodev", "ro"],
            );
        }
        // No other id than root is mapped.
        entry
            .options
            .retain(|option| !option.starts_with("gid=") && !option.starts_with("uid="));
    }
    spec
}

fn process() -> Process {
    Process {
        terminal: true,
        args: strings(&["sh"]),
        env: strings(&[
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "TERM=xterm",
        ]),
        cwd: "/".to_owned(),
        capabilities: Some(Capabilities {
            bounding: strings(&CAPABILITIES),
            effective: strings(&CAPABILITIES),
            permitted: strings(&CAPABILITIES),
            ..Default::default()
        }),
        rlimits: vec![Rlimit {
            kind: "RLIMIT_NOFILE".to_owned(),
            hard: 1024,
            soft: 1024,
        }],
        no_new_privileges: true,
        ..Default::default()
    }
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Mount {
    Mount {
        destination: destination.to_owned(),
        kind: Some(kind.to_owned()),
        source: Some(source.to_owned()),
        options: strings(options),
        ..Default::default()
    }
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|&text| text.to_owned()).collect()
}
