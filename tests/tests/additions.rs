//! Mounts, sysctls and namespaces that a configuration adds.

use orlop_tests::security::config::user_namespace;
use orlop_tests::{Bundle, Fixture, test_name};
use serde_json::json;
use std::fs;

/// Runs a script in a container and returns what it printed.
#[track_caller]
fn printed(fixture: &Fixture, bundle: Bundle, script: &str) -> String {
    let container = fixture.container(&bundle.script(script).written());
    let output = container.run().ok().stdout;
    fixture.assert_clean();
    output
}

#[test]
fn bind_mounts_have_their_options() {
    let fixture = Fixture::new(test_name!());
    let shared = fixture.file("shared");
    fs::create_dir(&shared).unwrap();
    fs::write(shared.join("file"), "content\n").unwrap();
    let mount = |destination: &str, options: &[&str]| {
        json!({
            "destination": destination, "type": "bind", "source": shared.to_str().unwrap(),
            "options": options
        })
    };
    let bundle = fixture
        .bundle()
        .set("/mounts/-", mount("/mnt/ro", &["bind", "ro", "nosuid"]))
        .set("/mounts/-", mount("/mnt/rw", &["rbind", "rw", "noexec"]))
        .set("/root/readonly", json!(false));
    let script =
        "cat /mnt/ro/file; touch /mnt/ro/x || echo refused; touch /mnt/rw/y && echo written;
        grep /mnt/ /proc/self/mountinfo | cut -d' ' -f5,6";
    let container = fixture.container(&bundle.script(script).written());
    let output = container.run();
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(lines[..3], ["content", "refused", "written"], "{output}");
    assert!(
        lines[3].starts_with("/mnt/ro ro,") && lines[3].contains("nosuid"),
        "{output}"
    );
    assert!(
        lines[4].starts_with("/mnt/rw rw,") && lines[4].contains("noexec"),
        "{output}"
    );
    assert!(shared.join("y").exists() && !shared.join("x").exists());
    fixture.assert_clean();
}

#[test]
fn a_bind_mount_of_a_file_makes_its_mount_point() {
    let fixture = Fixture::new(test_name!());
    let file = fixture.file("hosts");
    fs::write(&file, "127.0.0.1 here\n").unwrap();
    let bundle = fixture.bundle().set("/root/readonly", json!(false)).set(
        "/mounts/-",
        json!({
            "destination": "/etc/deep/hosts", "type": "bind", "source": file.to_str().unwrap(),
            "options": ["bind", "ro"]
        }),
    );
    assert_eq!(
        printed(&fixture, bundle, "cat /etc/deep/hosts"),
        "127.0.0.1 here\n"
    );
}

#[test]
fn a_mount_point_that_is_a_link_stays_inside() {
    let fixture = Fixture::new(test_name!());
    let source = fixture.file("source");
    fs::create_dir(&source).unwrap();
    let bundle = fixture.bundle();
    let canary = fixture.canary().path().to_path_buf();
    std::os::unix::fs::symlink(&canary, bundle.rootfs().join("link")).unwrap();
    let bundle = bundle.set(
        "/mounts/-",
        json!({
            "destination": "/link/made", "type": "bind", "source": source.to_str().unwrap(),
            "options": ["bind"]
        }),
    );
    let bundle = bundle.set("/root/readonly", json!(false)).written();
    // Whether it is refused or resolved inside the root is the runtime's choice.
    let container = fixture.container(&bundle);
    let output = container.run();
    assert!(!canary.join("made").exists(), "made on the host: {output}");
    fixture.assert_clean();
}

#[test]
fn sysctls_are_set_in_the_container_only() {
    let fixture = Fixture::new(test_name!());
    let before = fs::read("/proc/sys/kernel/msgmax").unwrap();
    let bundle = fixture.bundle().set(
        "/linux/sysctl",
        json!({ "kernel.msgmax": "12345", "net.ipv4.ip_forward": "1" }),
    );
    let script = "cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_forward";
    assert_eq!(printed(&fixture, bundle, script), "12345\n1\n");
    assert_eq!(fs::read("/proc/sys/kernel/msgmax").unwrap(), before);
}

#[test]
fn a_user_namespace_maps_ids() {
    let fixture = Fixture::new(test_name!());
    let bundle = user_namespace(fixture.bundle(), 100_000, 65536)
        .args(&["sleep", "60"])
        .written();
    let container = fixture.container(&bundle);
    container.create().ok();
    container.start().ok();
    fixture.track(&container);
    let status = fs::read_to_string(format!("/proc/{}/status", container.pid())).unwrap();
    assert!(
        status.contains("Uid:\t100000\t100000\t100000\t100000"),
        "{status}"
    );
    let inside = container
        .exec(&["sh", "-c", "id -u; cat /proc/self/uid_map | tr -s ' '"])
        .ok();
    assert_eq!(inside.stdout, "0\n 0 100000 65536\n");
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn a_namespace_can_be_joined_by_path() {
    let fixture = Fixture::new(test_name!());
    let first = fixture.container(&fixture.bundle().args(&["sleep", "60"]).written());
    first.create().ok();
    first.start().ok();
    fixture.track(&first);
    let path = format!("/proc/{}/ns/net", first.pid());
    let bundle = fixture
        .bundle()
        .set("/linux/namespaces/1/path", json!(path))
        .args(&["readlink", "/proc/self/ns/net"])
        .written();
    let second = fixture.container(&bundle).run().ok().stdout;
    assert_eq!(
        second.trim_end(),
        fs::read_link(&path).unwrap().to_string_lossy()
    );
    first.delete_force().ok();
    fixture.assert_clean();
}
