//! Real callers: Debian's containerd with `ctr`, and Podman.

use orlop_tests::runtime::Call;
use orlop_tests::view::cgroup_roots;
use orlop_tests::{Fixture, Runtime, locate, skip, test_name};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
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
        let end = Instant::now() + LIMIT;
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

/// The caller's own cgroup, above those of its containers.
fn remove_parents(name: &str) {
    for root in cgroup_roots().unwrap_or_default() {
        let _ = fs::remove_dir(root.join(name));
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
    let end = Instant::now() + LIMIT;
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
    assert!(output.stdout.contains("a terminal\r\n"), "{output}");
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

/// Podman with all of its state in the test's folder.
fn podman(fixture: &Fixture, args: &[&str]) -> Option<Call> {
    let podman = locate::in_path("podman")?;
    let call = Runtime::new(&podman, fixture.path(), fixture.tag()).bare();
    let folder = |name: &str| fixture.file(name).to_string_lossy().into_owned();
    let call = call
        .limit(LIMIT)
        .args([
            "--root",
            &folder("podman"),
            "--runroot",
            &folder("podman-run"),
        ])
        .args(["--tmpdir", &folder("podman-tmp"), "--storage-driver", "vfs"])
        .args(["--cgroup-manager", "cgroupfs", "--events-backend", "none"])
        .arg("--runtime")
        .arg(fixture.runtime().program());
    Some(call.args(args))
}

/// Options of `podman run`. The limits are those that a caller without `CAP_SYS_RESOURCE` has too.
fn podman_run(fixture: &Fixture, options: &[&str]) -> Option<Call> {
    let parent = format!("--cgroup-parent=/{}", fixture.tag());
    let call = podman(
        fixture,
        &["run", "--network=none", "--ulimit=nofile=1024:1024"],
    )?;
    let rootfs = fixture.bundle().rootfs();
    Some(
        call.args(["--ulimit=nproc=1024:1024", &parent])
            .args(options)
            .arg("--rootfs")
            .arg(rootfs),
    )
}

#[test]
fn podman_runs_to_the_end() {
    let fixture = Fixture::new(test_name!());
    let Some(call) = podman_run(&fixture, &["--rm"]) else {
        skip!("podman is not installed");
    };
    let output = call.args(["sh", "-c", "echo $$; exit 7"]).run();
    assert_eq!(
        (output.stdout.as_str(), output.code()),
        ("1\n", 7),
        "{output}"
    );
    let Some(call) = podman_run(&fixture, &["--rm", "--tty"]) else {
        return;
    };
    let output = call
        .args(["sh", "-c", "test -t 0 && echo a terminal"])
        .run();
    assert_eq!(output.ok().stdout, "a terminal\r\n");
    remove_parents(fixture.tag());
}

#[test]
fn podman_executes_kills_and_removes() {
    let fixture = Fixture::new(test_name!());
    let Some(call) = podman_run(&fixture, &["--detach", "--name", "box"]) else {
        skip!("podman is not installed");
    };
    call.args(["sleep", "60"]).run().ok();
    let podman = |args: &[&str]| podman(&fixture, args).expect("podman is installed").run();
    assert_eq!(podman(&["exec", "box", "id", "-u"]).ok().stdout, "0\n");
    let missing = podman(&["exec", "box", "fish"]);
    assert_eq!(
        missing.code(),
        127,
        "Podman knows a missing program by our words: {missing}"
    );
    assert!(podman(&["ps"]).ok().stdout.contains("Up "));
    podman(&["kill", "box"]).ok();
    podman(&["rm", "--force", "box"]).ok();
    remove_parents(fixture.tag());
}

#[test]
fn podman_limits_bite() {
    let fixture = Fixture::new(test_name!());
    let Some(call) = podman_run(&fixture, &["--rm", "--memory=16m", "--memory-swap=16m"]) else {
        skip!("podman is not installed");
    };
    let output = call.args(["tail", "/dev/zero"]).run();
    assert_eq!(output.code(), 137, "{output}");
    remove_parents(fixture.tag());
}
