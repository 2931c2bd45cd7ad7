//! Containers without a mount namespace of their own: their mounts are the host's, and stay; what the
//! host has had before is as it was.

use orlop_tests::console::ConsoleSocket;
use orlop_tests::host_mounts::HostMounts;
use orlop_tests::security::config::without_namespace;
use orlop_tests::security::container_by;
use orlop_tests::{Bundle, Container, Fixture, test_name};
use serde_json::{Value, json};
use std::fs;

/// What is mounted, whether read-only or not, and what of it spreads.
const LOOK: &str = "grep ' / / ' /proc/self/mountinfo | tail -n 1; mount -t proc; ls /dev/null /dev/pts/ptmx; \
     touch /made 2>/dev/null && echo writable; echo done";

/// The usual configuration, without a mount namespace and what takes one.
fn on_host(bundle: Bundle) -> Bundle {
    without_namespace(bundle, "mount")
        .set("/linux/maskedPaths", json!([]))
        .set("/linux/readonlyPaths", json!([]))
}

/// A host with a bundle on it, for containers that share its mounts.
struct Stage {
    fixture: Fixture,
    host: HostMounts,
    bundle: Bundle,
    before: Vec<String>,
}

impl Stage {
    #[track_caller]
    fn new(test: &str, change: impl FnOnce(Bundle) -> Bundle) -> Self {
        let fixture = Fixture::new(test);
        let host = HostMounts::new().expect("make a mount namespace");
        let bundle = change(on_host(fixture.bundle())).written();
        let before = host.table().expect("read the table of mounts");
        assert!(before.iter().any(|line| line.contains(" shared:")));
        Self {
            fixture,
            host,
            bundle,
            before,
        }
    }

    fn container(&self, name: &str) -> Container {
        let runtime = self.host.runtime(self.fixture.runtime());
        container_by(&self.fixture, &runtime, &self.bundle, name)
    }

    /// What is mounted at the root file system, and below.
    fn mounted(&self) -> Vec<String> {
        let found = self.host.at(&self.bundle.rootfs());
        found.expect("read the table of mounts")
    }

    /// Whatever was mounted before is there, and as it was.
    #[track_caller]
    fn assert_host_unchanged(&self) {
        let after = self.host.table().expect("read the table of mounts");
        let changed: Vec<_> = self
            .before
            .iter()
            .filter(|line| !after.contains(line))
            .collect();
        assert!(changed.is_empty(), "{changed:#?}");
    }

    #[track_caller]
    fn assert_nothing_mounted(&self) {
        assert_eq!(self.mounted(), [""; 0]);
        self.assert_host_unchanged();
        self.fixture.assert_clean();
    }

    #[track_caller]
    fn unmount(&self) {
        self.host.unmount(&self.bundle.rootfs()).expect("unmount");
        self.assert_nothing_mounted();
    }
}

#[test]
fn mounts_are_made_and_stay_and_nothing_of_the_host_changes() {
    let stage = Stage::new(test_name!(), |bundle| bundle.script(LOOK));
    let peer = stage.host.peer().expect("make another namespace");
    let output = stage.container("a").run().ok();
    for expected in ["proc on /proc", "/dev/null", "/dev/pts/ptmx", "done"] {
        assert!(output.stdout.contains(expected), "{expected}: {output}");
    }
    assert!(!output.stdout.contains("writable"), "{output}");
    let rootfs = stage.bundle.rootfs();
    let advice = format!("umount --recursive {}", rootfs.display());
    let output = output.says(&advice).says("no mount namespace of its own");
    assert_eq!(output.stderr.lines().count(), 1, "{output}");
    let mounted = stage.mounted();
    assert!(mounted.len() > 5, "{mounted:#?}");
    // Neither shared nor a slave.
    assert!(
        mounted
            .iter()
            .all(|line| !line.contains("shared:") && !line.contains("master:")),
        "{mounted:#?}"
    );
    stage.assert_host_unchanged();
    // What is attached below a shared mount comes there, and nothing of what is mounted in it.
    let spread = peer.at(&rootfs).expect("read the table of mounts");
    assert_eq!(spread.len(), 1, "{spread:#?}");
    stage.unmount();
    assert_eq!(peer.at(&rootfs).unwrap(), [""; 0]);
}

#[test]
fn a_created_container_is_started_entered_and_deleted() {
    let stage = Stage::new(test_name!(), |bundle| {
        bundle
            .args(&["sleep", "60"])
            .set("/root/readonly", json!(false))
    });
    fs::write(stage.bundle.rootfs().join("mark"), "inside").unwrap();
    let container = stage.container("a");
    container.create().ok();
    container.start().ok();
    let output = container.exec(&["cat", "/mark"]).ok();
    assert_eq!(output.stdout, "inside");
    let output = container
        .exec(&["sh", "-c", "ls -d /proc/self /dev/pts/ptmx; pwd"])
        .ok();
    assert_eq!(output.stdout, "/dev/pts/ptmx\n/proc/self\n/\n");
    // Another one over the same root would have this one's mounts in its own.
    let other = stage.container("b");
    other
        .create()
        .fails_naming(&["root.path", "umount --recursive"]);
    container.delete_force().ok();
    assert!(!stage.mounted().is_empty());
    stage.unmount();
}

/// Seen red: the process ran in the host's root.
#[test]
fn without_mounts_too_the_container_is_entered_by_its_root() {
    let stage = Stage::new(test_name!(), |bundle| {
        bundle
            .args(&["sleep", "60"])
            .set("/root/readonly", json!(false))
            .set("/mounts", json!([]))
    });
    fs::write(stage.bundle.rootfs().join("mark"), "inside").unwrap();
    let container = stage.container("a");
    container.create().ok();
    container.start().ok();
    assert_eq!(container.exec(&["cat", "/mark"]).ok().stdout, "inside");
    container.delete_force().ok();
    stage.assert_nothing_mounted();
}

#[test]
fn a_process_that_changed_its_root_is_not_followed() {
    for mounts in [true, false] {
        let stage = Stage::new(test_name!(), |bundle| {
            let bundle = bundle
                .script("cp -r /bin /elsewhere && exec /bin/busybox chroot /elsewhere /busybox sleep 60")
                .set("/process/capabilities/bounding/-", json!("CAP_SYS_CHROOT"))
                .set("/process/capabilities/effective/-", json!("CAP_SYS_CHROOT"))
                .set("/process/capabilities/permitted/-", json!("CAP_SYS_CHROOT"))
                .set("/root/readonly", json!(false));
            match mounts {
                true => bundle,
                false => bundle.set("/mounts", json!([])),
            }
        });
        let container = stage.container("a");
        container.create().ok();
        container.start().ok();
        let root = format!("/proc/{}/root", container.pid());
        let elsewhere = stage.bundle.rootfs().join("elsewhere");
        let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while fs::read_link(&root).unwrap() != elsewhere {
            assert!(std::time::Instant::now() < end, "it never changes its root");
            std::thread::yield_now();
        }
        container
            .exec(&["true"])
            .fails_with(255, &["left", "rootfs"]);
        container.delete_force().ok();
        if mounts {
            stage.unmount();
        }
        stage.assert_nothing_mounted();
    }
}

#[test]
fn hooks_see_the_mounts_at_the_bundles_path() {
    let stage = Stage::new(test_name!(), |bundle| {
        let rootfs = bundle.rootfs();
        let script = format!(
            "test -c {0}/dev/null && test -d {0}/proc/1",
            rootfs.display()
        );
        let hook = json!([{ "path": "/bin/sh", "args": ["sh", "-c", script] }]);
        let kinds = ["prestart", "createRuntime", "createContainer"];
        let hooks: serde_json::Map<_, _> = kinds
            .map(|kind| (kind.to_owned(), hook.clone()))
            .into_iter()
            .collect();
        bundle.set("/hooks", Value::Object(hooks))
    });
    stage.container("a").run().ok();
    stage.unmount();
}

#[test]
fn a_terminal_is_at_dev_console() {
    let stage = Stage::new(test_name!(), |bundle| {
        bundle
            .script("[ $(stat -c %t:%T /dev/console) = $(stat -Lc %t:%T /proc/self/fd/0) ] && echo same")
            .set("/process/terminal", json!(true))
    });
    let container = stage.container("a");
    let mut console = ConsoleSocket::created(&container, &stage.fixture.file("console.sock"));
    container.start().ok();
    let output = console.read_to_end().unwrap();
    assert!(output.contains("same"), "{output}");
    container.delete_force().ok();
    stage.unmount();
}

/// Each fails after the root was attached.
#[test]
fn a_failed_create_leaves_no_mount() {
    let hook = |path: &str| json!([{ "path": path }]);
    let source =
        json!({ "destination": "/x", "type": "bind", "source": "/nowhere", "options": ["bind"] });
    let kind = json!({ "destination": "/x", "type": "nonsense", "source": "x" });
    let cases = [
        ("/mounts/-", source),
        ("/mounts/-", kind),
        ("/process/args", json!(["nonsense"])),
        ("/process/cwd", json!("/bin/sh")),
        ("/hooks", json!({ "createRuntime": hook("/bin/false") })),
        ("/hooks", json!({ "createContainer": hook("/bin/false") })),
    ];
    for (pointer, value) in cases {
        let stage = Stage::new(test_name!(), |bundle| bundle.set(pointer, value.clone()));
        let container = stage.container("a");
        assert!(!container.create().status.success(), "{pointer}: {value}");
        stage.assert_nothing_mounted();
        assert!(!container.run().status.success(), "{pointer}: {value}");
        stage.assert_nothing_mounted();
    }
}

/// Where a bind mount brings what is mounted below its source, that stays where it is from.
#[test]
fn a_failed_create_leaves_what_it_has_bound() {
    let stage = Stage::new(test_name!(), |bundle| {
        let sys = json!({ "destination": "/host", "type": "bind", "source": "/sys", "options": ["rbind", "rslave"] });
        bundle.set("/mounts/-", sys).set(
            "/hooks",
            json!({ "createContainer": [{ "path": "/bin/false" }] }),
        )
    });
    stage
        .container("a")
        .create()
        .fails_naming(&["createContainer"]);
    stage.assert_nothing_mounted();
}

#[test]
fn what_would_change_the_host_is_refused() {
    let shared = json!({ "destination": "/x", "type": "bind", "source": "/sys", "options": ["rbind", "rshared"] });
    let cases = [
        ("/mounts/-", shared, "mounts[7]: options: a shared mount"),
        (
            "/linux/rootfsPropagation",
            json!("shared"),
            "linux.rootfsPropagation",
        ),
        (
            "/linux/rootfsPropagation",
            json!("slave"),
            "linux.rootfsPropagation",
        ),
        (
            "/linux/maskedPaths",
            json!(["/proc/kcore"]),
            "linux.maskedPaths",
        ),
        ("/root/path", json!("/"), "root.path"),
    ];
    for (pointer, value, field) in cases {
        let stage = Stage::new(test_name!(), |bundle| bundle.set(pointer, value));
        let output = stage.container("a").create();
        output.fails_naming(&[field, "linux.namespaces"]);
        stage.assert_nothing_mounted();
    }
}

#[test]
fn a_user_namespace_takes_a_mount_namespace() {
    let stage = Stage::new(test_name!(), |bundle| {
        orlop_tests::security::config::user_namespace(bundle, 100_000, 65536)
    });
    let output = stage.container("a").create();
    output.fails_naming(&["mounts", "linux.namespaces", "CAP_SYS_ADMIN"]);
    stage.assert_nothing_mounted();
}
