//! Commands that make no sense, and state that is damaged: one line that names what is wrong, the
//! right exit code, and nothing left behind.

use orlop_tests::{Container, Fixture, skip, test_name};
use serde_json::json;
use std::fs;
use std::path::Path;

#[test]
fn id_taken() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture.bundle().args(&["sleep", "60"]).written();
    let container = fixture.container(&bundle);
    container.create().ok();
    fixture.track(&container);
    let pid = container.pid();
    container
        .create()
        .fails_naming(&[])
        .says("container with given ID already exists");
    assert_eq!(
        (container.status().as_str(), container.pid()),
        ("created", pid)
    );
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn id_not_a_name() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture.bundle();
    let verbs = ["create", "start", "state", "kill", "delete", "exec"];
    let letters = "only letters, digits and _+-. may be in it";
    for (id, shown, reason) in [
        ("", "", "it is empty"),
        (".", ".", "it names a directory"),
        ("..", "..", "it names a directory"),
        ("a/b", "a/b", letters),
        ("a b", "a b", letters),
        ("../../etc", "../../etc", letters),
        ("a\nb", "a\\nb", letters),
        ("é", "é", letters),
    ] {
        let wanted = format!("container id: invalid id \"{shown}\": {reason}\n");
        for verb in verbs {
            let call = Container::new(fixture.runtime(), id, &bundle).call(verb);
            let (call, code, before) = match verb {
                "exec" => (call.arg("true"), 255, "exec failed: "),
                _ => (call, 1, ""),
            };
            let output = call.run().fails_with(code, &[]);
            let message = output.stderr.split_once(": ").map(|(_, rest)| rest);
            assert_eq!(message, Some(&*format!("{before}{wanted}")), "{output}");
        }
    }
    fixture.assert_clean();
}

#[test]
fn verbs_of_an_unknown_id() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&fixture.bundle());
    // Without a single container there may be no state root either.
    for verb in ["start", "state", "kill", "delete", "ps"] {
        container
            .call(verb)
            .run()
            .fails_naming(&[])
            .says("container does not exist");
    }
    container
        .exec(&["true"])
        .fails_with(255, &[])
        .says("container does not exist");
    fixture.assert_clean();
}

#[test]
fn signal_unknown() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&fixture.bundle().args(&["sleep", "60"]).written());
    container.create().ok();
    for signal in ["FISH", "SIGFISH", "0x9", "-1", "65", "999999999999"] {
        container
            .call_with("kill", &[])
            .arg("--")
            .arg(signal)
            .run()
            .fails_naming(&["signal", signal]);
    }
    assert_eq!(container.status(), "created");
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn kill_of_a_stopped_container() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&fixture.bundle().args(&["true"]).written());
    container.create().ok();
    container.start().ok();
    container.wait_for("stopped");
    container
        .kill("TERM")
        .fails_naming(&[])
        .says("container not running");
    container.delete().ok();
    fixture.assert_clean();
}

#[test]
fn start_twice() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&fixture.bundle().args(&["sleep", "60"]).written());
    container.create().ok();
    container.start().ok();
    container.start().fails_naming(&["start"]);
    assert_eq!(container.status(), "running");
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn exec_in_a_stopped_container() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&fixture.bundle().args(&["true"]).written());
    container.create().ok();
    container.start().ok();
    container.wait_for("stopped");
    let output = container.exec(&["true"]);
    output
        .fails_with(255, &[])
        .says("cannot exec in a stopped container");
    container.delete().ok();
    fixture.assert_clean();
}

#[test]
fn exec_of_a_missing_program() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&fixture.bundle().args(&["sleep", "60"]).written());
    container.create().ok();
    container.start().ok();
    let output = container.exec(&["fish"]);
    output
        .fails_with(255, &["fish"])
        .says("executable file not found in $PATH");
    container
        .exec(&["/bin/fish"])
        .fails_with(255, &["/bin/fish", "no such file or directory"]);
    container
        .exec(&["/etc/passwd"])
        .fails_with(255, &["/etc/passwd", "permission denied"]);
    assert_eq!(container.status(), "running");
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn console_socket_absent() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture
        .bundle()
        .set("/process/terminal", json!(true))
        .written();
    let container = fixture.container(&bundle);
    container.create().fails_naming(&["console"]);
    fixture.assert_clean();
    let nowhere = fixture.file("nowhere.sock");
    container
        .call_with("create", &["--console-socket", nowhere.to_str().unwrap()])
        .run()
        .fails_naming(&["nowhere.sock", "No such file or directory"]);
    fixture.assert_clean();
    let plain = fixture.file("plain");
    fs::write(&plain, "").unwrap();
    container
        .call_with("create", &["--console-socket", plain.to_str().unwrap()])
        .run()
        .fails_naming(&["plain"]);
    fixture.assert_clean();
}

#[test]
fn pid_file_in_a_missing_folder() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&fixture.bundle());
    container
        .call_with("create", &["--pid-file", "/nowhere/pid"])
        .run()
        .fails_naming(&["/nowhere/pid", "No such file or directory"]);
    fixture.assert_clean();
}

#[test]
fn state_root_is_a_file() {
    let fixture = Fixture::new(test_name!());
    let root = fixture.runtime().root().to_path_buf();
    fs::write(&root, "").unwrap();
    let output = fixture.container(&fixture.bundle()).create();
    output.fails_naming(&[&root.to_string_lossy(), "Not a directory"]);
    fs::remove_file(&root).unwrap();
    fixture.assert_clean();
}

#[test]
fn hook_fails_at_start() {
    let fixture = Fixture::new(test_name!());
    let hooks = json!({ "startContainer": [{ "path": "/bin/false" }] });
    let container = fixture.container(&fixture.bundle().set("/hooks", hooks).written());
    container.create().ok();
    fixture.track(&container);
    container
        .start()
        .fails_naming(&["startContainer", "/bin/false"]);
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn privileges_missing() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture.bundle();
    for capability in ["sys_admin", "mknod", "sys_chroot", "setpcap"] {
        let without = format!("-{capability}");
        let runtime =
            fixture
                .runtime()
                .clone()
                .with_prefix(&["setpriv", "--bounding-set", &without]);
        let id = format!("{}-{capability}", fixture.tag());
        let container = Container::new(&runtime, &id, &bundle);
        let output = container.create();
        if output.status.success() {
            // Nothing in this bundle needed it.
            container.delete_force().ok();
        } else {
            output.fails_naming(&["Operation not permitted"]);
        }
        fixture.assert_clean();
    }
}

/// The setting is a PID namespace's.
#[test]
fn programs_in_memory_forbidden() {
    const SETTING: &str = "/proc/sys/vm/memfd_noexec";
    if !Path::new(SETTING).exists() {
        skip!("Linux before 6.3 does not have {SETTING}");
    }
    let fixture = Fixture::new(test_name!());
    let script = format!("echo 2 >{SETTING} && exec \"$@\"");
    let forbid = ["unshare", "-pf", "--mount-proc", "sh", "-c", &script, "sh"];
    let runtime = fixture.runtime().clone().with_prefix(&forbid);
    let bundle = fixture.bundle().args(&["true"]).written();
    let container = fixture.container(&bundle);
    let run = runtime.command("run").arg("--bundle").arg(bundle.path());
    run.arg(container.id())
        .run()
        .fails_naming(&["vm.memfd_noexec", "set it to 0 or 1"]);
    fixture.assert_clean();
}

/// A container that runs.
fn sleeping(fixture: &Fixture) -> Container {
    let container = fixture.container(&fixture.bundle().args(&["sleep", "60"]).written());
    container.create().ok();
    container.start().ok();
    fixture.track(&container);
    container
}

/// Every file of a container's state, damaged in the same way.
fn damage(folder: &Path, how: impl Fn(&Path)) {
    for entry in fs::read_dir(folder).expect("list the container's state") {
        let path = entry.expect("list the container's state").path();
        if path.is_file() {
            how(&path);
        }
    }
}

#[test]
fn state_torn() {
    type Damage = fn(&Path);
    let damaged = "it is not a container's state, or damaged: ";
    let ways: [(&str, Damage, Option<&str>); 5] = [
        (
            "halved",
            |path| {
                let whole = fs::read(path).unwrap();
                fs::write(path, &whole[..whole.len() / 2]).unwrap();
            },
            Some(damaged),
        ),
        (
            "emptied",
            |path| fs::write(path, "").unwrap(),
            Some("it is empty"),
        ),
        (
            "noise",
            |path| fs::write(path, [0xff; 100]).unwrap(),
            Some(damaged),
        ),
        (
            "another",
            |path| fs::write(path, "{\"fish\": 1}").unwrap(),
            Some(damaged),
        ),
        // As of one that is being made, or removed, by somebody else.
        ("removed", |path| fs::remove_file(path).unwrap(), None),
    ];
    for (name, way, reason) in ways {
        let fixture = Fixture::new(&format!("{}_{name}", test_name!()));
        let [container, whole] = [(); 2].map(|()| sleeping(&fixture));
        let folder = fixture.runtime().root().join(container.id());
        damage(&folder, way);
        let file = folder.join("state.json").to_string_lossy().into_owned();
        let state = container.call("state").run();
        let list = fixture.runtime().command("list").arg("-q").run().ok();
        assert_eq!(list.stdout, format!("{}\n", whole.id()), "{list}");
        match reason {
            Some(reason) => {
                let names = format!("{file}: {reason}");
                state.fails_naming(&[&names]);
                assert_eq!(list.stderr.lines().count(), 1, "{list}");
                list.says("warning").says(&names);
            }
            None => {
                let names = format!("container does not exist: {}", container.id());
                state.fails_naming(&[&names]);
                assert_eq!(list.stderr, "", "{list}");
            }
        }
        container.delete_force().ok();
        whole.delete_force().ok();
        fixture.assert_clean();
    }
}

#[test]
fn state_torn_beside_a_whole_record_of_the_cgroup() {
    let fixture = Fixture::new(test_name!());
    for (torn, gone) in [("state.json", None), ("state.json", Some("config.json"))] {
        let path = format!("{}-elsewhere", fixture.tag());
        let bundle = fixture
            .bundle()
            .args(&["sleep", "60"])
            .set("/linux/cgroupsPath", json!(path));
        let container = fixture.container(&bundle.written());
        container.create().ok();
        container.start().ok();
        fixture.track(&container);
        let folder = fixture.runtime().root().join(container.id());
        let whole = fs::read(folder.join(torn)).unwrap();
        fs::write(folder.join(torn), &whole[..whole.len() / 2]).unwrap();
        if let Some(gone) = gone {
            fs::remove_file(folder.join(gone)).unwrap();
        }
        container.delete_force().ok();
        fixture.assert_clean();
    }
}
