//! Transient units on a host that systemd manages, with pure cgroup v2.
#![cfg(feature = "systemd")]
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod other_units;

use std::process::Command;

use common::{Process, read};
use orlop_cgroups::systemd::{Property, Systemd, Unit, UnitPath, is_running};
use orlop_cgroups::{
    Access, Bytes, Cgroup, DeviceKind, DeviceRule, Layout, Limit, Limits, Micros, Mode, Signal,
};

fn manager() -> Option<(Systemd, Layout)> {
    let layout = common::host_view().filter(|_| is_running());
    if layout.is_none() {
        common::skipped("needs root and systemd");
    }
    let layout = layout?;
    Some((Systemd::system().unwrap(), layout))
}

fn own_unit(name: &str) -> UnitPath {
    let text = format!("orlop-test.slice:orlop-test-{}:{name}", std::process::id());
    UnitPath::parse(&text, false).unwrap()
}

/// A process that waits outside of any cgroup of ours until it is told to go on.
struct Held(std::process::Child);

impl Held {
    fn new(script: &str) -> Self {
        let child = Command::new("/bin/sh")
            .args(["-c", &format!("read go; {script}")])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn();
        Self(child.unwrap())
    }

    fn go(mut self) -> Process {
        use std::io::Write;
        self.0.stdin.take().unwrap().write_all(b"go\n").unwrap();
        Process(self.0)
    }
}

fn show(unit: &Unit, property: &str) -> String {
    let output = Command::new("systemctl")
        .args(["show", "--value", "-p", property, unit.name.as_str()])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Hierarchy, file and value.
type Files = &'static [(&'static str, &'static str, &'static str)];

const V2_FILES: Files = &[
    ("unified", "memory.max", "67108864"),
    ("unified", "pids.max", "50"),
    ("unified", "cpu.weight", "100"),
    ("unified", "cpu.max", "12345 100000"),
    ("unified", "cpuset.cpus", "0"),
    ("unified", "memory.high", "33554432"),
];

const V1_FILES: Files = &[
    ("memory", "memory.limit_in_bytes", "67108864"),
    ("pids", "pids.max", "50"),
    ("cpu", "cpu.shares", "1024"),
    ("cpu", "cpu.cfs_quota_us", "12345"),
    ("cpuset", "cpuset.cpus", "0"),
];

const V2_UPDATED: Files = &[
    ("unified", "memory.max", "max"),
    ("unified", "pids.max", "70"),
];

const V1_UPDATED: Files = &[
    ("memory", "memory.limit_in_bytes", "9223372036854771712"),
    ("pids", "pids.max", "70"),
];

fn check_files(cgroup: &Cgroup, files: Files) {
    for (hierarchy, file, value) in files {
        assert_eq!(read(cgroup, hierarchy, file), *value, "{file}");
    }
}

fn reload() {
    let status = Command::new("systemctl").arg("daemon-reload").status();
    assert!(status.unwrap().success());
}

#[test]
fn a_scope_with_limits_is_started_updated_and_stopped() {
    let Some((mut systemd, layout)) = manager() else {
        return;
    };
    let path = own_unit("life");
    let places = systemd.locate(&layout, &path).unwrap();
    let held = Held::new("cat /proc/self/cgroup; echo end; sleep 60; :");
    let mut limits = Limits::new()
        .memory_limit(Bytes::mib(64))
        .pids_limit(50)
        .cpu_shares(1024)
        .cpu_quota(Micros(12_345), Micros(100_000))
        .cpus("0")
        .mems("0");
    let (files, updated, memory) = match layout.mode() {
        Mode::V2 => (V2_FILES, V2_UPDATED, "MemoryMax"),
        _ => (V1_FILES, V1_UPDATED, "MemoryLimit"),
    };
    if layout.mode() == Mode::V2 {
        limits = limits.unified("memory.high", "33554432");
    }
    let unit = systemd
        .start_scope(&layout, &path, &[held.0.id()], &limits)
        .unwrap();
    assert_eq!(unit.cgroup.record(), places);
    // It is there in every hierarchy.
    let mut process = held.go();
    let lines = std::iter::from_fn(|| Some(process.wait_for_line()).filter(|line| line != "end"));
    let elsewhere: Vec<_> = lines
        .filter(|line| !line.ends_with(path.name().as_str()))
        .collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");

    check_files(&unit.cgroup, files);
    assert_eq!(show(&unit, memory), "67108864");
    assert_eq!(show(&unit, "TasksMax"), "50");
    assert_eq!(show(&unit, "Delegate"), "yes");

    let more = Limits::new().memory_limit(Limit::Max).pids_limit(70);
    systemd.update(&unit, &more).unwrap();
    check_files(&unit.cgroup, updated);
    assert_eq!(show(&unit, "TasksMax"), "70");
    // What systemd writes when it loads everything anew is what holds.
    reload();
    check_files(&unit.cgroup, updated);

    unit.cgroup.freeze().unwrap();
    unit.cgroup.kill_all(Signal::KILL).unwrap();
    drop(process);
    systemd.stop(&unit.name).unwrap();
    systemd.stop(&unit.name).unwrap();
    unit.cgroup.destroy().unwrap();
    assert!(places.iter().all(|place| !place.path.exists()));
}

/// What only the cgroup had, systemd would take back when it loads its units anew.
#[test]
fn files_of_the_cgroup_are_the_units_properties() {
    let Some((mut systemd, layout)) = manager().filter(|(_, layout)| layout.mode() == Mode::V2)
    else {
        return;
    };
    let path = own_unit("files");
    let held = Held::new("sleep 60; :");
    let limits = Limits::new()
        .memory_limit(Bytes::mib(64))
        .unified("memory.max", "67104768")
        .unified("memory.min", "4096")
        .unified("cpu.max", "5000 50000")
        .unified("pids.max", "50");
    let unit = systemd
        .start_scope(&layout, &path, &[held.0.id()], &limits)
        .unwrap();
    let process = held.go();
    let files: Files = &[
        ("unified", "memory.max", "67104768"),
        ("unified", "memory.min", "4096"),
        ("unified", "cpu.max", "5000 50000"),
        ("unified", "pids.max", "50"),
    ];
    check_files(&unit.cgroup, files);
    assert_eq!(show(&unit, "MemoryMax"), "67104768");
    assert_eq!(show(&unit, "MemoryMin"), "4096");
    assert_eq!(show(&unit, "CPUQuotaPerSecUSec"), "100ms");
    assert_eq!(show(&unit, "TasksMax"), "50");

    let fewer = Limits::new().unified("pids.max", "40");
    systemd.update(&unit, &fewer).unwrap();
    assert_eq!(show(&unit, "TasksMax"), "40");
    reload();
    check_files(&unit.cgroup, &[("unified", "pids.max", "40")]);
    check_files(&unit.cgroup, &files[..3]);

    unit.cgroup.kill_all(Signal::KILL).unwrap();
    drop(process);
    systemd.stop(&unit.name).unwrap();
}

/// systemd has no use for it, and does not hand it down.
#[test]
fn huge_pages_are_bounded() {
    let Some((mut systemd, layout)) = manager().filter(|(_, layout)| layout.mode() == Mode::V2)
    else {
        return;
    };
    let path = own_unit("huge");
    let held = Held::new("sleep 60; :");
    let limits = Limits::new().hugepages("2MB".parse().unwrap(), Bytes::mib(2));
    let unit = systemd
        .start_scope(&layout, &path, &[held.0.id()], &limits)
        .unwrap();
    check_files(&unit.cgroup, &[("unified", "hugetlb.2MB.max", "2097152")]);
    unit.cgroup.kill_all(Signal::KILL).unwrap();
    drop(held);
    systemd.stop(&unit.name).unwrap();
}

#[test]
fn a_weight_ends_being_idle() {
    let Some((mut systemd, layout)) = manager().filter(|(_, layout)| layout.mode() == Mode::V2)
    else {
        return;
    };
    let path = own_unit("idle");
    let held = Held::new("sleep 60; :");
    let unit = systemd
        .start_scope(&layout, &path, &[held.0.id()], &Limits::new())
        .unwrap();
    let process = held.go();
    let idle = Limits::new().unified("cpu.idle", "1");
    for weight in [
        Limits::new().cpu_shares(1024),
        Limits::new().unified("cpu.weight", "100"),
    ] {
        systemd.update(&unit, &idle).unwrap();
        check_files(&unit.cgroup, &[("unified", "cpu.idle", "1")]);
        systemd.update(&unit, &weight).unwrap();
        reload();
        let awake: Files = &[
            ("unified", "cpu.idle", "0"),
            ("unified", "cpu.weight", "100"),
        ];
        check_files(&unit.cgroup, awake);
        assert_eq!(show(&unit, "CPUWeight"), "100");
    }
    unit.cgroup.kill_all(Signal::KILL).unwrap();
    drop(process);
    systemd.stop(&unit.name).unwrap();
}

#[test]
fn further_properties_are_the_units() {
    let Some((mut systemd, layout)) = manager() else {
        return;
    };
    let property = |name, text| Property::parse(name, text).unwrap();
    let properties = [
        property("TimeoutStopSec", "7"),
        property("CollectMode", "'inactive-or-failed'"),
        property("After", "['basic.target', 'network.target']"),
        property("SendSIGHUP", "true"),
    ];
    let held = Held::new("sleep 60");
    let start = |systemd: &mut Systemd, name, properties: &[_]| {
        let pids = [held.0.id()];
        systemd.start_scope_with(&layout, &own_unit(name), &pids, &Limits::new(), properties)
    };
    let unit = start(&mut systemd, "further", &properties).unwrap();
    assert_eq!(show(&unit, "TimeoutStopUSec"), "7s");
    assert_eq!(show(&unit, "CollectMode"), "inactive-or-failed");
    assert_eq!(show(&unit, "SendSIGHUP"), "yes");
    assert!(show(&unit, "After").contains("network.target"));
    let error = start(&mut systemd, "unknown", &[property("NoSuchThing", "1")]);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("NoSuchThing"), "{error}");
    systemd.stop(&unit.name).unwrap();
    unit.cgroup.clear().unwrap();
    drop(Process(held.0));
}

#[test]
fn a_slice_bounds_the_scopes_in_it() {
    let Some((mut systemd, layout)) = manager() else {
        return;
    };
    let slice = UnitPath::parse("::orlop-test-bounded.slice", false).unwrap();
    let limits = Limits::new().pids_limit(40);
    let outer = systemd.start_slice(&layout, &slice, &limits).unwrap();
    let pids = |unit: &Unit| {
        let hierarchy = match layout.mode() {
            Mode::V2 => "unified",
            _ => "pids",
        };
        read(&unit.cgroup, hierarchy, "pids.max")
    };
    assert_eq!(pids(&outer), "40");
    assert_eq!(show(&outer, "ActiveState"), "active");
    // Once more is no error, and changes its limits.
    let again = systemd.start_slice(&layout, &slice, &Limits::new().pids_limit(30));
    assert_eq!(pids(&again.unwrap()), "30");

    let path = UnitPath::parse("orlop-test-bounded.slice::inner", false).unwrap();
    let held = Held::new("sleep 60");
    let inner = systemd
        .start_scope(&layout, &path, &[held.0.id()], &Limits::new())
        .unwrap();
    let above = outer.cgroup.record()[0].path.clone();
    assert!(inner.cgroup.record()[0].path.starts_with(above));
    assert!(outer.cgroup.processes().unwrap().contains(&held.0.id()));
    let error = systemd.start_scope(&layout, &slice, &[held.0.id()], &limits);
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("holds no processes")
    );

    systemd.stop(&outer.name).unwrap();
    assert_eq!(show(&inner, "ActiveState"), "inactive");
    drop(Process(held.0));
    inner.cgroup.clear().unwrap();
    outer.cgroup.clear().unwrap();
}

/// The user of the lab; any other one does as well.
const USER: u32 = 1000;

#[test]
fn a_user_has_scopes_of_its_own() {
    let Some((_, layout)) = manager() else {
        return;
    };
    let service = format!("user@{USER}.service");
    let has_manager = layout.mode() == Mode::V2
        && Command::new("systemctl")
            .args(["start", &service])
            .status()
            .is_ok_and(|status| status.success());
    if !has_manager {
        eprintln!("skipped: needs cgroup v2 and a manager of user {USER}");
        return;
    }
    common::again_as(
        USER,
        "as_a_user",
        &[("XDG_RUNTIME_DIR", format!("/run/user/{USER}"))],
    );
}

#[test]
#[ignore = "run by another test, as a user"]
fn as_a_user() {
    let layout = Layout::probe().unwrap();
    let mut systemd = Systemd::user().unwrap();
    let path = UnitPath::parse(&format!(":orlop-test-{}:own", std::process::id()), true).unwrap();
    let held = Held::new("sleep 60");
    let limits = Limits::new().memory_limit(Bytes::mib(64)).pids_limit(20);
    let unit = systemd
        .start_scope(&layout, &path, &[held.0.id()], &limits)
        .unwrap();
    let place = unit.cgroup.record().remove(0).path;
    let below = format!("user@{USER}.service/user.slice/{}", path.name());
    assert!(place.ends_with(below), "{}", place.display());
    assert_eq!(unit.cgroup.processes().unwrap(), [held.0.id()]);
    check_files(
        &unit.cgroup,
        &[
            ("unified", "memory.max", "67108864"),
            ("unified", "pids.max", "20"),
        ],
    );
    systemd
        .update(&unit, &Limits::new().pids_limit(25))
        .unwrap();
    check_files(&unit.cgroup, &[("unified", "pids.max", "25")]);
    unit.cgroup.kill_all(Signal::KILL).unwrap();
    drop(Process(held.0));
    systemd.stop(&unit.name).unwrap();
    assert!(!place.exists());
}

#[test]
fn device_rules_hold_with_and_without_systemd_knowing_them() {
    let Some((mut systemd, layout)) = manager() else {
        return;
    };
    let null = DeviceRule::allow(DeviceKind::Char, Some(1), Some(3), Access::ALL);
    // Terminals by the name of their driver; one of several numbers of a driver not at all.
    let terminals = DeviceRule::allow(DeviceKind::Char, Some(136), None, Access::ALL);
    let unspeakable = DeviceRule::allow(DeviceKind::Char, None, Some(77), Access::ALL);
    for (name, rules) in [
        ("told", vec![null, terminals]),
        ("untold", vec![null, unspeakable]),
    ] {
        let held = Held::new(
            "cat /dev/null && echo null; head -c1 /dev/zero 2>&1 | grep -q permitted && echo refused",
        );
        let limits = Limits::new().device_rules(rules);
        let unit = systemd
            .start_scope(&layout, &own_unit(name), &[held.0.id()], &limits)
            .unwrap();
        // What is lost when systemd writes a v1 list anew must be too little, not too much.
        let is_told = name == "told" || layout.mode() != Mode::V2;
        let policy = if is_told { "strict" } else { "auto" };
        assert_eq!(show(&unit, "DevicePolicy"), policy);
        reload();
        assert_eq!(held.go().output(), "null\nrefused\n");
        systemd.stop(&unit.name).unwrap();
        unit.cgroup.clear().unwrap();
    }
}

#[test]
fn what_systemd_refuses_is_told_in_its_words() {
    let Some((mut systemd, layout)) = manager() else {
        return;
    };
    let path = own_unit("refused");
    let gone = {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        child.id()
    };
    let error = systemd
        .start_scope(&layout, &path, &[gone], &Limits::new())
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("systemd: orlop-test-"), "{error}");

    // A limit that fails after the scope is there takes it away again.
    let held = Held::new("sleep 60");
    let (limits, field) = match layout.mode() {
        Mode::V2 => {
            let limits = Limits::new().unified("cgroup.max.depth", "no number");
            (limits, "cgroup.max.depth")
        }
        _ => (Limits::new().cpus("4000"), "cpuset.cpus"),
    };
    let error = systemd
        .start_scope(&layout, &path, &[held.0.id()], &limits)
        .unwrap_err()
        .to_string();
    assert!(error.contains(field), "{error}");
    let place = systemd.locate(&layout, &path).unwrap();
    assert!(Cgroup::open(&place).processes().unwrap().is_empty());
    // Its processes went with it.
    drop(Process(held.0));

    // The name is free for another.
    let held = Held::new("true");
    let unit = systemd
        .start_scope(&layout, &path, &[held.0.id()], &Limits::new())
        .unwrap();
    held.go().output();
    systemd.stop(&unit.name).unwrap();
    unit.cgroup.clear().unwrap();
}
