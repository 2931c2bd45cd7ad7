//! `events`: figures and what happened, in the form that callers of runc read.

use orlop_tests::locate::in_path;
use orlop_tests::patience::until;
use orlop_tests::{Container, Fixture, skip, test_name};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

fn started(fixture: &Fixture, script: &str, memory: u64) -> Container {
    let bundle = fixture
        .bundle()
        .script(script)
        .set(
            "/linux/resources/memory",
            json!({ "limit": memory, "swap": memory }),
        )
        .set(
            "/linux/resources/cpu",
            json!({ "quota": 20_000, "period": 100_000 }),
        )
        .set("/linux/resources/pids", json!({ "limit": 77 }))
        // Otherwise runc's mount of cgroup2 takes the host's own mount options away.
        .set("/linux/namespaces/-", json!({ "type": "cgroup" }))
        .written();
    let container = fixture.container(&bundle);
    container.create().ok();
    container.start().ok();
    container
}

/// The figures of a container that has used CPU time and been throttled.
fn figures(fixture: &Fixture) -> Value {
    let container = started(fixture, "while :; do :; done", 64 << 20);
    let mut event = Value::Null;
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(50));
        let output = container.call_with("events", &["--stats"]).run().ok();
        assert_eq!(output.stdout.lines().count(), 1, "{output}");
        event = output.json();
        let number = |path: &str| event["data"].pointer(path).and_then(Value::as_u64);
        // The kernel gathers a cgroup's memory.stat only every other second.
        let gathered = number("/memory/raw/pgfault") > Some(0);
        if gathered && number("/cpu/throttling/throttledTime") > Some(0) {
            break;
        }
    }
    assert_eq!(
        (&event["type"], &event["id"]),
        (&json!("stats"), &json!(container.id()))
    );
    container.delete_force().ok();
    event["data"].clone()
}

#[test]
fn figures_are_those_of_the_container() {
    let fixture = Fixture::new(test_name!());
    let data = figures(&fixture);
    assert_eq!(data["memory"]["usage"]["limit"], 64 << 20);
    assert_eq!(data["pids"]["limit"], 77);
    assert!(data["pids"]["current"].as_u64().unwrap() >= 1, "{data}");
    let number = |path: &str| data.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    assert!(number("/cpu/usage/total") > 10_000_000, "{data}");
    assert!(number("/cpu/throttling/throttledPeriods") > 0, "{data}");
    assert!(number("/cpu/throttling/throttledTime") > 0, "{data}");
    assert!(
        number("/memory/usage/usage") > 0 && number("/memory/usage/max") > 0,
        "{data}"
    );
    assert!(number("/memory/raw/pgfault") > 0, "{data}");
    fixture.assert_clean();
}

/// The paths of all fields, without those that are there only when they are not zero.
fn fields(prefix: &str, value: &Value, to: &mut BTreeSet<String>) {
    let Value::Object(map) = value else {
        to.insert(prefix.to_owned());
        return;
    };
    if map.is_empty() {
        to.insert(format!("{prefix}{{}}"));
    }
    for (name, value) in map {
        fields(&format!("{prefix}/{name}"), value, to);
    }
}

#[test]
fn the_form_is_that_of_runc() {
    let Some(runc) = in_path("runc") else {
        skip!("no runc to compare with");
    };
    let fixture = Fixture::new(test_name!());
    let ours = figures(&fixture);
    fixture.assert_clean();
    let theirs = Fixture::of(&format!("{}_peer", test_name!()), Path::new(&runc));
    let data = figures(&theirs);
    theirs.assert_clean();
    let all = |data: &Value| {
        let mut names = BTreeSet::new();
        fields("", data, &mut names);
        // Pressure and huge pages of the unified hierarchy: this runc does not look there.
        names.retain(|name| !name.starts_with("/hugetlb") && !name.contains("/psi"));
        names
    };
    let (ours_only, theirs_only): (Vec<_>, Vec<_>) = (
        all(&ours).difference(&all(&data)).cloned().collect(),
        all(&data).difference(&all(&ours)).cloned().collect(),
    );
    // Zero in one of them by chance.
    let may_be_absent = [
        "/memory/cache",
        "/memory/kernelTCP/usage",
        "/memory/kernelTCP/max",
        "/blkio",
    ];
    let certain = |names: Vec<String>| -> Vec<String> {
        names
            .into_iter()
            .filter(|name| !may_be_absent.iter().any(|absent| name.starts_with(absent)))
            .collect()
    };
    assert_eq!(
        (certain(ours_only), certain(theirs_only)),
        (vec![], vec![]),
        "{ours}\n{data}"
    );
    for path in [
        "/cpuset",
        "/memory/usage/limit",
        "/memory/swap/limit",
        "/memory/kernel/limit",
        "/memory/kernelTCP/limit",
        "/memory/raw/hierarchical_memory_limit",
        "/pids/limit",
    ] {
        assert_eq!(ours.pointer(path), data.pointer(path), "{path}");
    }
}

#[test]
fn figures_come_at_each_interval_until_the_container_is_removed() {
    let fixture = Fixture::new(test_name!());
    let container = started(&fixture, "sleep 60", 64 << 20);
    let before = Instant::now();
    let events = container
        .call_with("events", &["--interval", "100ms"])
        .start();
    assert!(until(|| events.written().lines().count() >= 3));
    let elapsed = before.elapsed();
    assert!(elapsed >= Duration::from_millis(300), "{elapsed:?}");
    container.delete_force().ok();
    let output = events.finish().ok();
    let lines: Vec<Value> = output
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        lines
            .iter()
            .all(|line| line["type"] == "stats" && line["data"]["pids"].is_object())
    );
    fixture.assert_clean();
}

#[test]
fn memory_that_ran_out_is_an_event() {
    let fixture = Fixture::new(test_name!());
    let script = "trap 'tail /dev/zero' USR1; while :; do sleep 0.1; done";
    let container = started(&fixture, script, 16 << 20);
    let events = container.call_with("events", &["--interval=100ms"]).start();
    // Whoever gives figures watches.
    assert!(until(|| !events.written().is_empty()));
    let event = json!({ "type": "oom", "id": container.id() });
    let is_told = || {
        // The shell may not have come to its trap, and may be over by now.
        let _ = container.kill("USR1");
        let written = events.written();
        let mut lines = written.lines().map(serde_json::from_str::<Value>);
        lines.any(|line| line.is_ok_and(|line| line == event))
    };
    let told = until(is_told);
    container.delete_force().ok();
    let output = events.finish().ok();
    assert!(told, "{output}");
    fixture.assert_clean();
}

#[test]
fn what_makes_no_sense_is_refused() {
    let fixture = Fixture::new(test_name!());
    let none = fixture
        .runtime()
        .command("events")
        .args(["--stats", "none"])
        .run();
    assert_eq!(none.code(), 1);
    none.says("container does not exist");
    let container = started(&fixture, "sleep 60", 64 << 20);
    for (interval, text) in [
        ("0", "duration interval must be greater than 0"),
        ("-1s", "duration interval must be greater than 0"),
        ("x", "for flag -interval: parse error"),
    ] {
        let output = container
            .call_with("events", &[&format!("--interval={interval}")])
            .run();
        assert_eq!(output.code(), 1);
        output.says(text);
    }
    container.kill("KILL").ok();
    container.wait_for("stopped");
    for options in [&["--stats"][..], &[]] {
        let output = container.call_with("events", options).run();
        assert_eq!(output.code(), 1);
        output.says(&format!(
            "container with id {} is not running",
            container.id()
        ));
    }
    container.delete().ok();
    fixture.assert_clean();
}

#[test]
fn figures_of_a_created_and_of_a_paused_container() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture.bundle().args(&["sleep", "60"]).written();
    let container = fixture.container(&bundle);
    container.create().ok();
    container.call_with("events", &["--stats"]).run().ok();
    container.start().ok();
    container.call("pause").run().ok();
    container.call_with("events", &["--stats"]).run().ok();
    container.delete_force().ok();
    fixture.assert_clean();
}
