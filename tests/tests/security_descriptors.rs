//! Descriptors and working directories: nothing of the caller's or the runtime's gets in.

use orlop_tests::patience::patient;
use orlop_tests::security::{self, container_by, started_by};
use orlop_tests::{Container, Fixture, Runtime, assert_safe, test_name};
use rustix::fs::{CWD, FileType, Mode, OFlags, PROC_SUPER_MAGIC, openat};
use serde_json::json;
use std::fs::{self, File, Metadata};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The descriptors that are tried.
const NUMBERS: std::ops::RangeInclusive<u32> = 3..=32;

/// A runtime whose caller has the canary open, as descriptors 3 and 9, inheritable.
fn with_canary_open(fixture: &Fixture) -> Runtime {
    let canary = fixture.canary().path().display();
    started_by(fixture, &format!("exec 3<{canary} 9<{canary}; exec \"$@\""))
}

/// A name in the canary.
const SECRET: &str = "secret";

/// CVE-2024-21626: a working directory of the caller's or the runtime's. Seen red on crun 1.8.1.
#[test]
fn rt_03_working_directory_through_a_descriptor() {
    let fixture = security::fixture(test_name!());
    let runtime = with_canary_open(&fixture);
    for number in NUMBERS {
        let cwd = format!("/proc/self/fd/{number}");
        let bundle = fixture
            .bundle()
            .set("/process/cwd", json!(cwd))
            .args(&["ls", "."])
            .written();
        let container = container_by(&fixture, &runtime, &bundle, &format!("fd{number}"));
        let output = container.call("run").run();
        assert_safe!(!output.stdout.contains(SECRET), "{cwd} is the host's");
        assert_safe!(!output.status.success(), "{cwd} was entered: {output}");
    }
    fixture.assert_clean();
}

/// Seen red on crun 1.8.1.
#[test]
fn rt_03_working_directory_of_exec_through_links() {
    let fixture = security::fixture(test_name!());
    let runtime = with_canary_open(&fixture);
    let bundle = fixture.bundle().args(&["sleep", "60"]).written();
    for number in NUMBERS {
        let link = bundle.rootfs().join(format!("evil{number}"));
        symlink(format!("/proc/self/fd/{number}"), link).unwrap();
    }
    let container = container_by(&fixture, &runtime, &bundle, "links");
    container.create().ok();
    container.start().ok();
    for number in NUMBERS {
        for cwd in [
            format!("/evil{number}"),
            format!("/proc/self/fd/{number}"),
            format!("/proc/1/fd/{number}"),
        ] {
            let output = container
                .call_with("exec", &["--cwd", &cwd])
                .args(["ls", "."])
                .run();
            assert_safe!(!output.stdout.contains(SECRET), "{cwd} is the host's");
        }
    }
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn rt_03_program_through_a_descriptor() {
    let fixture = security::fixture(test_name!());
    let program = fixture.file("outside/program");
    fs::create_dir(fixture.file("outside")).unwrap();
    fs::copy("/bin/busybox", &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let folder = fixture.file("outside").display().to_string();
    let runtime = started_by(
        &fixture,
        &format!("exec 3<{folder} 9<{folder}; exec \"$@\""),
    );
    for number in NUMBERS {
        let path = format!("/proc/self/fd/{number}/program");
        let bundle = fixture.bundle().args(&[&path, "echo", "reached"]).written();
        let container = container_by(&fixture, &runtime, &bundle, &format!("fd{number}"));
        let output = container.call("run").run();
        assert_safe!(!output.stdout.contains("reached"), "{path} was executed");
    }
    fixture.assert_clean();
}

/// What the program has open: three descriptors, and those that were asked for.
#[test]
fn rt_03_only_descriptors_asked_for_get_in() {
    let fixture = security::fixture(test_name!());
    let runtime = with_canary_open(&fixture);
    let bundle = fixture.bundle().args(&["sleep", "60"]).written();
    let container = container_by(&fixture, &runtime, &bundle, "plain");
    container.create().ok();
    container.start().ok();
    wait_until_executes(container.pid(), "sleep");
    assert_eq!(descriptors(container.pid()), [0, 1, 2]);
    let pid_file = fixture.file("exec.pid");
    let options = ["--detach", "--pid-file", pid_file.to_str().unwrap()];
    container
        .call_with("exec", &options)
        .args(["sleep", "50"])
        .run()
        .ok();
    let pid: u32 = fs::read_to_string(&pid_file).unwrap().parse().unwrap();
    wait_until_executes(pid, "sleep");
    assert_eq!(descriptors(pid), [0, 1, 2], "of exec");
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn rt_03_preserved_descriptors_are_those_and_no_more() {
    let fixture = security::fixture(test_name!());
    let file = fixture.file("given");
    fs::write(&file, "given\n").unwrap();
    let open = format!("exec 3<{0} 4<{0} 5<{0}; exec \"$@\"", file.display());
    let runtime = started_by(&fixture, &open);
    let bundle = fixture.bundle().args(&["sleep", "60"]).written();
    let container = container_by(&fixture, &runtime, &bundle, "given");
    container
        .call_with("create", &["--preserve-fds", "2"])
        .run()
        .ok();
    container.start().ok();
    wait_until_executes(container.pid(), "sleep");
    assert_eq!(descriptors(container.pid()), [0, 1, 2, 3, 4]);
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn descriptors_to_preserve_have_to_be_open() {
    let fixture = security::fixture(test_name!());
    let runtime = started_by(&fixture, "exec 3<&-; exec \"$@\"");
    let bundle = fixture.bundle().args(&["sleep", "60"]).written();
    let container = container_by(&fixture, &runtime, &bundle, "closed");
    let log = fixture.file("log");
    for (verb, code, start) in [
        ("create", 1, ""),
        ("run", 1, ""),
        ("exec", 255, "exec failed: "),
    ] {
        let call = container.call_with(verb, &["--preserve-fds", "1"]);
        let call = call.args((verb == "exec").then_some("true"));
        let output = call.global("--log").global(&log).run();
        assert_eq!(output.code(), code, "{output}");
        let told = format!("{start}--preserve-fds: file descriptor 3 is not open");
        output.says(&told);
        let logged = fs::read_to_string(&log).unwrap();
        assert!(
            logged.trim_end().ends_with(&format!("{told}\"")),
            "{logged}"
        );
    }
    fixture.assert_clean();
}

/// The numbers of a process's descriptors, in order.
fn descriptors(pid: u32) -> Vec<u32> {
    let mut numbers: Vec<u32> = fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("list descriptors")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    numbers.sort_unstable();
    numbers
}

#[track_caller]
fn wait_until_executes(pid: u32, program: &str) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let path = format!("/proc/{pid}/cmdline");
    while !fs::read(&path).is_ok_and(|line| line.starts_with(program.as_bytes())) {
        assert!(std::time::Instant::now() < end, "never executes {program}");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// Why a descriptor of a created container's process has no business there.
fn suspicious(path: &Path, container: &Container, state: &Path) -> Option<String> {
    let target = fs::read_link(path).ok()?;
    let meta = path.metadata().ok()?;
    let kind = FileType::from_raw_mode(meta.mode());
    let fs_type = rustix::fs::statfs(path).map(|fs| fs.f_type).unwrap_or(0);
    let anonymous = target.to_string_lossy().starts_with("anon_inode:");
    let sealed = target.to_string_lossy().starts_with("/memfd:");
    let fine = match kind {
        _ if anonymous || sealed || fs_type == PROC_SUPER_MAGIC => true,
        FileType::Fifo | FileType::Socket => true,
        // The folder of the state, in which the program waits for `start`.
        FileType::RegularFile => target.starts_with(state),
        _ => false,
    };
    (!fine).then(|| {
        format!(
            "{} of {}: {} ({kind:?})",
            path.display(),
            container.id(),
            target.display()
        )
    })
}

/// Between `create` and `start`, the process holds standard input, output and error, and what it
/// needs to wait and to report: no folder, no device, no file of the host's. Seen red on crun
/// 1.8.1.
#[test]
fn rt_03_a_created_process_holds_nothing_of_the_host() {
    let fixture = security::fixture(test_name!());
    let runtime = with_canary_open(&fixture);
    let volume = fixture.file("volume");
    fs::create_dir(&volume).unwrap();
    let bundle = security::config::bind(fixture.bundle(), &volume, "/vol");
    fs::create_dir(bundle.rootfs().join("vol")).unwrap();
    let bundle = bundle.written();
    let container = container_by(&fixture, &runtime, &bundle, "created");
    container.create().ok();
    let pid = container.pid();
    let state = fixture.file("state");
    let held = || -> Vec<String> {
        descriptors(pid)
            .iter()
            .filter(|number| **number > 2)
            .map(|number| PathBuf::from(format!("/proc/{pid}/fd/{number}")))
            .filter_map(|path| suspicious(&path, &container, &state))
            .collect()
    };
    // `create` is over once init was told to go to the gate, where it lets go of the rest.
    let end = Instant::now() + patient(Duration::from_secs(2));
    let mut found = held();
    while !found.is_empty() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
        found = held();
    }
    assert_safe!(found.is_empty(), "held: {found:#?}");
    let [root, cwd] = ["root", "cwd"].map(|name| topmost(&format!("/proc/{pid}/{name}")));
    let expected = identity(&bundle.rootfs().metadata().unwrap());
    assert_safe!(root == expected, "its root is not the container's");
    assert_safe!(cwd == expected, "its folder is not in the container");
    container.delete_force().ok();
    fixture.assert_clean();
}

/// Device and inode.
fn identity(meta: &Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}

/// The topmost parent of a folder in the mount namespace it belongs to.
fn topmost(path: &str) -> (u64, u64) {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = |folder: BorrowedFd<'_>, name: &str| {
        File::from(openat(folder, name, flags, Mode::empty()).expect("open a folder"))
    };
    let mut folder = open(CWD, path);
    loop {
        let here = identity(&folder.metadata().expect("look at a folder"));
        folder = open(folder.as_fd(), "..");
        if identity(&folder.metadata().expect("look at a folder")) == here {
            return here;
        }
    }
}
