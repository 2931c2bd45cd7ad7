//! What of the kernel a container reaches: files of `/proc` and `/sys`, system calls, ABIs, keys.

use orlop_tests::security::{self, container_by, program, started_by};
use orlop_tests::{Bundle, Container, Fixture, assert_safe, test_name};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;

/// A bundle with what the runtime's own `spec` writes.
fn default_specification(fixture: &Fixture) -> Bundle {
    let mut bundle = fixture.bundle();
    fs::remove_file(bundle.config_path()).expect("remove the configuration");
    let spec = fixture.runtime().bare().arg("spec").dir(bundle.path());
    spec.run().ok();
    let text = fs::read(bundle.config_path()).expect("read what `spec` has written");
    bundle.config = serde_json::from_slice(&text).expect("JSON");
    program::install(&bundle);
    bundle.set("/process/terminal", json!(false))
}

/// What root in a default container may open for writing: all of it is the process's own, or
/// belongs to its namespaces. A new file of the kernel's makes the test fail, to be looked at.
const WRITABLE: &[&str] = &[
    "/proc/1/attr/",
    "/proc/1/arch_status",
    "/proc/1/autogroup",
    "/proc/1/clear_refs",
    "/proc/1/comm",
    "/proc/1/coredump_filter",
    "/proc/1/gid_map",
    "/proc/1/make-it-fail",
    "/proc/1/mem",
    "/proc/1/net/",
    "/proc/1/oom_adj",
    "/proc/1/oom_score_adj",
    "/proc/1/projid_map",
    "/proc/1/sched",
    "/proc/1/sessionid",
    "/proc/1/loginuid",
    "/proc/1/setgroups",
    "/proc/1/timens_offsets",
    "/proc/1/timerslack_ns",
    "/proc/1/uid_map",
    "/proc/net/",
    // Triggers on the load of all the machine, which any user may set.
    "/proc/pressure/",
];

/// CVE-2017-16539, CVE-2018-10892 and kin.
#[test]
fn rt_15_files_that_a_default_container_can_write() {
    let fixture = security::fixture(test_name!());
    let bundle = default_specification(&fixture)
        .args(&[program::ATTACK, "writable", "/proc", "/sys"])
        .written();
    let output = fixture.container(&bundle).run().ok();
    let others: Vec<&str> = output
        .stdout
        .lines()
        .filter(|path| !WRITABLE.iter().any(|allowed| path.starts_with(allowed)))
        .collect();
    assert_safe!(others.is_empty(), "can be written: {others:#?}");
    assert!(output.stdout.contains("/proc/1/comm"), "the attack ran");
    fixture.assert_clean();
}

/// What must not even be read: the host's hardware, memory, keys.
#[test]
fn rt_15_files_that_a_default_container_can_not_read() {
    let fixture = security::fixture(test_name!());
    let script = "for f in /proc/kcore /proc/keys /proc/timer_list /proc/latency_stats \
         /proc/sched_debug /proc/scsi /proc/acpi /proc/asound /sys/firmware \
         /sys/devices/virtual/powercap; do \
         [ -d $f ] && [ -n \"$(ls -A $f 2>/dev/null)\" ] && echo $f; \
         [ -f $f ] && [ -n \"$(head -c 1 $f 2>/dev/null)\" ] && echo $f; done; true";
    let bundle = default_specification(&fixture).script(script).written();
    let output = fixture.container(&bundle).run().ok();
    assert_safe!(output.stdout.is_empty(), "readable: {}", output.stdout);
    fixture.assert_clean();
}

/// The lines `NAME NUMBER` of the attack.
fn numbers(text: &str) -> BTreeMap<String, i32> {
    text.lines()
        .filter_map(|line| {
            let (name, number) = line.split_once(' ')?;
            Some((name.to_owned(), number.parse().ok()?))
        })
        .collect()
}

/// Calls that need a capability which a default container doesn't have.
const PRIVILEGED: &[&str] = &[
    "mount",
    "umount2",
    "pivot_root",
    "open_tree",
    "fsopen",
    "move_mount",
    "init_module",
    "kexec_load",
    "reboot",
    "swapon",
    "unshare_mount",
];

/// CVE-2022-0492, CVE-2022-0185 and kin: without a filter, capabilities alone refuse these.
#[test]
fn rt_18_privileged_calls_in_a_default_container() {
    let fixture = security::fixture(test_name!());
    let bundle = default_specification(&fixture)
        .args(&[program::ATTACK, "syscalls"])
        .written();
    let output = fixture.container(&bundle).run().ok();
    let found = numbers(&output.stdout);
    let reached: Vec<&&str> = PRIVILEGED
        .iter()
        .filter(|name| !matches!(found[**name], libc::EPERM | libc::EACCES | libc::ENOSYS))
        .collect();
    assert_safe!(reached.is_empty(), "not refused: {reached:?}\n{output}");
    fixture.assert_clean();
}

/// The `release_agent` of cgroup v1, by which CVE-2022-0492 left the container.
#[test]
fn rt_18_no_release_agent_in_a_default_container() {
    let fixture = security::fixture(test_name!());
    let script = "mkdir /tmp/h 2>/dev/null; \
         for c in memory rdma devices; do mount -t cgroup -o $c cgroup /tmp 2>/dev/null && \
         echo mounted $c; done; \
         for f in $(find /sys/fs/cgroup -name release_agent); do \
         (: >>$f) 2>/dev/null && echo writable $f; done; true";
    let bundle = default_specification(&fixture).script(script).written();
    let output = fixture.container(&bundle).run().ok();
    assert_safe!(output.stdout.is_empty(), "{}", output.stdout);
    fixture.assert_clean();
}

/// Calls for which no capability is needed: a filter has to refuse them.
const FILTERED: &[&str] = &["unshare", "keyctl", "userfaultfd", "io_uring_setup"];

fn filter(architectures: &Value, calls: &[&str]) -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": architectures,
        "syscalls": [{ "names": calls, "action": "SCMP_ACT_ERRNO", "errnoRet": libc::EPERM }]
    })
}

#[test]
fn rt_18_filtered_calls() {
    let fixture = security::fixture(test_name!());
    for no_new_privileges in [true, false] {
        let bundle = default_specification(&fixture)
            .set(
                "/linux/seccomp",
                filter(&json!(["SCMP_ARCH_X86_64"]), FILTERED),
            )
            .set("/process/noNewPrivileges", json!(no_new_privileges))
            .args(&[program::ATTACK, "syscalls"])
            .written();
        let output = fixture.container(&bundle).run().ok();
        let found = numbers(&output.stdout);
        for name in [
            "unshare_user",
            "unshare_mount",
            "keyctl",
            "userfaultfd",
            "io_uring_setup",
        ] {
            assert_safe!(
                found[name] == libc::EPERM,
                "{name} gives {}: {output}",
                found[name]
            );
        }
    }
    fixture.assert_clean();
}

#[cfg(target_arch = "x86_64")]
fn abis(fixture: &Fixture, seccomp: Value) -> (i32, BTreeMap<String, i32>) {
    let bundle = default_specification(fixture)
        .set("/linux/seccomp", seccomp)
        .args(&[program::ATTACK, "abis"])
        .written();
    let output = fixture.container(&bundle).run();
    (output.code(), numbers(&output.stdout))
}

/// A call that is denied is denied through every ABI of the processor.
#[cfg(target_arch = "x86_64")]
#[test]
fn rt_30_a_denied_call_is_denied_on_all_abis() {
    let fixture = security::fixture(test_name!());
    let all = json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]);
    let (code, found) = abis(&fixture, filter(&all, &["getppid"]));
    assert_eq!(code, 0, "{found:?}");
    for abi in ["native", "x32", "i386"] {
        assert_safe!(found[abi] == libc::EPERM, "{abi} gives {}", found[abi]);
    }
    fixture.assert_clean();
}

/// An ABI that isn't listed is no way around the filter.
#[cfg(target_arch = "x86_64")]
#[test]
fn rt_30_an_unlisted_abi_is_no_way_around() {
    let fixture = security::fixture(test_name!());
    let native = json!(["SCMP_ARCH_X86_64"]);
    let (code, found) = abis(&fixture, filter(&native, &["getppid"]));
    assert_safe!(found.get("native") == Some(&libc::EPERM), "{found:?}");
    for abi in ["x32", "i386"] {
        // Killed, or refused; never answered.
        let answered = found.get(abi).is_some_and(|errno| *errno == 0);
        assert_safe!(!answered, "{abi} was answered: exit {code}, {found:?}");
    }
    fixture.assert_clean();
}

/// What can't be applied is an error, not left out.
#[test]
fn rt_30_a_filter_that_can_not_be_applied_is_an_error() {
    let fixture = security::fixture(test_name!());
    let good = filter(&json!(["SCMP_ARCH_X86_64"]), &["getppid"]);
    for (pointer, value) in [
        (
            "/linux/seccomp/flags",
            json!(["SECCOMP_FILTER_FLAG_NO_SUCH"]),
        ),
        ("/linux/seccomp/defaultAction", json!("SCMP_ACT_NO_SUCH")),
        ("/linux/seccomp/architectures", json!(["SCMP_ARCH_NO_SUCH"])),
        (
            "/linux/seccomp/syscalls/0/action",
            json!("SCMP_ACT_NO_SUCH"),
        ),
        (
            "/linux/seccomp/syscalls/0/args",
            json!([{ "index": 9, "value": 1, "op": "SCMP_CMP_EQ" }]),
        ),
        (
            "/linux/seccomp/syscalls/0/args",
            json!([{ "index": 0, "value": 1, "op": "SCMP_CMP_NO_SUCH" }]),
        ),
    ] {
        let bundle = fixture
            .bundle()
            .set("/linux/seccomp", good.clone())
            .set(pointer, value.clone())
            .written();
        let output = fixture.container(&bundle).run();
        assert_safe!(!output.status.success(), "accepted {pointer} {value}");
        output.fails_naming(&["seccomp"]);
    }
    fixture.assert_clean();
}

/// A process that `exec` starts is filtered as the first one.
#[test]
fn rt_30_exec_is_filtered() {
    let fixture = security::fixture(test_name!());
    let bundle = default_specification(&fixture)
        .set(
            "/linux/seccomp",
            filter(&json!(["SCMP_ARCH_X86_64"]), &["getppid"]),
        )
        .args(&["sleep", "60"])
        .written();
    let container = fixture.container(&bundle);
    container.create().ok();
    container.start().ok();
    let output = container.exec(&[program::ATTACK, "abis"]);
    let found = numbers(&output.stdout);
    assert_safe!(found.get("native") == Some(&libc::EPERM), "{output}");
    container.delete_force().ok();
    fixture.assert_clean();
}

/// The caller's session keyring, with a key in it that the container looks for.
fn looking_for_a_key(fixture: &Fixture, name: &str) -> Container {
    let bundle = fixture
        .bundle()
        .args(&[program::ATTACK, "key", "find", fixture.tag()])
        .written();
    program::install(&bundle);
    let attack = program::on_host();
    let with_key = format!(
        "exec {} key with {} \"$@\"",
        attack.display(),
        fixture.tag()
    );
    container_by(fixture, &started_by(fixture, &with_key), &bundle, name)
}

/// The caller's keys are not the container's.
#[test]
fn rt_32_the_callers_keys_are_not_found() {
    let fixture = security::fixture(test_name!());
    let output = looking_for_a_key(&fixture, "new").call("run").run().ok();
    assert_safe!(output.stdout != "found\n", "the caller's key is found");
    // The option that keeps the caller's keyring shows that the search works.
    let kept = looking_for_a_key(&fixture, "kept");
    let output = kept.call_with("run", &["--no-new-keyring"]).run().ok();
    assert_eq!(output.stdout, "found\n");
    fixture.assert_clean();
}

/// Keyrings go with their containers.
#[test]
fn rt_32_no_keyring_is_left() {
    let fixture = security::fixture(test_name!());
    let bundle = fixture.bundle().written();
    for _ in 0..50 {
        fixture.container(&bundle).run().ok();
    }
    // The kernel removes unused keys a little later.
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let keys = fs::read_to_string("/proc/keys").unwrap();
        let left = keys.lines().filter(|key| key.contains(fixture.tag()));
        let left: Vec<&str> = left.collect();
        if left.is_empty() {
            break;
        }
        assert!(std::time::Instant::now() < end, "left: {left:#?}");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    fixture.assert_clean();
}
