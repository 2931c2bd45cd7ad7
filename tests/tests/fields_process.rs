//! Fields that say when, where and how a process runs.

use orlop_tests::security::config::user_namespace;
use orlop_tests::{Bundle, Fixture, skip, test_name};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::json;
use std::fs;

/// Runs a script in a container and returns what it printed.
#[track_caller]
fn printed(fixture: &Fixture, bundle: Bundle, script: &str) -> String {
    let container = fixture.container(&bundle.script(script).written());
    let output = container.run().ok().stdout;
    fixture.assert_clean();
    output
}

/// A container that sleeps, started.
#[track_caller]
fn sleeping(fixture: &Fixture, bundle: Bundle) -> orlop_tests::runtime::Container {
    let container = fixture.container(&bundle.args(&["sleep", "60"]).written());
    container.create().ok();
    container.start().ok();
    fixture.track(&container);
    container
}

/// A field of `/proc/<pid>/stat`, counted as in `proc_pid_stat(5)`.
fn stat(pid: u32, field: usize) -> i64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let after = text.rsplit(')').next().expect("a last part");
    let word = after
        .split_whitespace()
        .nth(field - 3)
        .expect("so many fields");
    word.parse().expect("a number")
}

const NICE: usize = 19;
const POLICY: usize = 41;

#[test]
fn the_scheduler_is_set_for_init_and_for_exec() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture.bundle().set(
        "/process/scheduler",
        json!({ "policy": "SCHED_BATCH", "nice": 7 }),
    );
    let container = sleeping(&fixture, bundle);
    assert_eq!(
        (stat(container.pid(), POLICY), stat(container.pid(), NICE)),
        (3, 7)
    );
    let script = "cut -d' ' -f19,41 /proc/self/stat";
    let inside = container.exec(&["sh", "-c", script]).ok();
    assert_eq!(inside.stdout, "7 3\n");
    container.delete_force().ok();
    fixture.assert_clean();
}

/// A fork loses both, and the program that entered has no right to set them again.
#[test]
fn what_a_fork_loses_of_the_scheduler_is_set_for_exec() {
    let fixture = Fixture::new(test_name!());
    let deadline = json!({
        "policy": "SCHED_DEADLINE", "runtime": 2_000_000, "deadline": 50_000_000, "period": 50_000_000
    });
    let reset =
        json!({ "policy": "SCHED_BATCH", "nice": 5, "flags": ["SCHED_FLAG_RESET_ON_FORK"] });
    for (scheduler, policy) in [(deadline, 6), (reset, 3)] {
        let bundle = fixture.bundle().set("/process/scheduler", scheduler);
        let container = sleeping(&fixture, bundle);
        assert_eq!(stat(container.pid(), POLICY), policy);
        // No shell between: its children have what a fork leaves them.
        let inside = container.exec(&["cut", "-d ", "-f41", "/proc/self/stat"]);
        assert_eq!(inside.ok().stdout, format!("{policy}\n"));
        container.delete_force().ok();
    }
    fixture.assert_clean();
}

#[test]
fn a_scheduler_that_the_kernel_refuses_is_named() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture
        .bundle()
        .set("/process/scheduler", json!({ "policy": "SCHED_FIFO" }));
    // SCHED_FIFO needs a priority of 1 or more.
    let sentence = "set the scheduling policy SCHED_FIFO: Invalid argument";
    let output = fixture.container(&bundle.written()).run();
    output.fails_naming(&[sentence]);
    fixture.assert_clean();
}

#[test]
fn the_io_priority_is_set() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture.bundle().set(
        "/process/ioPriority",
        json!({ "class": "IOPRIO_CLASS_BE", "priority": 6 }),
    );
    assert_eq!(
        printed(&fixture, bundle, "ionice -p 1"),
        "best-effort: prio 6\n"
    );
}

#[test]
fn the_callers_cpus_are_not_inherited() {
    let fixture = Fixture::new(test_name!());
    let all = fs::read_to_string("/sys/fs/cgroup/cpuset/cpuset.effective_cpus")
        .or_else(|_| fs::read_to_string("/sys/devices/system/cpu/online"))
        .unwrap();
    if all.trim() == "0" {
        skip!("this machine has one CPU");
    }
    let bundle = fixture.bundle();
    let container = fixture.container(
        &bundle
            .script("grep Cpus_allowed_list /proc/self/status")
            .written(),
    );
    let mut first = CpuSet::new();
    first.set(0);
    // Of this thread, and so of what it starts.
    sched_setaffinity(None, &first).unwrap();
    let output = container.run().ok().stdout;
    assert_eq!(output, format!("Cpus_allowed_list:\t{all}"));
    fixture.assert_clean();
}

#[test]
fn exec_runs_on_its_own_cpus() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture.bundle().set(
        "/process/execCPUAffinity",
        json!({ "initial": "0", "final": "0" }),
    );
    let container = sleeping(&fixture, bundle);
    let status = ["grep", "Cpus_allowed_list", "/proc/self/status"];
    assert_eq!(
        container.exec(&status).ok().stdout,
        "Cpus_allowed_list:\t0\n"
    );
    let init = fs::read_to_string(format!("/proc/{}/status", container.pid())).unwrap();
    let of_exec_only = fs::read_to_string("/sys/devices/system/cpu/online")
        .unwrap()
        .trim()
        == "0"
        || !init.contains("Cpus_allowed_list:\t0\n");
    assert!(of_exec_only, "{init}");
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn the_personality_holds_for_init_and_for_exec() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture
        .bundle()
        .set("/linux/personality", json!({ "domain": "LINUX32" }));
    let container = sleeping(&fixture, bundle);
    let of_init = fs::read_to_string(format!("/proc/{}/personality", container.pid())).unwrap();
    assert_eq!(of_init.trim(), "00000008");
    let inside = container.exec(&["cat", "/proc/self/personality"]).ok();
    assert_eq!(inside.stdout.trim(), "00000008");
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn the_domain_name_is_set_in_the_container_only() {
    let fixture = Fixture::new(test_name!());
    let before = fs::read("/proc/sys/kernel/domainname").unwrap();
    let bundle = fixture.bundle().set("/domainname", json!("fields.example"));
    assert_eq!(
        printed(&fixture, bundle, "cat /proc/sys/kernel/domainname"),
        "fields.example\n"
    );
    assert_eq!(fs::read("/proc/sys/kernel/domainname").unwrap(), before);
}

#[test]
fn the_memory_policy_holds_for_init_and_for_exec() {
    let fixture = Fixture::new(test_name!());
    if !fs::exists("/proc/self/numa_maps").unwrap() {
        skip!("this kernel has no NUMA support");
    }
    let bundle = fixture.bundle().set(
        "/linux/memoryPolicy",
        json!({ "mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"] }),
    );
    let container = sleeping(&fixture, bundle);
    let bound = |maps: &str| maps.lines().any(|line| line.contains(" bind=static:0 "));
    let of_init = fs::read_to_string(format!("/proc/{}/numa_maps", container.pid())).unwrap();
    assert!(bound(&of_init), "{of_init}");
    let inside = container.exec(&["cat", "/proc/self/numa_maps"]).ok();
    assert!(bound(&inside.stdout), "{inside}");
    container.delete_force().ok();
    fixture.assert_clean();
}

const TIME: &str =
    "cat /proc/self/timens_offsets; readlink /proc/self/ns/time; cut -d. -f1 /proc/uptime";

#[track_caller]
fn assert_ahead(printed: &str) {
    let words: Vec<&str> = printed.split_whitespace().collect();
    assert_eq!(
        words[..6],
        ["monotonic", "10000", "5", "boottime", "2000000", "0"],
        "{printed}"
    );
    let host = fs::read_link("/proc/self/ns/time").expect("read the own time namespace");
    assert_ne!(words[6], host.to_string_lossy());
    let uptime: u64 = words[7].parse().expect("a number");
    assert!(uptime > 2_000_000, "{printed}");
}

fn offsets() -> serde_json::Value {
    json!({ "monotonic": { "secs": 10000, "nanosecs": 5 }, "boottime": { "secs": 2_000_000 } })
}

#[test]
fn a_time_namespace_has_its_own_clocks_for_exec_too() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture
        .bundle()
        .set("/linux/namespaces/-", json!({ "type": "time" }))
        .set("/linux/timeOffsets", offsets());
    let script = format!("{TIME}; sleep 60");
    let container = fixture.container(&bundle.script(&script).written());
    container.create().ok();
    container.start().ok();
    fixture.track(&container);
    assert_ahead(&container.exec(&["sh", "-c", TIME]).ok().stdout);
    let of_init = fs::read_link(format!("/proc/{}/ns/time", container.pid())).unwrap();
    let of_exec = container
        .exec(&["readlink", "/proc/self/ns/time"])
        .ok()
        .stdout;
    assert_eq!(of_exec.trim_end(), of_init.to_string_lossy());
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn a_time_namespace_goes_with_a_user_namespace() {
    let fixture = Fixture::new(test_name!());
    let bundle = user_namespace(fixture.bundle(), 100_000, 65536)
        .set("/linux/namespaces/-", json!({ "type": "time" }))
        .set("/linux/timeOffsets", offsets());
    assert_ahead(&printed(&fixture, bundle, TIME));
}

#[test]
fn a_time_namespace_can_be_joined() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture
        .bundle()
        .set("/linux/namespaces/-", json!({ "type": "time" }))
        .set("/linux/timeOffsets", offsets());
    let first = sleeping(&fixture, bundle);
    let path = format!("/proc/{}/ns/time", first.pid());
    let bundle = fixture
        .bundle()
        .set(
            "/linux/namespaces/-",
            json!({ "type": "time", "path": path }),
        )
        .script(TIME)
        .written();
    assert_ahead(&fixture.container(&bundle).run().ok().stdout);
    first.delete_force().ok();
    fixture.assert_clean();
}
