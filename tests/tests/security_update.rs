//! What `update`, `pause` and `events` must never do.

use orlop_tests::view::{Cgroups, View, has_v1};
use orlop_tests::{Fixture, assert_safe, cgroup, security, test_name};
use serde_json::{Value, json};
use std::fs;

const ROUNDS: u32 = 100;

/// A script that makes kmsg's node and tries to open it as fast as it can, until it is told to end.
const OPENER: &str = "cd /tmp; mknod kmsg c 1 11 || exit 3; echo >shared/ready; \
                      until [ -e shared/end ]; do \
                      if true <kmsg; then echo >shared/opened; fi 2>/dev/null; echo x >>shared/tries; done";

/// An update leaves no moment in which a device can be opened that is not listed.
#[test]
fn rt_27_an_update_opens_no_device() {
    let views: &[_] = match has_v1() {
        true => &[Some(Cgroups::V2), Some(Cgroups::V1)],
        false => &[None],
    };
    for view in views {
        let name = view.map_or("host", Cgroups::name);
        let fixture = Fixture::new(&format!("{}_{name}", test_name!()));
        let fixture = match *view {
            Some(cgroups) => fixture.viewed(&View {
                cgroups,
                linker: None,
            }),
            None => fixture,
        };
        let shared = fixture.file("shared");
        fs::create_dir(&shared).unwrap();
        let bundle = || {
            let bundle = fixture.bundle().set("/root/readonly", json!(false));
            let bundle = security::config::capabilities(bundle, &["CAP_MKNOD", "CAP_SYSLOG"]);
            security::config::bind(bundle, &shared, "/tmp/shared").script(OPENER)
        };
        // One that may open it does: the attempt is a real one.
        let rule = json!({ "allow": true, "type": "c", "major": 1, "minor": 11, "access": "rwm" });
        let allowed = bundle().set("/linux/resources/devices/-", rule).written();
        let allowed = fixture.container(&allowed);
        allowed.create().ok();
        allowed.start().ok();
        while !shared.join("opened").exists() {
            assert_eq!(allowed.status(), "running");
        }
        allowed.delete_force().ok();
        for name in ["opened", "ready", "tries"] {
            fs::remove_file(shared.join(name)).unwrap();
        }
        let container = fixture.container(&bundle().written());
        container.create().ok();
        container.start().ok();
        while !shared.join("ready").exists() {
            assert_eq!(container.status(), "running");
        }
        for round in 0..ROUNDS {
            let everything = json!([{ "allow": true, "access": "rwm" }]);
            let update = json!({ "devices": everything, "cpu": { "shares": 100 + round } });
            // The v2 view may have no controller of CPU time; the update is refused then, in one piece.
            let _ = container
                .call_with("update", &["-r", "-"])
                .stdin(update.to_string())
                .run();
        }
        fs::write(shared.join("end"), "").unwrap();
        container.wait_for("stopped");
        let tries = fs::metadata(shared.join("tries")).map_or(0, |file| file.len()) / 2;
        assert!(tries > u64::from(ROUNDS) / 4, "only {tries} tries");
        assert_safe!(
            !shared.join("opened").exists(),
            "kmsg was opened during an update"
        );
        container.delete().ok();
        fixture.assert_clean();
    }
}

/// A record whose process is another one by now is a stopped container's: nothing is done to it.
#[test]
fn rt_40_another_process_is_neither_paused_nor_limited() {
    let fixture = security::fixture(test_name!());
    let bundle = fixture
        .bundle()
        .args(&["sleep", "60"])
        .set("/linux/resources/pids", json!({ "limit": 20 }));
    let container = fixture.container(&bundle.written());
    container.create().ok();
    container.start().ok();
    let pid = container.pid();
    let path = fixture
        .runtime()
        .root()
        .join(container.id())
        .join("state.json");
    let Ok(before) = fs::read(&path) else {
        orlop_tests::skip!("the state of this runtime is somewhere else");
    };
    let mut state: Value = serde_json::from_slice(&before).unwrap();
    // By the inode of its pidfd, or, on kernels that have none, by the moment of its start.
    let process = state["process"].as_object_mut().unwrap();
    let key = ["inode", "startTime"]
        .into_iter()
        .find(|key| process.contains_key(*key));
    let mark = &mut process[key.unwrap()];
    *mark = json!(mark.as_u64().unwrap() - 1);
    fs::write(&path, state.to_string()).unwrap();
    for (verb, options) in [
        ("pause", &[][..]),
        ("update", &["--pids-limit", "5"]),
        ("events", &["--stats"]),
        ("resume", &[]),
    ] {
        let output = container.call_with(verb, options).run();
        assert_safe!(output.code() == 1, "{verb} was done: {output}");
    }
    assert_safe!(
        cgroup::read(pid, "pids", "pids.max") == "20",
        "the limit was changed"
    );
    fs::write(&path, before).unwrap();
    assert_eq!(container.status(), "running");
    container.delete_force().ok();
    fixture.assert_clean();
}
