//! What crun has beyond runc, and its callers use: `--regex`, `--cgroup-manager`, `run.oci.*`.

use orlop_tests::{Bundle, Fixture, test_name};
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

fn sleeper(fixture: &Fixture) -> Bundle {
    fixture.bundle().args(&["sleep", "60"])
}

#[test]
fn a_regular_expression_stands_for_many_containers() {
    let fixture = Fixture::new(test_name!());
    let bundle = sleeper(&fixture).written();
    let [one, two, other] = [(); 3].map(|()| fixture.container(&bundle));
    for container in [&one, &two, &other] {
        container.create().ok();
        container.start().ok();
    }
    let both = format!("^({}|{})$", one.id(), two.id());
    let call = |verb: &str, options: &[&str]| fixture.runtime().command(verb).args(options).run();
    call("kill", &["--regex", &both, "KILL"]).ok();
    one.wait_for("stopped");
    two.wait_for("stopped");
    assert_eq!(other.status(), "running");
    // Again: they are gone already.
    call("kill", &["-r", &both, "KILL"]).ok();
    let all = format!("{}$", other.id());
    let output = call("delete", &["-r", &all]);
    assert_eq!(output.code(), 1, "{output}");
    output.says("not stopped");
    call("delete", &["-r", &both]).ok();
    assert_eq!(one.call("state").run().code(), 1);
    call("delete", &["--regex", "--force", &all]).ok();
    let output = call("kill", &["--regex", "(", "KILL"]);
    assert_eq!(output.code(), 1);
    output.says("invalid regular expression \"(\"");
    fixture.assert_clean();
}

#[test]
fn a_container_may_do_without_a_cgroup() {
    let fixture = Fixture::new(test_name!());
    let bundle = sleeper(&fixture)
        .set("/linux/resources", json!({ "pids": { "limit": 5 } }))
        .written();
    let container = fixture.container(&bundle);
    let create = || {
        container
            .call("create")
            .global("--cgroup-manager")
            .global("disabled")
    };
    create()
        .run()
        .ok()
        .says("linux.resources is passed over: the container gets no cgroup");
    let pid = container.pid();
    let cgroups = |pid: &str| fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert_eq!(cgroups(&pid.to_string()), cgroups("self"));
    container.start().ok();
    assert_eq!(container.exec(&["echo", "hi"]).ok().stdout, "hi\n");
    container.delete_force().ok();
    let call = fixture.runtime().command("list");
    let output = call.global("--cgroup-manager").global("none").run();
    assert_eq!(output.code(), 1);
    output.says("invalid value \"none\" for --cgroup-manager: cgroupfs, systemd, disabled");
    fixture.assert_clean();
}

#[test]
fn a_bundle_may_have_several_configurations() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture.bundle().args(&["echo", "other"]).written();
    fs::rename(bundle.config_path(), bundle.path().join("other.json")).unwrap();
    let container = fixture.container(&bundle);
    let output = container
        .call_with("run", &["--config", "other.json"])
        .run();
    assert_eq!(output.ok().stdout, "other\n");
    let elsewhere = fixture.file("elsewhere.json");
    fs::rename(bundle.path().join("other.json"), &elsewhere).unwrap();
    let option = ["-f", elsewhere.to_str().unwrap()];
    container.call_with("create", &option).run().ok();
    assert_eq!(container.status(), "created");
    container.delete_force().ok();
    let output = container.call_with("create", &["-f", "missing.json"]).run();
    output.fails_naming(&["missing.json"]);
    fixture.assert_clean();
}

#[test]
fn a_log_may_leave_warnings_out() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture.bundle().args(&["true"]).set("/future", json!(1));
    let container = fixture.container(&bundle.written());
    let said = |level: &str| {
        let log = fixture.file(level);
        let call = container.call("run").global("--log-level").global(level);
        let scheme = format!("file:{}", log.display());
        call.global("--log").global(scheme).run().ok();
        fs::read_to_string(log).unwrap()
    };
    assert_eq!(said("error"), "");
    let warnings = said("warning");
    assert!(
        warnings.contains("unknown property") && !warnings.contains("level=debug"),
        "{warnings}"
    );
    assert!(said("debug").contains("level=debug"));
    for (option, value, text) in [
        (
            "--log-level",
            "loud",
            "invalid value \"loud\" for --log-level: error, warning, debug",
        ),
        ("--log", "journald:x", "journald: is not supported"),
        ("--log", "syslog:x", "syslog: is not supported"),
    ] {
        let call = fixture.runtime().command("list");
        let output = call.global(option).global(value).run();
        assert_eq!(output.code(), 1, "{output}");
        output.says(text);
    }
    fixture.assert_clean();
}

#[test]
fn annotations_say_where_hooks_write() {
    let fixture = Fixture::new(test_name!());
    let (out, err) = (fixture.file("out"), fixture.file("err"));
    let hook = |word: &str| {
        let script = format!("echo {word}; echo {word} >&2");
        json!([{ "path": "/bin/sh", "args": ["sh", "-c", script] }])
    };
    let bundle = fixture
        .bundle()
        .set("/hooks/createRuntime", hook("made"))
        .set("/hooks/poststart", hook("started"))
        .set("/hooks/poststop", hook("gone"))
        .set(
            "/annotations",
            json!({ "run.oci.hooks.stdout": out, "run.oci.hooks.stderr": err }),
        );
    fixture.container(&bundle.written()).run().ok();
    for file in [out, err] {
        let said = fs::read_to_string(file).unwrap();
        assert_eq!(said, "made\nstarted\ngone\n");
    }
    fixture.assert_clean();
}

#[test]
fn a_container_may_keep_its_callers_groups() {
    let fixture = Fixture::new(test_name!());
    let groups = |annotations: serde_json::Value| {
        let bundle = fixture.bundle().args(&["id", "-G"]);
        let bundle = bundle.set("/annotations", annotations).written();
        let container = fixture.container(&bundle);
        let program = fixture.runtime().program();
        let root = fixture.runtime().root();
        let words = [
            "--groups=0,4711",
            program.to_str().unwrap(),
            "--root",
            root.to_str().unwrap(),
            "run",
            "--bundle",
            bundle.path().to_str().unwrap(),
            container.id(),
        ];
        let mut command = std::process::Command::new("setpriv");
        let output = command.args(words).output().expect("run setpriv");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(groups(json!({})), "0");
    let kept = groups(json!({ "run.oci.keep_original_groups": "1" }));
    assert_eq!(kept, "0 4711");
    fixture.assert_clean();
}

#[test]
fn an_annotation_moves_a_containers_clocks() {
    let fixture = Fixture::new(test_name!());
    let with = |offsets: &str| {
        fixture
            .bundle()
            .args(&["cat", "/proc/self/timens_offsets"])
            .set("/annotations", json!({ "run.oci.timens_offset": offsets }))
    };
    let bundle = with("7 86400 5").set("/linux/namespaces/-", json!({ "type": "time" }));
    let output = fixture.container(&bundle.written()).run().ok();
    let words: Vec<_> = output.stdout.split_whitespace().collect();
    assert_eq!(words, ["monotonic", "0", "0", "boottime", "86400", "5"]);
    for wrong in ["7 86400", "3 1 1", "7 1 1000000000"] {
        let output = fixture.container(&with(wrong).written()).create();
        output.fails_naming(&["annotations.run.oci.timens_offset", wrong]);
    }
    let output = fixture.container(&with("7 1 1").written()).create();
    output.fails_naming(&["annotations.run.oci.timens_offset", "time namespace"]);
    fixture.assert_clean();
}

#[test]
fn annotations_that_do_nothing_are_said() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture
        .bundle()
        .args(&["true"])
        .set("/annotations", json!({ "run.oci.handler": "krun" }));
    let output = fixture.container(&bundle.written()).run().ok();
    output.says("annotations.run.oci.handler is passed over");
    fixture.assert_clean();
}

/// A bind mount of `source` at `destination` with these options, and a program.
fn bound(fixture: &Fixture, mount: (&Path, &str, &[&str]), script: &str) -> Bundle {
    let (source, destination, options) = mount;
    fixture.bundle().script(script).set(
        "/mounts/-",
        json!({ "type": "bind", "source": source, "destination": destination, "options": options }),
    )
}

/// A directory of the host with a file, a link to that, and one to nowhere.
fn with_links(fixture: &Fixture) -> PathBuf {
    let directory = fixture.file("host");
    fs::create_dir(&directory).expect("make a directory");
    fs::write(directory.join("file"), "of the host\n").expect("write a file");
    symlink("file", directory.join("link")).expect("make a link");
    symlink("/etc/of-the-container", directory.join("dangling")).expect("make a link");
    directory
}

#[test]
fn a_link_on_the_host_may_be_mounted_itself() {
    let fixture = Fixture::new(test_name!());
    let host = with_links(&fixture);
    let script = "readlink /mnt/there; cat /mnt/there";
    // Followed where it is used, in the container.
    let mount = (
        &*host.join("dangling"),
        "/mnt/there",
        &["bind", "src-nofollow"][..],
    );
    let bundle = bound(&fixture, mount, script).written();
    fs::create_dir_all(bundle.rootfs().join("etc")).unwrap();
    let inside = bundle.rootfs().join("etc/of-the-container");
    fs::write(inside, "of the container\n").unwrap();
    let output = fixture.container(&bundle).run().ok();
    assert_eq!(output.stdout, "/etc/of-the-container\nof the container\n");
    let mount = (&*host.join("link"), "/mnt/there", &["bind"][..]);
    let bundle = bound(&fixture, mount, "cat /mnt/there").written();
    let output = fixture.container(&bundle).run().ok();
    assert_eq!(output.stdout, "of the host\n");
    fixture.assert_clean();
}

#[test]
fn a_link_in_the_container_may_be_covered_itself() {
    let fixture = Fixture::new(test_name!());
    let host = with_links(&fixture);
    let mount = (
        &*host.join("file"),
        "/srv/link",
        &["bind", "dest-nofollow"][..],
    );
    let bundle = bound(&fixture, mount, "cat /srv/link /srv/target").written();
    let srv = bundle.rootfs().join("srv");
    fs::create_dir_all(&srv).unwrap();
    fs::write(srv.join("target"), "of the image\n").unwrap();
    symlink("target", srv.join("link")).unwrap();
    let output = fixture.container(&bundle).run().ok();
    assert_eq!(output.stdout, "of the host\nof the image\n");
    // Where nothing is, the mount point is made.
    let mount = (
        &*host.join("file"),
        "/new/there",
        &["bind", "dest-nofollow"][..],
    );
    let bundle = bound(&fixture, mount, "cat /new/there").written();
    assert_eq!(
        fixture.container(&bundle).run().ok().stdout,
        "of the host\n"
    );
    fixture.assert_clean();
}

#[test]
fn a_link_of_the_host_may_be_made_in_the_container() {
    let fixture = Fixture::new(test_name!());
    let host = with_links(&fixture);
    let copied = |name: &str, script: &str| {
        let mount = (
            &*host.join(name),
            "/made/link",
            &["bind", "copy-symlink"][..],
        );
        bound(&fixture, mount, script)
    };
    let bundle = copied(
        "dangling",
        "readlink /made/link; grep -c /made /proc/mounts",
    )
    .written();
    for _ in 0..2 {
        // The second time it is there already.
        let output = fixture.container(&bundle).run();
        assert_eq!(output.stdout, "/etc/of-the-container\n0\n", "{output}");
    }
    let link = bundle.rootfs().join("made/link");
    assert_eq!(
        fs::read_link(&link).unwrap(),
        Path::new("/etc/of-the-container")
    );
    fs::remove_file(&link).unwrap();
    symlink("elsewhere", &link).unwrap();
    let output = fixture.container(&bundle).create();
    output.fails_naming(&["/made/link", "there already"]);
    // What is no link is mounted as ever.
    let bundle = copied("file", "cat /made/link").written();
    assert_eq!(
        fixture.container(&bundle).run().ok().stdout,
        "of the host\n"
    );
    fixture.assert_clean();
}

#[test]
fn an_id_map_may_be_written_among_the_options() {
    let fixture = Fixture::new(test_name!());
    let host = with_links(&fixture);
    std::os::unix::fs::chown(host.join("file"), Some(5), Some(6)).unwrap();
    let mount = (
        &*host,
        "/mnt",
        &["bind", "idmap=uids=0-0-1#5-1005-1;gids=6-2006-1"][..],
    );
    let bundle = bound(&fixture, mount, "stat -c %u:%g /mnt/file").written();
    let output = fixture.container(&bundle).run().ok();
    assert_eq!(output.stdout, "1005:2006\n");
    fixture.assert_clean();
}
