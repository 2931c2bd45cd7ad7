//! Transient units on a host that systemd manages, with pure cgroup v2.
#![cfg(feature = "systemd")]
#![allow(clippy::unwrap_used)]

mod common;

use std::process::Command;

use common::{Process, read};
use orlop_cgroups::systemd::{Systemd, Unit, UnitPath, is_running};
use orlop_cgroups::{
    Access, Bytes, Cgroup, DeviceKind, DeviceRule, Layout, Limit, Limits, Micros, Mode, Signal,
};

fn manager() -> Option<(Systemd, Layout)> {
    let layout = common::host_view().filter(|layout| layout.mode() == Mode::V2 && is_running());
    if layout.is_none() {
        eprintln!("skipped: needs root, systemd and pure cgroup v2");
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

fn check_files(cgroup: &Cgroup) {
    for (file, value) in [
        ("memory.max", "67108864"),
        ("pids.max", "50"),
        ("cpu.weight", "100"),
        ("cpu.max", "12345 100000"),
        ("cpuset.cpus", "0"),
        ("memory.high", "33554432"),
    ] {
        assert_eq!(read(cgroup, "unified", file), value, "{file}");
    }
}

#[test]
fn a_scope_with_limits_is_started_updated_and_stopped() {
    let Some((mut systemd, layout)) = manager() else {
        return;
    };
    let path = own_unit("life");
    let place = systemd.locate(&layout, &path).unwrap().remove(0).path;
    let held = Held::new("cat /proc/self/cgroup; sleep 60; :");
    let limits = Limits::new()
        .memory_limit(Bytes::mib(64))
        .pids_limit(50)
        .cpu_shares(1024)
        .cpu_quota(Micros(12_345), Micros(100_000))
        .cpus("0")
        .unified("memory.high", "33554432");
    let unit = systemd
        .start_scope(&layout, &path, &[held.0.id()], &limits)
        .unwrap();
    assert_eq!(unit.cgroup.record()[0].path, place);
    let mut process = held.go();
    let line = process.wait_for_line();
    assert!(
        line.ends_with(
            &place
                .strip_prefix("/sys/fs/cgroup")
                .unwrap()
                .display()
                .to_string()
        ),
        "{line}"
    );

    check_files(&unit.cgroup);
    assert_eq!(show(&unit, "MemoryMax"), "67108864");
    assert_eq!(show(&unit, "TasksMax"), "50");
    assert_eq!(show(&unit, "Delegate"), "yes");

    systemd
        .update(
            &unit,
            &Limits::new().memory_limit(Limit::Max).pids_limit(70),
        )
        .unwrap();
    assert_eq!(read(&unit.cgroup, "unified", "memory.max"), "max");
    assert_eq!(show(&unit, "TasksMax"), "70");
    // What systemd writes when it loads everything anew is what holds.
    assert!(
        Command::new("systemctl")
            .arg("daemon-reload")
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(read(&unit.cgroup, "unified", "pids.max"), "70");

    unit.cgroup.freeze().unwrap();
    unit.cgroup.kill_all(Signal::KILL).unwrap();
    drop(process);
    systemd.stop(&unit.name).unwrap();
    systemd.stop(&unit.name).unwrap();
    unit.cgroup.destroy().unwrap();
    assert!(!place.exists());
}

#[test]
fn device_rules_hold_with_and_without_systemd_knowing_them() {
    let Some((mut systemd, layout)) = manager() else {
        return;
    };
    let null = DeviceRule::allow(DeviceKind::Char, Some(1), Some(3), Access::ALL);
    let unspeakable = DeviceRule::allow(DeviceKind::Char, Some(136), None, Access::ALL);
    for (name, rules) in [("told", vec![null]), ("untold", vec![null, unspeakable])] {
        let held = Held::new(
            "cat /dev/null && echo null; head -c1 /dev/zero 2>&1 | grep -q permitted && echo refused",
        );
        let limits = Limits::new().device_rules(rules);
        let unit = systemd
            .start_scope(&layout, &own_unit(name), &[held.0.id()], &limits)
            .unwrap();
        let policy = if name == "told" { "strict" } else { "auto" };
        assert_eq!(show(&unit, "DevicePolicy"), policy);
        assert!(
            Command::new("systemctl")
                .arg("daemon-reload")
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(held.go().output(), "null\nrefused\n");
        systemd.stop(&unit.name).unwrap();
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
    let limits = Limits::new().unified("cgroup.max.depth", "no number");
    let error = systemd
        .start_scope(&layout, &path, &[held.0.id()], &limits)
        .unwrap_err()
        .to_string();
    assert!(error.contains("cgroup.max.depth"), "{error}");
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
}
