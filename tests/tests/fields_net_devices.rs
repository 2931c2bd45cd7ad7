//! Network devices that move into a container (`linux.netDevices`).

use orlop_tests::security::config::user_namespace;
use orlop_tests::{Fixture, test_name};
use serde_json::json;
use std::fs;
use std::process::Command;

#[track_caller]
fn ip(words: &str) -> String {
    let output = Command::new("ip").args(words.split(' ')).output();
    let output = output.expect("run ip (apt-get install iproute2)");
    assert!(output.status.success(), "ip {words}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A pair of devices, joined by a cable. Removed at the end, wherever the other end is by then.
struct Pair {
    kept: String,
    moved: String,
}

impl Pair {
    fn new(letter: char) -> Self {
        let pid = std::process::id();
        let (kept, moved) = (format!("ot{letter}{pid}k"), format!("ot{letter}{pid}m"));
        ip(&format!("link add {kept} type veth peer name {moved}"));
        Self { kept, moved }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["link", "del", &self.kept])
            .output();
    }
}

#[test]
fn a_device_moves_with_its_addresses_and_gets_its_new_name() {
    let fixture = Fixture::new(test_name!());
    let pair = Pair::new('a');
    ip(&format!(
        "addr add 192.0.2.7/24 brd 192.0.2.255 dev {}",
        pair.moved
    ));
    ip(&format!(
        "-6 addr add 2001:db8::7/64 nodad dev {}",
        pair.moved
    ));
    ip(&format!(
        "addr add 169.254.9.9/16 scope link dev {}",
        pair.moved
    ));
    ip(&format!("link set {} up", pair.moved));
    let bundle = fixture.bundle().set(
        "/linux/netDevices",
        json!({ &pair.moved: { "name": "lan0" } }),
    );
    let bundle = bundle.args(&["sleep", "60"]).written();
    let container = fixture.container(&bundle);
    container.create().ok();
    container.start().ok();
    fixture.track(&container);
    assert!(!fs::exists(format!("/sys/class/net/{}", pair.moved)).unwrap());
    let namespace = format!("/proc/{}/ns/net", container.pid());
    let inside = Command::new("nsenter")
        .arg(format!("--net={namespace}"))
        .args(["ip", "addr", "show", "dev", "lan0"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&inside.stdout);
    assert!(
        text.contains("inet 192.0.2.7/24 brd 192.0.2.255 scope global lan0"),
        "{text}"
    );
    assert!(text.contains("inet6 2001:db8::7/64 scope global"), "{text}");
    assert!(text.contains(",UP"), "{text}");
    // Only what is of global scope is kept.
    assert!(!text.contains("169.254.9.9"), "{text}");
    container.delete_force().ok();
    drop(pair);
    fixture.assert_clean();
}

#[test]
fn a_device_moves_into_a_container_with_a_user_namespace_too() {
    let fixture = Fixture::new(test_name!());
    let pair = Pair::new('b');
    let bundle = user_namespace(fixture.bundle(), 100_000, 65536)
        .set("/linux/netDevices", json!({ &pair.moved: {} }));
    let script = format!("cat /sys/class/net/{}/flags", pair.moved);
    let output = fixture
        .container(&bundle.script(&script).written())
        .run()
        .ok();
    let flags = output.stdout.trim().trim_start_matches("0x");
    assert_eq!(u32::from_str_radix(flags, 16).unwrap() & 1, 1, "{output}");
    drop(pair);
    fixture.assert_clean();
}

#[test]
fn a_device_that_is_not_there_is_named_and_nothing_is_left() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture
        .bundle()
        .set("/linux/netDevices", json!({ "no-such-dev": {} }));
    let output = fixture.container(&bundle.written()).run();
    output.fails_naming(&[
        "linux.netDevices.no-such-dev",
        "look for the device",
        "No such device",
    ]);
    fixture.assert_clean();
}

#[test]
fn a_name_that_is_taken_in_the_container_is_an_error() {
    let fixture = Fixture::new(test_name!());
    let pair = Pair::new('c');
    let bundle = fixture.bundle().set(
        "/linux/netDevices",
        json!({ &pair.moved: { "name": "lo" } }),
    );
    let output = fixture.container(&bundle.written()).run();
    output.fails_naming(&[
        &pair.moved,
        "move it into the container as lo",
        "File exists",
    ]);
    // It stays where it was.
    assert!(fs::exists(format!("/sys/class/net/{}", pair.moved)).unwrap());
    drop(pair);
    fixture.assert_clean();
}

#[test]
fn a_container_that_fails_gives_its_devices_back_as_they_were() {
    let fixture = Fixture::new(test_name!());
    let (up, down) = (Pair::new('d'), Pair::new('e'));
    ip(&format!("addr add 192.0.2.9/24 dev {}", up.moved));
    ip(&format!("link set {} up", up.moved));
    let devices = json!({ &up.moved: { "name": "lan0" }, &down.moved: {} });
    let fails_later = [
        (
            "/mounts/-",
            json!({ "destination": "/mnt", "type": "no-such-fs", "source": "x" }),
        ),
        ("/process/args", json!(["/no/such/program"])),
        (
            "/hooks",
            json!({ "createRuntime": [{ "path": "/bin/false", "args": ["false"] }] }),
        ),
        // After the first has moved.
        (
            "/linux/netDevices",
            json!({ &up.moved: { "name": "lan0" }, &down.moved: { "name": "lan0" } }),
        ),
    ];
    for (field, value) in fails_later {
        let bundle = fixture.bundle().set("/linux/netDevices", devices.clone());
        let container = fixture.container(&bundle.set(field, value).written());
        let output = container.run();
        assert_ne!(output.code(), 0, "{field}: {output}");
        let text = ip(&format!("addr show dev {}", up.moved));
        assert!(text.contains("inet 192.0.2.9/24"), "{field}: {text}");
        assert!(text.contains(",UP"), "{field}: {text}");
        let text = ip(&format!("link show dev {}", down.moved));
        assert!(!text.contains(",UP"), "{field}: {text}");
    }
    drop((up, down));
    fixture.assert_clean();
}
