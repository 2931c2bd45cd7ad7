//! Paused containers: what stands still, what can be done with them, and how they end.

use orlop_tests::{Container, Fixture, skip, test_name};
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const COUNTER: &str =
    "trap 'echo term >/tmp/got' TERM; while :; do echo x >>/tmp/count; sleep 0.01; done";

fn counting(fixture: &Fixture) -> (Container, PathBuf) {
    let shared = fixture.file("shared");
    fs::create_dir(&shared).expect("make a folder");
    let mount = json!({ "destination": "/tmp", "type": "bind", "source": shared,
                                    "options": ["bind", "rw"] });
    let bundle = fixture
        .bundle()
        .set("/mounts/-", mount)
        .script(COUNTER)
        .written();
    let container = fixture.container(&bundle);
    container.create().ok();
    container.start().ok();
    fixture.track(&container);
    (container, shared)
}

fn count(shared: &std::path::Path) -> u64 {
    fs::metadata(shared.join("count")).map_or(0, |file| file.len())
}

/// Waits until the counter moves on.
fn moves(shared: &std::path::Path) -> bool {
    let (before, end) = (count(shared), Instant::now() + Duration::from_secs(5));
    while Instant::now() < end {
        if count(shared) > before {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

#[test]
fn a_paused_container_stands_still_until_it_is_resumed() {
    let fixture = Fixture::new(test_name!());
    let (container, shared) = counting(&fixture);
    assert!(moves(&shared));
    container.call("pause").run().ok();
    let before = count(&shared);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(count(&shared), before);

    let pid = container.pid();
    assert_eq!(container.status(), "paused");
    let list = fixture
        .runtime()
        .command("list")
        .args(["-f", "json"])
        .run()
        .ok()
        .json();
    assert_eq!(list[0]["status"], "paused");
    let table = fixture.runtime().command("list").run().ok().stdout;
    assert!(table.contains("paused"), "{table}");
    let pids = container.call_with("ps", &["-f", "json"]).run().ok().json();
    assert!(pids.as_array().unwrap().contains(&pid.into()), "{pids}");

    let again = container.call("pause").run();
    assert_eq!(again.code(), 1);
    assert!(again.stderr.contains("is paused already"), "{again}");
    again.says("container not running");
    let exec = container.exec(&["true"]);
    assert_eq!(exec.code(), 255);
    exec.says("cannot exec in a paused container (use --ignore-paused to override)");
    let delete = container.delete();
    assert_eq!(delete.code(), 1);
    delete.says("that is not stopped: paused");

    container.call("resume").run().ok();
    assert_eq!(container.status(), "running");
    assert!(moves(&shared));
    let again = container.call("resume").run();
    assert_eq!(again.code(), 1);
    again.says("container not paused");
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn signals_wait_but_sigkill_ends_it() {
    let fixture = Fixture::new(test_name!());
    let (container, shared) = counting(&fixture);
    assert!(moves(&shared));
    container.call("pause").run().ok();
    container.kill("TERM").ok();
    assert_eq!(container.status(), "paused");
    assert!(!shared.join("got").exists());
    container.call("resume").run().ok();
    assert!(moves(&shared));
    assert!(shared.join("got").exists(), "the signal was lost");

    container.call("pause").run().ok();
    container.kill("KILL").ok();
    container.wait_for("stopped");
    for verb in ["pause", "resume"] {
        let output = container.call(verb).run();
        assert_eq!(output.code(), 1, "{output}");
        output.says(if verb == "pause" {
            "container not running"
        } else {
            "container not paused"
        });
    }
    container.delete().ok();
    fixture.assert_clean();
}

#[test]
fn a_paused_container_is_deleted_by_force() {
    for shares_pids in [false, true] {
        let fixture = Fixture::new(&format!("{}_{shares_pids}", test_name!()));
        let mut bundle = fixture.bundle().script("sleep 60 & sleep 60");
        if shares_pids {
            let namespaces = json!([{ "type": "mount" }, { "type": "ipc" }, { "type": "uts" }]);
            bundle = bundle.set("/linux/namespaces", namespaces);
        }
        let container = fixture.container(&bundle.written());
        container.create().ok();
        container.start().ok();
        container.call("pause").run().ok();
        let begin = Instant::now();
        container.delete_force().ok();
        assert!(
            begin.elapsed() < Duration::from_secs(2),
            "{:?}",
            begin.elapsed()
        );
        fixture.assert_clean();
    }
}

#[test]
fn a_created_container_that_is_paused_is_not_started() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture.bundle().args(&["sleep", "60"]).written();
    let container = fixture.container(&bundle);
    container.create().ok();
    container.call("pause").run().ok();
    assert_eq!(container.status(), "paused");
    let start = container.start();
    assert_eq!(start.code(), 1);
    start.says("cannot start a container in the paused state");
    container.call("resume").run().ok();
    assert_eq!(container.status(), "created");
    container.start().ok();
    assert_eq!(container.status(), "running");
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn with_ignore_paused_a_process_runs_once_it_is_resumed() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture.bundle().args(&["sleep", "60"]).written();
    let container = fixture.container(&bundle);
    container.create().ok();
    container.start().ok();
    container.call("pause").run().ok();
    let call = container.call_with("exec", &["--ignore-paused"]);
    let running = call.args(["echo", "here"]).start();
    std::thread::sleep(Duration::from_millis(100));
    container.call("resume").run().ok();
    assert_eq!(running.finish().ok().stdout, "here\n");
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn there_has_to_be_such_a_container() {
    let fixture = Fixture::new(test_name!());
    for verb in ["pause", "resume"] {
        let output = fixture.runtime().command(verb).arg("none").run();
        assert_eq!(output.code(), 1);
        output.says("container does not exist");
    }
    fixture.assert_clean();
}

/// `start` has read that the container is created, and waits for the lock that `pause` holds.
#[test]
fn a_start_that_a_pause_overtakes_does_not_wait() {
    if orlop_tests::locate::in_path("strace").is_none() {
        skip!("strace is not installed");
    }
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&fixture.bundle().args(&["sleep", "60"]).written());
    container.create().ok();
    let late = "--inject=flock:delay_enter=1500000";
    let slow = ["strace", "-qq", "-o", "/dev/null", "--trace=flock", late];
    let starting = fixture
        .runtime()
        .clone()
        .with_prefix(&slow)
        .command("start")
        .arg(container.id())
        .start();
    std::thread::sleep(Duration::from_millis(500));
    container.call("pause").run().ok();
    let output = starting.finish();
    assert_eq!(output.code(), 1, "{output}");
    output.says("cannot start a container in the paused state");
    container.call("resume").run().ok();
    container.start().ok();
    container.delete_force().ok();
    fixture.assert_clean();
}
