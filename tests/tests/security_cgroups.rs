//! Control groups: what a container can do to them, what a path can name, what devices it gets.

use orlop_tests::security::config::{
    bind, capabilities, mount, user_namespace, without, without_mounts, without_namespace,
};
use orlop_tests::security::{self, program};
use orlop_tests::view::{Cgroups, View, cgroup_roots};
use orlop_tests::{Bundle, Fixture, Output, assert_safe, skip, test_name};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// All folders of all hierarchies, but those of tests, and of what others run at the time.
fn folders() -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut open = cgroup_roots().expect("find the cgroup hierarchies");
    while let Some(folder) = open.pop() {
        // One that is removed meanwhile has no content.
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && !path.to_string_lossy().contains("/orlop-") {
                found.insert(path.clone());
                open.push(path);
            }
        }
    }
    found
}

/// Tries to make a group in each hierarchy that the container sees, and to change the first.
const TRY_TO_WRITE: &str = "cd /sys/fs/cgroup || exit 0; \
     for h in . *; do [ -d $h ] || continue; \
     mkdir $h/attack 2>/dev/null && echo made $h && rmdir $h/attack; \
     for f in release_agent notify_on_release cgroup.procs tasks; do \
     [ -e $h/$f ] && (: >>$h/$f) 2>/dev/null && echo opened $h/$f; done; done; true";

fn read_only_cgroups(bundle: Bundle) -> Bundle {
    let bundle = without_mounts(bundle, &["/sys", "/sys/fs/cgroup"]);
    let bundle = mount(bundle, "bind", "/sys", "/sys", &["rbind", "nosuid", "ro"]);
    mount(
        bundle,
        "cgroup",
        "cgroup",
        "/sys/fs/cgroup",
        &["nosuid", "noexec", "nodev", "relatime", "ro"],
    )
}

#[track_caller]
fn nothing_is_writable(fixture: &Fixture, bundle: Bundle) {
    let before = folders();
    let bundle = bundle.script(TRY_TO_WRITE).written();
    let output = fixture.container(&bundle).run().ok();
    assert_safe!(output.stdout.is_empty(), "writable inside: {output}");
    let new: Vec<_> = folders().difference(&before).cloned().collect();
    assert_safe!(new.is_empty(), "new groups on the host: {new:?}");
}

/// CVE-2023-25809: without a cgroup namespace, the host's hierarchy is what is mounted. Here the
/// container's root is the host's, so that only the read-only mounts keep it from writing. Seen red
/// on runc 1.1.5 and crun 1.8.1: the folder above the hierarchies is writable.
#[test]
fn rt_17_cgroups_without_a_namespace_are_read_only() {
    let fixture = security::fixture(test_name!());
    nothing_is_writable(&fixture, read_only_cgroups(fixture.bundle()));
    fixture.assert_clean();
}

/// Seen red on runc 1.1.5 and crun 1.8.1.
#[test]
fn rt_17_cgroups_in_a_user_namespace_are_read_only() {
    let fixture = security::fixture(test_name!());
    let bundle = user_namespace(read_only_cgroups(fixture.bundle()), 0, 65536);
    nothing_is_writable(&fixture, bundle);
    fixture.assert_clean();
}

/// Where there is nothing but cgroup v2.
#[test]
fn rt_17_cgroups_of_version_2_are_read_only() {
    let fixture = security::fixture(test_name!()).viewed(&version_2());
    let bundle = user_namespace(read_only_cgroups(fixture.bundle()), 0, 65536);
    nothing_is_writable(&fixture, without(bundle, "/linux/resources"));
    fixture.assert_clean();
}

fn version_2() -> View {
    View {
        cgroups: Cgroups::V2,
        linker: std::env::var_os("ORLOP_TEST_LINKER").map(PathBuf::from),
    }
}

/// With `/sys` bound from the host, what is mounted below it comes along: the container must not
/// get that writable either when all of it was asked for read-only.
#[test]
fn rt_17_recursive_read_only_reaches_the_cgroups() {
    let fixture = security::fixture(test_name!());
    let bundle = without_mounts(fixture.bundle(), &["/sys", "/sys/fs/cgroup"]);
    let bundle = mount(bundle, "bind", "/sys", "/sys", &["rbind", "rro"]);
    let bundle = bundle.script(TRY_TO_WRITE).written();
    let output = fixture.container(&bundle).run();
    assert_safe!(output.stdout.is_empty(), "writable inside: {output}");
    fixture.assert_clean();
}

/// Paths of a group that must not be taken for one. `TAG` stands for the test's own name.
const PATHS: &[&str] = &[
    "../TAG",
    "../../TAG",
    "/TAG/../../TAG",
    "/../TAG",
    "TAG/..",
    "/..",
    "..",
    "TAG/../../../../TAG",
    "TAG\n",
    "TAG\u{0}x",
    "TAG:b:c:d",
    "LONG",
];

/// CVE-2024-3154's class, and the escapes of crun 1.28 and 1.29. Seen red on runc 1.1.5.
#[test]
fn rt_26_cgroup_paths_that_leave_their_place() {
    let fixture = security::fixture(test_name!());
    let before = folders();
    let mut accepted = Vec::new();
    for path in PATHS {
        let long = format!("/TAG/{}", "x".repeat(4096));
        let path = if *path == "LONG" { &long } else { *path };
        let path = path.replace("TAG", fixture.tag());
        let bundle = fixture
            .bundle()
            .set("/linux/cgroupsPath", json!(path))
            .written();
        let container = fixture.container(&bundle);
        let output = container.create();
        if output.status.success() {
            accepted.push(path.chars().take(80).collect::<String>());
        }
        container.delete_force();
        // Beside the hierarchies, where a runtime that climbs makes it.
        let _ = fs::remove_dir_all(Path::new("/sys/fs/cgroup").join(fixture.tag()));
        let new: Vec<_> = folders().difference(&before).cloned().collect();
        assert_safe!(new.is_empty(), "{path}: made {new:?}");
        fixture.assert_clean();
    }
    assert_safe!(accepted.is_empty(), "accepted: {accepted:#?}");
}

/// A path that is none of these works, absolute or not.
#[test]
fn rt_26_usual_cgroup_paths_work() {
    let fixture = security::fixture(test_name!());
    for path in ["/TAG", "TAG", "/TAG/below", "/TAG/with.dots..inside"] {
        let path = path.replace("TAG", fixture.tag());
        let bundle = fixture
            .bundle()
            .set("/linux/cgroupsPath", json!(path))
            .written();
        let container = fixture.container(&bundle);
        container.create().ok();
        let table = fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).unwrap();
        assert!(table.contains(&path), "{path}: is in\n{table}");
        container.delete_force().ok();
        // The runtime removes the group it made, not the parents of it.
        remove_empty(&fixture);
    }
    fixture.assert_clean();
}

fn remove_empty(fixture: &Fixture) {
    for root in cgroup_roots().expect("find the cgroup hierarchies") {
        let _ = fs::remove_dir(root.join(fixture.tag()));
    }
}

/// Properties that lift limits, start or stop what is the host's, or move others' processes; and
/// words that are none.
#[test]
fn rt_26_annotations_set_no_property_beyond_the_scope() {
    let fixture = security::fixture(test_name!());
    let before = folders();
    let mut accepted = Vec::new();
    for (name, value) in [
        ("MemoryMax", "uint64 18446744073709551615"),
        ("TasksMax", "uint64 18446744073709551615"),
        ("CPUQuotaPerSecUSec", "uint64 18446744073709551615"),
        ("DevicePolicy", "'auto'"),
        ("DeviceAllow", "[]"),
        ("BPFProgram", "[]"),
        ("Slice", "'system.slice'"),
        ("PIDs", "[uint32 1]"),
        ("Delegate", "true"),
        ("DelegateSubgroup", "'x'"),
        ("Controller", "'org.example'"),
        ("Conflicts", "['systemd-journald.service']"),
        ("Requires", "['reboot.target']"),
        ("Wants", "['reboot.target']"),
        ("BindsTo", "['reboot.target']"),
        ("Upholds", "['reboot.target']"),
        ("OnFailure", "['reboot.target']"),
        ("OnSuccess", "['reboot.target']"),
        ("PropagatesStopTo", "['sshd.service']"),
        ("JoinsNamespaceOf", "['sshd.service']"),
        ("FailureAction", "'reboot-immediate'"),
        ("SuccessAction", "'poweroff-immediate'"),
        ("JobTimeoutAction", "'reboot-immediate'"),
        ("User", "'root'"),
        ("", "'x'"),
        ("KillMode ", "'none'"),
        ("kill/mode", "'none'"),
        ("KillMode", "'none"),
        ("KillMode", "@as ['none'"),
        ("After", "[[[[[[[[[[[[[[['x']]]]]]]]]]]]]]]"),
        ("TimeoutStopSec", "-1"),
        ("TimeoutStopSec", "18446744073709551615"),
    ] {
        let key = format!("org.systemd.property.{name}");
        let bundle = fixture.bundle().set("/annotations", json!({ key: value }));
        let container = fixture.container(&bundle.written());
        let output = container.call("create").global("--systemd-cgroup").run();
        let refused = output.stderr.contains("annotations.org.systemd.property.");
        if output.status.success() || !refused {
            accepted.push(name);
        }
        container.delete_force();
        let new: Vec<_> = folders().difference(&before).cloned().collect();
        assert_safe!(new.is_empty(), "{name}: made {new:?}");
    }
    assert_safe!(accepted.is_empty(), "accepted: {accepted:?}");
    fixture.assert_clean();
}

/// Seen red on crun 1.8.1, which leaves the option aside.
#[test]
fn rt_26_exec_into_a_group_above() {
    let fixture = security::fixture(test_name!());
    let bundle = fixture.bundle().args(&["sleep", "60"]).written();
    let container = fixture.container(&bundle);
    container.create().ok();
    container.start().ok();
    let mut accepted = Vec::new();
    for group in ["..", "../..", "/..", "a/../..", "pids:../..", "/../x"] {
        let output = container
            .call_with("exec", &["--cgroup", group])
            .args(["cat", "/proc/self/cgroup"])
            .run();
        if output.status.success() {
            accepted.push(group);
        }
    }
    assert_safe!(accepted.is_empty(), "accepted: {accepted:?}");
    container.delete_force().ok();
    fixture.assert_clean();
}

/// Devices of the host's, which no container has unless it is told so.
const DEVICES: [&str; 7] = [
    "sda=b:8:0",
    "vda=b:254:0",
    "mem=c:1:1",
    "kmsg=c:1:11",
    "fuse=c:10:229",
    "tun=c:10:200",
    "rtc=c:254:0",
];

/// What is needed to make and open them, so that nothing but the rules is in the way.
const CAPABILITIES: &[&str] = &[
    "CAP_MKNOD",
    "CAP_DAC_OVERRIDE",
    "CAP_SYSLOG",
    "CAP_SYS_RAWIO",
];

fn opening_devices(bundle: Bundle, rules: &Value) -> Bundle {
    let bundle = capabilities(bundle, CAPABILITIES);
    let bundle = match rules {
        Value::Null => without(bundle, "/linux/resources/devices"),
        rules => bundle.set("/linux/resources/devices", rules.clone()),
    };
    let mut program = vec![program::ATTACK];
    program.push("devices");
    program.extend(DEVICES);
    bundle.args(&program).written()
}

/// The lines of the attack whose device could be opened, or would be if the host had it.
fn reached(output: &Output) -> Vec<String> {
    let denied = format!(" open {}", libc::EPERM);
    assert_eq!(
        output.stdout.lines().count(),
        DEVICES.len(),
        "the attack ran: {output}"
    );
    output
        .stdout
        .lines()
        .filter(|line| !line.ends_with(&denied))
        .map(str::to_owned)
        .collect()
}

#[track_caller]
fn devices_are_denied(fixture: &Fixture) {
    let mut found = Vec::new();
    for rules in [
        json!(null),
        json!([]),
        json!([{ "allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm" }]),
        json!([{ "allow": true, "type": "c", "major": 10, "minor": 201, "access": "rw" }]),
        json!([{ "allow": false, "type": "c", "major": 1, "minor": 11, "access": "r" }]),
    ] {
        let bundle = opening_devices(fixture.bundle(), &rules);
        program::install(&bundle);
        let output = fixture.container(&bundle).run().ok();
        found.extend(
            reached(&output)
                .iter()
                .map(|line| format!("{line} with {rules}")),
        );
        fs::remove_dir_all(bundle.path()).expect("remove the bundle");
    }
    assert_safe!(found.is_empty(), "opened: {found:#?}");
}

/// GHSA-g54h-m393-cpwq: without a rule that denies all, the list was one of exceptions. Seen red on
/// crun 1.8.1, and for `tun` alone, which it gives to all, on runc 1.1.5.
#[test]
fn rt_27_devices_are_denied_unless_listed() {
    let fixture = security::fixture(test_name!());
    if !Path::new("/sys/fs/cgroup/devices").exists() {
        skip!("no hierarchy of cgroup v1 with the controller `devices`");
    }
    devices_are_denied(&fixture);
    fixture.assert_clean();
}

/// With the device program of cgroup v2. Seen red on runc 1.1.5.
#[test]
fn rt_27_devices_are_denied_on_version_2() {
    let fixture = security::fixture(test_name!()).viewed(&version_2());
    devices_are_denied(&fixture);
    fixture.assert_clean();
}

/// What the list is for works: the default devices, and the one that is listed.
#[test]
fn rt_27_listed_devices_are_allowed() {
    for view in [None, Some(version_2())] {
        let fixture = security::fixture(test_name!());
        let fixture = match &view {
            None => fixture,
            Some(view) => fixture.viewed(view),
        };
        let rules = json!([
            { "allow": false, "access": "rwm" },
            { "allow": true, "type": "c", "major": 1, "minor": 11, "access": "rwm" }
        ]);
        let bundle = opening_devices(fixture.bundle(), &rules);
        program::install(&bundle);
        let output = fixture.container(&bundle).run().ok();
        let allowed = reached(&output).contains(&"kmsg mknod 0 open 0".to_owned());
        assert!(allowed, "{view:?}: {output}");
        let bundle = bundle.script("head -c 1 /dev/urandom | wc -c; echo x >/dev/null");
        let output = fixture.container(&bundle.written()).run().ok();
        assert_eq!(output.stdout, "1\n", "{view:?}");
        fixture.assert_clean();
    }
}

/// A rule that can't be applied is an error.
#[test]
fn rt_27_rules_that_make_no_sense_are_refused() {
    let fixture = security::fixture(test_name!());
    for rule in [
        json!({ "allow": true, "type": "x", "major": 1, "minor": 3, "access": "rwm" }),
        json!({ "allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwz" }),
        json!({ "allow": true, "type": "c", "major": -7, "minor": 3, "access": "rwm" }),
    ] {
        let bundle = fixture
            .bundle()
            .set("/linux/resources/devices", json!([rule]))
            .written();
        let container = fixture.container(&bundle);
        let output = container.create();
        assert_safe!(!output.status.success(), "accepted {rule}");
        output.fails_naming(&["devices"]);
    }
    fixture.assert_clean();
}

/// The test's own means: a hierarchy that is not mounted read-only is seen to be writable.
#[test]
fn rt_17_the_attack_would_be_seen() {
    let fixture = security::fixture(test_name!());
    let bundle = without_mounts(fixture.bundle(), &["/sys", "/sys/fs/cgroup"]);
    let bundle = bind(bundle, Path::new("/sys"), "/sys");
    let bundle = without_namespace(bundle, "cgroup")
        .script(
            "cd /sys/fs/cgroup; \
             for f in */cgroup.procs cgroup.procs; do [ -w $f ] && echo $f; done; true",
        )
        .written();
    let output = fixture.container(&bundle).run().ok();
    assert!(!output.stdout.is_empty(), "{output}");
    fixture.assert_clean();
}

/// The options of the host's file system of cgroup v2.
fn options_of_version_2() -> Option<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("read the mounts");
    let line = table.lines().find(|line| line.contains(" - cgroup2 "))?;
    line.rsplit(' ').next().map(str::to_owned)
}

/// opencontainers/runc#5258: a new mount in the host's cgroup namespace took `nsdelegate` from the
/// whole host, and with it the boundary of what is delegated. Was seen red on this runtime.
#[test]
fn the_hosts_cgroup_options_stay() {
    let options = options_of_version_2().unwrap_or_default();
    if !options.contains("nsdelegate") {
        skip!("the host's cgroup v2, if it has it, is mounted without nsdelegate");
    }
    let fixture = security::fixture(test_name!());
    let bundle = without_namespace(fixture.bundle(), "cgroup").args(&["ls", "/sys/fs/cgroup"]);
    let output = fixture.container(&bundle.written()).run().ok();
    assert!(output.stdout.contains("cgroup.procs"), "{output}");
    assert_eq!(options_of_version_2(), Some(options));
    fixture.assert_clean();
}
