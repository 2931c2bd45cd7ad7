//! Limits bite: on the cgroup version that the host has.

use orlop_tests::patience::patient;
use orlop_tests::view::{View, cgroup_roots, has_v1};
use orlop_tests::{Bundle, Fixture, skip, test_name};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The cgroup of a process in the hierarchy that has a controller; `None` without that controller.
fn cgroup_of(pid: u32, controller: &str) -> Option<PathBuf> {
    let table = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    for line in table.lines() {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let below = path.trim_start_matches('/');
        let roots = cgroup_roots().ok()?;
        if controllers.split(',').any(|name| name == controller) {
            let root = roots.iter().find(|root| root.ends_with(controller))?;
            return Some(root.join(below));
        }
        if controllers.is_empty() && !has_v1() {
            let cgroup = roots.first()?.join(below);
            let enabled = fs::read_to_string(cgroup.join("cgroup.controllers")).ok()?;
            let has = enabled.split_whitespace().any(|name| name == controller);
            return has.then_some(cgroup);
        }
    }
    None
}

fn limited(fixture: &Fixture, resource: &str, value: Value) -> Bundle {
    fixture
        .bundle()
        .set(&format!("/linux/resources/{resource}"), value)
}

/// The same limits in the words of either version: controller, file, value.
const ON_V1: [(&str, &str, &str); 7] = [
    ("memory", "memory.limit_in_bytes", "33554432"),
    ("memory", "memory.soft_limit_in_bytes", "16777216"),
    ("cpu", "cpu.shares", "512"),
    ("cpu", "cpu.cfs_quota_us", "50000"),
    ("cpu", "cpu.cfs_period_us", "100000"),
    ("cpuset", "cpuset.cpus", "0"),
    ("pids", "pids.max", "23"),
];
const ON_V2: [(&str, &str, &str); 5] = [
    ("memory", "memory.max", "33554432"),
    ("memory", "memory.low", "16777216"),
    ("cpu", "cpu.max", "50000 100000"),
    ("cpuset", "cpuset.cpus", "0"),
    ("pids", "pids.max", "23"),
];

#[test]
fn figures_are_written_to_the_cgroup() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture
        .bundle()
        .args(&["sleep", "60"])
        .set(
            "/linux/resources/memory",
            json!({ "limit": 33_554_432, "reservation": 16_777_216 }),
        )
        .set(
            "/linux/resources/cpu",
            json!({ "shares": 512, "quota": 50_000, "period": 100_000, "cpus": "0" }),
        )
        .set("/linux/resources/pids", json!({ "limit": 23 }))
        .written();
    let container = fixture.container(&bundle);
    container.create().ok();
    let pid = container.pid();
    let expected: &[_] = if has_v1() { &ON_V1 } else { &ON_V2 };
    for &(controller, file, value) in expected {
        let Some(folder) = cgroup_of(pid, controller) else {
            panic!("process {pid} is in no cgroup of {controller}");
        };
        assert!(
            folder.to_string_lossy().contains(fixture.tag()),
            "{}",
            folder.display()
        );
        let found = fs::read_to_string(folder.join(file)).unwrap();
        assert_eq!(found.trim_end(), value, "{file}");
    }
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn a_cgroups_path_is_honoured() {
    let fixture = Fixture::new(test_name!());
    let path = format!("/{}/nested/box", fixture.tag());
    let bundle = fixture
        .bundle()
        .args(&["sleep", "60"])
        .set("/linux/cgroupsPath", json!(path))
        .written();
    let container = fixture.container(&bundle);
    container.create().ok();
    let table = fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).unwrap();
    assert!(table.contains(&path), "{table}");
    container.delete_force().ok();
    let left = fs::read_to_string("/proc/self/cgroup").unwrap();
    assert!(!left.contains(fixture.tag()));
    // What was made above it is the caller's to remove.
    for root in cgroup_roots().unwrap() {
        for folder in [
            root.join(fixture.tag()).join("nested"),
            root.join(fixture.tag()),
        ] {
            let _ = fs::remove_dir(folder);
        }
    }
    fixture.assert_clean();
}

#[test]
fn a_memory_hog_is_killed() {
    let fixture = Fixture::new(test_name!());
    let bundle = limited(
        &fixture,
        "memory",
        json!({ "limit": 16 << 20, "swap": 16 << 20 }),
    )
    .script("tail /dev/zero")
    .written();
    let container = fixture.container(&bundle);
    let output = container.call("run").limit(Duration::from_secs(30)).run();
    assert_eq!(output.code(), 137, "{output}");
    fixture.assert_clean();
}

#[test]
fn a_fork_bomb_stops_at_its_limit_and_is_gone_when_deleted() {
    let fixture = Fixture::new(test_name!());
    let bundle = limited(&fixture, "pids", json!({ "limit": 32 }))
        .script("bomb() { bomb | bomb & }; bomb 2>/dev/null; sleep 60")
        .written();
    let container = fixture.container(&bundle);
    container.create().ok();
    container.start().ok();
    fixture.track(&container);
    let Some(cgroup) = cgroup_of(container.pid(), "pids") else {
        container.delete_force().ok();
        skip!("no cgroup hierarchy has the pids controller");
    };
    std::thread::sleep(Duration::from_millis(300));
    let current: u32 = fs::read_to_string(cgroup.join("pids.current"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(current <= 32, "{current} processes");
    let begin = Instant::now();
    container.delete_force().ok();
    assert!(
        begin.elapsed() < patient(Duration::from_secs(2)),
        "{:?}",
        begin.elapsed()
    );
    fixture.assert_clean();
}

#[test]
fn a_listed_device_works_and_another_does_not() {
    let fixture = Fixture::new(test_name!());
    let device = |allow: bool, minor: u32| json!({ "allow": allow, "type": "c", "major": 1, "minor": minor, "access": "rwm" });
    let mut bundle = fixture
        .bundle()
        .set("/root/readonly", json!(false))
        .set("/linux/resources/devices/-", device(true, 11))
        .script(
            // Not in the root file system, which may lie on one that has no devices, as systemd's /tmp.
            "cd /dev; mknod k c 1 11 && dd if=k of=/dev/null bs=8192 count=1 2>/dev/null && echo kmsg
            mknod m c 1 1; head -c 1 m >/dev/null 2>&1 && echo mem; true",
        );
    for set in ["bounding", "effective", "permitted"] {
        bundle = bundle.set(
            &format!("/process/capabilities/{set}"),
            json!(["CAP_MKNOD", "CAP_SYSLOG"]),
        );
    }
    let output = fixture.container(&bundle.written()).run();
    assert_eq!(output.stdout, "kmsg\n", "{output}");
    fixture.assert_clean();
}

#[test]
fn it_runs_where_only_one_version_is_mounted() {
    if !has_v1() {
        skip!("this host has no cgroup v1 hierarchy: its one version is what all tests run with");
    }
    for cgroups in [
        orlop_tests::view::Cgroups::V1,
        orlop_tests::view::Cgroups::V2,
    ] {
        let view = View {
            cgroups,
            linker: None,
        };
        let fixture = Fixture::new(&format!("{}_{}", test_name!(), cgroups.name())).viewed(&view);
        let bundle = fixture.bundle().args(&["sleep", "60"]).written();
        let container = fixture.container(&bundle);
        container.create().ok();
        container.start().ok();
        assert_eq!(container.exec(&["echo", "hi"]).ok().stdout, "hi\n");
        container.delete_force().ok();
        fixture.assert_clean();
    }
}

/// Where the limit is too small even for init, that is what is said: neither the caller nor anybody
/// else is killed in its place.
#[test]
fn a_limit_of_any_size_harms_nobody_else() {
    for kibibytes in [0, 16, 32, 64, 128, 256, 512] {
        let fixture = Fixture::new(test_name!());
        let bundle = limited(
            &fixture,
            "memory",
            json!({ "limit": (kibibytes << 10) + 1 }),
        );
        let output = fixture.container(&bundle.args(&["true"]).written()).run();
        match output.code() {
            0 | 137 => {}
            1 => assert!(
                output.stderr.contains("OOM-killed") || output.stderr.contains("Cannot allocate"),
                "{kibibytes} KiB: {output}"
            ),
            _ => panic!("{kibibytes} KiB: {output}"),
        }
        fixture.assert_clean();
    }
}
