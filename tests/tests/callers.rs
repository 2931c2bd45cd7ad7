//! Real callers: Debian's containerd with `ctr`, and Podman.

use orlop_tests::patience::patient;
use orlop_tests::runtime::Call;
use orlop_tests::view::cgroup_roots;
use orlop_tests::{Fixture, Output, Runtime, TempDir, locate, skip, test_name};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(30);

/// A containerd of the test's own, with its state in the test's folder. Ends with the test.
struct Containerd<'a> {
    fixture: &'a Fixture,
    ctr: PathBuf,
    daemon: Child,
    rootfs: PathBuf,
}

impl<'a> Containerd<'a> {
    /// `None` without containerd.
    fn start(fixture: &'a Fixture) -> Option<Self> {
        let (ctr, containerd) = (locate::in_path("ctr")?, locate::in_path("containerd")?);
        let config = format!(
            "version = 2\nroot = \"{0}/root\"\nstate = \"{0}/run\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = \"{0}/c.sock\"\n[ttrpc]\naddress = \"{0}/t.sock\"\n",
            fixture.path().display()
        );
        let file = fixture.file("containerd.toml");
        fs::write(&file, config).expect("write containerd's configuration");
        let log = fs::File::create(fixture.file("containerd.log")).expect("make a log");
        let daemon = Command::new(containerd)
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("start containerd");
        let rootfs = fixture.bundle().rootfs();
        let started = Self {
            fixture,
            ctr,
            daemon,
            rootfs,
        };
        let end = Instant::now() + patient(LIMIT);
        while !started.ctr(&["version"]).run().status.success() {
            assert!(Instant::now() < end, "containerd does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(started)
    }

    /// In a containerd namespace, and so in cgroups, of the test's own.
    fn ctr(&self, args: &[&str]) -> Call {
        Runtime::new(&self.ctr, self.fixture.path(), self.fixture.tag())
            .bare()
            .limit(LIMIT)
            .arg("--address")
            .arg(self.fixture.file("c.sock"))
            .args(["--namespace", self.fixture.tag()])
            .args(args)
    }

    /// `ctr run` with our runtime.
    fn run(&self, options: &[&str], id: &str, program: &[&str]) -> Call {
        self.ctr(&["run"])
            .args(options)
            .arg("--runc-binary")
            .arg(self.fixture.runtime().program())
            .arg("--rootfs")
            .arg(&self.rootfs)
            .arg(id)
            .args(program)
    }
}

impl Drop for Containerd<'_> {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        // What containerd leaves for further containers of its namespace.
        let _ = fs::remove_dir_all(PathBuf::from("/run/containerd/runc").join(self.fixture.tag()));
        remove_parents(self.fixture.tag());
    }
}

/// Removes the caller's own cgroups: the one above its containers, and that of Podman's monitor,
/// which ends a little after its container.
fn remove_parents(name: &str) {
    let end = Instant::now() + patient(Duration::from_secs(5));
    for root in cgroup_roots().unwrap_or_default() {
        let (parent, monitor) = (root.join(name), root.join(name).join("conmon"));
        while parent.exists() && Instant::now() < end {
            let _ = fs::remove_dir(&monitor);
            if fs::remove_dir(&parent).is_err() {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

#[test]
fn containerd_runs_to_the_end() {
    let fixture = Fixture::new(test_name!());
    let Some(containerd) = Containerd::start(&fixture) else {
        skip!("containerd is not installed");
    };
    let script = ["sh", "-c", "echo $$; echo err >&2; exit 7"];
    let output = containerd.run(&["--rm"], "one", &script).run();
    assert_eq!(
        (output.stdout.as_str(), output.code()),
        ("1\n", 7),
        "{output}"
    );
    assert!(output.stderr.contains("err\n"), "{output}");
    drop(containerd);
    fixture.assert_clean();
}

#[test]
fn containerd_executes_kills_and_removes() {
    let fixture = Fixture::new(test_name!());
    let Some(containerd) = Containerd::start(&fixture) else {
        skip!("containerd is not installed");
    };
    containerd
        .run(&["--detach"], "two", &["sleep", "60"])
        .run()
        .ok();
    let list = containerd.ctr(&["task", "ls"]).run().ok().stdout;
    assert!(list.contains("RUNNING"), "{list}");
    let exec = containerd
        .ctr(&["task", "exec", "--exec-id", "e", "two", "id", "-u"])
        .run();
    assert_eq!(exec.ok().stdout, "0\n");
    let processes = containerd.ctr(&["task", "ps", "two"]).run().ok().stdout;
    assert_eq!(
        processes.lines().count(),
        2,
        "a heading and one process: {processes}"
    );
    containerd.ctr(&["task", "pause", "two"]).run();
    containerd.ctr(&["task", "resume", "two"]).run();
    containerd
        .ctr(&["task", "kill", "--signal", "KILL", "two"])
        .run()
        .ok();
    let end = Instant::now() + patient(LIMIT);
    while !containerd
        .ctr(&["task", "ls"])
        .run()
        .stdout
        .contains("STOPPED")
    {
        assert!(Instant::now() < end, "not stopped");
        std::thread::sleep(Duration::from_millis(20));
    }
    containerd.ctr(&["task", "rm", "two"]).run();
    containerd.ctr(&["container", "rm", "two"]).run().ok();
    drop(containerd);
    fixture.assert_clean();
}

#[test]
fn containerd_hands_a_terminal_on() {
    let fixture = Fixture::new(test_name!());
    let (Some(containerd), Some(script)) = (Containerd::start(&fixture), locate::in_path("script"))
    else {
        skip!("containerd or script is not installed");
    };
    let line = format!(
        "ctr --address {} --namespace {} run --rm --tty --runc-binary {} --rootfs {} three \
         sh -c 'test -t 0 && echo a terminal'",
        fixture.file("c.sock").display(),
        fixture.tag(),
        fixture.runtime().program().display(),
        containerd.rootfs.display()
    );
    let output = Runtime::new(&script, fixture.path(), fixture.tag())
        .bare()
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .limit(LIMIT)
        .run();
    assert!(output.stdout.contains("a terminal"), "{output}");
    drop(containerd);
    fixture.assert_clean();
}

#[test]
fn containerd_passes_our_errors_on() {
    let fixture = Fixture::new(test_name!());
    let Some(containerd) = Containerd::start(&fixture) else {
        skip!("containerd is not installed");
    };
    let output = containerd.run(&["--rm"], "four", &["fish"]).run();
    assert_eq!(output.code(), 1, "{output}");
    assert!(
        output
            .stderr
            .contains("exec: \"fish\": executable file not found in $PATH"),
        "{output}"
    );
    drop(containerd);
    fixture.assert_clean();
}

/// Podman with all of its state in a folder of the test's own, and its containers' cgroups below
/// one of the test's own.
struct Podman<'a> {
    fixture: &'a Fixture,
    program: PathBuf,
    /// Podman takes no longer path than 50 bytes.
    folder: TempDir,
    /// Its locks are the host's, and on a host where it never ran two cannot both make them.
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::new(());

impl<'a> Podman<'a> {
    /// `None` without Podman.
    fn find(fixture: &'a Fixture) -> Option<Self> {
        Some(Self {
            fixture,
            program: locate::in_path("podman")?,
            folder: TempDir::new("pod").expect("make a folder"),
            // A test that failed has left nothing in it.
            _turn: TURN.lock().unwrap_or_else(PoisonError::into_inner),
        })
    }

    fn call(&self, args: &[&str]) -> Call {
        let folder = |name: &str| self.folder.path().join(name);
        Runtime::new(&self.program, self.folder.path(), self.fixture.tag())
            .bare()
            .limit(LIMIT)
            .arg("--root")
            .arg(folder("root"))
            .arg("--runroot")
            .arg(folder("run"))
            .arg("--tmpdir")
            .arg(folder("tmp"))
            .args([
                "--storage-driver=vfs",
                "--cgroup-manager=cgroupfs",
                "--events-backend=none",
            ])
            .arg("--runtime")
            .arg(self.fixture.runtime().program())
            .args(args)
    }

    /// `podman run`. The limits are those that a caller without `CAP_SYS_RESOURCE` has too.
    fn run(&self, options: &[&str], program: &[&str]) -> Output {
        self.call(&[
            "run",
            "--network=none",
            "--ulimit=nofile=1024:1024",
            "--ulimit=nproc=1024:1024",
        ])
        .arg(format!("--cgroup-parent=/{}", self.fixture.tag()))
        .args(options)
        .arg("--rootfs")
        .arg(self.fixture.bundle().rootfs())
        .args(program)
        .run()
    }
}

/// Whether a process was started with this folder among its arguments.
fn is_named_by_a_process(folder: &Path) -> bool {
    let folder = folder.to_string_lossy();
    fs::read_dir("/proc")
        .expect("list the processes")
        .any(|entry| {
            let arguments = entry.and_then(|entry| fs::read(entry.path().join("cmdline")));
            arguments.is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(&*folder))
        })
}

impl Drop for Podman<'_> {
    fn drop(&mut self) {
        // Its monitor, and the clean-up that this one starts, end a little after the container.
        let end = Instant::now() + patient(Duration::from_secs(5));
        while is_named_by_a_process(self.folder.path()) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        remove_parents(self.fixture.tag());
    }
}

#[test]
fn podman_runs_to_the_end() {
    let fixture = Fixture::new(test_name!());
    let Some(podman) = Podman::find(&fixture) else {
        skip!("podman is not installed");
    };
    let output = podman.run(&["--rm"], &["sh", "-c", "echo $$; exit 7"]);
    assert_eq!(
        (output.stdout.as_str(), output.code()),
        ("1\n", 7),
        "{output}"
    );
    let output = podman.run(
        &["--rm", "--tty"],
        &["sh", "-c", "test -t 0 && echo a terminal"],
    );
    assert_eq!(output.ok().stdout, "a terminal\r\n");
    drop(podman);
    fixture.assert_clean();
}

#[test]
fn podman_executes_kills_and_removes() {
    let fixture = Fixture::new(test_name!());
    let Some(podman) = Podman::find(&fixture) else {
        skip!("podman is not installed");
    };
    podman
        .run(&["--detach", "--name=box"], &["sleep", "60"])
        .ok();
    let call = |args: &[&str]| podman.call(args).run();
    assert_eq!(call(&["exec", "box", "id", "-u"]).ok().stdout, "0\n");
    let missing = call(&["exec", "box", "fish"]);
    assert_eq!(
        missing.code(),
        127,
        "Podman knows a missing program by our words: {missing}"
    );
    assert!(call(&["ps"]).ok().stdout.contains("Up "));
    call(&["kill", "box"]).ok();
    call(&["rm", "--force", "box"]).ok();
    drop(podman);
    fixture.assert_clean();
}

#[test]
fn podman_limits_bite() {
    let fixture = Fixture::new(test_name!());
    let Some(podman) = Podman::find(&fixture) else {
        skip!("podman is not installed");
    };
    let output = podman.run(
        &["--rm", "--memory=16m", "--memory-swap=16m"],
        &["tail", "/dev/zero"],
    );
    assert_eq!(output.code(), 137, "{output}");
    drop(podman);
    fixture.assert_clean();
}
