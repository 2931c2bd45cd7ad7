//! What a `create` of the default configuration may cost, pinned.

use orlop_tests::locate;
use orlop_tests::patience::patient;
use orlop_tests::security::config::user_namespace;
use orlop_tests::view::{Cgroups, View};
use orlop_tests::{Bundle, Fixture, cgroup, skip, test_name};
use std::fs;
use std::time::{Duration, Instant};

/// Calls of all processes, init's until it waits to be started.
const SYSTEM_CALLS: usize = 300;

/// What each hierarchy of version 1 adds: it is looked at, made, opened, joined and mounted, and that of the
/// devices takes a dozen rules.
const SYSTEM_CALLS_OF_A_HIERARCHY: usize = 6;

/// Runs `create` under strace and returns its log.
#[track_caller]
fn traced_create(fixture: &Fixture, bundle: Bundle) -> Option<String> {
    locate::in_path("strace")?;
    let log = fixture.file("strace");
    let pid_file = fixture.file("pid");
    let bundle = bundle.args(&["sleep", "60"]).written();
    let container = fixture.container(&bundle);
    let runtime = fixture.runtime().clone().with_prefix(&[
        "strace",
        "-f",
        "-qq",
        "-o",
        log.to_str().expect("an ASCII path"),
    ]);
    // strace follows init, and so stays as long as the container.
    let running = runtime
        .command("create")
        .args(["--bundle".as_ref(), bundle.path().as_os_str()])
        .args(["--pid-file".as_ref(), pid_file.as_os_str()])
        .arg(container.id())
        .start();
    let end = Instant::now() + patient(Duration::from_secs(10));
    while fs::metadata(&pid_file).map_or(0, |meta| meta.len()) == 0
        || container.status() != "created"
    {
        assert!(Instant::now() < end, "not created under strace within 10 s");
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(300));
    let text = fs::read_to_string(&log).expect("read strace's log");
    container.delete_force().ok();
    running.finish();
    fixture.assert_clean();
    Some(text)
}

/// Lines that begin a call.
fn calls(log: &str) -> impl Iterator<Item = &str> {
    log.lines().filter(|line| {
        line.contains('(')
            && !line.contains(" resumed>")
            && !line.contains("+++")
            && !line.contains("---")
    })
}

#[test]
fn create_makes_few_system_calls() {
    let view = View {
        cgroups: Cgroups::V2,
        linker: None,
    };
    let fixture = Fixture::new(test_name!()).viewed(&view);
    let Some(log) = traced_create(&fixture, fixture.bundle()) else {
        skip!("strace is not installed");
    };
    let count = calls(&log).count();
    assert!(
        count <= SYSTEM_CALLS,
        "{count} system calls, {SYSTEM_CALLS} allowed"
    );
}

#[test]
fn a_hierarchy_of_version_1_costs_few_system_calls_more() {
    let fixture = Fixture::new(test_name!());
    let Some(log) = traced_create(&fixture, fixture.bundle()) else {
        skip!("strace is not installed");
    };
    let hierarchies = cgroup::hierarchies_of_v1();
    let allowed = SYSTEM_CALLS + hierarchies * SYSTEM_CALLS_OF_A_HIERARCHY;
    let count = calls(&log).count();
    assert!(
        count <= allowed,
        "{count} system calls with {hierarchies} hierarchies, {allowed} allowed"
    );
}

#[track_caller]
fn assert_one_clone(log: &str) {
    let clones: Vec<&str> = calls(log)
        .filter(|line| {
            ["clone(", "clone3(", "fork(", "vfork("]
                .iter()
                .any(|name| line.contains(name))
        })
        .collect();
    assert_eq!(clones.len(), 1, "{}", clones.join("\n"));
}

#[test]
fn create_clones_once() {
    let fixture = Fixture::new(test_name!());
    let Some(log) = traced_create(&fixture, fixture.bundle()) else {
        skip!("strace is not installed");
    };
    assert_one_clone(&log);
}

#[test]
fn create_clones_once_with_a_user_namespace() {
    let fixture = Fixture::new(test_name!());
    let bundle = user_namespace(fixture.bundle(), 100_000, 65536);
    let Some(log) = traced_create(&fixture, bundle) else {
        skip!("strace is not installed");
    };
    assert_one_clone(&log);
}
