//! Pins the Plans of single fields, given as configurations in JSON: each on a bare container on a
//! made-up host with cgroup v2. And the sentences for what makes no sense.
//!
//! `ORLOP_BLESS=1 cargo test -p orlop --test golden_fields` writes the files anew; read the diff.

#![allow(clippy::too_many_lines, reason = "tables")]

use std::fmt::Write as _;
use std::path::PathBuf;

use orlop::spec::Spec;
use orlop::{Host, Options, Plan};
use orlop_cgroups::Layout;
use serde_json::{Value, json};

const V2_MOUNTS: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n";

fn host() -> Host {
    Host::root_with(Layout::parse(V2_MOUNTS, "0::/\n"))
}

/// A container with nothing but a mount namespace, changed by a JSON merge patch (RFC 7396).
fn spec(patch: &Value) -> Spec {
    let mut config = json!({
        "ociVersion": "1.3.0",
        "process": { "cwd": "/", "args": ["true"], "env": ["PATH=/bin", "HOME=/"] },
        "root": { "path": "rootfs" },
        "linux": { "namespaces": [{ "type": "mount" }] },
    });
    merge(&mut config, patch);
    Spec::from_slice(config.to_string().as_bytes()).expect("a configuration")
}

fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (key, value) in patch {
        match value {
            Value::Null => into.as_object_mut().map(|object| object.remove(key)),
            _ => {
                merge(&mut into[key], value);
                None
            }
        };
    }
}

fn compile(patch: &Value) -> orlop::Result<Plan> {
    compile_on(patch, &host())
}

fn compile_on(patch: &Value, host: &Host) -> orlop::Result<Plan> {
    let options = Options::new("/bundle").id("golden".parse()?);
    Plan::compile(&spec(patch), &options, host)
}

fn golden(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden-fields");
    directory.join(format!("{name}.txt"))
}

fn namespaces(more: &[&str]) -> Value {
    let all = ["mount"].iter().chain(more);
    let list: Vec<Value> = all.map(|kind| json!({ "type": kind })).collect();
    json!({ "linux": { "namespaces": list } })
}

fn and(mut first: Value, second: &Value) -> Value {
    merge(&mut first, second);
    first
}

fn user() -> Value {
    let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 65536 }]);
    and(
        namespaces(&["user"]),
        &json!({ "linux": { "uidMappings": map.clone(), "gidMappings": map } }),
    )
}

fn cases() -> Vec<(&'static str, Value)> {
    let offsets = json!({ "linux": { "timeOffsets": {
        "monotonic": { "secs": 1000, "nanosecs": 5 }, "boottime": { "secs": -7 } } } });
    vec![
        (
            "scheduler",
            json!({ "process": { "scheduler": {
                "policy": "SCHED_BATCH", "nice": -5, "flags": ["SCHED_FLAG_RESET_ON_FORK"] } } }),
        ),
        (
            "scheduler-deadline",
            json!({ "process": { "scheduler": {
                "policy": "SCHED_DEADLINE", "runtime": 10, "deadline": 20, "period": 30 } } }),
        ),
        (
            "io-priority",
            json!({ "process": { "ioPriority": { "class": "IOPRIO_CLASS_BE", "priority": 6 } } }),
        ),
        (
            "memory-policy",
            json!({ "linux": { "memoryPolicy": {
                "mode": "MPOL_INTERLEAVE", "nodes": "0-1,65", "flags": ["MPOL_F_STATIC_NODES"] } } }),
        ),
        ("time-namespace", and(namespaces(&["time"]), &offsets)),
        (
            "time-namespace-in-user-namespace",
            and(and(user(), &offsets), &namespaces(&["user", "time"])),
        ),
        (
            "mounts-with-id-maps",
            and(
                user(),
                &mounted(&json!([
                    bind(&["bind", "idmap"]),
                    bind(&["rbind", "ridmap", "rro"]),
                    and(
                        bind(&["bind"]),
                        &json!({
                        "uidMappings": [{ "containerID": 0, "hostID": 7, "size": 1 }],
                        "gidMappings": [{ "containerID": 0, "hostID": 8, "size": 2 }] })
                    ),
                ])),
            ),
        ),
        (
            "mounts-with-written-id-maps",
            and(
                user(),
                &mounted(&json!([bind(&[
                    "bind",
                    "idmap=uids=0-7-1#5-9-2;gids=@3-4-1"
                ])])),
            ),
        ),
        (
            "mount-at-a-relative-path",
            mounted(&json!([{ "destination": "srv/../data", "type": "bind", "source": "/s" }])),
        ),
        (
            "mounts-of-links",
            mounted(&json!([
                bind(&["bind", "src-nofollow"]),
                bind(&["rbind", "dest-nofollow", "ro"]),
                bind(&["bind", "copy-symlink"]),
            ])),
        ),
        (
            "mount-with-ids-of-a-joined-namespace",
            and(
                mounted(&json!([bind(&["bind", "idmap"])])),
                &json!({ "linux": { "namespaces": [
                    { "type": "mount" }, { "type": "user", "path": "/run/ns/user" }] } }),
            ),
        ),
        (
            "tmpcopyup",
            mounted(
                &json!([{ "destination": "/run", "type": "tmpfs", "source": "tmpfs",
                "options": ["tmpcopyup", "nosuid", "ro"] }]),
            ),
        ),
        (
            "security-labels",
            and(
                json!({
                    "process": { "selinuxLabel": "u:r:t:s0:c1,c2", "apparmorProfile": "profile" },
                    "linux": { "mountLabel": "u:r:m:s0:c1,c2" } }),
                &mounted(&json!([
                    { "destination": "/proc", "type": "proc" },
                    { "destination": "/tmp", "type": "tmpfs", "options": ["size=1m"] },
                    { "destination": "/dev/mqueue", "type": "mqueue" },
                    bind(&["bind"]),
                ])),
            ),
        ),
        (
            "intel-rdt",
            json!({ "linux": { "intelRdt": { "l3CacheSchema": "L3:0=f\nMB:0=1",
                "memBwSchema": "MB:0=50", "enableMonitoring": true } } }),
        ),
        (
            "intel-rdt-of-a-class",
            json!({ "linux": { "intelRdt": { "closID": "gold" } } }),
        ),
        (
            "net-devices",
            and(
                namespaces(&["network"]),
                &json!({ "linux": { "netDevices": { "eth1": { "name": "lan0" }, "eth2": {} } } }),
            ),
        ),
        (
            "remount",
            mounted(&json!([
                { "destination": "/sys", "type": "sysfs", "options": ["remount", "ro", "noexec"] },
                { "destination": "/dev", "type": "bind", "options": ["remount", "ro", "slave"] },
            ])),
        ),
        (
            "host-mounts",
            and(
                on_host(),
                &json!({
                    "process": { "terminal": true },
                    "root": { "readonly": true },
                    "hooks": { "createContainer": [{ "path": "/bin/hook" }] },
                    "linux": { "rootfsPropagation": "rprivate" },
                    "mounts": [
                        { "destination": "/proc", "type": "proc" },
                        { "destination": "/dev", "type": "tmpfs" },
                        { "destination": "/dev/pts", "type": "devpts" },
                        { "destination": "/tmp", "type": "tmpfs", "options": ["ro"] },
                        bind(&["rbind", "ro"]),
                        { "destination": "/again", "type": "bind", "source": "rootfs/tmp" },
                    ],
                }),
            ),
        ),
        (
            "host-mounts-readonly-root",
            and(on_host(), &json!({ "root": { "readonly": true } })),
        ),
    ]
}

/// Without a mount namespace.
fn on_host() -> Value {
    json!({ "linux": { "namespaces": [{ "type": "pid" }] } })
}

fn mounted(mounts: &Value) -> Value {
    json!({ "mounts": mounts })
}

fn bind(options: &[&str]) -> Value {
    json!({ "destination": "/data", "type": "bind", "source": "/srv/data", "options": options })
}

fn refusals() -> Vec<(Value, &'static str)> {
    vec![
        (
            json!({ "process": { "scheduler": { "policy": "SCHED_WISH" } } }),
            "process.scheduler: policy: \"SCHED_WISH\" is no scheduling policy",
        ),
        (
            json!({ "process": { "scheduler": { "policy": "SCHED_OTHER", "priority": 5 } } }),
            "process.scheduler: priority: only SCHED_FIFO and SCHED_RR have one",
        ),
        (
            json!({ "process": { "scheduler": { "policy": "SCHED_FIFO", "period": 5 } } }),
            "process.scheduler: runtime, deadline and period are for SCHED_DEADLINE only",
        ),
        (
            json!({ "process": { "ioPriority": { "class": "IOPRIO_CLASS_BE", "priority": 8 } } }),
            "process.ioPriority: priority: 8 is not between 0 and 7",
        ),
        (
            json!({ "process": { "execCPUAffinity": { "final": "3-1" } } }),
            "process.execCPUAffinity.final: \"3-1\" does not go upwards, or beyond 8191",
        ),
        (
            json!({ "linux": { "memoryPolicy": { "mode": "MPOL_BIND" } } }),
            "linux.memoryPolicy: nodes: MPOL_BIND needs some",
        ),
        (
            json!({ "linux": { "intelRdt": {} } }),
            "linux.intelRdt: no resctrl file system is mounted on this host (mount -t resctrl resctrl /sys/fs/resctrl; the CPU has to have it)",
        ),
        (
            json!({ "linux": { "netDevices": { "eth1": {} } } }),
            "linux.netDevices: need a network namespace of their own in linux.namespaces",
        ),
        (
            and(
                namespaces(&["network"]),
                &json!({ "linux": { "netDevices": { "eth1": { "name": "a/b" } } } }),
            ),
            "linux.netDevices.eth1: \"a/b\" has a slash, a colon or a space in it",
        ),
        (
            json!({ "process": { "selinuxLabel": "u:r:t:s0" } }),
            "process.selinuxLabel: \"u:r:t:s0\" can't be applied: SELinux is not enabled on this host (enable it, or remove the field)",
        ),
        (
            json!({ "linux": { "mountLabel": "u:r:t:s0" } }),
            "linux.mountLabel: \"u:r:t:s0\" can't be applied: SELinux is not enabled on this host (enable it, or remove the field)",
        ),
        (
            json!({ "process": { "apparmorProfile": "p" } }),
            "process.apparmorProfile: \"p\" can't be applied: AppArmor is not enabled on this host (enable it, or remove the field)",
        ),
        (
            mounted(&json!([bind(&["bind", "idmap"])])),
            "mounts[0]: options: idmap needs mappings of the mount, or a container with a user namespace",
        ),
        (
            mounted(&json!([{ "destination": "/run", "type": "tmpfs", "options": ["idmap"] }])),
            "mounts[0]: only bind mounts can have an id map (idmap, uidMappings, gidMappings)",
        ),
        (
            mounted(&json!([and(
                bind(&["bind"]),
                &json!({
                "uidMappings": [{ "containerID": 0, "hostID": 7, "size": 1 }] })
            )])),
            "mounts[0]: uidMappings and gidMappings go together; one of them is missing",
        ),
        (
            json!({ "linux": { "namespaces": [{ "type": "pid" }, { "type": "pid" }] } }),
            "linux.namespaces[1]: pid is there twice",
        ),
        (
            mounted(&json!([bind(&["bind", "idmap=uids=0-7-1"])])),
            "mounts[0]: uidMappings and gidMappings go together; one of them is missing",
        ),
        (
            mounted(&json!([bind(&["bind", "idmap=uids=0-7"])])),
            "mounts[0]: options: idmap: \"uids=0-7\": not three numbers with - between them",
        ),
        (
            mounted(&json!([bind(&["bind", "idmap=uids=@0-7-1;gids=0-1-1"])])),
            "mounts[0]: options: idmap: \"uids=@0-7-1\": relative to the container, whose user namespace does not map all of it",
        ),
        (
            mounted(
                &json!([{ "destination": "/run", "type": "tmpfs", "options": ["dest-nofollow"] }]),
            ),
            "mounts[0]: options: src-nofollow, dest-nofollow and copy-symlink are for bind mounts only",
        ),
        (
            mounted(&json!([{ "destination": "/run", "type": "ramfs", "options": ["tmpcopyup"] }])),
            "mounts[0]: options: tmpcopyup is for tmpfs only",
        ),
        (
            json!({ "linux": { "timeOffsets": { "monotonic": { "secs": 1 } } } }),
            "linux.timeOffsets: need a new time namespace in linux.namespaces",
        ),
        (
            json!({ "linux": { "namespaces": [{ "type": "time" }],
                "timeOffsets": { "realtime": { "secs": 1 } } } }),
            "linux.timeOffsets.realtime: no such clock: a time namespace has monotonic and boottime",
        ),
        (
            and(
                on_host(),
                &json!({ "linux": { "maskedPaths": ["/proc/kcore"] } }),
            ),
            "linux.maskedPaths: needs a mount namespace of its own in linux.namespaces",
        ),
        (
            and(
                on_host(),
                &json!({ "linux": { "rootfsPropagation": "rslave" } }),
            ),
            "linux.rootfsPropagation: \"rslave\" needs a mount namespace of its own in linux.namespaces; in the host's a container's root is private",
        ),
        (
            and(on_host(), &mounted(&json!([bind(&["rbind", "rshared"])]))),
            "mounts[0]: options: a shared mount needs a mount namespace of its own in linux.namespaces",
        ),
        (
            and(
                and(
                    user(),
                    &json!({ "linux": { "namespaces": [{ "type": "user" }] } }),
                ),
                &mounted(&json!([bind(&["bind"])])),
            ),
            "mounts: without a mount namespace of its own in linux.namespaces a container mounts in the host's, which takes the host's CAP_SYS_ADMIN",
        ),
    ]
}

#[test]
fn plans_are_as_written() {
    let bless = std::env::var_os("ORLOP_BLESS").is_some();
    let mut different = Vec::new();
    for (name, patch) in cases() {
        let host = host()
            .with_security_modules(true, true)
            .with_resctrl("/sys/fs/resctrl");
        let plan = compile_on(&patch, &host).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut text = plan.text().to_string();
        for warning in plan.warnings() {
            writeln!(text, "warning: {warning}").expect("a string takes all");
        }
        let file = golden(name);
        if bless {
            std::fs::write(&file, &text).expect("write a golden file");
        } else if std::fs::read_to_string(&file).ok().as_deref() != Some(&text) {
            different.push(name);
        }
    }
    assert!(different.is_empty(), "these plans changed: {different:?}");
}

#[test]
fn every_golden_file_has_a_case() {
    let cases = cases();
    let directory = golden("x").parent().expect("a directory").to_owned();
    for entry in std::fs::read_dir(directory).expect("the golden files") {
        let file = entry.expect("an entry").file_name();
        let name = file.to_string_lossy();
        let name = name.trim_end_matches(".txt");
        assert!(cases.iter().any(|(known, _)| *known == name), "{name}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_by_its_field() {
    for (patch, sentence) in refusals() {
        let error = compile(&patch).expect_err(sentence).to_string();
        assert_eq!(error, sentence, "{patch}");
    }
}
