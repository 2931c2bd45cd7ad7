//! Every operation of a full Plan in turn: it fails, init is killed there, the command is killed
//! there. The machine is as before, at once or after one `delete --force`.
//!
//! Needs a build with the feature `failpoints`; see `locate::runtime_with_failpoints`.

use orlop_tests::host_mounts::HostMounts;
use orlop_tests::patience::patient;
use orlop_tests::runtime::{Call, Running};
use orlop_tests::security::config::without_namespace;
use orlop_tests::security::container_by;
use orlop_tests::view::{Cgroups, View};
use orlop_tests::{Bundle, Container, Fixture, cgroup, locate, skip, test_name};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// The variable by which a runtime built with `failpoints` is told where.
const FAILPOINT: &str = "ORLOP_FAILPOINT";

const EIO: i32 = 5;

/// The operation at which a created container waits.
const GATE: &str = "wait at the start gate";

#[track_caller]
fn fixture(test: &str) -> Fixture {
    match locate::runtime_with_failpoints() {
        Ok(program) => Fixture::of(test, &program),
        Err(error) => panic!("{error}"),
    }
}

/// A fixture that sees no other cgroups than those of v1; none where the host has none.
#[track_caller]
fn fixture_on_v1(test: &str) -> Option<Fixture> {
    if cgroup::hierarchies_of_v1() == 0 {
        return None;
    }
    let view = View {
        cgroups: Cgroups::V1,
        linker: None,
    };
    Some(fixture(test).viewed(&view))
}

/// A copy of what is covered, new and bound file systems, and a bind of what one of them brought.
fn with_mounts(bundle: Bundle, shared: &Path) -> Bundle {
    [
        json!({ "destination": "/etc", "type": "tmpfs", "options": ["tmpcopyup"] }),
        json!({ "destination": "/tmp", "type": "tmpfs", "source": "tmpfs" }),
        json!({ "destination": "/mnt", "type": "bind", "source": shared, "options": ["rbind", "ro"] }),
        json!({ "destination": "/home", "type": "bind", "source": "rootfs/tmp", "options": ["ro"] }),
    ]
    .into_iter()
    .fold(bundle, |bundle, mount| bundle.set("/mounts/-", mount))
}

/// With something of every kind in it, so that every kind of operation is in its Plan.
fn full(fixture: &Fixture) -> Bundle {
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
        .set("/process/scheduler", json!({ "policy": "SCHED_BATCH" }))
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
        .written()
}

/// The same in a user namespace.
fn mapped(fixture: &Fixture) -> Bundle {
    let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 65536 }]);
    full(fixture)
        .set("/linux/namespaces/-", json!({ "type": "user" }))
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map)
        .written()
}

/// The id in whose place the container's own is to be read.
const PLANNED: &str = "planned";

/// The operations, as `plan` prints them.
#[track_caller]
fn steps(fixture: &Fixture, bundle: &Bundle) -> Vec<Value> {
    let plan = fixture
        .runtime()
        .bare()
        .args(["plan", "--format", "json", "--bundle"])
        .arg(bundle.path())
        .arg(PLANNED)
        .run()
        .ok()
        .json();
    let steps = plan["steps"].as_array().cloned().unwrap_or_default();
    assert!(steps.len() > 50, "a full Plan has many operations: {plan}");
    steps
}

/// `create`, then `start`; the first that fails, or `None`. The fault may be on either side of the
/// gate at which a created container waits.
#[track_caller]
fn failure(container: &Container, fault: &str) -> Option<orlop_tests::Output> {
    let created = container.call("create").env(FAILPOINT, fault).run();
    if !created.status.success() {
        return Some(created);
    }
    let started = container.start();
    (!started.status.success()).then_some(started)
}

fn every_operation_fails(fixture: &Fixture, bundle: &Bundle) {
    for (index, step) in steps(fixture, bundle).iter().enumerate() {
        let container = fixture.container(bundle);
        let output = failure(&container, &format!("{index}:fail:{EIO}"));
        let Some(output) = output else {
            // An operation that may fail, such as to mask what is not there.
            assert!(
                step["args"]["on_error"].is_string(),
                "{index} {step} failed, and nobody noticed"
            );
            container.delete_force().ok();
            fixture.assert_clean();
            continue;
        };
        let text = step["text"].as_str().unwrap_or_default();
        let text = text.replace(PLANNED, container.id());
        let field = step["field"].as_str().unwrap_or_default();
        let is_mount = ["Attach", "MountFs"].contains(&step["op"].as_str().unwrap_or_default());
        if text == GATE {
            // `create` has gone by then, and `start` finds nobody to tell it.
            output.fails_naming(&["stopped"]);
        } else if is_mount && field.starts_with("mounts[") {
            let target = format!("to rootfs at {}: {field}: ", step["args"]["target"]);
            output.fails_naming(&["error mounting", &target, "input/output error"]);
        } else {
            output.fails_naming(&[&text, "input/output error"]);
        }
        container.delete_force().ok();
        fixture.assert_clean();
    }
}

#[test]
fn every_operation_fails_once() {
    let fixture = fixture(test_name!());
    every_operation_fails(&fixture, &full(&fixture));
}

#[test]
fn every_operation_fails_once_in_a_user_namespace() {
    let fixture = fixture(test_name!());
    every_operation_fails(&fixture, &mapped(&fixture));
}

/// Where v1 is all there is, init is born before its cgroup is made, and joins it from within its user
/// namespace.
#[test]
fn every_operation_fails_once_on_v1() {
    let Some(fixture) = fixture_on_v1(test_name!()) else {
        skip!("this host has no cgroup v1");
    };
    every_operation_fails(&fixture, &mapped(&fixture));
}

#[test]
fn a_failed_create_needs_no_delete() {
    let fixture = fixture(test_name!());
    let bundle = full(&fixture);
    for index in 0..steps(&fixture, &bundle).len() {
        let container = fixture.container(&bundle);
        let fault = format!("{index}:fail");
        if container
            .call("create")
            .env(FAILPOINT, fault)
            .run()
            .status
            .success()
        {
            container.delete_force().ok();
        }
        fixture.assert_clean();
    }
}

#[test]
fn init_is_killed_at_every_operation() {
    let fixture = fixture(test_name!());
    let bundle = full(&fixture);
    for index in 0..steps(&fixture, &bundle).len() {
        let container = fixture.container(&bundle);
        let create = parked(&container, "create", index);
        match create {
            Parked::Here(running, init) => {
                kill(init);
                let output = running.finish();
                // It was idle at the gate when `create` had succeeded already.
                if output.code() != 0 {
                    output.fails_naming(&[]);
                }
            }
            Parked::BehindTheGate => {
                let init = container.pid();
                let start = container.call("start").start();
                wait_until_idle(init);
                kill(init);
                start.finish();
            }
        }
        container.delete_force().ok();
        fixture.assert_clean();
    }
}

#[test]
fn the_command_is_killed_at_every_operation() {
    let fixture = fixture(test_name!());
    command_is_killed(&fixture, &full(&fixture));
}

#[test]
fn the_command_is_killed_at_every_operation_on_v1() {
    let Some(fixture) = fixture_on_v1(test_name!()) else {
        skip!("this host has no cgroup v1");
    };
    command_is_killed(&fixture, &mapped(&fixture));
}

fn command_is_killed(fixture: &Fixture, bundle: &Bundle) {
    for index in 0..steps(fixture, bundle).len() {
        let container = fixture.container(bundle);
        let mut running = match parked(&container, "create", index) {
            Parked::Here(running, _) => running,
            Parked::BehindTheGate => {
                let init = container.pid();
                let start = container.call("start").start();
                wait_until_idle(init);
                start
            }
        };
        running.kill().expect("kill the command");
        running.finish();
        wait_for_hooks(bundle);
        let state = container.call("state").run();
        assert!(
            state.status.success() || state.stderr.contains("does not exist"),
            "operation {index}: {state}"
        );
        container.delete_force().ok();
        fixture.assert_clean();
    }
}

/// A container among the host's mounts: what `create` has attached there goes again, whoever is killed,
/// at once or with one `delete --force`.
#[test]
fn no_mount_is_left_among_the_hosts() {
    let fixture = fixture(test_name!());
    let bundle = without_namespace(full(&fixture), "mount")
        .set("/linux/maskedPaths", json!([]))
        .set("/linux/readonlyPaths", json!([]))
        .written();
    let host = HostMounts::new().expect("make a mount namespace");
    let runtime = host.runtime(fixture.runtime());
    let before = host.table().expect("read the table of mounts");
    // What was made keeps its mounts when it is deleted.
    let end = |container: &Container, what: &str| {
        let made = is_made(&fixture, container);
        container.delete_force().ok();
        if made {
            host.unmount(&bundle.rootfs()).expect("unmount");
        }
        assert_eq!(host.table().unwrap(), before, "{what}");
        fixture.assert_clean();
    };
    for index in 0..steps(&fixture, &bundle).len() {
        let named = |name| container_by(&fixture, &runtime, &bundle, &format!("{name}{index}"));
        let failing = named("f");
        let fault = format!("{index}:fail");
        failing.call("create").env(FAILPOINT, fault).run();
        if !is_made(&fixture, &failing) {
            assert_eq!(host.table().unwrap(), before, "operation {index} fails");
        }
        end(&failing, &format!("operation {index} fails"));
        let bereft = named("i");
        if let Parked::Here(running, init) = parked(&bereft, "create", index) {
            kill(init);
            running.finish();
        }
        end(&bereft, &format!("init is killed at operation {index}"));
        let orphan = named("c");
        if let Parked::Here(mut running, _) = parked(&orphan, "create", index) {
            running.kill().expect("kill the command");
            running.finish();
        }
        end(
            &orphan,
            &format!("the command is killed at operation {index}"),
        );
    }
}

/// Whether a container's record says that all of it was made.
fn is_made(fixture: &Fixture, container: &Container) -> bool {
    let record = fixture
        .file("state")
        .join(container.id())
        .join("state.json");
    fs::read_to_string(record).is_ok_and(|state| state.contains("\"phase\":\"created\""))
}

enum Parked {
    /// The command runs, and its init waits at the operation.
    Here(Running, u32),
    /// The command has ended: the operation is one that `start` sets off.
    BehindTheGate,
}

/// A command whose init waits at an operation.
#[track_caller]
fn parked(container: &Container, verb: &str, index: usize) -> Parked {
    let call: Call = container.call(verb).env(FAILPOINT, format!("{index}:park"));
    let running = call.start();
    let end = Instant::now() + patient(Duration::from_secs(10));
    loop {
        if let Some(init) = child(running.pid()) {
            if is_idle(init) {
                return Parked::Here(running, init);
            }
        } else if has_ended(running.pid()) {
            running.finish().ok();
            return Parked::BehindTheGate;
        }
        assert!(Instant::now() < end, "operation {index}: init never waits");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn child(pid: u32) -> Option<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    list.split_whitespace().next()?.parse().ok()
}

/// A command that has ended is a zombie until the test looks.
fn has_ended(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

/// Whether a process waits in the same system call for a while.
fn is_idle(pid: u32) -> bool {
    let call = || fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("syscall")).ok();
    let first = call();
    if first
        .as_deref()
        .is_none_or(|text| text.starts_with("running"))
    {
        return false;
    }
    (0..4).all(|_| {
        std::thread::sleep(Duration::from_millis(1));
        call() == first
    })
}

fn wait_until_idle(pid: u32) {
    let end = Instant::now() + Duration::from_secs(2);
    // Past the gate it may have executed the program already, and ended.
    while Path::new("/proc").join(pid.to_string()).exists() && !is_idle(pid) {
        assert!(Instant::now() < end, "process {pid} never waits");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A hook outlives the command that was killed while it ran; it is the host's program, in the bundle's
/// folder. Before it executes it is still that command, by its environment.
fn wait_for_hooks(bundle: &Bundle) {
    let folder = bundle.path().parent().and_then(Path::file_name);
    let tag = folder.expect("the test's folder").as_encoded_bytes();
    let is_hook = |process: &Path| {
        fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == bundle.path())
            || fs::read(process.join("environ"))
                .is_ok_and(|environ| environ.windows(tag.len()).any(|part| part == tag))
    };
    let runs = || {
        let processes = fs::read_dir("/proc").expect("list the processes");
        processes
            .filter_map(Result::ok)
            .any(|process| is_hook(&process.path()))
    };
    let end = Instant::now() + patient(Duration::from_secs(5));
    while runs() {
        assert!(Instant::now() < end, "a hook runs for ever");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn kill(pid: u32) {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .expect("a process id");
    // Killed already, when the runtime was faster.
    let _ = kill_process(pid, Signal::KILL);
}
