//! Filters of system calls: every action, and agents that decide about calls.

use orlop_tests::seccomp_agent::listen;
use orlop_tests::{Bundle, Container, Fixture, test_name};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const FLAGS: [&str; 4] = [
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];

fn rule(call: &str, action: &str, errno: Option<u32>) -> Value {
    let mut rule = json!({ "names": [call], "action": action });
    if let Some(errno) = errno {
        rule["errnoRet"] = json!(errno);
    }
    rule
}

fn filter(rules: &[Value]) -> Value {
    json!({ "defaultAction": "SCMP_ACT_ALLOW", "flags": FLAGS, "syscalls": rules })
}

#[track_caller]
fn run(fixture: &Fixture, filter: Value, script: &str) -> orlop_tests::Output {
    let bundle = fixture
        .bundle()
        .set("/linux/seccomp", filter)
        .script(script)
        .written();
    let output = fixture.container(&bundle).run();
    fixture.assert_clean();
    output
}

#[test]
fn every_action_does_what_it_says() {
    let fixture = Fixture::new(test_name!());
    for (action, errno, status) in [
        ("SCMP_ACT_ERRNO", Some(99), "1"),
        ("SCMP_ACT_ERRNO", None, "1"),
        ("SCMP_ACT_TRACE", None, "1"),
        ("SCMP_ACT_LOG", None, "0"),
        ("SCMP_ACT_TRAP", None, "159"),
        ("SCMP_ACT_KILL", None, "159"),
        ("SCMP_ACT_KILL_THREAD", None, "159"),
        ("SCMP_ACT_KILL_PROCESS", None, "159"),
    ] {
        let filter = filter(&[rule("mkdirat", action, errno), rule("mkdir", action, errno)]);
        // A process of its own, which the shell sees end.
        let output = run(&fixture, filter, "busybox mkdir /dev/shm/x; echo $?");
        let output = output.ok();
        assert_eq!(output.stdout.trim(), status, "{action}: {output}");
        if errno == Some(99) {
            assert!(
                output.stderr.contains("Cannot assign requested address"),
                "{output}"
            );
        }
    }
}

#[test]
fn the_default_error_and_argument_rules_hold() {
    let fixture = Fixture::new(test_name!());
    // kill(pid, 0) is refused, kill(pid, 15) is not.
    let mut zero = rule("kill", "SCMP_ACT_ERRNO", Some(22));
    zero["args"] = json!([{ "index": 1, "value": 0, "op": "SCMP_CMP_EQ" }]);
    let output = run(
        &fixture,
        filter(&[zero]),
        "kill -0 $$; echo $?; sleep 9 & kill $!; echo $?",
    )
    .ok();
    assert_eq!(output.stdout, "1\n0\n", "{output}");
    assert!(output.stderr.contains("Invalid argument"), "{output}");
}

/// The kept filters below the state root, but for one.
fn kept(fixture: &Fixture, but: Option<&Path>) -> Vec<PathBuf> {
    let folder = fixture.runtime().root().join("@seccomp");
    let entries = fs::read_dir(folder).expect("list the kept filters");
    let files = entries.map(|entry| entry.expect("list the kept filters").path());
    files.filter(|path| Some(path.as_path()) != but).collect()
}

/// The file of one profile with the compiled filter of another in it: magic number, checksum and flags of the
/// filter, the profile with its length, instructions.
fn with_filter_of(profile: &[u8], filter: &[u8]) -> Vec<u8> {
    const TOLD: usize = 20;
    let split = |file: &[u8]| {
        let length = file[TOLD..TOLD + 4].try_into().expect("four bytes");
        let length = usize::try_from(u32::from_le_bytes(length));
        TOLD + 4 + length.expect("the length of a file")
    };
    let named = &profile[TOLD..split(profile)];
    [&filter[..TOLD], named, &filter[split(filter)..]].concat()
}

#[test]
fn a_filter_is_compiled_once_for_all_containers() {
    let fixture = Fixture::new(test_name!());
    let fails_as = |errno: u32| {
        let rules = ["mkdirat", "mkdir"].map(|call| rule(call, "SCMP_ACT_ERRNO", Some(errno)));
        let output = run(&fixture, filter(&rules), "mkdir /dev/shm/x");
        output.stderr.trim().to_owned()
    };
    let one = fails_as(98);
    assert!(one.ends_with("Address already in use"), "{one}");
    let [of_one] = &kept(&fixture, None)[..] else {
        panic!("not one file: {:?}", kept(&fixture, None));
    };
    let other = fails_as(99);
    assert!(
        other.ends_with("Cannot assign requested address"),
        "{other}"
    );
    let [of_other] = &kept(&fixture, Some(of_one))[..] else {
        panic!("not one more: {:?}", kept(&fixture, None));
    };
    let looks = |path: &Path| {
        let file = fs::metadata(path).unwrap();
        (file.ino(), file.mtime(), file.mtime_nsec())
    };
    let before = looks(of_one);
    assert_eq!(fails_as(98), one);
    assert_eq!(looks(of_one), before, "written again");

    // It is the file that decides, not a profile that is compiled beside it.
    let whole = fs::read(of_one).unwrap();
    let exchanged = with_filter_of(&whole, &fs::read(of_other).unwrap());
    fs::write(of_one, &exchanged).unwrap();
    assert_eq!(fails_as(98), other);
    assert_eq!(fs::read(of_one).unwrap(), exchanged);

    // What is damaged is compiled and kept again.
    fs::write(of_one, &exchanged[..exchanged.len() - 1]).unwrap();
    assert_eq!(fails_as(98), one);
    assert_eq!(fs::read(of_one).unwrap(), whole);
    assert_eq!(kept(&fixture, None).len(), 2);
}

fn asking(bundle: Bundle, path: &str, no_new_privileges: bool) -> Bundle {
    let mut filter = filter(&[
        rule("mkdirat", "SCMP_ACT_NOTIFY", None),
        rule("mkdir", "SCMP_ACT_NOTIFY", None),
    ]);
    filter["listenerPath"] = json!(path);
    filter["listenerMetadata"] = json!("for the agent");
    bundle
        .set("/linux/seccomp", filter)
        .set("/process/noNewPrivileges", json!(no_new_privileges))
}

const MKDIR: &str = "mkdir /dev/shm/x; echo $?";

#[track_caller]
fn assert_told(told: &Value, container: &Container, status: &str) {
    assert_eq!(told["ociVersion"], "1.3.0");
    assert_eq!(told["fds"], json!(["seccompFd"]));
    assert_eq!(told["metadata"], "for the agent");
    assert_eq!(told["state"]["id"], container.id());
    assert_eq!(told["state"]["status"], status);
    assert!(told["pid"].as_u64().is_some_and(|pid| pid > 1), "{told}");
    assert_eq!(
        told["state"]["bundle"].as_str().map(str::is_empty),
        Some(false)
    );
}

#[test]
fn an_agent_decides_about_calls() {
    for no_new_privileges in [true, false] {
        let fixture = Fixture::new(test_name!());
        let (path, agent) = listen(&fixture.file("agent"));
        let bundle = asking(fixture.bundle(), &path, no_new_privileges).script(MKDIR);
        let container = fixture.container(&bundle.written());
        let output = container.run().ok();
        assert_eq!(output.stdout, "1\n", "{output}");
        assert!(
            output.stderr.contains("Invalid cross-device link"),
            "{output}"
        );
        let (told, notifications) = agent.join().expect("the agent's end");
        assert_told(&told, &container, "created");
        assert_eq!(notifications.len(), 1);
        fixture.assert_clean();
    }
}

#[test]
fn exec_has_a_listener_of_its_own() {
    for no_new_privileges in [true, false] {
        let fixture = Fixture::new(test_name!());
        let (path, first) = listen(&fixture.file("agent"));
        let bundle = asking(fixture.bundle(), &path, no_new_privileges);
        let container = fixture.container(&bundle.args(&["sleep", "60"]).written());
        container.create().ok();
        container.start().ok();
        fixture.track(&container);
        let pid = container.pid();
        // The same path, for the next one.
        while std::fs::exists(&path).expect("look for the socket") && !first.is_finished() {
            if std::fs::remove_file(&path).is_ok() {
                break;
            }
        }
        let (_, second) = listen(&fixture.file("agent"));
        let output = container.exec(&["sh", "-c", MKDIR]).ok();
        assert_eq!(output.stdout, "1\n", "{output}");
        let (told, notifications) = second.join().expect("the agent's end");
        assert_told(&told, &container, "running");
        assert_eq!(notifications.len(), 1);
        container.delete_force().ok();
        let (told, _) = first.join().expect("the agent's end");
        assert_told(&told, &container, "created");
        assert_eq!(told["pid"], pid);
        fixture.assert_clean();
    }
}

#[test]
fn an_agent_that_is_not_there_fails_the_start() {
    let fixture = Fixture::new(test_name!());
    let nobody = fixture.file("nobody");
    let bundle = asking(fixture.bundle(), nobody.to_str().expect("ASCII"), true);
    let bundle = bundle.args(&["true"]).written();
    let container = fixture.container(&bundle);
    container.create().ok();
    container
        .start()
        .fails_naming(&["linux.seccomp.listenerPath", "nobody", "No such file"]);
    container.wait_for("stopped");
    container.delete().ok();
    let again = fixture.container(&bundle).run();
    again.fails_naming(&["linux.seccomp.listenerPath"]);
    fixture.assert_clean();
}

#[test]
fn what_an_agent_cannot_be_asked_about_is_refused() {
    let fixture = Fixture::new(test_name!());
    let mut of_write = filter(&[rule("write", "SCMP_ACT_NOTIFY", None)]);
    of_write["listenerPath"] = json!("/run/agent");
    let without_path = filter(&[rule("mkdir", "SCMP_ACT_NOTIFY", None)]);
    for (filter, words) in [
        (of_write, ["syscalls[0].names[0]", "write"]),
        (without_path, ["listenerPath", "missing"]),
    ] {
        run(&fixture, filter, "true").fails_naming(&words);
    }
    // A path alone asks nobody.
    let mut unused = filter(&[]);
    unused["listenerPath"] = json!("/nonexistent/agent");
    run(&fixture, unused, "true").ok();
}
