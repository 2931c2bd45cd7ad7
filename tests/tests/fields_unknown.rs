//! Properties and values that the specification does not have: told in the log, and otherwise ignored.

use orlop_tests::{Fixture, cgroup, test_name};
use serde_json::json;
use std::fs;

#[test]
fn what_is_unknown_is_logged_and_ignored() {
    let fixture = Fixture::new(test_name!());
    let log = fixture.file("log");
    let bundle = fixture
        .bundle()
        .set("/future", json!({ "deep": [1] }))
        .set("/linux/futureField", json!(true))
        .set("/process/capabilities/bounding/-", json!("CAP_BOGUS"))
        .script("echo ran")
        .written();
    let container = fixture.container(&bundle);
    let call = container.call("run").global("--log").global(&log);
    let output = call.global("--log-format").global("json").run().ok();
    assert_eq!(output.stdout, "ran\n");
    let text = fs::read_to_string(&log).unwrap();
    let messages: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for word in ["future:", "linux.futureField", "CAP_BOGUS"] {
        let told = messages
            .iter()
            .any(|one| one["level"] == "warning" && one["msg"].as_str().unwrap().contains(word));
        assert!(told, "{word}: {text}");
    }
    fixture.assert_clean();
}

#[test]
fn exec_tells_of_unknown_capabilities_too() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&fixture.bundle().args(&["sleep", "60"]).written());
    container.create().ok();
    container.start().ok();
    fixture.track(&container);
    let output = container
        .call_with("exec", &["--cap", "CAP_BOGUS"])
        .args(["true"])
        .run()
        .ok();
    assert!(output.stderr.contains("CAP_BOGUS"), "{output}");
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn what_is_unknown_in_limits_and_in_a_process_is_told_too() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&fixture.bundle().args(&["sleep", "60"]).written());
    container.create().ok();
    container.start().ok();
    fixture.track(&container);
    let limits = json!({ "pids": { "limit": 9, "future": 1 }, "memmory": {} }).to_string();
    let file = fixture.file("limits.json");
    fs::write(&file, &limits).unwrap();
    let named = container.call_with("update", &["-r", file.to_str().unwrap()]);
    let piped = container.call_with("update", &["-r", "-"]).stdin(limits);
    for (call, name) in [(named, "limits.json"), (piped, "standard input")] {
        let output = call.run().ok();
        for place in ["pids.future", "memmory"] {
            let told = format!("{name}: {place}: unknown property; ignored");
            assert!(output.stderr.contains(&told), "{output}");
        }
    }
    let process =
        json!({ "args": ["true"], "cwd": "/", "user": { "uid": 0, "gid": 0 }, "argz": 1 });
    let file = fixture.file("process.json");
    fs::write(&file, process.to_string()).unwrap();
    let option = ["--process", file.to_str().unwrap()];
    let output = container.call_with("exec", &option).run().ok();
    let told = "process.json: argz: unknown property; ignored";
    assert!(output.stderr.contains(told), "{output}");
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn names_in_other_letters_are_read_and_told() {
    let fixture = Fixture::new(test_name!());
    let mut bundle = fixture.bundle().args(&["sleep", "60"]);
    let process = bundle.config["process"].as_object_mut().unwrap();
    process.remove("env");
    process.insert("ENV".to_owned(), json!(["PATH=/bin", "WORD=read"]));
    let container = fixture.container(&bundle.written());
    let output = container.create().ok();
    let told = "config.json: process.ENV: read as env; write it so";
    assert!(output.stderr.contains(told), "{output}");
    container.start().ok();
    fixture.track(&container);
    // What comes later reads the container's own copy.
    let call = container.call_with("exec", &[]);
    let output = call.args(["sh", "-c", "echo $WORD"]).run().ok();
    assert_eq!(output.stdout, "read\n");
    let limits = json!({ "Pids": { "limit": 41 } }).to_string();
    let call = container.call_with("update", &["-r", "-"]).stdin(limits);
    let output = call.run().ok();
    let told = "standard input: Pids: read as pids; write it so";
    assert!(output.stderr.contains(told), "{output}");
    assert_eq!(cgroup::read(container.pid(), "pids", "pids.max"), "41");
    // As text: where there are two, their order counts.
    let both = r#"{ "Pids": { "limit": 42 }, "pids": { "Limit": 43 } }"#;
    let call = container.call_with("update", &["-r", "-"]).stdin(both);
    let output = call.run().ok();
    assert!(
        output.stderr.contains("of two values the later"),
        "{output}"
    );
    assert_eq!(cgroup::read(container.pid(), "pids", "pids.max"), "43");
    container.delete_force().ok();
    fixture.assert_clean();
}
