//! Ways in which a container's process has got more than its configuration gives it.
//!
//! As in `security_paths.rs`: a test that has been seen red on Debian 12's runc 1.1.5 or crun 1.8.1
//! says so.

use orlop_tests::{Bundle, Fixture, test_name};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

const SETS: [&str; 5] = [
    "inheritable",
    "permitted",
    "effective",
    "bounding",
    "ambient",
];
const NONE: &str = "0000000000000000";
const NET_BIND_SERVICE: &str = "0000000000000400";

#[track_caller]
fn printed(fixture: &Fixture, bundle: Bundle, script: &str) -> String {
    fixture
        .container(&bundle.script(script).written())
        .run()
        .ok()
        .stdout
}

/// The five sets in the order of [`SETS`], as the kernel prints them.
#[track_caller]
fn sets(fixture: &Fixture, bundle: Bundle) -> Vec<String> {
    let status = printed(fixture, bundle, "grep ^Cap /proc/self/status");
    ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]
        .iter()
        .map(|name| {
            let line = status.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split_whitespace().nth(1));
            value.unwrap_or_default().to_owned()
        })
        .collect()
}

/// CVE-2022-29162, CVE-2022-27650: inheritable capabilities that nobody asked for.
#[test]
fn nothing_is_inheritable_unless_asked_for() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&fixture.bundle().args(&["sleep", "60"]).written());
    container.create().ok();
    container.start().ok();
    let read = ["grep", "CapInh", "/proc/self/status"];
    let expected = format!("CapInh:\t{NONE}\n");
    assert_eq!(container.exec(&read).ok().stdout, expected);
    let with_cap = container
        .call_with("exec", &["--cap", "CAP_NET_RAW"])
        .args(read)
        .run();
    assert_eq!(with_cap.ok().stdout, expected);
    container.delete_force().ok();
    fixture.assert_clean();
}

/// An absent block, an empty one, and each set alone: never more than that. Red on runc 1.3.6, for
/// which an absent block is all of them.
#[test]
fn capability_sets_are_exactly_the_configurations() {
    let fixture = Fixture::new(test_name!());
    for block in [Value::Null, json!({})] {
        let bundle = fixture.bundle().set("/process/capabilities", block.clone());
        assert_eq!(sets(&fixture, bundle), [NONE; 5], "{block}");
    }
    for set in SETS {
        let bundle = fixture
            .bundle()
            .set(
                "/process/capabilities",
                json!({ set: ["CAP_NET_BIND_SERVICE"] }),
            )
            .script("grep ^Cap /proc/self/status")
            .written();
        let output = fixture.container(&bundle).run();
        // Some of these can't be had alone; then it is refused, never widened.
        if output.status.success() {
            for line in output.stdout.lines() {
                let value = line.split_whitespace().nth(1).unwrap_or_default();
                assert!([NONE, NET_BIND_SERVICE].contains(&value), "{set}: {output}");
            }
        }
    }
    fixture.assert_clean();
}

/// CVE-2016-3697, CVE-2024-40635, CVE-2026-30892: numbers read loosely, which end as root. Red on
/// crun 1.8.1 (2^32-1) and runc 1.3.6 (2^32).
#[test]
fn a_user_is_a_number_or_refused() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture.bundle().args(&["sleep", "60"]).written();
    let passwd = bundle.rootfs().join("etc/passwd");
    fs::write(
        passwd,
        "root:x:0:0::/:/bin/sh\n1:x:0:0::/:/bin/sh\n1000:x:0:0::/:/bin/sh\n",
    )
    .unwrap();
    let container = fixture.container(&bundle);
    container.create().ok();
    container.start().ok();
    for (user, uid) in [("1", "1"), ("1:2", "1"), ("1000", "1000"), ("0:0", "0")] {
        let option = format!("--user={user}");
        let output = container
            .call_with("exec", &[&option])
            .args(["id", "-u"])
            .run();
        assert_eq!(output.ok().stdout.trim_end(), uid, "`{user}`");
    }
    // Larger than a signed number: the kernel takes them, some runtimes don't.
    for user in ["2147483648", "4294967294"] {
        let option = format!("--user={user}");
        let output = container
            .call_with("exec", &[&option])
            .args(["id", "-u"])
            .run();
        let said = output.stdout.trim_end();
        assert!(
            said == user || !output.status.success(),
            "`{user}`: {output}"
        );
    }
    let huge = "1".repeat(41);
    let refused = [
        "4294967295",
        "4294967296",
        &huge,
        "-1",
        "1e3",
        "0x10",
        " 1",
        "1\n",
        "1:",
        ":1",
        "1:2:3",
        "1:-1",
        "root",
    ];
    for user in refused {
        let option = format!("--user={user}");
        let output = container
            .call_with("exec", &[&option])
            .args(["id", "-u"])
            .run();
        assert!(!output.status.success(), "`{user}` is no user: {output}");
    }
    container.delete_force().ok();
    fixture.assert_clean();
}

/// CVE-2022-36109 and kin: a group that is denied, and left out of the process's groups.
#[test]
fn a_denied_group_stays_denied() {
    let fixture = Fixture::new(test_name!());
    for user in [
        json!({ "uid": 1000, "gid": 77 }),
        json!({ "uid": 1000, "gid": 1000, "additionalGids": [77] }),
    ] {
        let bundle = fixture.bundle().set("/process/user", user.clone());
        let file = bundle.rootfs().join("etc/denied");
        fs::write(&file, "secret\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o707)).unwrap();
        chown(&file, Some(0), Some(77)).unwrap();
        let output = printed(&fixture, bundle, "cat /etc/denied 2>&1; true");
        assert!(output.contains("Permission denied"), "{user}: {output}");
    }
    fixture.assert_clean();
}

/// CVE-2022-0811: sysctls that are smuggled in, or are the host's.
#[test]
fn only_sysctls_of_new_namespaces_are_set() {
    let fixture = Fixture::new(test_name!());
    let host = [
        "kernel/core_pattern",
        "kernel/domainname",
        "net/ipv4/ip_forward",
        "vm/swappiness",
    ];
    let values = || -> Vec<Vec<u8>> {
        let read = |name: &&str| fs::read(format!("/proc/sys/{name}")).expect("read a sysctl");
        host.iter().map(read).collect()
    };
    let before = values();
    let only =
        |kinds: &[&str]| -> Value { kinds.iter().map(|kind| json!({ "type": kind })).collect() };
    let all = only(&["pid", "network", "ipc", "uts", "mount"]);
    let cases = [
        ("kernel.shm_rmid_forced=1+kernel.core_pattern", all.clone()),
        ("kernel/../kernel/core_pattern", all.clone()),
        ("net/../kernel/core_pattern", all.clone()),
        ("kernel.core_pattern", all.clone()),
        ("vm.swappiness", all),
        ("net.ipv4.ip_forward", only(&["pid", "ipc", "uts", "mount"])),
        (
            "kernel.domainname",
            only(&["pid", "ipc", "network", "mount"]),
        ),
    ];
    for (name, namespaces) in cases {
        let mut bundle = fixture.bundle();
        if let Some(config) = bundle.config.as_object_mut() {
            config.remove("hostname");
        }
        let bundle = bundle
            .set("/linux/namespaces", namespaces)
            .set("/linux/sysctl", json!({ name: "7" }))
            .written();
        let output = fixture.container(&bundle).create();
        assert!(!output.status.success(), "{name} is not refused: {output}");
        assert_eq!(values(), before, "{name} changed the host");
        fixture.assert_clean();
    }
}

/// GHSA-g54h-m393-cpwq: a device list that does not begin with a denial of all.
#[test]
fn devices_are_denied_unless_listed() {
    let fixture = Fixture::new(test_name!());
    let tun = json!([{ "allow": true, "type": "c", "major": 10, "minor": 200, "access": "rwm" }]);
    let caps = json!([
        "CAP_MKNOD",
        "CAP_SYS_RAWIO",
        "CAP_SYSLOG",
        "CAP_DAC_OVERRIDE"
    ]);
    for resources in [
        Value::Null,
        json!({}),
        json!({ "devices": [] }),
        json!({ "devices": tun }),
    ] {
        let mut bundle = fixture
            .bundle()
            .set("/linux/resources", resources.clone())
            .set("/root/readonly", json!(false));
        for set in ["bounding", "effective", "permitted"] {
            bundle = bundle.set(&format!("/process/capabilities/{set}"), caps.clone());
        }
        let script = "cd /tmp
            mknod mem c 1 1 && head -c 1 mem >/dev/null && echo opened mem
            mknod kmsg c 1 11 && dd if=kmsg of=/dev/null bs=1 count=1 && echo opened kmsg
            mknod disk b 254 0 && head -c 1 disk >/dev/null && echo opened disk
            head -c 1 /dev/zero | wc -c";
        let output = printed(&fixture, bundle, script);
        assert_eq!(output, "1\n", "with {resources}");
    }
    fixture.assert_clean();
}

/// Hooks get the environment of the configuration, not the caller's or the container's.
#[test]
fn a_hook_has_its_own_environment_and_a_folder_of_the_host() {
    let fixture = Fixture::new(test_name!());
    let note = fixture.file("note");
    // No `env` at all is an empty environment.
    let script = format!(
        "tr '\\0' '\\n' < /proc/$$/environ > {0}; pwd >> {0}",
        note.display()
    );
    let hooks = json!({
        "createRuntime": [{ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["ONLY=this"] }]
    });
    let bundle = fixture
        .bundle()
        .set("/process/env", json!(["LD_PRELOAD=/evil.so", "PATH=/evil"]))
        .args(&["/bin/true"])
        .set("/hooks", hooks)
        .written();
    let container = fixture.container(&bundle);
    container
        .call("create")
        .env("LEAK", "of the caller")
        .run()
        .ok();
    let text = fs::read_to_string(&note).unwrap();
    let (environment, folder) = text.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(environment, "ONLY=this");
    assert!(
        !folder.starts_with(&*bundle.rootfs().to_string_lossy()),
        "{folder}"
    );
    container.delete_force().ok();
    fixture.assert_clean();
}

/// A number is not a process: what has the pid of a dead container's init is left alone.
#[test]
fn a_recycled_pid_is_not_signalled() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture.bundle().args(&["sleep", "60"]).written();
    let id = format!("{}-c", fixture.tag());
    let script = format!(
        "set -e
        runtime=$1; shift
        root={root}; id={id}
        $runtime --root $root run --detach --pid-file {pid_file} --bundle {bundle} $id
        pid=$(cat {pid_file})
        kill -9 $pid
        while [ -e /proc/$pid ]; do sleep 0.01; done
        tries=0
        while :; do
            echo $((pid - 1)) > /proc/sys/kernel/ns_last_pid
            sleep 60 &
            [ $! = $pid ] && break
            kill -9 $!; wait $! 2>/dev/null || :
            tries=$((tries + 1)); [ $tries -lt 100 ] || {{ echo no recycled pid; exit 3; }}
        done
        $runtime --root $root state $id | grep -q '\"stopped\"' || echo not stopped
        $runtime --root $root kill $id KILL && echo killed something || :
        $runtime --root $root delete --force $id
        kill -0 $pid && echo the victim lives",
        root = fixture.runtime().root().display(),
        pid_file = fixture.file("pid").display(),
        bundle = bundle.path().display(),
    );
    let file = fixture.file("script");
    fs::write(&file, script).unwrap();
    let path = file.to_str().unwrap();
    // pid 1 of the namespace reaps the dead init, which the runtime has left to it.
    let prefix = ["unshare", "--pid", "--fork", "--mount-proc", "bash", path];
    let output = fixture.runtime().clone().with_prefix(&prefix).bare().run();
    assert_eq!(output.stdout, "the victim lives\n", "{output}");
    fixture.assert_clean();
}
