//! Containers that have all operations between them.

use crate::devices::Pair;
use crate::neighbour::Neighbour;
use crate::terminal::Terminal;
use orlop_tests::runtime::Call;
use orlop_tests::security::config::{user_namespace, without_mounts, without_namespace};
use orlop_tests::{Bundle, Container, Fixture};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// The id in whose place the container's own is to be read.
const PLANNED: &str = "planned";

/// A bundle, and what else `create` is given.
pub(crate) struct Scenario {
    pub(crate) bundle: Bundle,
    /// Options of `create` and of `plan`.
    options: &'static [&'static str],
    /// Where a terminal is sent.
    terminal: Option<Terminal>,
    device: Option<Pair>,
    _neighbour: Option<Neighbour>,
}

/// One operation, as `plan` prints it.
pub(crate) struct Step {
    pub(crate) op: String,
    text: String,
    field: String,
    target: Value,
    pub(crate) may_fail: bool,
}

impl Scenario {
    fn of(bundle: Bundle) -> Self {
        Self {
            bundle,
            options: &[],
            terminal: None,
            device: None,
            _neighbour: None,
        }
    }

    /// The operations.
    #[track_caller]
    pub(crate) fn steps(&self, fixture: &Fixture) -> Vec<Step> {
        let plan = fixture
            .runtime()
            .bare()
            .args(["plan", "--format", "json", "--bundle"])
            .arg(self.bundle.path())
            .args(self.options)
            .arg(PLANNED)
            .run()
            .ok()
            .json();
        let steps = plan["steps"].as_array().cloned().unwrap_or_default();
        assert!(steps.len() > 50, "a full Plan has many operations: {plan}");
        steps.iter().map(Step::of).collect()
    }

    /// `create`, for which all is ready.
    #[track_caller]
    pub(crate) fn create(&self, container: &Container) -> Call {
        if let Some(device) = &self.device {
            device.plug();
        }
        let Some(terminal) = &self.terminal else {
            return container.call_with("create", self.options);
        };
        let mut options = self.options.to_vec();
        options.extend(["--console-socket", terminal.listen()]);
        container.call_with("create", &options)
    }

    /// Fails the test unless what a container was lent is the host's again.
    #[track_caller]
    pub(crate) fn assert_returned(&self) {
        if let Some(device) = &self.device {
            assert!(device.is_here(), "the network device was not given back");
        }
    }
}

impl Step {
    fn of(step: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            op: text(&step["op"]),
            text: text(&step["text"]),
            field: text(&step["field"]),
            target: step["args"]["target"].clone(),
            may_fail: step["args"]["on_error"].is_string(),
        }
    }

    /// What it does, of this container.
    pub(crate) fn text(&self, container: &Container) -> String {
        self.text.replace(PLANNED, container.id())
    }

    /// What its failure is to name.
    pub(crate) fn failure(&self, container: &Container) -> String {
        let is_mount = ["Attach", "AttachLink", "MountFs"].contains(&self.op.as_str());
        if is_mount && self.field.starts_with("mounts[") {
            return format!("to rootfs at {}: {}: ", self.target, self.field);
        }
        self.text(container)
    }
}

/// The place of an operation of this name.
#[track_caller]
pub(crate) fn place(steps: &[Step], op: &str) -> usize {
    let place = steps.iter().position(|step| step.op == op);
    place.unwrap_or_else(|| panic!("no operation {op}"))
}

/// A copy of what is covered, new and bound file systems, a bind of what one of them brought, and one
/// that covers links.
fn with_mounts(bundle: Bundle, shared: &Path) -> Bundle {
    [
        json!({ "destination": "/etc", "type": "tmpfs", "options": ["tmpcopyup"] }),
        json!({ "destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["slave"] }),
        json!({ "destination": "/mnt", "type": "bind", "source": shared, "options": ["rbind", "ro"] }),
        json!({ "destination": "/home", "type": "bind", "source": "rootfs/tmp", "options": ["ro"] }),
        json!({ "destination": "/tmp/links", "type": "bind", "source": shared, "options": ["bind", "dest-nofollow"] }),
    ]
    .into_iter()
    .fold(bundle, |bundle, mount| bundle.set("/mounts/-", mount))
}

/// With something of every kind in it that a plain container may have.
fn rich(fixture: &Fixture) -> Bundle {
    let shared = fixture.file("shared");
    fs::create_dir_all(&shared).expect("make a folder");
    let hook = json!([{ "path": "/bin/true" }]);
    let seccomp = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["reboot", "kexec_load"], "action": "SCMP_ACT_ERRNO" }]
    });
    with_mounts(fixture.bundle(), &shared)
        .args(&["sleep", "60"])
        .set("/root/readonly", json!(true))
        .set(
            "/process/user",
            json!({ "uid": 1000, "gid": 1000, "additionalGids": [7], "umask": 0o27 }),
        )
        .set("/process/cwd", json!("/tmp"))
        .set("/process/oomScoreAdj", json!(100))
        .set(
            "/process/scheduler",
            json!({ "policy": "SCHED_BATCH", "nice": 10 }),
        )
        .set(
            "/process/ioPriority",
            json!({ "class": "IOPRIO_CLASS_IDLE" }),
        )
        .set("/linux/memoryPolicy", json!({ "mode": "MPOL_LOCAL" }))
        .set("/linux/namespaces/-", json!({ "type": "time" }))
        .set("/linux/timeOffsets", json!({ "boottime": { "secs": 5 } }))
        .set(
            "/process/rlimits/-",
            json!({ "type": "RLIMIT_CORE", "hard": 0, "soft": 0 }),
        )
        .set(
            "/linux/devices",
            json!([
                { "path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666 }
            ]),
        )
        .set("/linux/sysctl", json!({ "kernel.msgmax": "9000" }))
        .set("/linux/resources/pids", json!({ "limit": 64 }))
        .set("/linux/resources/memory", json!({ "limit": 64 << 20 }))
        .set("/linux/seccomp", seccomp)
        .set(
            "/hooks",
            json!({
                "createRuntime": hook, "createContainer": hook, "startContainer": hook
            }),
        )
}

/// A container with all that is its own.
pub(crate) fn full(fixture: &Fixture) -> Scenario {
    Scenario::of(rich(fixture).written())
}

fn in_user_namespace(bundle: Bundle) -> Bundle {
    user_namespace(bundle, 100_000, 65536)
}

/// The same in a user namespace.
pub(crate) fn mapped(fixture: &Fixture) -> Scenario {
    Scenario::of(in_user_namespace(rich(fixture)).written())
}

/// The same in a user namespace that init makes, since it joins a namespace of others before.
pub(crate) fn visiting(fixture: &Fixture) -> Scenario {
    let neighbour = Neighbour::new();
    fixture.pass_over(neighbour.pid());
    let joined = json!({ "type": "ipc", "path": neighbour.namespace("ipc") });
    let bundle = without_namespace(in_user_namespace(rich(fixture)), "ipc")
        .set("/linux/namespaces/-", joined)
        // Of the IPC namespace, which is the neighbour's.
        .set("/linux/sysctl", json!({}));
    Scenario {
        _neighbour: Some(neighbour),
        ..Scenario::of(without_mounts(bundle, &["/dev/mqueue"]).written())
    }
}

/// The same among the host's mounts.
pub(crate) fn among_the_hosts_mounts(fixture: &Fixture) -> Scenario {
    let bundle = without_namespace(rich(fixture), "mount")
        .set("/linux/maskedPaths", json!([]))
        .set("/linux/readonlyPaths", json!([]));
    Scenario::of(bundle.written())
}

/// With a terminal, a network device and namespaces of others, as root, and without a pivot.
pub(crate) fn entangled(fixture: &Fixture) -> Scenario {
    let neighbour = Neighbour::new();
    fixture.pass_over(neighbour.pid());
    let device = Pair::new();
    let bundle = ["ipc", "pid"]
        .into_iter()
        .fold(rich(fixture), |bundle, kind| {
            let joined = json!({ "type": kind, "path": neighbour.namespace(kind) });
            without_namespace(bundle, kind).set("/linux/namespaces/-", joined)
        })
        // Of the IPC namespace, which is the neighbour's.
        .set("/linux/sysctl", json!({}))
        .set("/linux/rootfsPropagation", json!("rslave"))
        .set("/process/user", json!({ "uid": 0, "gid": 0 }))
        .set("/process/terminal", json!(true))
        .set("/domainname", json!("domain"))
        .set("/linux/personality", json!({ "domain": "LINUX32" }))
        .set(
            "/linux/netDevices",
            json!({ device.moved(): { "name": "lan0" } }),
        );
    Scenario {
        options: &["--no-pivot"],
        terminal: Some(Terminal::new(fixture, "console.sock")),
        device: Some(device),
        _neighbour: Some(neighbour),
        ..Scenario::of(bundle.written())
    }
}
