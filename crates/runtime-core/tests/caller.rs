//! What the caller notices of its sandboxes: nothing. These tests look at the whole process, so
//! that one runs at a time.

// In what tests call, too, a failed call ends the test.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::{Rootfs, open_files, own_cgroups, say, zombies};
use orlop::cgroups::{Bytes, Limits};
use orlop::{Isolation, Mount, Namespace, Process, Resource, Root, Stdio};

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All that a process has and that a library could change.
#[derive(Debug, PartialEq)]
struct Caller {
    cwd: std::path::PathBuf,
    root: std::path::PathBuf,
    limits: String,
    environment: BTreeMap<std::ffi::OsString, std::ffi::OsString>,
    /// Signals, umask, capabilities, ids, seccomp, threads.
    status: Vec<String>,
    oom_score: String,
    cgroups: String,
    mounts: Vec<String>,
    namespaces: Vec<std::path::PathBuf>,
    session: String,
    files: Vec<String>,
    children: Vec<String>,
}

impl Caller {
    fn look() -> Self {
        let read = |name: &str| fs::read_to_string(format!("/proc/thread-self/{name}")).unwrap();
        let kept = [
            "Umask",
            "Uid",
            "Gid",
            "Groups",
            "Shd",
            // Not SigQ: that counts all of the user's processes.
            "SigPnd",
            "SigBlk",
            "SigIgn",
            "SigCgt",
            "Cap",
            "NoNewPrivs",
            "Seccomp",
            "Threads",
        ];
        let status = read("status");
        let namespaces = [
            "cgroup",
            "ipc",
            "mnt",
            "net",
            "pid",
            "pid_for_children",
            "user",
            "uts",
        ];
        let stat = read("stat");
        Self {
            cwd: std::env::current_dir().unwrap(),
            root: fs::read_link("/proc/thread-self/root").unwrap(),
            limits: read("limits"),
            environment: std::env::vars_os().collect(),
            status: status
                .lines()
                .filter(|line| kept.iter().any(|name| line.starts_with(name)))
                .map(str::to_owned)
                .collect(),
            oom_score: read("oom_score_adj"),
            cgroups: read("cgroup"),
            mounts: common::own_mounts(),
            namespaces: namespaces
                .map(|name| fs::read_link(format!("/proc/thread-self/ns/{name}")).unwrap())
                .into(),
            session: stat
                .rsplit(')')
                .next()
                .unwrap()
                .split_whitespace()
                .skip(2)
                .take(2)
                .collect(),
            files: open_files(),
            children: zombies(),
        }
    }
}

#[test]
fn nothing_of_the_callers_own_changes() {
    need_root!();
    let _alone = alone();
    let rootfs = Rootfs::new();
    // The library keeps its init open, from the first spawn on: one that is readable, and one for user
    // namespaces that is not.
    rootfs.command("/bin/true").status().unwrap();
    let mapped = rootfs.command("/bin/true").uid_map(0, 100_000, 10);
    mapped.gid_map(0, 100_000, 10).status().unwrap();
    let before = Caller::look();
    let everything = rootfs
        .script("umask 0; cd /tmp; ulimit -n 64; exit 3")
        .hostname("other")
        .user(1000, 1000)
        .groups([7])
        .umask(0o777)
        .env("A", "b")
        .rlimit(Resource::NoFile, 128, 128)
        .oom_score_adj(500)
        .current_dir("/tmp")
        .mount(Mount::tmpfs("/tmp"))
        .limits(Limits::new().memory_limit(Bytes::mib(32)))
        .stdin(Stdio::null());
    assert_eq!(everything.output().unwrap().status.code(), Some(3));
    let mapped = rootfs
        .command("/bin/true")
        .uid_map(0, 100_000, 10)
        .gid_map(0, 100_000, 10);
    assert!(
        mapped
            .rlimit(Resource::NoFile, 64, 64)
            .oom_score_adj(500)
            .status()
            .unwrap()
            .success()
    );
    let shared = rootfs
        .command("/bin/true")
        .namespace(Namespace::Pid, Isolation::Host);
    assert!(shared.status().unwrap().success());
    let sandbox = rootfs.command("/bin/sleep").arg("100").spawn().unwrap();
    assert!(
        sandbox
            .exec(&Process::new("true"))
            .unwrap()
            .wait()
            .unwrap()
            .success()
    );
    drop(sandbox);
    assert_eq!(Caller::look(), before);
}

#[test]
fn failures_inside_name_the_step_and_leave_nothing() {
    need_root!();
    let _alone = alone();
    let rootfs = Rootfs::new();
    rootfs.command("/bin/true").status().unwrap();
    let before = Caller::look();
    let limits = Limits::new().memory_limit(Bytes::mib(32));
    for (command, words) in [
        (
            rootfs.command("/bin/nothing"),
            "exec: \"/bin/nothing\": no such file",
        ),
        (
            rootfs.command("nothing"),
            "\"nothing\": executable file not found in $PATH",
        ),
        (
            rootfs.command("/etc/passwd"),
            "exec: \"/etc/passwd\": permission denied",
        ),
        (
            rootfs.command("/bin/true").root(Root::pivot("/nowhere")),
            "/nowhere",
        ),
        (
            rootfs
                .command("/bin/true")
                .mount(Mount::bind("/nowhere", "/x")),
            "/nowhere",
        ),
        (
            rootfs
                .bare("/bin/true")
                .mount(Mount::file_system("nofs", "x", "/x")),
            "\"/x\": mount[0]: mount nofs: no such device",
        ),
    ] {
        for command in [command.clone(), command.limits(limits.clone())] {
            let text = command.spawn().map(|_| ()).unwrap_err().to_string();
            assert!(text.contains(words), "{words}: {text}");
            assert_eq!(text.lines().count(), 1, "{text}");
        }
    }
    assert_eq!(Caller::look(), before);
    assert!(own_cgroups().is_empty(), "{:?}", own_cgroups());
}

#[test]
fn the_program_inherits_no_descriptor_and_no_blocked_signal() {
    need_root!();
    let _alone = alone();
    let rootfs = Rootfs::new();
    // One that is not close-on-exec, as a careless part of the caller may have it.
    let secret = fs::File::open("/etc/hostname")
        .or_else(|_| fs::File::open("/etc/passwd"))
        .unwrap();
    rustix::io::fcntl_setfd(&secret, rustix::io::FdFlags::empty()).unwrap();
    let list = say(&rootfs.command("/bin/ls").args(["-l", "/proc/self/fd"]));
    let files: Vec<_> = list
        .lines()
        .filter(|line| line.contains("->") && !line.contains("/proc/"))
        .collect();
    assert_eq!(files.len(), 3, "{list}");
    let inside = say(&rootfs.command("/bin/cat").arg("/proc/self/status"));
    assert_eq!(signals(&inside, "SigBlk"), 0);
    // What the caller ignores stays ignored, as with any program, but for a broken pipe.
    let outside = fs::read_to_string("/proc/thread-self/status").unwrap();
    const BROKEN_PIPE: u64 = 1 << 12;
    assert_eq!(
        signals(&inside, "SigIgn"),
        signals(&outside, "SigIgn") & !BROKEN_PIPE
    );
}

fn signals(status: &str, field: &str) -> u64 {
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap()
}

/// Counts the processes that one spawn makes, by a tracer that sees every one of them.
#[test]
fn one_spawn_is_one_clone() {
    need_root!();
    // The traced run of this very test.
    if let Some(root) = std::env::var_os("ORLOP_TEST_ROOT") {
        let command = orlop::Command::new("/bin/true")
            .root(Root::pivot(root))
            .default_mounts();
        assert!(command.status().unwrap().success());
        return;
    }
    let _alone = alone();
    if std::process::Command::new("strace")
        .arg("-V")
        .output()
        .is_err()
    {
        common::skipped("caller::one_spawn_is_one_clone", "needs strace");
        return;
    }
    let rootfs = Rootfs::new();
    let trace = rootfs.path().join("trace");
    let mut helper = std::process::Command::new("strace");
    helper
        .args(["-f", "-qq", "-e", "trace=clone,clone3,fork,vfork", "-o"])
        .arg(&trace);
    helper
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "one_spawn_is_one_clone"]);
    let output = helper
        .env("ORLOP_TEST_ROOT", rootfs.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", common::text(&output.stdout));
    let trace = fs::read_to_string(trace).unwrap();
    // Threads of the test harness itself are no processes.
    let calls = trace
        .lines()
        .filter(|line| line.contains("flags=") && !line.contains("CLONE_THREAD"));
    let calls: Vec<_> = calls.collect();
    assert_eq!(calls.len(), 1, "{calls:#?}");
    assert!(
        calls[0].contains("CLONE_NEWPID") && calls[0].contains("CLONE_VM"),
        "{calls:?}"
    );
}
