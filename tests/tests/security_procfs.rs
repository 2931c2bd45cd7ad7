//! Writes below `/proc`: that they reach the file they are meant for, and no setting of the
//! host's.

use orlop_tests::security::config::{user_namespace, without_mounts, without_namespace};
use orlop_tests::security::{self, container_by, started_by};
use orlop_tests::{Bundle, Fixture, assert_safe, locate, skip, test_name};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// A second procfs on which one file is covered by a canary, bound as the container's `/proc`.
/// The mounts are made in a mount namespace of the runtime's own.
struct Covered {
    canary: PathBuf,
    procfs: PathBuf,
    script: String,
}

fn covered(fixture: &Fixture, file: &str) -> Covered {
    let canary = fixture.file("covering");
    fs::write(&canary, "untouched\n").expect("write a file");
    let procfs = fixture.file("procfs");
    fs::create_dir(&procfs).expect("make a mount point");
    let (source, target) = (canary.display(), procfs.display());
    let script = format!(
        "mount -t proc proc {target} && mount --bind {source} {target}/{file} && exec \"$@\""
    );
    Covered {
        canary,
        procfs,
        script: format!("exec unshare -m --propagation private sh -c '{script}' sh \"$@\""),
    }
}

fn bound_procfs(fixture: &Fixture, procfs: &Path) -> Bundle {
    let mut bundle = without_mounts(fixture.bundle(), &["/proc"]);
    // First, as a spec has it: what is mounted later may rely on it.
    let mount = json!({
        "destination": "/proc", "type": "bind", "source": procfs, "options": ["rbind"]
    });
    if let Some(mounts) = bundle.config["mounts"].as_array_mut() {
        mounts.insert(0, mount);
    }
    bundle
        .set("/linux/maskedPaths", json!([]))
        .set("/linux/readonlyPaths", json!([]))
}

/// CVE-2025-52881. `kernel.domainname`, since the files of `net.*` and of IPC are other ones in
/// each namespace, so that a cover made outside is not seen. Seen red on runc 1.1.5.
#[test]
fn rt_06_sysctl_through_a_covered_proc() {
    let fixture = security::fixture(test_name!());
    let covered = covered(&fixture, "sys/kernel/domainname");
    let bundle = bound_procfs(&fixture, &covered.procfs)
        .set(
            "/linux/sysctl",
            json!({ "kernel.domainname": "REDIRECTED" }),
        )
        .written();
    let runtime = started_by(&fixture, &covered.script);
    let container = container_by(&fixture, &runtime, &bundle, "covered");
    container.call("run").run();
    let text = fs::read_to_string(&covered.canary).unwrap();
    assert_safe!(text == "untouched\n", "a sysctl was written to {text:?}");
    fixture.assert_clean();
}

/// The same for the host name, which some runtimes write to `/proc`.
#[test]
fn rt_06_hostname_through_a_covered_proc() {
    let fixture = security::fixture(test_name!());
    let covered = covered(&fixture, "sys/kernel/hostname");
    let bundle = bound_procfs(&fixture, &covered.procfs)
        .set("/hostname", json!("redirected"))
        .set("/domainname", json!("redirected"))
        .written();
    let runtime = started_by(&fixture, &covered.script);
    let container = container_by(&fixture, &runtime, &bundle, "covered");
    container.call("run").run();
    let text = fs::read_to_string(&covered.canary).unwrap();
    assert_safe!(text == "untouched\n", "the name was written to {text:?}");
    fixture.assert_clean();
}

/// Without a procfs mounted, the image's own files stand where the runtime writes settings. Seen
/// red on runc 1.1.5.
#[test]
fn rt_06_process_files_of_an_image_without_proc() {
    let fixture = security::fixture(test_name!());
    let bundle = without_mounts(fixture.bundle(), &["/proc"])
        .set("/linux/maskedPaths", json!([]))
        .set("/linux/readonlyPaths", json!([]))
        .set("/root/readonly", json!(false))
        .set("/process/oomScoreAdj", json!(321))
        .set("/linux/sysctl", json!({ "kernel.domainname": "set" }))
        .args(&["sleep", "60"])
        .written();
    let folder = bundle.rootfs().join("proc");
    let files = [
        "self/oom_score_adj",
        "self/setgroups",
        "self/attr/exec",
        "sys/kernel/domainname",
    ];
    for file in files {
        fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
        fs::write(folder.join(file), "untouched\n").unwrap();
    }
    let container = fixture.container(&bundle);
    let created = container.create();
    for file in files {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        assert_safe!(text == "untouched\n", "{file} of the image has {text:?}");
    }
    if created.status.success() {
        let path = format!("/proc/{}/oom_score_adj", container.pid());
        let score = fs::read_to_string(path).unwrap();
        assert_safe!(
            score == "321\n",
            "the score went elsewhere, it is {score:?}"
        );
    }
    container.delete_force().ok();
    fixture.assert_clean();
}

/// What the private procfs is for works: the settings are made, in the container only.
#[test]
fn rt_06_settings_are_made() {
    let fixture = security::fixture(test_name!());
    let host = fs::read_to_string("/proc/sys/kernel/domainname").unwrap();
    let sysctl = json!({
        "kernel.domainname": "contained.example",
        "net.ipv4.ip_unprivileged_port_start": "81",
        "net/ipv4/ip_default_ttl": "42",
        "kernel.msgmax": "8191"
    });
    let bundle = fixture
        .bundle()
        .set("/linux/sysctl", sysctl)
        .set("/process/oomScoreAdj", json!(77))
        .script(
            "cd /proc/sys; cat kernel/domainname net/ipv4/ip_unprivileged_port_start \
             net/ipv4/ip_default_ttl kernel/msgmax /proc/self/oom_score_adj",
        )
        .written();
    let output = fixture.container(&bundle).run().ok();
    assert_eq!(output.stdout, "contained.example\n81\n42\n8191\n77\n");
    let after = fs::read_to_string("/proc/sys/kernel/domainname").unwrap();
    assert_eq!(after, host, "the host's");
    fixture.assert_clean();
}

/// No path below `/proc` is opened for reading or writing from the container's root: the kernel
/// would walk what the image has mounted there. Masks have to be looked up, without opening them.
/// Seen red on runc 1.1.5.
#[test]
fn rt_06_proc_is_never_opened_by_its_path_inside() {
    let fixture = security::fixture(test_name!());
    let Some(strace) = locate::in_path("strace") else {
        skip!("no strace")
    };
    let bundle = fixture
        .bundle()
        .set("/linux/sysctl", json!({ "kernel.domainname": "traced" }))
        .set("/process/oomScoreAdj", json!(77))
        .args(&["sleep", "60"])
        .written();
    let log = fixture.file("trace");
    let script = format!(
        "exec {} -f -o {} -e trace=pivot_root,chroot,open,openat,openat2,execve \"$@\"",
        strace.display(),
        log.display()
    );
    let runtime = started_by(&fixture, &script);
    let container = container_by(&fixture, &runtime, &bundle, "traced");
    // Detached: the tracer goes on until the container ends.
    let tracing = container.call("create").start();
    let plain = container_by(&fixture, fixture.runtime(), &bundle, "traced");
    wait_until_created(&plain);
    plain.delete_force().ok();
    tracing.finish();
    let trace = fs::read_to_string(&log).unwrap();
    let opened: Vec<&str> = opens_of_proc_after_pivot(&trace).collect();
    assert_safe!(
        opened.is_empty(),
        "opened by path in the container: {opened:#?}"
    );
    fixture.assert_clean();
}

fn wait_until_created(container: &orlop_tests::Container) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let state = container.call("state").run();
        if state.status.success() && state.json()["status"] == "created" {
            return;
        }
        assert!(std::time::Instant::now() < end, "never created: {state}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Lines of the process that pivots, after it has.
fn opens_of_proc_after_pivot(trace: &str) -> impl Iterator<Item = &str> {
    let mut pivoted = None;
    trace.lines().filter(move |line| {
        let pid = line.split(' ').next();
        if line.contains(" pivot_root(") || line.contains(" chroot(") {
            pivoted = pid;
        }
        let looks_up = line.contains("O_PATH") && line.contains("RESOLVE_IN_ROOT");
        let opens = line.contains(" open") && line.contains("\"/proc/") && !looks_up;
        pivoted.is_some() && pid == pivoted && opens
    })
}

/// A sysctl with a value that is the host's already, so that nothing happens to a host whose
/// runtime gives way.
#[track_caller]
fn sysctl_is_refused(bundle: impl Fn(&Fixture) -> Bundle, test: &str, keys: &[(&str, &str)]) {
    let fixture = security::fixture(test);
    let mut accepted = Vec::new();
    for (key, file) in keys {
        let path = Path::new("/proc/sys").join(file);
        let value = fs::read_to_string(&path).expect("read a setting of the host");
        let mut bundle = bundle(&fixture);
        bundle.config["linux"]["sysctl"] = json!({ *key: value.trim_end() });
        let container = fixture.container(&bundle.written());
        let output = container.create();
        if output.status.success() {
            accepted.push(*key);
        } else {
            output.fails_naming(&["sysctl"]);
        }
        container.delete_force();
        let after = fs::read_to_string(&path).expect("read it again");
        assert_safe!(after == value, "{key} has changed the host's {file}");
    }
    assert_safe!(accepted.is_empty(), "accepted: {accepted:?}");
    fixture.assert_clean();
}

/// CVE-2022-0811.
#[test]
fn rt_25_sysctls_that_have_no_namespace() {
    sysctl_is_refused(
        |fixture| fixture.bundle(),
        test_name!(),
        &[
            ("kernel.core_pattern", "kernel/core_pattern"),
            ("kernel.pid_max", "kernel/pid_max"),
            ("vm.overcommit_memory", "vm/overcommit_memory"),
            ("fs.file-max", "fs/file-max"),
            ("kernel/../kernel/core_pattern", "kernel/core_pattern"),
            ("net/../kernel/core_pattern", "kernel/core_pattern"),
            ("net.ipv4.../kernel/core_pattern", "kernel/core_pattern"),
            (
                "kernel.shm_rmid_forced=0+kernel.core_pattern",
                "kernel/core_pattern",
            ),
            ("kernel.msgmax\nkernel.core_pattern", "kernel/core_pattern"),
            ("/kernel/core_pattern", "kernel/core_pattern"),
            ("kernel", "kernel/core_pattern"),
            ("", "kernel/core_pattern"),
        ],
    );
}

#[test]
fn rt_25_sysctls_of_a_namespace_that_is_the_hosts() {
    sysctl_is_refused(
        |fixture| without_namespace(fixture.bundle(), "network"),
        test_name!(),
        &[("net.ipv4.ip_forward", "net/ipv4/ip_forward")],
    );
    sysctl_is_refused(
        |fixture| without_namespace(fixture.bundle(), "uts").set("/hostname", json!("")),
        test_name!(),
        &[("kernel.domainname", "kernel/domainname")],
    );
    sysctl_is_refused(
        |fixture| {
            let bundle = without_mounts(fixture.bundle(), &["/dev/mqueue"]);
            without_namespace(bundle, "ipc")
        },
        test_name!(),
        &[
            ("kernel.msgmax", "kernel/msgmax"),
            ("fs.mqueue.msg_max", "fs/mqueue/msg_max"),
        ],
    );
}

/// A namespace that is joined by its path may be the host's as well. Seen red on crun 1.8.1.
#[test]
fn rt_25_sysctls_of_the_hosts_namespace_by_path() {
    sysctl_is_refused(
        |fixture| {
            without_namespace(fixture.bundle(), "network").set(
                "/linux/namespaces/-",
                json!({ "type": "network", "path": host_network() }),
            )
        },
        test_name!(),
        &[("net.ipv4.ip_forward", "net/ipv4/ip_forward")],
    );
}

fn host_network() -> String {
    format!("/proc/{}/ns/net", std::process::id())
}

/// A hook is not asked to write it: no helper program sees a sysctl.
#[test]
fn rt_25_a_sysctls_value_is_one_value() {
    let fixture = security::fixture(test_name!());
    let bundle = fixture
        .bundle()
        .set(
            "/linux/sysctl",
            json!({ "kernel.domainname": "a+kernel.core_pattern=|/bin/x" }),
        )
        .args(&["cat", "/proc/sys/kernel/domainname"])
        .written();
    let host = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    let output = fixture.container(&bundle).run();
    if output.status.success() {
        assert_eq!(output.stdout, "a+kernel.core_pattern=|/bin/x\n");
    }
    let after = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    assert_safe!(after == host, "the host's core_pattern has changed");
    fixture.assert_clean();
}

/// Who sees a whole procfs anywhere in its mount namespace may mount another, with nothing masked
/// (`mount_too_revealing` of the kernel): below a root that was not pivoted to, the host's goes on.
#[test]
fn rt_16_no_pivot_leaves_no_other_procfs_in_reach() {
    let fixture = security::fixture(test_name!());
    let script = "unshare -U -r -m true && echo may unshare;
        unshare -U -r -m -p -f sh -c 'mount -t proc proc /mnt 2>/dev/null && echo a new procfs';
        unshare -U -r -n -m sh -c 'mount -t sysfs sysfs /mnt 2>/dev/null && echo a new sysfs'; true";
    for mapped in [false, true] {
        let masked = json!(["/proc/kcore", "/sys/firmware"]);
        let mut bundle = fixture
            .bundle()
            // Root of the container could not map itself without CAP_SETFCAP.
            .set("/process/user", json!({ "uid": 1000, "gid": 1000 }))
            .set("/linux/maskedPaths", masked);
        if mapped {
            bundle = user_namespace(bundle, 100_000, 65536);
        }
        let bundle = bundle.script(script).written();
        for options in [&[][..], &["--no-pivot"]] {
            let output = fixture.container(&bundle).call_with("run", options).run();
            assert_safe!(
                output.stdout == "may unshare\n",
                "{options:?}, mapped {mapped}: {output}"
            );
        }
    }
    fixture.assert_clean();
}

/// The host's mounts stay below the root, where what it mounts later must not arrive.
#[test]
fn rt_16_no_pivot_lets_no_later_procfs_in() {
    let fixture = security::fixture(test_name!());
    let shared = fixture.file("shared");
    fs::create_dir_all(&shared).unwrap();
    let run = |command: &str| {
        let status = std::process::Command::new("sh")
            .args(["-c", command])
            .status();
        assert!(status.unwrap().success(), "{command}");
    };
    let at = shared.display();
    run(&format!(
        "mount -t tmpfs tmpfs {at} && mount --make-shared {at} && mkdir {at}/p"
    ));
    let bundle = fixture
        .bundle()
        .set("/process/user", json!({ "uid": 1000, "gid": 1000 }))
        .set(
            "/linux/maskedPaths",
            json!(["/proc/kcore", "/sys/firmware"]),
        )
        .set("/linux/rootfsPropagation", json!("slave"))
        .script("sleep 60")
        .written();
    let container = fixture.container(&bundle);
    let output = container
        .call_with("run", &["--no-pivot", "--detach"])
        .run()
        .ok();
    assert!(
        output.stderr.contains("linux.rootfsPropagation"),
        "{output}"
    );
    run(&format!("mount -t proc proc {at}/p"));
    let script = "unshare -U -r -m -p -f sh -c 'mount -t proc proc /mnt'";
    let attempt = container.exec(&["sh", "-c", script]);
    run(&format!("umount {at}/p && umount {at}"));
    container.delete_force().ok();
    assert_safe!(!attempt.status.success(), "a new procfs: {attempt}");
    fixture.assert_clean();
}

/// A part of procfs, such as a file that is bound, is no whole one, and nothing that a file system
/// could be mounted on.
#[test]
fn rt_16_no_pivot_on_a_host_with_a_file_of_procfs_bound() {
    let fixture = security::fixture(test_name!());
    let file = fixture.file("version");
    fs::write(&file, "").unwrap();
    let target = file.display();
    let script = format!("mount --bind /proc/version {target} && exec \"$@\"");
    let script = format!("exec unshare -m --propagation private sh -c '{script}' sh \"$@\"");
    let runtime = started_by(&fixture, &script);
    for mapped in [false, true] {
        let mut bundle = fixture.bundle().script("echo ran");
        if mapped {
            bundle = user_namespace(bundle, 100_000, 65536);
        }
        let name = format!("part-{mapped}");
        let container = container_by(&fixture, &runtime, &bundle.written(), &name);
        let output = container.call_with("run", &["--no-pivot"]).run().ok();
        assert_eq!(output.stdout, "ran\n");
    }
    fixture.assert_clean();
}
