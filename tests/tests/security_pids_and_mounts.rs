//! Process ids that were used again, and mounts of the host's while containers come and go.

use orlop_tests::security::config::without_namespace;
use orlop_tests::security::{self, container_by, started_by};
use orlop_tests::{Bundle, Fixture, assert_safe, test_name};
use serde_json::json;
use std::fs;
use std::path::Path;

/// In a PID namespace of its own: creates, starts, lets the container end, and starts another
/// process with the same process id. Then every verb that could signal it.
const RECYCLE: &str = r#"
runtime() { "$RUNTIME" --root "$STATE" "$@"; }
runtime create --bundle "$BUNDLE" "$ID" </dev/null || exit 90
pid=$(runtime state "$ID" | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p')
runtime start "$ID" || exit 91
tries=0
while [ -e /proc/$pid ]; do
    tries=$((tries + 1)); [ $tries -lt 500 ] || exit 92
    sleep 0.01
done
victim=0 tries=0
while [ $victim != $pid ]; do
    tries=$((tries + 1)); [ $tries -lt 100 ] || exit 93
    echo $((pid - 1)) >/proc/sys/kernel/ns_last_pid
    sleep 30 & victim=$!
    [ $victim = $pid ] || kill $victim
done
echo "victim is $pid"
runtime state "$ID" | grep '"status"'
runtime kill "$ID" KILL 2>&1
runtime kill --all "$ID" KILL 2>&1
runtime exec "$ID" true 2>&1
[ "$LAST" = force ] && runtime delete --force "$ID" 2>&1 || runtime delete "$ID" 2>&1
sleep 0.1
kill -0 $victim && grep -q '^State:.*[RSD] (' /proc/$victim/status && echo alive
kill $victim
exit 0
"#;

#[track_caller]
fn victim_survives(last: &str, test: &str) {
    let fixture = security::fixture(test);
    let bundle = fixture.bundle().args(&["true"]).written();
    let script = fixture.file("recycle");
    fs::write(&script, RECYCLE).expect("write the script");
    let start = format!(
        "RUNTIME=$1 STATE={} BUNDLE={} ID={} LAST={last} \
         exec unshare --pid --fork --mount-proc --kill-child sh {}",
        fixture.file("state").display(),
        bundle.path().display(),
        fixture.tag(),
        script.display()
    );
    let runtime = started_by(&fixture, &start);
    let output = runtime.bare().run();
    assert!(output.status.success(), "the script went through: {output}");
    assert!(output.stdout.contains("victim is "), "{output}");
    assert_safe!(
        output.stdout.contains("\nalive\n"),
        "a process that isn't the container's was killed: {output}"
    );
    assert_safe!(
        output.stdout.contains("\"stopped\""),
        "taken for the container: {output}"
    );
    fixture.assert_clean();
}

#[test]
fn rt_40_a_recycled_pid_is_not_signalled() {
    victim_survives("plain", test_name!());
}

#[test]
fn rt_40_a_recycled_pid_is_not_killed_by_force() {
    victim_survives("force", test_name!());
}

/// Runs a command of the runtime in a mount namespace where all mounts are shared, while others
/// come and go; prints the table of mounts before and after, without those that come and go.
const SHARED: &str = r#"
mount --make-rprivate / && mount --make-rshared / || exit 90
mkdir -p "$CHURN/a" "$CHURN/b"
( while [ ! -e "$CHURN/stop" ]; do
    mount --bind "$CHURN/a" "$CHURN/b" && umount "$CHURN/b"
  done ) 2>/dev/null &
churn=$!
grep -v "$CHURN" /proc/self/mountinfo | sort >"$TABLES/before"
for n in 1 2 3 4 5 6 7 8 9 10; do
    "$RUNTIME" --root "$STATE" run --bundle "$BUNDLE" "$ID-$n" </dev/null || echo failed
done
grep -v "$CHURN" /proc/self/mountinfo | sort >"$TABLES/after"
touch "$CHURN/stop"
wait $churn
exit 0
"#;

/// The host's table of mounts after ten containers, where it differs: the first lines.
fn differences(fixture: &Fixture, bundle: &Bundle, name: &str) -> Vec<String> {
    let tables = fixture.file(name);
    fs::create_dir_all(&tables).expect("make a folder");
    let script = fixture.file("script");
    fs::write(&script, SHARED).expect("write the script");
    let start = format!(
        "RUNTIME=$1 CHURN={0}/churn TABLES={0} STATE={1} BUNDLE={2} ID={3}-{name} \
         exec unshare --mount --propagation private sh {4}",
        tables.display(),
        fixture.file("state").display(),
        bundle.path().display(),
        fixture.tag(),
        script.display()
    );
    let runtime = started_by(fixture, &start);
    let output = runtime
        .bare()
        .limit(std::time::Duration::from_secs(60))
        .run();
    assert!(output.status.success(), "the script went through: {output}");
    let read = |name| fs::read_to_string(tables.join(name)).expect("read a table of mounts");
    let (before, after) = (read("before"), read("after"));
    assert!(before.contains(" shared:"), "the mounts were shared");
    let gone = before.lines().filter(|line| !after.contains(line));
    let new = after.lines().filter(|line| !before.contains(line));
    gone.map(|line| format!("- {line}"))
        .chain(new.map(|line| format!("+ {line}")))
        .take(8)
        .collect()
}

/// Whatever the container's root propagates, the host's mounts stay what they are.
#[test]
fn rt_36_mounts_of_the_host_are_unchanged() {
    let fixture = security::fixture(test_name!());
    for mode in [
        "default",
        "private",
        "rprivate",
        "slave",
        "rslave",
        "shared",
        "rshared",
        "unbindable",
    ] {
        let bundle = fixture.bundle().args(&["true"]);
        let bundle = match mode {
            "default" => bundle,
            mode => bundle.set("/linux/rootfsPropagation", json!(mode)),
        };
        let found = differences(&fixture, &bundle.written(), mode);
        assert_safe!(found.is_empty(), "{mode}: {found:#?}");
    }
    fixture.assert_clean();
}

/// Without a mount namespace of its own, a container that has no mounts leaves none; the host's are
/// not touched, whether it runs or not. Seen red on runc 1.1.5.
#[test]
fn rt_36_no_mount_namespace_of_its_own() {
    let fixture = security::fixture(test_name!());
    for (name, propagation) in [("none", None), ("rprivate", Some("rprivate"))] {
        let mut bundle = without_namespace(fixture.bundle(), "mount");
        bundle.config["mounts"] = json!([]);
        bundle.config["linux"]["maskedPaths"] = json!([]);
        bundle.config["linux"]["readonlyPaths"] = json!([]);
        let bundle = bundle.set("/root/readonly", json!(false)).args(&["true"]);
        let bundle = match propagation {
            None => bundle,
            Some(mode) => bundle.set("/linux/rootfsPropagation", json!(mode)),
        };
        let found = differences(&fixture, &bundle.written(), name);
        assert_safe!(found.is_empty(), "{name}: {found:#?}");
    }
    fixture.assert_clean();
}

/// What a mount's propagation is for: a mount made on the host later is seen inside a slave, and
/// not in a private one.
#[test]
fn rt_36_propagation_of_a_volume() {
    for (option, seen) in [("rslave", true), ("rprivate", false)] {
        let fixture = security::fixture(test_name!());
        let volume = fixture.file("volume");
        fs::create_dir(&volume).unwrap();
        let bundle = fixture
            .bundle()
            .set(
                "/mounts/-",
                json!({
                    "destination": "/vol", "type": "bind", "source": volume,
                    "options": ["rbind", option]
                }),
            )
            .script(
                "while [ ! -e /vol/go ]; do sleep 0.02; done; \
                 [ -e /vol/later/seen ] && echo seen; true",
            )
            .written();
        fs::create_dir(bundle.rootfs().join("vol")).unwrap();
        let script = format!(
            "exec unshare --mount --propagation private sh -c '{}' sh \"$@\"",
            shared_volume(&volume)
        );
        let runtime = started_by(&fixture, &script);
        let container = container_by(&fixture, &runtime, &bundle, option);
        let output = container.call("run").run().ok();
        assert_eq!(output.stdout == "seen\n", seen, "{option}: {output}");
        fixture.assert_clean();
    }
}

/// Makes the volume a shared mount, and another one in it a little after the command has started.
fn shared_volume(volume: &Path) -> String {
    let volume = volume.display();
    format!(
        "mount -t tmpfs volume {volume} && mount --make-rshared {volume} && \
         mkdir {volume}/later || exit 90; \
         (sleep 0.5; mount -t tmpfs later {volume}/later; touch {volume}/later/seen {volume}/go) & \
         \"$@\""
    )
}
