//! The program as its callers see it: exit statuses, streams and log. Nothing here needs privilege
//! or a container.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A directory that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("orlop-runc-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_orlop-runc"))
        .args(arguments)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn the_version_is_one_that_go_runc_reads() {
    for option in ["--version", "-v"] {
        let output = run(&[option]);
        assert!(output.status.success());
        let text = stdout(&output);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[0],
            format!("runc version {}", env!("CARGO_PKG_VERSION"))
        );
        assert!(lines[1].starts_with("commit: "));
        assert_eq!(lines[2], "spec: 1.3.0");
    }
}

#[test]
fn usage_errors_show_help_and_leave_a_record() {
    let scratch = Scratch::new("usage");
    let log = scratch.path("log.json");
    let output = run(&["--log", &log, "--log-format", "json", "create"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).starts_with("Incorrect Usage."));
    let wanted = "orlop-runc: \"create\" requires exactly 1 argument(s)";
    assert_eq!(stderr(&output), format!("{wanted}\n"));
    let record: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&log).unwrap()).unwrap();
    assert_eq!(record["msg"], wanted);

    let output = run(&["no-such-command"]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        stderr(&output),
        "orlop-runc: No help topic for 'no-such-command'\n"
    );
}

#[test]
fn a_container_that_does_not_exist_is_named_so_everywhere() {
    let scratch = Scratch::new("missing");
    let root = scratch.path("root");
    for (arguments, code) in [
        (&["state", "nope"][..], 1),
        (&["start", "nope"], 1),
        (&["kill", "nope"], 1),
        (&["kill", "nope", "9"], 1),
        (&["delete", "nope"], 1),
        (&["ps", "nope"], 1),
        (&["exec", "nope", "true"], 255),
    ] {
        let log = scratch.path("log.json");
        let global = ["--root", &root, "--log", &log, "--log-format", "json"];
        let output = run(&[&global[..], arguments].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert_eq!(stdout(&output), "", "{arguments:?}");
        assert!(
            stderr(&output).contains("container does not exist"),
            "{arguments:?}"
        );
        let text = fs::read_to_string(&log).unwrap();
        let record: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(record["level"], "error");
        assert!(
            record["msg"]
                .as_str()
                .unwrap()
                .contains("container does not exist")
        );
        assert!(record["time"].as_str().unwrap().ends_with('Z'));
    }
    for force in ["-f", "--force"] {
        let output = run(&["--root", &root, "delete", force, "nope"]);
        assert_eq!(
            (output.status.code(), stderr(&output)),
            (Some(0), String::new())
        );
    }
}

#[test]
fn logs_are_appended_to() {
    let scratch = Scratch::new("append");
    let (root, log) = (scratch.path("root"), scratch.path("log"));
    for _ in 0..2 {
        run(&["--root", &root, "--log", &log, "state", "nope"]);
    }
    let text = fs::read_to_string(&log).unwrap();
    assert_eq!(text.lines().count(), 2);
    assert!(
        text.lines()
            .all(|line| line.starts_with("time=\"") && line.contains("level=error msg=\""))
    );
}

#[test]
fn options_before_the_command_are_checked() {
    for (arguments, wanted) in [
        (
            &["--log-format", "xml", "list"][..],
            "invalid log-format: xml",
        ),
        (
            &["--rootless", "maybe", "list"],
            "invalid value \"maybe\" for --rootless: true, false or auto",
        ),
        (
            &["--root", "/", "list"],
            "--root must not be /: state would lie among all files",
        ),
        (
            &["--log", "/nonexistent/log", "list"],
            "open log file /nonexistent/log: No such file or directory (os error 2)",
        ),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert_eq!(stderr(&output), format!("orlop-runc: {wanted}\n"));
    }
}

#[test]
fn an_empty_place_has_no_containers() {
    let scratch = Scratch::new("empty");
    let root = scratch.path("");
    let list = |arguments: &[&str]| {
        let output = run(&[&["--root", &root, "list"], arguments].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    assert_eq!(
        list(&[]),
        "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n"
    );
    assert_eq!(list(&["--format=json"]), "null\n");
    assert_eq!(list(&["-q"]), "");
    let missing = run(&["--root", &scratch.path("missing"), "list"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(
        stderr(&missing).ends_with("/missing: no such directory\n"),
        "{}",
        stderr(&missing)
    );
}

#[test]
fn a_configuration_is_written_once() {
    let scratch = Scratch::new("spec");
    let bundle = scratch.path("");
    let output = run(&["spec", "--bundle", &bundle, "--rootless"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let written = fs::read_to_string(scratch.path("config.json")).unwrap();
    assert!(written.starts_with("{\n\t\"ociVersion\": \"1.3.0\","));
    let output = run(&["spec", "-b", &bundle]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        "orlop-runc: File config.json exists. Remove it first\n"
    );
    assert_eq!(
        fs::read_to_string(scratch.path("config.json")).unwrap(),
        written
    );
}

#[test]
fn any_user_sees_the_plan() {
    let scratch = Scratch::new("plan");
    let bundle = scratch.path("");
    // Below folders that only root may search, nobody else could execute it.
    let program = scratch.path("orlop-runc");
    fs::copy(env!("CARGO_BIN_EXE_orlop-runc"), &program).unwrap();
    assert!(run(&["spec", "-b", &bundle]).status.success());
    let mut config: serde_json::Value =
        serde_json::from_slice(&fs::read(scratch.path("config.json")).unwrap()).unwrap();
    config["process"]["args"] = serde_json::json!(["one-of-its-own"]);
    // Those that the caller lacks would be warned of.
    config["process"]["capabilities"] = serde_json::json!({});
    fs::write(scratch.path("config.json"), config.to_string()).unwrap();
    let plan = |format: &[&str]| {
        let mut command = Command::new(&program);
        command.args(["plan", "-b", &bundle]).args(format);
        if rustix::process::geteuid().is_root() {
            command.uid(65534).gid(65534);
        }
        let output = command.output().unwrap();
        assert_eq!(
            (output.status.code(), stderr(&output)),
            (Some(0), String::new())
        );
        stdout(&output)
    };
    let text = plan(&[]);
    assert_eq!(text, plan(&["--format", "text"]));
    assert!(text.contains("\n  0 ResetSignals\n"), "{text}");
    assert!(
        text.contains(" Exec argv=[\"one-of-its-own\"] env="),
        "{text}"
    );
    let json: serde_json::Value = serde_json::from_str(&plan(&["--format", "json"])).unwrap();
    assert_eq!(json["planVersion"], 1);
    let steps = json["steps"].as_array().unwrap();
    let named = |name: &str| steps.iter().filter(|step| step["op"] == name).count();
    assert_eq!((named("ResetSignals"), named("Exec")), (1, 1));
    assert_eq!(steps.last().unwrap()["args"]["argv"][0], "one-of-its-own");
}

#[test]
fn broken_configurations_are_named_with_their_place() {
    let scratch = Scratch::new("broken");
    let bundle = scratch.path("");
    fs::write(
        scratch.path("config.json"),
        r#"{"ociVersion":"1.0.0","process":{"user":{"uid":"0"}}}"#,
    )
    .unwrap();
    let output = run(&["plan", "--bundle", &bundle]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(
        text.contains("config.json: process.user.uid: invalid type: string"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn a_closed_standard_output_is_no_panic() {
    let output = Command::new("sh")
        .args([
            "-c",
            "exec \"$0\" features >&-",
            env!("CARGO_BIN_EXE_orlop-runc"),
        ])
        .output()
        .unwrap();
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    let output = Command::new("sh")
        .args([
            "-c",
            "\"$0\" --help | true; \"$0\" features | true",
            env!("CARGO_BIN_EXE_orlop-runc"),
        ])
        .output()
        .unwrap();
    assert_eq!(stderr(&output), "");
}
