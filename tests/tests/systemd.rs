//! `--systemd-cgroup`: containers as scopes of systemd. Most of it needs a host that systemd runs:
//! the lab's guests.

use orlop_tests::patience::until;
use orlop_tests::{Bundle, Container, Fixture, Output, cgroup, skip, test_name};
use serde_json::json;
use std::path::Path;
use std::process::Command;

fn systemd_runs() -> bool {
    Path::new("/run/systemd/private").exists()
}

fn call(container: &Container, verb: &str) -> Output {
    container.call(verb).global("--systemd-cgroup").run()
}

fn sleeper(fixture: &Fixture) -> Bundle {
    fixture.bundle().args(&["sleep", "60"])
}

fn show(unit: &str, property: &str) -> String {
    let output = Command::new("systemctl")
        .args(["show", "--value", "--property", property, unit])
        .output()
        .expect("run systemctl");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn without_systemd_it_is_refused_and_nothing_is_left() {
    if systemd_runs() {
        skip!("systemd runs on this host");
    }
    let fixture = Fixture::new(test_name!());
    let output = call(&fixture.container(&sleeper(&fixture).written()), "create");
    assert_eq!(output.code(), 1);
    output.says("systemd not running on this host, cannot use systemd cgroups manager");
    fixture.assert_clean();
}

#[test]
fn a_path_that_is_no_unit_is_refused() {
    let fixture = Fixture::new(test_name!());
    for path in ["/a/b", "a:b", "a:b:c:d"] {
        let bundle = sleeper(&fixture).set("/linux/cgroupsPath", json!(path));
        let output = call(&fixture.container(&bundle.written()), "create");
        assert_eq!(output.code(), 1);
        output
            .says("expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups");
    }
    let bundle = sleeper(&fixture).set("/linux/cgroupsPath", json!("system.slice:a:b"));
    let output = fixture.container(&bundle.written()).create();
    assert_eq!(output.code(), 1);
    output.says("names a slice and a scope of systemd");
    fixture.assert_clean();
}

#[test]
fn a_container_is_a_scope_from_create_to_delete() {
    if !systemd_runs() {
        skip!("systemd does not run on this host");
    }
    let fixture = Fixture::new(test_name!());
    for (path, prefix) in [("", "runc"), ("system.slice:demo:", "demo")] {
        let mut bundle = sleeper(&fixture)
            .set("/linux/resources/pids", json!({ "limit": 50 }))
            .set(
                "/annotations",
                json!({ "org.systemd.property.TimeoutStopSec": "7" }),
            );
        let container = if path.is_empty() {
            fixture.container(&bundle.written())
        } else {
            let name = format!("{path}{}-named", fixture.tag());
            bundle = bundle.set("/linux/cgroupsPath", json!(name));
            fixture.container(&bundle.written())
        };
        call(&container, "create").ok();
        let name = if path.is_empty() {
            container.id().to_owned()
        } else {
            format!("{}-named", fixture.tag())
        };
        let unit = format!("{prefix}-{name}.scope");
        assert_eq!(show(&unit, "ActiveState"), "active");
        assert_eq!(show(&unit, "TasksMax"), "50");
        assert_eq!(show(&unit, "Delegate"), "yes");
        assert_eq!(show(&unit, "TimeoutStopUSec"), "7s");
        let table =
            std::fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).expect("a cgroup");
        assert!(table.contains(&format!("/system.slice/{unit}")), "{table}");
        // Those, too, that systemd has no use for.
        if let Ok(all) = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers") {
            let own = format!("/sys/fs/cgroup/system.slice/{unit}/cgroup.controllers");
            assert_eq!(std::fs::read_to_string(own).expect("a scope"), all);
        }
        call(&container, "start").ok();
        assert_eq!(container.exec(&["echo", "hi"]).ok().stdout, "hi\n");

        container
            .call_with("update", &["--pids-limit", "60", "--memory", "64m"])
            .run()
            .ok();
        assert_eq!(show(&unit, "TasksMax"), "60");
        let limit = if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
            "MemoryMax"
        } else {
            "MemoryLimit"
        };
        assert_eq!(show(&unit, limit), "67108864");
        assert_eq!(cgroup::read(container.pid(), "pids", "pids.max"), "60");
        container.call("pause").run().ok();
        assert_eq!(container.status(), "paused");
        container.call("resume").run().ok();
        container.call_with("events", &["--stats"]).run().ok();
        container.delete_force().ok();
        assert_ne!(show(&unit, "ActiveState"), "active");
        fixture.assert_clean();
    }
}

#[test]
fn a_property_that_is_none_is_refused() {
    let fixture = Fixture::new(test_name!());
    let bundle = sleeper(&fixture).set(
        "/annotations",
        json!({ "org.systemd.property.TimeoutStopSec": "soon" }),
    );
    let output = call(&fixture.container(&bundle.written()), "create");
    output.fails_naming(&["annotations.org.systemd.property.TimeoutStopSec"]);
    fixture.assert_clean();
}

#[test]
fn of_a_container_that_fails_no_unit_is_left() {
    if !systemd_runs() {
        skip!("systemd does not run on this host");
    }
    let fixture = Fixture::new(test_name!());
    let bundle = sleeper(&fixture).set("/process/cwd", json!("relative"));
    let container = fixture.container(&bundle.written());
    assert_eq!(call(&container, "create").code(), 1);
    let bundle = fixture.bundle().args(&["/no/such/program"]).written();
    let container = fixture.container(&bundle);
    assert_eq!(call(&container, "run").code(), 1);
    assert_ne!(
        show(&format!("runc-{}.scope", container.id()), "ActiveState"),
        "active"
    );
    fixture.assert_clean();
}

fn scope(fixture: &Fixture, name: &str) -> (String, String) {
    let name = format!("{}-{name}", fixture.tag());
    (
        format!("system.slice:demo:{name}"),
        format!("demo-{name}.scope"),
    )
}

#[test]
fn a_damaged_record_does_not_hide_the_unit() {
    if !systemd_runs() {
        skip!("systemd does not run on this host");
    }
    let fixture = Fixture::new(test_name!());
    // Without any of them there is only the name that it has by default.
    let damaged: [(&[&str], bool); 5] = [
        (&["state.json"], true),
        (&["state.json", "config.json"], true),
        (&["state.json", "cgroup.json"], true),
        (&["state.json", "cgroup.json"], false),
        (&["state.json", "config.json", "cgroup.json"], false),
    ];
    for (files, named) in damaged {
        let (path, unit) = if named {
            let (path, unit) = scope(&fixture, "damaged");
            (path, Some(unit))
        } else {
            (String::new(), None)
        };
        let mut bundle = sleeper(&fixture);
        if !path.is_empty() {
            bundle = bundle.set("/linux/cgroupsPath", json!(path));
        }
        let container = fixture.container(&bundle.written());
        let unit = unit.unwrap_or_else(|| format!("runc-{}.scope", container.id()));
        call(&container, "create").ok();
        container.start().ok();
        fixture.track(&container);
        assert_eq!(show(&unit, "ActiveState"), "active");
        for file in files {
            let file = fixture.runtime().root().join(container.id()).join(file);
            let whole = std::fs::read(&file).expect("read the file");
            std::fs::write(&file, &whole[..whole.len() / 2]).expect("halve the file");
        }
        container.delete_force().ok();
        assert_ne!(show(&unit, "ActiveState"), "active", "{files:?}");
        fixture.assert_clean();
    }
}

#[test]
fn anothers_unit_of_the_same_name_is_left_alone() {
    if !systemd_runs() {
        skip!("systemd does not run on this host");
    }
    let fixture = Fixture::new(test_name!());
    let (path, unit) = scope(&fixture, "shared");
    for force in [false, true] {
        // Without a PID namespace of its own all that is in its cgroup is its own, too.
        let first = fixture
            .bundle()
            .args(&["true"])
            .set(
                "/linux/namespaces",
                json!([{ "type": "mount" }, { "type": "uts" }]),
            )
            .set("/linux/cgroupsPath", json!(path))
            .written();
        let first = fixture.container(&first);
        call(&first, "create").ok();
        first.start().ok();
        first.wait_for("stopped");
        let gone = || show(&unit, "ActiveState") != "active";
        assert!(until(gone), "{unit} stays");

        let second = sleeper(&fixture).set("/linux/cgroupsPath", json!(path));
        let second = fixture.container(&second.written());
        call(&second, "create").ok();
        second.start().ok();
        let run = show(&unit, "InvocationID");
        first
            .call_with("kill", &["--all"])
            .arg("KILL")
            .run()
            .fails_naming(&["not running"]);
        let processes = first.call_with("ps", &["--format", "json"]).run().ok();
        assert!(
            processes.json().as_array().is_none_or(Vec::is_empty),
            "{processes}"
        );
        match force {
            true => first.delete_force().ok(),
            false => first.delete().ok(),
        };
        assert_eq!(second.status(), "running");
        assert_eq!(show(&unit, "ActiveState"), "active");
        assert_eq!(show(&unit, "InvocationID"), run);
        assert_eq!(second.exec(&["echo", "hi"]).ok().stdout, "hi\n");
        second.delete_force().ok();
        assert_ne!(show(&unit, "ActiveState"), "active");
        fixture.assert_clean();
    }
}
