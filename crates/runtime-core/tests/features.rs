//! What `features` tells of is what configurations may say: no more, no less.

use orlop::spec::{Hooks, NamespaceKind, Spec};
use orlop::{Host, Options, Plan, features};
use orlop_cgroups::Layout;
use serde_json::{Value, json};

const V2_MOUNTS: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n";

fn host() -> Host {
    Host::root_with(Layout::parse(V2_MOUNTS, "0::/\n"))
        .with_security_modules(true, true)
        .with_resctrl("/sys/fs/resctrl")
}

fn compile(linux: &Value, process: &Value, mounts: &Value) -> orlop::Result<Plan> {
    let mut config = json!({
        "ociVersion": "1.3.0",
        "process": { "cwd": "/", "args": ["true"] },
        "root": { "path": "rootfs" },
        "mounts": mounts,
        "linux": { "namespaces": [{ "type": "mount" }, { "type": "network" }] },
    });
    for (part, changes) in [("linux", linux), ("process", process)] {
        for (key, value) in changes.as_object().expect("an object") {
            config[part][key] = value.clone();
        }
    }
    let spec = Spec::from_slice(config.to_string().as_bytes()).expect("a configuration");
    let options = Options::new("/bundle").id("features".parse()?);
    Plan::compile(&spec, &options, &host())
}

fn linux(linux: &Value) -> orlop::Result<Plan> {
    compile(linux, &json!({}), &json!([]))
}

fn process(process: &Value) -> orlop::Result<Plan> {
    compile(&json!({}), process, &json!([]))
}

fn plan_says(plan: orlop::Result<Plan>, word: &str) -> bool {
    plan.expect("a plan").text().to_string().contains(word)
}

#[test]
fn namespaces() {
    let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 65536 }]);
    let with = |kind: &str| {
        let namespaces = json!([{ "type": "mount" }, { "type": kind }]);
        let mut changes = json!({ "namespaces": namespaces });
        if kind == "mount" {
            changes["namespaces"] = json!([{ "type": "mount" }]);
        }
        if kind == "user" {
            changes["uidMappings"] = map.clone();
            changes["gidMappings"] = map.clone();
        }
        linux(&changes)
    };
    let listed = features::namespaces();
    for kind in &listed {
        with(kind).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert!(!matches!(
            NamespaceKind::from(*kind),
            NamespaceKind::Unknown(_)
        ));
    }
    assert!(with("future").is_err());
    let known = [
        "pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time",
    ];
    assert!(known.iter().all(|kind| listed.contains(kind)) && listed.len() == known.len());
}

#[test]
fn capabilities() {
    let with = |name: &str| {
        let plan = process(&json!({ "capabilities": { "bounding": [name] } }));
        plan.expect("a plan").warnings().len()
    };
    for name in features::capabilities() {
        assert_eq!(with(name), 0, "{name}");
    }
    assert_eq!(with("CAP_FUTURE"), 1);
}

#[test]
fn memory_policies() {
    let with = |mode: &str, flags: &[&str]| {
        let mut policy = json!({ "mode": mode, "flags": flags });
        if !["MPOL_DEFAULT", "MPOL_LOCAL"].contains(&mode) {
            policy["nodes"] = json!("0");
        }
        linux(&json!({ "memoryPolicy": policy }))
    };
    for mode in features::memory_modes() {
        with(mode, &[]).unwrap_or_else(|error| panic!("{mode}: {error}"));
    }
    for flag in features::memory_flags() {
        with("MPOL_BIND", &[flag]).unwrap_or_else(|error| panic!("{flag}: {error}"));
    }
    assert!(with("MPOL_FUTURE", &[]).is_err());
    assert!(with("MPOL_BIND", &["MPOL_F_FUTURE"]).is_err());
}

#[test]
fn hooks() {
    let all: serde_json::Map<String, Value> = features::hooks()
        .into_iter()
        .map(|name| (name.to_owned(), json!([{ "path": format!("/{name}") }])))
        .collect();
    let config = json!({ "ociVersion": "1.3.0", "hooks": all });
    let config = config.to_string();
    let (spec, unknown) = Spec::from_slice_noting(config.as_bytes()).expect("a configuration");
    assert!(unknown.is_empty(), "{unknown:?}");
    // Without `..`: a field that is new has to be told of.
    let Hooks {
        prestart,
        create_runtime,
        create_container,
        start_container,
        poststart,
        poststop,
    } = spec.hooks.expect("hooks");
    let each = [
        prestart,
        create_runtime,
        create_container,
        start_container,
        poststart,
        poststop,
    ];
    for (hooks, name) in each.iter().zip(features::hooks()) {
        assert_eq!(hooks[0].path, format!("/{name}"));
    }
}

/// A switch is on when the Plan does what it stands for.
#[test]
fn switches() {
    let label = process(&json!({ "selinuxLabel": "u:r:t:s0" }));
    assert_eq!(plan_says(label, "u:r:t:s0"), features::SELINUX);
    let profile = process(&json!({ "apparmorProfile": "confined" }));
    assert_eq!(plan_says(profile, "confined"), features::APPARMOR);
    let devices = linux(&json!({ "netDevices": { "eth7": {} } }));
    assert_eq!(plan_says(devices, "eth7"), features::NET_DEVICES);
    for rdt in [
        json!({ "l3CacheSchema": "L3:0=f" }),
        json!({ "schemata": ["L3:0=f"] }),
        json!({ "enableMonitoring": true }),
    ] {
        let plan = linux(&json!({ "intelRdt": rdt }));
        assert_eq!(plan_says(plan, "resctrl"), features::INTEL_RDT, "{rdt}");
    }
    let map = json!([{ "containerID": 0, "hostID": 7, "size": 1 }]);
    let mount = json!([{ "destination": "/d", "type": "bind", "source": "/s", "options": ["bind"],
        "uidMappings": map.clone(), "gidMappings": map }]);
    let plan = compile(&json!({}), &json!({}), &mount);
    assert_eq!(plan_says(plan, "idmap"), features::IDMAPPED_MOUNTS);
}
