//! Files of the host's that a command line, a bundle or an image may name: state, pid files, logs,
//! configurations, hooks.

use orlop_tests::attacker::Swap;
use orlop_tests::canary::Canary;
use orlop_tests::console::ConsoleSocket;
use orlop_tests::security::config::{user_namespace, without_namespace};
use orlop_tests::security::{self, container_by, program, race, started_by};
use orlop_tests::{Fixture, assert_safe, test_name};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Ids that are none. `../canary` is a folder beside the state root.
fn bad_ids() -> Vec<String> {
    let mut ids: Vec<String> = [
        "../canary",
        "../../canary",
        "a/b",
        "/absolute",
        ".",
        "..",
        "",
        "new\nline",
        "sp ace",
        "nul\u{1}",
        "\u{e9}tage",
        "semi;colon",
        "a\\b",
    ]
    .map(str::to_owned)
    .to_vec();
    ids.push("x".repeat(1025));
    ids
}

/// Ids that lead out of the state root, for every verb.
#[test]
fn rt_29_ids_that_are_paths() {
    let fixture = security::fixture(test_name!());
    let bundle = fixture.bundle().written();
    let path = bundle.path().display().to_string();
    // A root that exists, with a state of something to reach.
    let other = fixture.container(&bundle);
    other.create().ok();
    let mut accepted = Vec::new();
    for id in bad_ids() {
        for (verb, before, after) in [
            ("create", &["--bundle", &path][..], &[][..]),
            ("run", &["--bundle", &path], &[]),
            ("start", &[], &[]),
            ("state", &[], &[]),
            ("exec", &[], &["true"]),
            ("ps", &[], &[]),
            ("kill", &[], &["KILL"]),
            ("delete", &[], &[]),
            ("delete", &["--force"], &[]),
        ] {
            let call = fixture.runtime().command(verb).args(before);
            let output = call.arg(&id).args(after).run();
            // `delete --force` of what can't exist may say that there is nothing.
            if output.status.success() && !before.contains(&"--force") {
                accepted.push(format!("{verb} {id:?}"));
            }
            assert!(!output.stderr.contains("panicked"), "{output}");
        }
        let touched = fixture.canary().differences().unwrap();
        assert_safe!(touched.is_empty(), "{id:?}: {touched:#?}");
    }
    assert_safe!(accepted.is_empty(), "accepted: {accepted:#?}");
    assert_eq!(
        other.status(),
        "created",
        "the container there is as it was"
    );
    other.delete_force().ok();
    fixture.assert_clean();
}

/// An id that begins with a hyphen is not taken for options.
#[test]
fn rt_29_ids_that_look_like_options() {
    let fixture = security::fixture(test_name!());
    let bundle = fixture.bundle().written();
    let path = bundle.path().display().to_string();
    for id in ["--all", "-f", "--root=/tmp", "--"] {
        let call = fixture
            .runtime()
            .command("create")
            .args(["--bundle", &path]);
        let output = call.arg(id).run();
        assert_safe!(!output.status.success(), "accepted {id}");
    }
    fixture.assert_clean();
}

/// CVE-2021-43784: lists and texts of any length are an error of one line, or work.
#[test]
fn rt_28_long_lists_and_texts() {
    let fixture = security::fixture(test_name!());
    let map: Vec<Value> = (0..10_000)
        .map(|n| json!({ "containerID": n, "hostID": 100_000 + n, "size": 1 }))
        .collect();
    let long = "x".repeat(70 << 10);
    let maps = user_namespace(fixture.bundle(), 0, 1)
        .set("/linux/uidMappings", json!(map))
        .set("/linux/gidMappings", json!(map));
    let bundles = [
        ("uidMappings", maps),
        ("hostname", fixture.bundle().set("/hostname", json!(long))),
        ("args", fixture.bundle().args(&[&long])),
        (
            "cwd",
            fixture
                .bundle()
                .set("/process/cwd", json!(format!("/{long}"))),
        ),
        (
            "cgroupsPath",
            fixture.bundle().set("/linux/cgroupsPath", json!(long)),
        ),
        ("root", fixture.bundle().set("/root/path", json!(long))),
        (
            "destination",
            security::config::tmpfs(fixture.bundle(), &format!("/{long}")),
        ),
        (
            "sysctl",
            fixture
                .bundle()
                .set("/linux/sysctl", json!({ long.clone(): "1" })),
        ),
    ];
    for (what, bundle) in bundles {
        let container = fixture.container(&bundle.written());
        let output = container.run();
        assert!(!output.status.success(), "{what} of that length: {output}");
        assert_eq!(output.stderr.lines().count(), 1, "{what}: {output}");
        assert!(output.elapsed < Duration::from_secs(2), "{what}");
        container.delete_force();
    }
    fixture.assert_clean();
}

/// A hook of the host's gets the environment that the configuration lists for it, a folder of the
/// host's, and the state. Seen red on runc 1.1.5 and crun 1.8.1: a hook without a list gets their
/// own.
#[test]
fn rt_33_hooks_have_nothing_of_the_containers() {
    let fixture = security::fixture(test_name!());
    let mut bundle = fixture
        .bundle()
        .set("/process/env/-", json!("LD_PRELOAD=/evil.so"))
        .set("/process/env/-", json!("PATH=/evil"))
        .set("/process/env/-", json!("SECRET=of the container"))
        .set("/process/cwd", json!("/tmp"))
        .args(&["/bin/true"]);
    let kinds = ["prestart", "createRuntime", "poststart", "poststop"];
    for (kind, env) in kinds
        .iter()
        .zip([None, Some(json!(["A=b"])), Some(json!([])), None])
    {
        let report = fixture.file(kind);
        let mut hook = json!({ "path": program::on_host(), "args": ["attack", "hook", report] });
        if let Some(env) = env {
            hook["env"] = env;
        }
        bundle = bundle.set(&format!("/hooks/{kind}"), json!([hook]));
    }
    let bundle = bundle.written();
    let container = fixture.container(&bundle);
    container.create().ok();
    container.start().ok();
    container.wait_for("stopped");
    container.delete().ok();
    for kind in kinds {
        let report = fs::read_to_string(fixture.file(kind)).unwrap();
        let env: Vec<&str> = report
            .lines()
            .filter_map(|l| l.strip_prefix("env:"))
            .collect();
        let expected: &[&str] = match kind {
            "createRuntime" => &["A=b"],
            _ => &[],
        };
        assert_safe!(env == expected, "{kind} has the environment {env:?}");
        let cwd = report.lines().find_map(|line| line.strip_prefix("cwd:"));
        let rootfs = bundle.rootfs().display().to_string();
        let outside = cwd.is_some_and(|cwd| !cwd.starts_with(&rootfs) && cwd != "/tmp");
        assert_safe!(outside, "{kind} stands in {cwd:?}");
        assert!(report.contains(container.id()), "{kind} got no state");
    }
    fixture.assert_clean();
}

/// A bundle and a folder of a user's, in which everything that root's commands name may be a link.
fn users_folder(fixture: &Fixture) -> PathBuf {
    let folder = fixture.file("users");
    fs::create_dir(&folder).expect("make a folder");
    lchown(&folder, Some(1000), Some(1000)).expect("give it to a user");
    folder
}

fn users_link(target: &Path, link: &Path) {
    symlink(target, link).expect("make a link");
    lchown(link, Some(1000), Some(1000)).expect("give it to a user");
}

#[track_caller]
fn untouched(fixture: &Fixture, what: &str) {
    let touched = fixture.canary().differences().expect("read the canary");
    assert_safe!(touched.is_empty(), "{what}: touched: {touched:#?}");
}

/// A pid file that is a link is replaced, not written through. Seen red on crun 1.8.1.
#[test]
fn rt_38_pid_file_is_a_link() {
    let fixture = security::fixture(test_name!());
    let folder = users_folder(&fixture);
    for target in ["secret", "new"] {
        let link = folder.join(format!("pid-{target}"));
        users_link(&fixture.canary().path().join(target), &link);
        let container = fixture.container(&fixture.bundle().written());
        let path = link.to_str().unwrap();
        container.call_with("create", &["--pid-file", path]).run();
        untouched(&fixture, "--pid-file");
        container.delete_force();
    }
    fixture.assert_clean();
}

/// Seen red on crun 1.8.1.
#[test]
fn rt_38_pid_file_is_exchanged_for_a_link() {
    let fixture = security::fixture(test_name!());
    let folder = users_folder(&fixture);
    let (file, link) = (folder.join("pid"), folder.join("link"));
    fs::write(&file, "").unwrap();
    users_link(&fixture.canary().path().join("secret"), &link);
    let swap = Swap::start(&file, &link).unwrap();
    let bundle = fixture.bundle().written();
    let path = file.to_str().unwrap();
    for number in race::tries() {
        let container = fixture.container(&bundle);
        container.call_with("run", &["--pid-file", path]).run();
        untouched(&fixture, &format!("try {number}"));
    }
    // The runtime may have replaced a name: the exchange goes on with what is there.
    swap.stop().unwrap();
    fixture.assert_clean();
}

/// A log that is a user's link is not written through; `/dev/stderr`, a link of root's, is. Seen
/// red on runc 1.1.5 and crun 1.8.1.
#[test]
fn rt_38_log_is_a_link() {
    let fixture = security::fixture(test_name!());
    let folder = users_folder(&fixture);
    for target in ["secret", "new"] {
        let link = folder.join(format!("log-{target}"));
        users_link(&fixture.canary().path().join(target), &link);
        let call = fixture.runtime().command("state").global("--log");
        // Something to be logged: there is no such container.
        call.global(&link).arg("not-there").run();
        untouched(&fixture, "--log");
    }
    let call = fixture.runtime().command("state").global("--log");
    let output = call.global("/dev/stderr").arg("not-there").run();
    assert!(output.stderr.contains("not exist"), "{output}");
    fixture.assert_clean();
}

/// The state root as a user's link: nothing is made in what it leads to. Seen red on runc 1.1.5 and
/// crun 1.8.1.
#[test]
fn rt_38_state_root_is_a_link() {
    let fixture = security::fixture(test_name!());
    let folder = users_folder(&fixture);
    let link = folder.join("root");
    users_link(fixture.canary().path(), &link);
    let bundle = fixture.bundle().written();
    let call = fixture.runtime().bare().args(["--root"]).arg(&link);
    let created = call.args(["create", "--bundle"]).arg(bundle.path());
    created.arg(fixture.tag()).run();
    untouched(&fixture, "--root");
    let call = fixture.runtime().bare().args(["--root"]).arg(&link);
    call.args(["delete", "--force", fixture.tag()]).run();
    fixture.assert_clean();
}

/// Secrets of a file that a link in place of the configuration leads to are not printed.
#[test]
fn rt_38_configuration_is_a_link_to_a_secret() {
    let fixture = security::fixture(test_name!());
    let bundle = fixture.bundle().written();
    let secrets = fixture.file("secrets");
    for text in [
        "root:$6$hash:19000::\n",
        "{\"secret\": hunter2}",
        "hunter2",
        "[\"hunter2\"]",
    ] {
        fs::write(&secrets, text).unwrap();
        fs::remove_file(bundle.config_path()).unwrap();
        users_link(&secrets, &bundle.config_path());
        let output = fixture.container(&bundle).create();
        assert_safe!(!output.status.success(), "taken for a configuration");
        let told = ["hash", "hunter2"]
            .iter()
            .any(|word| output.stderr.contains(word));
        assert_safe!(!told, "prints the file: {output}");
    }
    fixture.assert_clean();
}

/// The console socket as a link: what is there is not removed or replaced.
#[test]
fn rt_38_console_socket_is_a_link() {
    let fixture = security::fixture(test_name!());
    let folder = users_folder(&fixture);
    let _listener = ConsoleSocket::listen(&fixture.file("socket")).unwrap();
    let bundle = fixture
        .bundle()
        .set("/process/terminal", json!(true))
        .written();
    for target in [
        fixture.canary().path().join("secret"),
        fixture.canary().path().join("new"),
    ] {
        let link = folder.join("console");
        let _ = fs::remove_file(&link);
        users_link(&target, &link);
        let container = fixture.container(&bundle);
        let path = link.to_str().unwrap();
        let options = ["--console-socket", path];
        let output = container.call_with("create", &options).run();
        assert!(!output.status.success(), "{output}");
        untouched(&fixture, "--console-socket");
    }
    fixture.assert_clean();
}

/// The root file system is exchanged for a folder of the host's. Seen red on runc 1.1.5.
#[test]
fn rt_38_root_file_system_is_exchanged() {
    let fixture = security::fixture(test_name!());
    let bundle = without_namespace(fixture.bundle(), "ipc")
        .set("/root/readonly", json!(false))
        .written();
    let outside = fixture.file("outside");
    for name in ["", "proc", "dev", "sys"] {
        fs::create_dir(outside.join(name)).unwrap();
    }
    let canary = Canary::of(&outside).unwrap();
    symlink(&outside, bundle.path().join("link")).unwrap();
    let swap = Swap::start(&bundle.rootfs(), &bundle.path().join("link")).unwrap();
    for number in race::tries() {
        fixture.container(&bundle).run();
        let touched = canary.differences().unwrap();
        assert_safe!(touched.is_empty(), "try {number}: {touched:#?}");
    }
    swap.stop().unwrap();
    fixture.assert_clean();
}

/// CVE-2021-41103, CVE-2024-25621: state is for its owner alone. Seen red on runc 1.1.5.
#[test]
fn rt_39_state_is_closed_to_others() {
    let fixture = security::fixture(test_name!());
    let runtime = started_by(&fixture, "umask 0; exec \"$@\"");
    let bundle = fixture.bundle().args(&["sleep", "60"]).written();
    let container = container_by(&fixture, &runtime, &bundle, "open");
    container.create().ok();
    container.start().ok();
    let mut open = Vec::new();
    let mut folders = vec![fixture.file("state")];
    while let Some(folder) = folders.pop() {
        let mode = folder.metadata().unwrap().mode() & 0o7777;
        if mode & 0o077 != 0 {
            open.push(format!("{mode:o} {}", folder.display()));
        }
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if !kind.is_symlink() {
                let mode = entry.metadata().unwrap().mode() & 0o7777;
                if mode & 0o077 != 0 {
                    open.push(format!("{mode:o} {}", entry.path().display()));
                }
            }
        }
    }
    container.delete_force().ok();
    assert_safe!(open.is_empty(), "open to others: {open:#?}");
    fixture.assert_clean();
}
