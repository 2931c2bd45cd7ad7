//! From spawn to the end: waiting, killing, capturing, entering, and what the caller notices.

// In what tests call, too, a failed call ends the test.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use common::{Rootfs, no_cgroup_stays, say, text};
use orlop::cgroups::{Bytes, Limits};
use orlop::{
    Capability, Command, Isolation, Mount, Namespace, Process, Root, Signal, Stdio, TerminalSize,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

fn readable(fd: impl AsFd, limit: Duration) -> bool {
    let time = Timespec {
        tv_sec: limit.as_secs() as _,
        tv_nsec: limit.subsec_nanos() as _,
    };
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&time)).unwrap() > 0
}

fn is_alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .starts_with(" Z")
    })
}

#[test]
fn the_end_is_told_as_it_was() {
    need_root!();
    let rootfs = Rootfs::new();
    let status = |script: &str| rootfs.script(script).status().unwrap();
    assert!(status("true").success());
    assert_eq!(status("exit 7").code(), Some(7));
    assert_eq!(status("exit 7").to_string(), "exit status 7");
    // The first process of a PID namespace can't be ended by a signal from inside.
    let mut child = rootfs.command("/bin/sleep").arg("100").spawn().unwrap();
    assert_eq!(child.try_wait().unwrap(), None);
    assert_eq!(child.wait_timeout(Duration::from_millis(20)).unwrap(), None);
    child.signal(Signal::KILL).unwrap();
    let status = child.wait().unwrap();
    assert_eq!((status.code(), status.signal()), (None, Some(Signal::KILL)));
    assert!(!status.timed_out());
    assert_eq!(status.to_string(), "killed by SIGKILL");
    assert_eq!(child.wait().unwrap(), status);
    assert_eq!(child.try_wait().unwrap(), Some(status));
    child.kill().unwrap();
    child.signal(Signal::TERM).unwrap();
}

#[test]
fn a_prepared_command_runs_many_times() {
    need_root!();
    let rootfs = Rootfs::new();
    let prepared = rootfs.script("echo $$").build().unwrap();
    let texts = |_| text(&prepared.output().unwrap().stdout);
    assert_eq!((0..20).map(texts).collect::<String>(), "1\n".repeat(20));
    let from_threads = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| prepared.status().unwrap()))
            .collect();
        handles
            .into_iter()
            .all(|handle| handle.join().unwrap().success())
    });
    assert!(from_threads);
}

#[test]
fn the_descriptor_tells_the_end() {
    need_root!();
    let rootfs = Rootfs::new();
    let mut child = rootfs
        .command("/bin/cat")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    assert!(!readable(&child, Duration::from_millis(20)));
    child.stdin = None;
    assert!(readable(&child, Duration::from_secs(10)));
    assert!(child.try_wait().unwrap().unwrap().success());
}

#[test]
fn streams_are_piped_where_asked() {
    need_root!();
    let rootfs = Rootfs::new();
    let command = rootfs.script("read line; echo out $line; echo err $line >&2");
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"in\n").unwrap();
    let mut said = (String::new(), String::new());
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut said.0)
        .unwrap();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said.1)
        .unwrap();
    assert_eq!(said, ("out in\n".to_owned(), "err in\n".to_owned()));
    assert!(child.wait().unwrap().success());
}

#[test]
fn streams_go_to_given_files() {
    need_root!();
    let rootfs = Rootfs::new();
    let log = rootfs.path().join("log");
    let file = fs::File::create(&log).unwrap();
    let command = rootfs
        .script("echo one; cat; echo two >&2")
        .stdout(file.try_clone().unwrap());
    let prepared = command.stderr(file).stdin(Stdio::null()).build().unwrap();
    prepared.status().unwrap();
    prepared.status().unwrap();
    assert_eq!(fs::read_to_string(log).unwrap(), "one\ntwo\none\ntwo\n");
}

#[test]
fn more_than_pipes_hold_is_captured_from_both_streams() {
    need_root!();
    let rootfs = Rootfs::new();
    let script = "head -c 3000000 /dev/zero & head -c 2000000 /dev/zero >&2; wait";
    let output = rootfs.script(script).output().unwrap();
    assert_eq!(
        (output.stdout.len(), output.stderr.len()),
        (3_000_000, 2_000_000)
    );
    assert!(output.status.success() && !output.truncated);
    let output = rootfs.script(script).capture_limit(1000).output().unwrap();
    assert_eq!((output.stdout.len(), output.stderr.len()), (1000, 1000));
    assert!(output.status.success() && output.truncated);
}

#[test]
fn input_and_output_do_not_wait_for_each_other() {
    need_root!();
    let rootfs = Rootfs::new();
    let input = vec![b'x'; 2 << 20];
    let echoed = rootfs
        .command("/bin/cat")
        .build()
        .unwrap()
        .output_with(&input)
        .unwrap();
    assert!(echoed.stdout == input);
    // One that does not read its input is no error.
    let deaf = rootfs
        .command("/bin/true")
        .build()
        .unwrap()
        .output_with(&input)
        .unwrap();
    assert!(deaf.status.success());
    let empty = rootfs
        .command("/bin/cat")
        .build()
        .unwrap()
        .output_with(b"")
        .unwrap();
    assert!(empty.status.success() && empty.stdout.is_empty());
}

#[test]
fn a_time_limit_ends_the_whole_sandbox() {
    need_root!();
    let rootfs = Rootfs::new();
    let start = Instant::now();
    let command = rootfs
        .script("echo begun; sleep 100 & sleep 100")
        .timeout(Duration::from_secs(1));
    let output = command.output().unwrap();
    assert!(output.status.timed_out(), "{}", output.status);
    assert_eq!(text(&output.stdout), "begun\n");
    assert!(command.status().unwrap().timed_out());
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    assert!(child.deadline().is_some());
    assert!(
        child
            .wait_timeout(Duration::from_secs(50))
            .unwrap()
            .unwrap()
            .timed_out()
    );
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
    let quick = rootfs
        .command("/bin/true")
        .timeout(Duration::from_secs(60))
        .status()
        .unwrap();
    assert!(quick.success() && !quick.timed_out());
}

/// A tree of shells, each of which starts one process after the other.
const FORK_BOMB: &str =
    "b() { [ $1 = 0 ] || { b $(($1 - 1)) & b $(($1 - 1)) & }; while :; do sleep 0.01; done; }; b 4";

/// The processes of a fork bomb, once it has gone off.
fn a_dozen_of(child: &orlop::Child) -> Vec<u32> {
    let start = Instant::now();
    loop {
        let all = child.cgroup().unwrap().processes().unwrap();
        if all.len() > 10 {
            return all;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{all:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_fork_bomb_is_killed_with_its_namespace() {
    need_root!();
    let rootfs = Rootfs::new();
    let limits = Limits::new().pids_limit(512u64);
    let mut child = rootfs
        .script(FORK_BOMB)
        .limits(limits)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let all = a_dozen_of(&child);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!all.into_iter().any(is_alive));
}

#[test]
fn a_fork_bomb_is_killed_with_its_cgroup() {
    need_root!();
    let rootfs = Rootfs::new();
    let command = rootfs
        .script(FORK_BOMB)
        .namespace(Namespace::Pid, Isolation::Host)
        .limits(Limits::new().pids_limit(512u64))
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let all = a_dozen_of(&child);
    child.kill().unwrap();
    child.wait().unwrap();
    // Killed, they need a moment to be gone.
    let start = Instant::now();
    while all.iter().any(|pid| is_alive(*pid)) {
        assert!(start.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(child);
    no_cgroup_stays();
}

#[test]
fn what_is_left_behind_in_a_shared_pid_namespace_ends_with_the_output() {
    need_root!();
    let rootfs = Rootfs::new();
    let start = Instant::now();
    let command = rootfs
        .script("sleep 100 & echo $!")
        .namespace(Namespace::Pid, Isolation::Host);
    let pid: u32 = say(&command).parse().unwrap();
    assert!(start.elapsed() < Duration::from_secs(20));
    assert!(!is_alive(pid));
}

#[test]
fn a_dropped_sandbox_is_gone() {
    need_root!();
    let rootfs = Rootfs::new();
    let limits = Limits::new().memory_limit(Bytes::mib(32));
    let child = rootfs
        .command("/bin/sleep")
        .arg("100")
        .limits(limits)
        .spawn()
        .unwrap();
    let (pid, cgroup) = (child.id(), child.cgroup().unwrap().record());
    assert!(is_alive(pid) && cgroup.iter().all(|place| place.path.exists()));
    drop(child);
    assert!(!fs::exists(format!("/proc/{pid}")).unwrap());
    assert!(!cgroup.iter().any(|place| place.path.exists()));
}

#[test]
fn a_detached_sandbox_goes_on() {
    need_root!();
    let rootfs = Rootfs::new();
    let limits = Limits::new().memory_limit(Bytes::mib(32));
    let detached = rootfs
        .command("/bin/sleep")
        .arg("100")
        .limits(limits)
        .spawn()
        .unwrap()
        .detach()
        .unwrap();
    assert!(!readable(&detached.pidfd, Duration::from_millis(50)));
    let cgroup = orlop::cgroups::Cgroup::open(&detached.cgroup);
    assert_eq!(cgroup.processes().unwrap(), [detached.pid]);
    cgroup.kill_all(orlop::cgroups::Signal::KILL).unwrap();
    let which = rustix::process::WaitId::PidFd(detached.pidfd.as_fd());
    rustix::process::waitid(which, rustix::process::WaitIdOptions::EXITED).unwrap();
    cgroup.destroy().unwrap();
}

#[test]
fn further_processes_enter_a_sandbox() {
    need_root!();
    let rootfs = Rootfs::new();
    let sandbox = rootfs
        .command("/bin/sleep")
        .arg("100")
        .hostname("session")
        .mount(Mount::tmpfs("/vault"))
        .limits(Limits::new().pids_limit(32u64))
        .spawn()
        .unwrap();
    let run = |process: Process| {
        let mut child = sandbox
            .exec(&process.stdout(Stdio::piped()).stderr(Stdio::piped()))
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let script = |script: &str| Process::new("sh").args(["-c", script]);
    assert_eq!(
        run(script("hostname; touch /vault/file; ls /; pwd")),
        "session\nbin\ndev\netc\nproc\nsys\ntmp\nvault\n/\n"
    );
    assert_eq!(
        run(script("ls /vault; id -u; id -g").user(1000, 1000)),
        "file\n1000\n1000\n"
    );
    assert_eq!(
        run(script("echo $A; pwd").env("A", "b").current_dir("/tmp")),
        "b\n/tmp\n"
    );
    let own = run(script("cat /proc/self/cgroup"));
    assert!(
        own.lines()
            .any(|line| line.contains(":pids:/") || line.starts_with("0::/")),
        "{own}"
    );
    let capable = run(script("grep CapEff /proc/self/status").capabilities(Capability::Kill));
    assert_eq!(capable.trim_end(), "CapEff:\t0000000000000020");
    for name in ["pid", "uts", "mnt", "ipc", "net", "cgroup"] {
        let inside = run(Process::new("/bin/readlink").arg(format!("/proc/self/ns/{name}")));
        let first = fs::read_link(format!("/proc/{}/ns/{name}", sandbox.id())).unwrap();
        assert_eq!(inside.trim_end(), first.to_string_lossy(), "{name}");
    }
    let terminal = sandbox
        .exec(&script("tty; stty size").pty(TerminalSize::default()))
        .unwrap()
        .wait_with_output();
    assert_eq!(text(&terminal.unwrap().stdout), "/dev/pts/0\n24 80\n");
}

#[test]
fn a_further_process_is_killed_alone_and_dies_with_the_sandbox() {
    need_root!();
    let rootfs = Rootfs::new();
    let mut sandbox = rootfs.command("/bin/sleep").arg("100").spawn().unwrap();
    let sleeper = Process::new("/bin/sleep").arg("100");
    let mut first = sandbox.exec(&sleeper).unwrap();
    first.kill().unwrap();
    assert_eq!(first.wait().unwrap().signal(), Some(Signal::KILL));
    assert_eq!(sandbox.try_wait().unwrap(), None);
    let mut second = sandbox
        .exec(&sleeper.timeout(Duration::from_millis(50)))
        .unwrap();
    assert!(second.wait().unwrap().timed_out());
    let mut third = sandbox
        .exec(&Process::new("/bin/sleep").arg("100"))
        .unwrap();
    drop(sandbox);
    assert_eq!(third.wait().unwrap().signal(), Some(Signal::KILL));
}

#[test]
fn a_chrooted_sandbox_is_entered_at_its_own_root() {
    need_root!();
    let rootfs = Rootfs::new();
    let sandbox = Command::new("/bin/sleep")
        .arg("100")
        .root(Root::chroot(rootfs.path()))
        .spawn()
        .unwrap();
    let list = Process::new("/bin/ls").arg("/").stdout(Stdio::piped());
    let output = sandbox.exec(&list).unwrap().wait_with_output().unwrap();
    assert_eq!(text(&output.stdout), "bin\ndev\netc\nproc\nsys\ntmp\n");
}

#[test]
fn a_filter_holds_for_further_processes() {
    need_root!();
    let rootfs = Rootfs::new();
    let seccomp = orlop::spec::Seccomp {
        default_action: "SCMP_ACT_ALLOW".to_owned(),
        syscalls: vec![orlop::spec::SyscallRule {
            names: vec!["mkdir".to_owned(), "mkdirat".to_owned()],
            action: "SCMP_ACT_ERRNO".to_owned(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let sandbox = rootfs
        .command("/bin/sleep")
        .arg("100")
        .seccomp(seccomp)
        .spawn()
        .unwrap();
    let process = Process::new("/bin/mkdir")
        .arg("/tmp/x")
        .stderr(Stdio::null());
    assert_eq!(
        sandbox.exec(&process).unwrap().wait().unwrap().code(),
        Some(1)
    );
}

#[test]
fn a_sandbox_with_a_user_namespace_is_entered() {
    need_root!();
    let rootfs = Rootfs::new();
    let command = rootfs.command("/bin/sleep").arg("100");
    let sandbox = command
        .uid_map(0, 100_000, 2000)
        .gid_map(0, 100_000, 2000)
        .spawn()
        .unwrap();
    let process = Process::new("sh")
        .args(["-c", "id -u; cat /proc/self/uid_map"])
        .user(1000, 1000)
        .stdout(Stdio::piped());
    let output = sandbox.exec(&process).unwrap().wait_with_output().unwrap();
    let said = text(&output.stdout);
    assert_eq!(
        said.split_whitespace().collect::<Vec<_>>(),
        ["1000", "0", "100000", "2000"]
    );
}

#[test]
fn a_sandbox_is_paused_limited_anew_and_killed() {
    use orlop::cgroups::{Limit, Limits};

    need_root!();
    let rootfs = Rootfs::new();
    let command = rootfs.command("/bin/sleep").arg("100");
    let mut sandbox = command
        .limits(Limits::new().pids_limit(20u64))
        .spawn()
        .unwrap();
    sandbox.update(&Limits::new().pids_limit(30u64)).unwrap();
    let stats = sandbox.stats().unwrap().unwrap();
    assert_eq!(stats.pids.limit, Some(Limit::Value(30)));
    sandbox.resume().unwrap();
    sandbox.pause().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", sandbox.id())).unwrap();
    assert!(stat.contains(") D ") || stat.contains(") S "), "{stat}");
    sandbox.kill().unwrap();
    assert_eq!(sandbox.wait().unwrap().signal(), Some(Signal::KILL));
}

#[test]
fn a_paused_sandbox_is_dropped() {
    use orlop::cgroups::Limits;

    need_root!();
    let rootfs = Rootfs::new();
    let command = rootfs
        .command("/bin/sleep")
        .arg("100")
        .limits(Limits::new());
    let sandbox = command.spawn().unwrap();
    let inside = sandbox
        .exec(&Process::new("/bin/sleep").arg("100"))
        .unwrap();
    sandbox.pause().unwrap();
    drop(inside);
    sandbox.pause().unwrap();
    let begin = std::time::Instant::now();
    drop(sandbox);
    assert!(begin.elapsed() < std::time::Duration::from_secs(2));
}

#[test]
fn what_has_no_cgroup_is_not_paused() {
    need_root!();
    let rootfs = Rootfs::new();
    let command = rootfs.command("/bin/sleep").arg("100");
    let sandbox = command.spawn().unwrap();
    assert!(sandbox.cgroup().is_none());
    let error = sandbox.pause().unwrap_err().to_string();
    assert!(
        error.starts_with("cannot pause a sandbox without a cgroup"),
        "{error}"
    );
}
