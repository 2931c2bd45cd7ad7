//! While the runtime enters a container, the container can see and touch it: its program, its
//! descriptors, its memory.

use orlop_tests::security::config::{capabilities, join_namespace, user_namespace};
use orlop_tests::security::{self, program, started_by};
use orlop_tests::{
    Bundle, Container, Fixture, Runtime, assert_safe, exposed, locate, skip, test_name,
};
use rustix::fs::{CWD, Mode, OFlags, SealFlags, StatVfsMountFlags, fcntl_get_seals, openat};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often the attacked program is started.
const ENTRIES: u32 = 200;

/// A running container of the attack, which has written its report's first line.
fn attacker(fixture: &Fixture, bundle: Bundle, what: &str) -> (Container, PathBuf) {
    let bundle = bundle
        .set("/root/readonly", json!(false))
        .args(&[program::ATTACK, what, "/report"])
        .written();
    program::install(&bundle);
    let report = bundle.rootfs().join("report");
    fs::write(&report, "").expect("make the report");
    fs::set_permissions(&report, fs::Permissions::from_mode(0o666)).expect("open the report");
    let victim = bundle.rootfs().join("bin/busybox.victim");
    fs::copy(bundle.rootfs().join("bin/busybox"), victim).expect("make a program to attack");
    let container = fixture.container(&bundle);
    container.create().ok();
    container.start().ok();
    wait_for_line(&report, "ready");
    (container, report)
}

#[track_caller]
fn wait_for_line(report: &Path, text: &str) {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let lines = fs::read_to_string(report).expect("read the report");
        if lines.contains(text) {
            return;
        }
        assert!(Instant::now() < end, "no `{text}` in the report:\n{lines}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The fixture's runtime as a copy, for it to be overwritten instead of the installed one.
fn expendable(fixture: &Fixture) -> PathBuf {
    let copy = fixture.file("runtime");
    fs::copy(fixture.runtime().program(), &copy).expect("copy the runtime");
    copy
}

#[track_caller]
fn never_written(report: &Path) {
    let lines = fs::read_to_string(report).expect("read the report");
    let written: Vec<&str> = lines
        .lines()
        .filter(|line| line.starts_with("wrote") && !line.contains("/bin/"))
        .collect();
    assert_safe!(written.is_empty(), "written: {written:?}");
}

/// CVE-2019-5736: what stands in the container as `/proc/<pid>/exe` can't be written, ever.
#[test]
fn rt_01_the_created_process_is_not_the_runtime() {
    let fixture = security::fixture(test_name!());
    let container = fixture.container(&fixture.bundle().written());
    container.create().ok();
    let path = format!("/proc/{}/exe", container.pid());
    let exe = openat(CWD, &path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    let needed = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    let sealed = fcntl_get_seals(&exe).is_ok_and(|seals| seals.contains(needed));
    let read_only = rustix::fs::fstatvfs(&exe)
        .unwrap()
        .f_flag
        .contains(StatVfsMountFlags::RDONLY);
    assert_safe!(
        sealed || read_only,
        "{path} is neither sealed nor read-only"
    );
    container.delete_force().ok();
    fixture.assert_clean();
}

/// A process in the container tries to write every program that it sees in `/proc`, while `exec`
/// is made to execute the runtime itself: by its name, and as an interpreter.
#[test]
fn rt_01_exec_of_the_runtime_itself() {
    let name = test_name!();
    let folder = security::fixture(name);
    let program = expendable(&folder);
    let before = program.metadata().unwrap();
    let fixture = security::fixture_of(name, &program);
    let (container, report) = attacker(&fixture, fixture.bundle(), "exe");
    let script = fixture.file("bundle0/rootfs/bin/script");
    fs::write(&script, "#!/proc/self/exe\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    // The attack works: a program of the container's own is written.
    let written = "wrote /bin/busybox.victim";
    for _ in 0..10 {
        container
            .exec(&["/bin/busybox.victim", "sleep", "0.3"])
            .ok();
        // On a slow machine it has ended before its name is read for the report.
        if fs::read_to_string(&report).unwrap().contains(written) {
            break;
        }
    }
    wait_for_line(&report, written);
    for _ in 0..ENTRIES {
        container.exec(&["/proc/self/exe"]);
        container.exec(&["/bin/script"]);
    }
    never_written(&report);
    container.delete_force().ok();
    let after = program.metadata().unwrap();
    let same = (before.mtime(), before.mtime_nsec(), before.ino())
        == (after.mtime(), after.mtime_nsec(), after.ino());
    assert_safe!(same, "the runtime was written");
    fixture.assert_clean();
}

/// The same with `run`, in the attacker's PID namespace.
#[test]
fn rt_01_run_of_the_runtime_itself() {
    let name = test_name!();
    let folder = security::fixture(name);
    let fixture = security::fixture_of(name, &expendable(&folder));
    let (container, report) = attacker(&fixture, fixture.bundle(), "exe");
    for args in [&["/proc/self/exe"][..], &["/bin/script"]] {
        let bundle = join_namespace(fixture.bundle(), "pid", container.pid())
            .args(args)
            .written();
        let script = bundle.rootfs().join("bin/script");
        fs::write(&script, "#!/proc/self/exe\n").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        for _ in 0..20 {
            fixture.container(&bundle).run();
        }
    }
    never_written(&report);
    container.delete_force().ok();
    fixture.assert_clean();
}

/// Lines of the attack's report that match.
fn lines(report: &Path, starts: &[&str]) -> Vec<String> {
    fs::read_to_string(report)
        .expect("read the report")
        .lines()
        .filter(|line| starts.iter().any(|start| line.starts_with(start)))
        .filter(|line| !line.contains("/bin/busybox.victim"))
        .map(str::to_owned)
        .collect()
}

/// Starts `true` in it many times, after it was shown that the attack reaches a program of the
/// container's own.
fn enter_often(container: &Container, report: &Path, control: Option<&str>) {
    if let Some(control) = control {
        container
            .exec(&["/bin/busybox.victim", "sleep", "0.3"])
            .ok();
        wait_for_line(report, control);
    }
    for _ in 0..ENTRIES {
        container.exec(&["true"]).ok();
    }
}

/// CVE-2016-9962: in a user namespace, a process that may trace all others there never gets hold
/// of one that enters, before that executes the container's program.
#[test]
fn rt_04_attaching_in_a_user_namespace() {
    let fixture = security::fixture(test_name!());
    let bundle = user_namespace(fixture.bundle(), 0, 65536);
    let bundle = capabilities(bundle, &["CAP_SYS_PTRACE", "CAP_SYS_ADMIN", "CAP_KILL"]);
    let (container, report) = attacker(&fixture, bundle, "attach");
    enter_often(&container, &report, Some("attached"));
    let found = lines(&report, &["attached", "root", "cwd", "fd"]);
    assert_safe!(found.is_empty(), "reached: {found:#?}");
    container.delete_force().ok();
    fixture.assert_clean();
}

/// Without a user namespace and without the capability.
#[test]
fn rt_04_attaching_without_the_capability() {
    let fixture = security::fixture(test_name!());
    let (container, report) = attacker(&fixture, fixture.bundle(), "attach");
    enter_often(&container, &report, Some("attached"));
    let found = lines(&report, &["attached", "root", "cwd", "fd"]);
    assert_safe!(found.is_empty(), "reached: {found:#?}");
    container.delete_force().ok();
    fixture.assert_clean();
}

/// With the capability over the host's user namespace, the kernel lets it attach; but nothing of
/// the host's file system is there to be reached.
#[test]
fn rt_04_nothing_of_the_host_is_held() {
    let fixture = security::fixture(test_name!());
    let bundle = capabilities(fixture.bundle(), &["CAP_SYS_PTRACE", "CAP_KILL"]);
    let (container, report) = attacker(&fixture, bundle, "attach");
    enter_often(&container, &report, Some("attached"));
    let found = lines(&report, &["root", "cwd", "fd"]);
    assert_safe!(found.is_empty(), "reached: {found:#?}");
    container.delete_force().ok();
    fixture.assert_clean();
}

/// Before its program runs, init has more rights than that: nobody in the container may look into it,
/// not even who may trace all others there.
#[test]
fn rt_04_what_is_not_started_is_not_looked_into() {
    let fixture = security::fixture(test_name!());
    let bundle = user_namespace(fixture.bundle(), 0, 65536);
    let bundle = capabilities(
        bundle,
        &["CAP_SYS_PTRACE", "CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"],
    );
    let container = fixture.container(&bundle.args(&["sleep", "60"]).written());
    container.create().ok();
    let look = "for file in fd/0 root ns/user mem; do
                if (ls /proc/1/$file/ || : </proc/1/$file) >/dev/null 2>&1; then echo $file; fi
                done";
    let found = container.exec(&["sh", "-c", look]).ok().stdout;
    assert_safe!(found.is_empty(), "reached before the start: {found}");
    container.start().ok();
    // It is not for want of rights: the program itself is theirs.
    let found = container.exec(&["sh", "-c", look]).ok().stdout;
    assert_eq!(found, "fd/0\nroot\nns/user\nmem\n");
    container.delete_force().ok();
    fixture.assert_clean();
}

/// Programs and libraries that a runtime, or what it starts, might look up after it has entered.
const LOOKED_UP: [&str; 16] = [
    "bin/nsenter",
    "bin/ps",
    "bin/sh",
    "bin/mount",
    "bin/ip",
    "bin/tar",
    "bin/xz",
    "usr/bin/ps",
    "usr/bin/env",
    "usr/bin/nsenter",
    "usr/bin/unpigz",
    "usr/sbin/ip",
    "sbin/init",
    "sbin/ldconfig",
    "sbin/modprobe",
    "usr/bin/newuidmap",
];

/// CVE-2022-1227, CVE-2019-14271, CVE-2014-9357: no verb runs or loads anything of the image.
#[test]
fn rt_34_no_verb_runs_what_the_image_brings() {
    let fixture = security::fixture(test_name!());
    let bundle = fixture
        .bundle()
        .set("/root/readonly", json!(false))
        .set("/process/terminal", json!(false))
        .args(&["sleep", "60"])
        .written();
    let rootfs = bundle.rootfs();
    for name in LOOKED_UP {
        let path = rootfs.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&path);
        fs::write(&path, "#!/bin/busybox sh\n/bin/busybox touch /PWNED\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    // Loaded by name services: not an ELF file, so a process that tries it says so or fails.
    fs::create_dir_all(rootfs.join("lib/x86_64-linux-gnu")).unwrap();
    fs::write(rootfs.join("etc/nsswitch.conf"), "passwd: pwned\n").unwrap();
    fs::write(rootfs.join("lib/x86_64-linux-gnu/libnss_pwned.so.2"), "").unwrap();
    let container = fixture.container(&bundle);
    container.create().ok();
    container.call("state").run().ok();
    container.start().ok();
    container.exec(&["true"]).ok();
    container
        .call_with("exec", &["--user", "1000:1000", "--cwd", "/tmp"])
        .arg("true")
        .run()
        .ok();
    container.call("ps").run();
    container.call_with("ps", &["--format", "json"]).run().ok();
    fixture.runtime().command("list").run().ok();
    container.kill("KILL").ok();
    container.wait_for("stopped");
    container.delete().ok();
    for place in [rootfs.join("PWNED"), PathBuf::from("/PWNED")] {
        assert_safe!(
            !place.exists(),
            "a program of the image was run: {} is there",
            place.display()
        );
    }
    fixture.assert_clean();
}

/// What `create` and `exec` execute: the runtime, its own init, the program. Nothing else, and
/// nothing else of the image.
#[test]
fn rt_34_only_the_program_is_executed() {
    let fixture = security::fixture(test_name!());
    let Some(strace) = locate::in_path("strace") else {
        skip!("no strace")
    };
    let bundle = fixture.bundle().args(&["/bin/sleep", "60"]).written();
    let container = fixture.container(&bundle);
    container.create().ok();
    container.start().ok();
    let log = fixture.file("trace");
    let script = format!(
        "exec {} -f -o {} -e trace=execve,execveat \"$@\"",
        strace.display(),
        log.display()
    );
    let call = started_by(&fixture, &script).command("exec");
    call.args([container.id(), "/bin/true"]).run().ok();
    container.delete_force().ok();
    let runtime = format!("\"{}\"", fixture.runtime().program().display());
    let trace = fs::read_to_string(&log).unwrap();
    let others: Vec<&str> = trace
        .lines()
        .filter(|line| line.contains(" execve(") || line.contains(" execveat("))
        .filter(|line| !line.contains("= -1 "))
        .filter(|line| {
            let own = [
                &runtime,
                "\"\"",
                "\"/proc/self/fd/",
                "\"/bin/true\"",
                "/view\"",
            ];
            !own.iter().any(|name| line.contains(*name))
        })
        .collect();
    assert_safe!(others.is_empty(), "executed: {others:#?}");
    assert!(trace.contains("\"/bin/true\""), "the program was: {trace}");
    fixture.assert_clean();
}

/// A caller's runtime that isn't the fixture's is driven as well: the copy can be overwritten.
#[test]
fn rt_01_the_attack_on_the_copy_would_be_seen() {
    let name = test_name!();
    let fixture = security::fixture(name);
    let copy = expendable(&fixture);
    let runtime = Runtime::new(&copy, &fixture.file("state"), fixture.tag());
    let before = copy.metadata().unwrap();
    let output = runtime.bare().arg("--version").run();
    assert!(output.status.success(), "the copy works: {output}");
    let file = fs::File::options().write(true).open(&copy).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"\x7f", 0).unwrap();
    let after = copy.metadata().unwrap();
    if (before.mtime(), before.mtime_nsec()) == (after.mtime(), after.mtime_nsec()) {
        exposed!("a write to the runtime would not be seen");
    }
    fixture.assert_clean();
}
