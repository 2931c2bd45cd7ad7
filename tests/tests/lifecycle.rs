//! The life of a container through the command line, and that nothing is left of it.

use orlop_tests::view::cgroup_roots;
use orlop_tests::{Container, Fixture, test_name};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::Duration;

#[test]
fn create_start_delete() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&fixture.bundle().args(&["true"]).written());
    assert_eq!(container.create().ok().stdout, "", "create prints nothing");
    fixture.track(&container);
    assert_eq!(container.status(), "created");
    assert_eq!(container.start().ok().stdout, "", "start prints nothing");
    container.wait_for("stopped");
    assert_eq!(container.delete().ok().stdout, "", "delete prints nothing");
    fixture.assert_clean();
}

#[test]
fn state_tells_what_the_specification_asks_for() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture.bundle().args(&["sleep", "60"]);
    let bundle = bundle
        .set(
            "/annotations",
            serde_json::json!({ "example.key": "value" }),
        )
        .written();
    let container = fixture.container(&bundle);
    container.create().ok();
    let state = container.state();
    assert_eq!(state["id"], container.id());
    assert_eq!(state["status"], "created");
    assert_eq!(state["bundle"], bundle.path().to_string_lossy().as_ref());
    assert_eq!(state["annotations"]["example.key"], "value");
    // The bundle's names an older one.
    assert_eq!(state["ociVersion"], "1.3.0");
    let pid = container.pid();
    assert!(Path::new("/proc").join(pid.to_string()).exists());
    container.start().ok();
    assert_eq!(container.status(), "running");
    assert_eq!(container.pid(), pid, "start keeps the process");
    container.kill("KILL").ok();
    container.wait_for("stopped");
    assert_eq!(
        container.state()["pid"].as_u64().unwrap_or(0),
        0,
        "no pid once stopped"
    );
    container.delete().ok();
    fixture.assert_clean();
}

#[test]
fn run_hands_on_output_and_exit_code() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture
        .bundle()
        .script("echo out; echo err >&2; exit 7")
        .written();
    let output = fixture.container(&bundle).run();
    assert_eq!(output.code(), 7, "{output}");
    assert_eq!(output.stdout, "out\n");
    assert_eq!(output.stderr, "err\n");
    fixture.assert_clean();
}

/// The signals that a process ignores, by its status file. The C library ignores two of its own, 32 and
/// 33, in what it starts.
fn ignored_signals(status: &str) -> u64 {
    let line = status.lines().find(|line| line.starts_with("SigIgn:"));
    let mask = line.and_then(|line| line.split_whitespace().nth(1));
    u64::from_str_radix(mask.expect("a mask of signals"), 16).expect("a number") & 0x7fff_ffff
}

#[test]
fn what_the_caller_ignores_is_not_ignored_in_the_container() {
    let fixture = Fixture::new(test_name!());
    let deaf = ["env", "--ignore-signal=HUP,INT,QUIT,TERM,CHLD,USR1,ALRM"];
    let runtime = fixture.runtime().clone().with_prefix(&deaf);
    let bundle = fixture.bundle().args(&["sleep", "60"]).written();
    let in_bundle = ["--bundle".as_ref(), bundle.path().as_os_str()];
    let status_of = |container: &Container| {
        let status = fs::read_to_string(format!("/proc/{}/status", container.pid()));
        ignored_signals(&status.expect("the status of the program"))
    };

    let container = fixture.container(&bundle);
    let run = runtime.command("run").arg("--detach").args(in_bundle);
    run.arg(container.id()).run().ok();
    assert_eq!(status_of(&container), 0);
    let exec = runtime.command("exec").arg(container.id());
    let exec = exec.args(["cat", "/proc/self/status"]).run().ok();
    assert_eq!(ignored_signals(&exec.stdout), 0, "{exec}");
    container.delete_force().ok();

    let container = fixture.container(&bundle);
    let create = runtime.command("create").args(in_bundle);
    create.arg(container.id()).run().ok();
    container.start().ok();
    // What a terminal, a shell or an engine ignores.
    let often = [
        libc::SIGHUP,
        libc::SIGINT,
        libc::SIGQUIT,
        libc::SIGTERM,
        libc::SIGCHLD,
    ];
    let often = often
        .iter()
        .fold(0, |mask, signal| mask | 1 << (signal - 1));
    assert_eq!(status_of(&container) & often, 0);
    container.delete_force().ok();

    // Deaf to SIGCHLD, it would wait without end.
    let bundle = bundle.args(&["cat", "/proc/self/status"]).written();
    let container = fixture.container(&bundle);
    let run = runtime
        .command("run")
        .args(["--bundle".as_ref(), bundle.path().as_os_str()]);
    let output = run.arg(container.id()).run().ok();
    assert_eq!(ignored_signals(&output.stdout), 0, "{output}");
    fixture.assert_clean();
}

#[test]
fn run_reads_standard_input() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&fixture.bundle().args(&["cat"]).written());
    let output = container.call("run").stdin("line\n").run().ok();
    assert_eq!(output.stdout, "line\n");
    fixture.assert_clean();
}

#[test]
fn run_reports_a_signal_as_128_and_its_number() {
    let fixture = Fixture::new(test_name!());
    // Pid 1 of a PID namespace can't signal itself, so the host's is shared.
    let bundle = fixture
        .bundle()
        .script("kill -9 $$")
        .set(
            "/linux/namespaces",
            serde_json::json!([{ "type": "mount" }, { "type": "uts" }]),
        )
        .written();
    let output = fixture.container(&bundle).run();
    assert_eq!(output.code(), 128 + 9, "{output}");
    fixture.assert_clean();
}

#[test]
fn run_detached_returns_while_the_container_runs() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&fixture.bundle().args(&["sleep", "60"]).written());
    container.call_with("run", &["--detach"]).run().ok();
    assert_eq!(container.status(), "running");
    fixture.track(&container);
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn run_kept_stays_until_deleted() {
    let fixture = Fixture::new(test_name!());
    let own = format!("/{}", fixture.tag());
    let bundle = fixture.bundle().args(&["true"]);
    let bundle = bundle.set("/linux/cgroupsPath", json!(own));
    let container = fixture.container(&bundle.written());
    container.call_with("run", &["--keep"]).run().ok();
    assert_eq!(container.status(), "stopped");
    // Who keeps it reads the last figures there.
    let kept = || {
        let roots = cgroup_roots().expect("find the cgroup hierarchies");
        roots.iter().any(|root| root.join(fixture.tag()).is_dir())
    };
    assert!(kept(), "the cgroup is gone");
    container.delete().ok();
    assert!(!kept(), "the cgroup is still there");
    fixture.assert_clean();
}

#[test]
fn run_hands_signals_on() {
    let fixture = Fixture::new(test_name!());
    let script = "trap 'echo got it; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
    let container = fixture.container(&fixture.bundle().script(script).written());
    let running = container.call("run").start();
    wait_until("the container runs", || {
        let state = container.call("state").run();
        state.status.success() && state.json()["status"] == "running"
    });
    std::thread::sleep(Duration::from_millis(200));
    let pid = rustix::process::Pid::from_raw(i32::try_from(running.pid()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let output = running.finish();
    assert_eq!(output.code(), 3, "{output}");
    assert_eq!(output.stdout, "ready\ngot it\n");
    fixture.assert_clean();
}

#[test]
fn pid_file_holds_the_pid_and_no_more() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&fixture.bundle().args(&["sleep", "60"]).written());
    let file = fixture.file("pid");
    let path = file.to_str().unwrap();
    container
        .call_with("create", &["--pid-file", path])
        .run()
        .ok();
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        container.pid().to_string()
    );
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn single_dash_long_options_are_accepted() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&fixture.bundle().args(&["sleep", "60"]).written());
    let file = fixture.file("pid");
    container
        .call_with(
            "create",
            &["-pid-file", file.to_str().unwrap(), "-no-new-keyring"],
        )
        .run()
        .ok();
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        container.pid().to_string()
    );
    container.call_with("delete", &["-force"]).run().ok();
    fixture.assert_clean();
}

#[test]
fn delete_refuses_a_running_container_unless_forced() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&fixture.bundle().args(&["sleep", "60"]).written());
    container.create().ok();
    container.start().ok();
    fixture.track(&container);
    container.delete().fails_naming(&[container.id()]);
    assert_eq!(
        container.status(),
        "running",
        "a refused delete changes nothing"
    );
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn delete_removes_a_created_container() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&fixture.bundle().written());
    container.create().ok();
    fixture.track(&container);
    container.delete().ok();
    fixture.assert_clean();
}

#[test]
fn delete_force_of_nothing_succeeds() {
    let fixture = Fixture::new(test_name!());
    fixture.container(&fixture.bundle()).delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn delete_force_kills_every_process() {
    let fixture = Fixture::new(test_name!());
    // Without a PID namespace the end of the first process does not end the others.
    let bundle = fixture
        .bundle()
        .script("for i in 1 2 3 4 5; do setsid sleep 60 & done; sleep 60 & wait")
        .set(
            "/linux/namespaces",
            serde_json::json!([{ "type": "mount" }, { "type": "uts" }]),
        )
        .written();
    std::os::unix::fs::symlink("busybox", bundle.rootfs().join("bin/setsid")).unwrap();
    let container = fixture.container(&bundle);
    container.create().ok();
    container.start().ok();
    fixture.track(&container);
    std::thread::sleep(Duration::from_millis(100));
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn exec_runs_in_the_container() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&fixture.bundle().args(&["sleep", "60"]).written());
    container.create().ok();
    container.start().ok();
    fixture.track(&container);
    let output = container.exec(&[
        "sh",
        "-c",
        "hostname; echo $(cat /proc/1/cmdline | tr '\\0' ' ')",
    ]);
    assert_eq!(output.ok().stdout, "contained\nsleep 60\n");
    assert_eq!(container.exec(&["sh", "-c", "exit 5"]).code(), 5);
    assert_eq!(container.exec(&["sh", "-c", "kill -9 $$"]).code(), 128 + 9);
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn exec_takes_directory_environment_and_user() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&fixture.bundle().args(&["sleep", "60"]).written());
    container.create().ok();
    container.start().ok();
    let output = container
        .call_with(
            "exec",
            &["--cwd", "/tmp", "--env", "A=b c", "--user", "1000:1000"],
        )
        .args(["sh", "-c", "pwd; echo $A; id -u; id -g"])
        .run()
        .ok();
    assert_eq!(output.stdout, "/tmp\nb c\n1000\n1000\n");
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn exec_detached_writes_its_pid() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&fixture.bundle().args(&["sleep", "60"]).written());
    container.create().ok();
    container.start().ok();
    let file = fixture.file("exec.pid");
    container
        .call_with("exec", &["--detach", "--pid-file", file.to_str().unwrap()])
        .args(["sleep", "50"])
        .run()
        .ok();
    let pid = fs::read_to_string(&file).unwrap();
    wait_until("the program is executed", || {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == b"sleep\x0050\0")
    });
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn list_shows_each_container_once() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture.bundle().args(&["sleep", "60"]).written();
    let containers = [fixture.container(&bundle), fixture.container(&bundle)];
    for container in &containers {
        container.create().ok();
    }
    containers[0].start().ok();
    let quiet = fixture.runtime().command("list").arg("--quiet").run().ok();
    let mut ids: Vec<&str> = quiet.stdout.lines().collect();
    ids.sort_unstable();
    assert_eq!(ids, [containers[0].id(), containers[1].id()]);
    let json = fixture
        .runtime()
        .command("list")
        .args(["--format", "json"])
        .run()
        .ok()
        .json();
    let statuses: Vec<&str> = json
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|c| c["status"].as_str())
        .collect();
    assert!(
        statuses.contains(&"created") && statuses.contains(&"running"),
        "{json}"
    );
    for container in &containers {
        container.delete_force().ok();
    }
    fixture.assert_clean();
}

#[test]
fn ps_lists_host_pids() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&fixture.bundle().args(&["sleep", "60"]).written());
    container.create().ok();
    container.start().ok();
    let json = container
        .call_with("ps", &["--format", "json"])
        .run()
        .ok()
        .json();
    assert_eq!(json, serde_json::json!([container.pid()]));
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn an_id_can_be_used_again() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&fixture.bundle().written());
    for _ in 0..3 {
        container.create().ok();
        container.delete_force().ok();
    }
    fixture.assert_clean();
}

#[track_caller]
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let end = std::time::Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(std::time::Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
