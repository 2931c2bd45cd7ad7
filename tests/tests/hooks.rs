//! Hooks: when they run, where, and with what.

use orlop_tests::security::config::without_namespace;
use orlop_tests::{Fixture, test_name};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// A hook that appends its name, and keeps what it read on standard input.
fn noting(folder: &Path, name: &str) -> Value {
    let folder = folder.display();
    let script = format!("cat > {folder}/{name}.json; echo {name} >> {folder}/order");
    json!([{ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"] }])
}

#[test]
fn host_side_hooks_run_in_order_with_the_state() {
    let fixture = Fixture::new(test_name!());
    let folder = fixture.file("hooks");
    fs::create_dir(&folder).unwrap();
    let hooks = json!({
        "prestart": noting(&folder, "prestart"),
        "createRuntime": noting(&folder, "createRuntime"),
        "poststart": noting(&folder, "poststart"),
        "poststop": noting(&folder, "poststop"),
    });
    let bundle = fixture
        .bundle()
        .args(&["sleep", "60"])
        .set("/hooks", hooks)
        .written();
    let container = fixture.container(&bundle);
    let order = || fs::read_to_string(folder.join("order")).unwrap();
    container.create().ok();
    assert_eq!(order(), "prestart\ncreateRuntime\n");
    let pid = container.pid();
    container.start().ok();
    assert_eq!(order(), "prestart\ncreateRuntime\npoststart\n");
    container.delete_force().ok();
    assert_eq!(order(), "prestart\ncreateRuntime\npoststart\npoststop\n");
    for (hook, statuses, has_pid) in [
        // The specification says `creating`; crun says `created`, and hooks of others know both.
        ("prestart", &["creating", "created"][..], true),
        ("createRuntime", &["creating", "created"], true),
        ("poststart", &["running"], true),
        ("poststop", &["stopped"], false),
    ] {
        let text = fs::read_to_string(folder.join(format!("{hook}.json"))).unwrap();
        let state: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(state["id"], container.id(), "{hook}: {state}");
        let status = state["status"].as_str().unwrap_or_default();
        assert!(statuses.contains(&status), "{hook}: {state}");
        assert_eq!(
            state["bundle"],
            bundle.path().to_str().unwrap(),
            "{hook}: {state}"
        );
        if has_pid {
            assert_eq!(state["pid"], pid, "{hook}: {state}");
        }
    }
    fixture.assert_clean();
}

#[test]
fn create_container_runs_in_the_mount_namespace_before_the_pivot() {
    let fixture = Fixture::new(test_name!());
    let note = fixture.file("note");
    let script = format!("readlink /proc/self/ns/mnt > {}", note.display());
    let hooks = json!({ "createContainer": [{ "path": "/bin/sh", "args": ["sh", "-c", script] }] });
    let bundle = fixture
        .bundle()
        .args(&["sleep", "60"])
        .set("/hooks", hooks)
        .written();
    let container = fixture.container(&bundle);
    container.create().ok();
    let inside = fs::read_link(format!("/proc/{}/ns/mnt", container.pid())).unwrap();
    assert_eq!(
        fs::read_to_string(&note).unwrap().trim_end(),
        inside.to_string_lossy()
    );
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn start_container_runs_inside_before_the_program() {
    let fixture = Fixture::new(test_name!());
    let hooks = json!({
        "startContainer": [{ "path": "/bin/sh", "args": ["sh", "-c", "cat > /tmp/state; echo hook > /tmp/order"] }]
    });
    let bundle = fixture
        .bundle()
        .script("echo program >> /tmp/order; cat /tmp/order; grep -c '\"id\"' /tmp/state")
        .set("/root/readonly", json!(false))
        .set("/hooks", hooks)
        .written();
    let output = fixture.container(&bundle).run().ok();
    assert_eq!(output.stdout, "hook\nprogram\n1\n");
    fixture.assert_clean();
}

#[test]
fn a_failing_poststop_hook_does_not_keep_the_container() {
    let fixture = Fixture::new(test_name!());
    let note = fixture.file("note");
    let hooks = json!({
        "poststop": [
            { "path": "/bin/false" },
            { "path": "/usr/bin/touch", "args": ["touch", note.to_str().unwrap()] }
        ]
    });
    let container = fixture.container(&fixture.bundle().set("/hooks", hooks).written());
    container.create().ok();
    container.delete_force().ok();
    assert!(
        note.exists(),
        "the specification: the remaining hooks run all the same"
    );
    fixture.assert_clean();
}

#[test]
fn a_failing_hook_in_the_container_says_why() {
    for kind in ["createContainer", "startContainer"] {
        let fixture = Fixture::new(test_name!());
        let mut hooks = json!({});
        hooks[kind] = json!([
            { "path": "/bin/sh", "args": ["sh", "-c", "echo no such library >&2; exit 3"] }
        ]);
        let bundle = fixture.bundle().set("/hooks", hooks).written();
        let run = fixture.container(&bundle).run();
        assert!(run.stderr.starts_with("no such library\n"), "{run}");
        assert!(run.stderr.contains("exited with status 3"), "{run}");
        fixture.assert_clean();
    }
}

/// A configuration in which this hook fails, and a poststop hook leaves a note.
fn failing(fixture: &Fixture, kind: &str, note: &Path) -> orlop_tests::Container {
    let path = if kind == "startContainer" {
        "/bin/false"
    } else {
        "/usr/bin/false"
    };
    let mut hooks = json!({
        "poststop": [{ "path": "/usr/bin/touch", "args": ["touch", note.to_str().expect("ASCII")] }]
    });
    hooks[kind] = json!([{ "path": path }]);
    let bundle = fixture.bundle().set("/hooks", hooks);
    fixture.container(&bundle.args(&["sleep", "60"]).written())
}

#[test]
fn a_failing_hook_at_creation_takes_all_of_it_back() {
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let fixture = Fixture::new(test_name!());
        let note = fixture.file("note");
        let container = failing(&fixture, kind, &note);
        container
            .create()
            .fails_naming(&[kind, "false", "status 1"]);
        assert!(
            note.exists(),
            "{kind}: poststop hooks run when creation failed after hooks"
        );
        fixture.assert_clean();
    }
}

#[test]
fn a_failing_hook_at_the_start_stops_the_container() {
    for kind in ["startContainer", "poststart"] {
        let fixture = Fixture::new(test_name!());
        let note = fixture.file("note");
        let container = failing(&fixture, kind, &note);
        container.create().ok();
        container.start().fails_naming(&[kind, "false", "status 1"]);
        container.wait_for("stopped");
        assert!(
            !note.exists(),
            "{kind}: poststop hooks wait for the deletion"
        );
        container.delete().ok();
        assert!(note.exists(), "{kind}");
        fixture.assert_clean();
    }
}

/// More than a pipe holds, too: nobody would empty it before the program runs.
#[test]
fn what_a_hook_in_the_container_says_is_not_the_programs_output() {
    let fixture = Fixture::new(test_name!());
    let says = "head -c 200000 /dev/zero; echo noise; echo noise >&2";
    let bundle = fixture
        .bundle()
        .args(&["echo", "program"])
        .set(
            "/hooks",
            json!({
                "createContainer": [{ "path": "/bin/sh", "args": ["sh", "-c", says] }],
                "startContainer": [{ "path": "/bin/sh", "args": ["sh", "-c", says] }]
            }),
        )
        .written();
    let output = fixture.container(&bundle).run().ok();
    assert_eq!((&*output.stdout, &*output.stderr), ("program\n", ""));
    fixture.assert_clean();
}

/// Under the program's filter and limits, which those at the start run with, and with a child that goes on
/// talking.
#[test]
fn a_hook_in_the_container_may_speak_whatever_the_program_may() {
    let fixture = Fixture::new(test_name!());
    let hook = |script: &str| json!([{ "path": "/bin/sh", "args": ["sh", "-c", script] }]);
    let fails = hook("echo first >&2; echo second >/dev/stderr; exit 3");
    let talks = hook("(while echo more; do :; done) &");
    let filter = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["memfd_create"], "action": "SCMP_ACT_ERRNO" }]
    });
    let bundle = fixture
        .bundle()
        .args(&["true"])
        .set("/linux/seccomp", filter)
        .set("/hooks", json!({ "startContainer": fails }))
        .written();
    let status = "startContainer hook #0: /bin/sh: exited with status 3";
    let output = fixture.container(&bundle).run();
    assert_eq!(output.code(), 1, "{output}");
    assert!(output.stderr.starts_with("first\nsecond\n"), "{output}");
    assert!(output.stderr.contains(status), "{output}");
    let limit = json!({ "type": "RLIMIT_FSIZE", "hard": 0, "soft": 0 });
    let bundle = bundle.set("/process/rlimits/-", limit).written();
    fixture.container(&bundle).run().says(status);
    let bundle = bundle.set("/hooks", json!({ "startContainer": talks }));
    fixture.container(&bundle.written()).run().ok();
    fixture.assert_clean();
}

/// What it does not read breaks a pipe, and the signal for that ends whoever is not the first process of
/// a PID namespace.
#[test]
fn a_hook_in_the_container_need_not_read_its_input() {
    let fixture = Fixture::new(test_name!());
    let hook = json!([{ "path": "/bin/true" }]);
    let bundle = without_namespace(fixture.bundle(), "pid")
        .args(&["true"])
        .set(
            "/hooks",
            json!({ "createContainer": hook, "startContainer": hook }),
        )
        .written();
    for _ in 0..20 {
        fixture.container(&bundle).run().ok();
    }
    fixture.assert_clean();
}
