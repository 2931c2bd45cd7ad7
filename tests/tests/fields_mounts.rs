//! Mounts out of the ordinary: with id maps, recursive attributes, every propagation, a copy of what
//! they cover, or changed in place.

use orlop_tests::security::config::{capabilities, user_namespace};
use orlop_tests::{Bundle, Fixture, skip, test_name};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a script in a container and returns what it printed.
#[track_caller]
fn printed(fixture: &Fixture, bundle: Bundle, script: &str) -> String {
    let container = fixture.container(&bundle.script(script).written());
    let output = container.run().ok().stdout;
    fixture.assert_clean();
    output
}

fn bind(source: &Path, destination: &str, options: &[&str]) -> Value {
    json!({ "destination": destination, "type": "bind", "source": source, "options": options })
}

fn map(container: u32, host: u32, size: u32) -> Value {
    json!([{ "containerID": container, "hostID": host, "size": size }])
}

fn in_user_namespace(bundle: Bundle) -> Bundle {
    user_namespace(bundle, 100_000, 65536)
}

/// A tmpfs of the host's, unmounted at the end: every kernel that has id-mapped tmpfs maps it.
struct HostMount(PathBuf);

impl HostMount {
    fn tmpfs(at: PathBuf) -> Self {
        fs::create_dir_all(&at).expect("make a mount point");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "tmpfs"])
            .arg(&at)
            .status();
        assert!(mounted.expect("run mount").success());
        Self(at)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for HostMount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn has_idmapped_tmpfs() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("read the release");
    let mut numbers = release
        .split('.')
        .map_while(|part| part.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(3))
}

/// A folder with a file of root's, and one with a folder mounted in it.
fn shared(at: &Path) -> PathBuf {
    fs::write(at.join("file"), "content\n").expect("write a file");
    at.to_owned()
}

#[test]
fn a_mount_has_the_containers_ids() {
    if !has_idmapped_tmpfs() {
        skip!("this kernel has no id-mapped tmpfs");
    }
    let fixture = Fixture::new(test_name!());
    let tmpfs = HostMount::tmpfs(fixture.file("shared"));
    let source = shared(tmpfs.path());
    let bundle = fixture.bundle();
    for name in ["mapped", "plain"] {
        fs::create_dir(bundle.rootfs().join("mnt").join(name)).unwrap();
    }
    let bundle = in_user_namespace(bundle)
        .set(
            "/mounts/-",
            bind(&source, "/mnt/mapped", &["bind", "idmap"]),
        )
        .set("/mounts/-", bind(&source, "/mnt/plain", &["bind"]));
    let script = "stat -c %u:%g /mnt/mapped/file /mnt/plain/file; touch /mnt/mapped/made; id -u";
    let container = fixture.container(&bundle.script(script).written());
    let output = container.run().ok().stdout;
    assert_eq!(output, "0:0\n65534:65534\n0\n");
    let made = fs::metadata(source.join("made")).unwrap();
    assert_eq!((made.uid(), made.gid()), (0, 0));
    drop(tmpfs);
    fixture.assert_clean();
}

#[test]
fn a_mount_has_ids_of_its_own_without_a_user_namespace() {
    if !has_idmapped_tmpfs() {
        skip!("this kernel has no id-mapped tmpfs");
    }
    let fixture = Fixture::new(test_name!());
    let tmpfs = HostMount::tmpfs(fixture.file("shared"));
    let source = shared(tmpfs.path());
    let mut mount = bind(&source, "/mnt", &["rbind"]);
    mount["uidMappings"] = map(0, 1000, 10);
    mount["gidMappings"] = map(0, 2000, 10);
    let bundle = fixture.bundle().set("/mounts/-", mount);
    let bundle = bundle.script("stat -c %u:%g /mnt/file").written();
    let container = fixture.container(&bundle);
    assert_eq!(container.run().ok().stdout, "1000:2000\n");
    // The namespace that has the ids is looked at, which takes no privilege over others.
    let without = ["setpriv", "--bounding-set", "-sys_ptrace", "--"];
    let runtime = fixture.runtime().clone().with_prefix(&without);
    let run = runtime.command("run").arg("--bundle").arg(bundle.path());
    let output = run.arg(container.id()).run().ok();
    assert_eq!(output.stdout, "1000:2000\n");
    drop(tmpfs);
    fixture.assert_clean();
}

#[test]
fn ridmap_maps_the_mounts_below_too() {
    if !has_idmapped_tmpfs() {
        skip!("this kernel has no id-mapped tmpfs");
    }
    let fixture = Fixture::new(test_name!());
    let tmpfs = HostMount::tmpfs(fixture.file("shared"));
    let below = HostMount::tmpfs(tmpfs.path().join("below"));
    shared(tmpfs.path());
    shared(below.path());
    for (option, owner) in [("ridmap", "0"), ("idmap", "65534")] {
        let bundle = in_user_namespace(fixture.bundle())
            .set("/mounts/-", bind(tmpfs.path(), "/mnt", &["rbind", option]));
        let script = "stat -c %u /mnt/file /mnt/below/file";
        let container = fixture.container(&bundle.script(script).written());
        assert_eq!(
            container.run().ok().stdout,
            format!("0\n{owner}\n"),
            "{option}"
        );
    }
    drop(below);
    drop(tmpfs);
    fixture.assert_clean();
}

#[test]
fn a_file_system_without_id_maps_is_named() {
    let fixture = Fixture::new(test_name!());
    let bundle = in_user_namespace(fixture.bundle()).set(
        "/mounts/-",
        bind(Path::new("/proc/sys"), "/mnt", &["bind", "idmap"]),
    );
    let output = fixture.container(&bundle.written()).run();
    output.fails_naming(&["map the ids of /proc/sys", "no id-mapped mounts"]);
    fixture.assert_clean();
}

#[test]
fn a_user_namespace_gets_no_mount_rid_of_its_options() {
    let fixture = Fixture::new(test_name!());
    let tmpfs = HostMount::tmpfs(fixture.file("shared"));
    let remount = ["-o", "bind,remount,nosuid,nodev"];
    let remounted = Command::new("mount")
        .args(remount)
        .arg(tmpfs.path())
        .status();
    assert!(remounted.expect("run mount").success());
    let mount = bind(tmpfs.path(), "/mnt", &["bind", "suid"]);
    let bundle = in_user_namespace(fixture.bundle()).set("/mounts/-", mount);
    let output = fixture.container(&bundle.written()).run();
    output.fails_naming(&[
        // What runc's callers look for.
        "runc run failed: unable to start container process: error during container init: \
         error mounting",
        "to rootfs at \"/mnt\": mounts[",
        "nosuid of its source can't be cleared in a user namespace",
        "operation not permitted",
    ]);
    drop(tmpfs);
    fixture.assert_clean();
}

#[test]
fn recursive_attributes_reach_the_mounts_below() {
    let fixture = Fixture::new(test_name!());
    let above = HostMount::tmpfs(fixture.file("shared"));
    let below = HostMount::tmpfs(above.path().join("below"));
    let options = ["rbind", "rro", "rnosuid", "rnodev", "rnoexec", "rnoatime"];
    let bundle = fixture
        .bundle()
        .set("/mounts/-", bind(above.path(), "/mnt", &options));
    let script =
        "touch /mnt/below/x || echo refused; grep ' /mnt' /proc/self/mountinfo | cut -d' ' -f5,6";
    let container = fixture.container(&bundle.script(script).written());
    let output = container.run().ok().stdout;
    let all = "ro,nosuid,nodev,noexec,noatime";
    assert_eq!(output, format!("refused\n/mnt {all}\n/mnt/below {all}\n"));
    // And back, for a tree whose parts are read-only.
    let bundle = fixture.bundle().set(
        "/mounts/-",
        bind(
            above.path(),
            "/mnt",
            &["rbind", "ro", "rrw", "rstrictatime"],
        ),
    );
    let container = fixture.container(&bundle.script(script).written());
    let output = container.run().ok().stdout;
    assert!(output.starts_with("/mnt ro\n/mnt/below rw\n"), "{output}");
    drop(below);
    drop(above);
    fixture.assert_clean();
}

/// As with runc: mounts are slaves of the host's first, unless `rootfsPropagation` says otherwise.
#[test]
fn every_propagation_is_set() {
    let fixture = Fixture::new(test_name!());
    let source = shared_tmpfs(&fixture);
    let tags = [
        ("rw", ["master", "", "master"]),
        ("private", ["", "", ""]),
        ("rprivate", ["", "", ""]),
        ("slave", ["master", "", "master"]),
        ("rslave", ["master", "", "master"]),
        ("shared", ["shared master", "shared", "shared"]),
        ("rshared", ["shared master", "shared", "shared"]),
        ("unbindable", ["unbindable", "unbindable", "unbindable"]),
        ("runbindable", ["unbindable", "unbindable", "unbindable"]),
    ];
    for (option, tags) in tags {
        for (of_root, tag) in ["", "private", "shared"].into_iter().zip(tags) {
            let bundle = fixture
                .bundle()
                .set("/linux/rootfsPropagation", json!(of_root))
                .set("/mounts/-", bind(source.path(), "/mnt", &["rbind", option]));
            let script = "grep ' /mnt ' /proc/self/mountinfo | cut -d' ' -f7- | sed 's/ *-.*//;s/:[0-9]*//g'";
            let container = fixture.container(&bundle.script(script).written());
            let output = container.run().ok().stdout;
            assert_eq!(output.trim(), tag, "{option} in a root that is {of_root:?}");
        }
    }
    drop(source);
    fixture.assert_clean();
}

/// Which way mounts below a source go: the host's into the container, the container's to the host.
#[test]
fn mounts_go_where_both_propagations_say() {
    let fixture = Fixture::new(test_name!());
    let source = shared_tmpfs(&fixture);
    let [of_host, of_container] = ["host", "container"].map(|name| source.path().join(name));
    for dir in [&of_host, &of_container] {
        fs::create_dir(dir).expect("make a directory");
    }
    for (option, of_root, has_user_namespace, expected) in [
        ("rw", "", false, (true, false)),
        ("rprivate", "", false, (false, false)),
        ("rslave", "", false, (true, false)),
        ("rshared", "", false, (true, false)),
        ("rshared", "rprivate", false, (false, false)),
        ("rshared", "rshared", false, (true, true)),
        ("rw", "rshared", false, (true, false)),
        // The host's mounts are made by its own root alone.
        ("rshared", "rshared", true, (true, false)),
        ("rw", "", true, (true, false)),
    ] {
        let case = format!("{option}, root {of_root:?}, user namespace: {has_user_namespace}");
        let mut bundle = capabilities(fixture.bundle(), &["CAP_SYS_ADMIN"])
            .set("/linux/rootfsPropagation", json!(of_root))
            .set("/mounts/-", bind(source.path(), "/mnt", &["rbind", option]));
        if has_user_namespace {
            bundle = in_user_namespace(bundle);
        }
        let container = fixture.container(&bundle.script("sleep 60").written());
        container.create().ok();
        container.start().ok();
        let mounted = HostMount::tmpfs(of_host.clone());
        let inside = container
            .exec(&["grep", "-c", " /mnt/host ", "/proc/self/mountinfo"])
            .stdout;
        drop(mounted);
        let script =
            "mount -t tmpfs none /mnt/container && grep -c ' /mnt/container ' /proc/self/mountinfo";
        assert_eq!(container.exec(&["sh", "-c", script]).ok().stdout, "1\n");
        let table = fs::read_to_string("/proc/self/mountinfo").expect("read the host's mounts");
        let outside = table.contains(&format!(" {} ", of_container.display()));
        container.delete_force().ok();
        if outside {
            let unmounted = Command::new("umount").arg(&of_container).status();
            assert!(unmounted.unwrap().success());
        }
        assert_eq!((inside == "1\n", outside), expected, "{case}");
    }
    drop(source);
    fixture.assert_clean();
}

fn shared_tmpfs(fixture: &Fixture) -> HostMount {
    let source = HostMount::tmpfs(fixture.file("shared"));
    let shared = Command::new("mount")
        .arg("--make-shared")
        .arg(source.path())
        .status();
    assert!(shared.expect("run mount").success());
    source
}

/// A root file system with a folder of all kinds of files.
fn furnished(fixture: &Fixture) -> (Bundle, PathBuf) {
    let bundle = fixture.bundle();
    let folder = bundle.rootfs().join("data");
    fs::create_dir_all(folder.join("deep/deeper")).expect("furnish the root");
    fs::write(folder.join("deep/deeper/file"), "far down\n").expect("furnish the root");
    fs::write(folder.join("large"), vec![b'x'; 3 << 20]).expect("furnish the root");
    chown(folder.join("large"), Some(7), Some(8)).expect("furnish the root");
    fs::set_permissions(folder.join("large"), fs::Permissions::from_mode(0o4751))
        .expect("furnish the root");
    fs::set_permissions(folder.join("deep"), fs::Permissions::from_mode(0o700))
        .expect("furnish the root");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o1777)).expect("furnish the root");
    symlink("/nowhere/at/all", folder.join("link")).expect("furnish the root");
    let fifo = Command::new("mkfifo").arg(folder.join("fifo")).status();
    assert!(fifo.expect("furnish the root").success());
    (bundle, folder)
}

fn tmpcopyup() -> Value {
    json!({ "destination": "/data", "type": "tmpfs", "source": "tmpfs",
        "options": ["tmpcopyup", "nosuid"] })
}

#[test]
fn tmpcopyup_takes_along_what_it_covers() {
    let fixture = Fixture::new(test_name!());
    let (bundle, folder) = furnished(&fixture);
    let bundle = bundle.set("/mounts/-", tmpcopyup());
    let script = "cat /data/deep/deeper/file; readlink /data/link; test -p /data/fifo && echo fifo;
        stat -c '%n %a %u:%g %s' /data/large /data/deep; stat -c %a /data; cmp /data/large /data/large;
        echo new > /data/deep/deeper/file; rm /data/large; grep ' /data ' /proc/self/mountinfo | cut -d' ' -f6";
    let container = fixture.container(&bundle.script(script).written());
    let output = container.run().ok().stdout;
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(
        lines[..4],
        [
            "far down",
            "/nowhere/at/all",
            "fifo",
            "/data/large 4751 7:8 3145728"
        ]
    );
    assert!(lines[4].starts_with("/data/deep 700 0:0 "), "{output}");
    assert_eq!(lines[5], "1777");
    assert!(lines[6].contains("nosuid"), "{output}");
    // The original is as before.
    assert_eq!(
        fs::read_to_string(folder.join("deep/deeper/file")).unwrap(),
        "far down\n"
    );
    assert!(folder.join("large").exists());
    fixture.assert_clean();
}

#[test]
fn what_tmpcopyup_copies_is_charged_to_the_container() {
    let fixture = Fixture::new(test_name!());
    let (bundle, folder) = furnished(&fixture);
    fs::write(folder.join("huge"), vec![b'y'; 24 << 20]).unwrap();
    let bundle = bundle
        .set("/mounts/-", tmpcopyup())
        .set("/linux/resources/memory", json!({ "limit": 8 << 20 }));
    let output = fixture
        .container(&bundle.script("echo ran").written())
        .run();
    assert_ne!(output.code(), 0, "{output}");
    assert!(!output.stdout.contains("ran"), "{output}");
    fixture.assert_clean();
}

#[test]
fn a_tmpfs_too_small_for_its_copy_is_named() {
    let fixture = Fixture::new(test_name!());
    let (bundle, _) = furnished(&fixture);
    let mut mount = tmpcopyup();
    mount["options"] = json!(["tmpcopyup", "size=64k"]);
    let output = fixture
        .container(&bundle.set("/mounts/-", mount).written())
        .run();
    output.fails_naming(&[
        "copy /data into the tmpfs over it",
        "no space left on device",
    ]);
    fixture.assert_clean();
}

#[test]
fn tmpcopyup_of_nothing_is_an_empty_tmpfs() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture
        .bundle()
        .set("/root/readonly", json!(false))
        .set("/mounts/-", tmpcopyup());
    assert_eq!(
        printed(&fixture, bundle, "ls -A /data; touch /data/x && echo made"),
        "made\n"
    );
}

#[test]
fn a_mount_is_changed_in_place() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture
        .bundle()
        .set(
            "/mounts/-",
            json!({ "destination": "/mnt", "type": "tmpfs", "source": "tmpfs" }),
        )
        .set(
            "/mounts/-",
            json!({ "destination": "/mnt", "type": "tmpfs", "source": "tmpfs",
            "options": ["remount", "ro", "noexec", "size=128k"] }),
        )
        .set(
            "/mounts/-",
            json!({ "destination": "/dev/shm", "type": "bind", "source": "shm",
            "options": ["bind", "remount", "ro", "nosuid", "nodev", "noexec"] }),
        );
    let script = "grep -E ' (/mnt|/dev/shm) ' /proc/self/mountinfo | cut -d' ' -f5,6 | sort; df -k /mnt | tail -1 | tr -s ' ' | cut -d' ' -f2";
    let output = printed(&fixture, bundle, script);
    let lines: Vec<&str> = output.lines().collect();
    assert!(
        lines[0].starts_with("/dev/shm ro,nosuid,nodev,noexec"),
        "{output}"
    );
    assert!(lines[1].starts_with("/mnt ro,noexec"), "{output}");
    assert_eq!(lines[2], "128", "{output}");
}

/// A bundle whose `/mnt` is a tmpfs, which is bound again at `/home` by the name that the host has for
/// it.
fn bound_again(bundle: Bundle, options: &[&str]) -> Bundle {
    let made = bundle.rootfs().join("mnt");
    bundle
        .set(
            "/mounts/-",
            json!({ "destination": "/mnt", "type": "tmpfs", "source": "tmpfs" }),
        )
        .set("/mounts/-", bind(&made, "/home", options))
}

/// As text: whether what is written to the one is in the other, and its options.
const USE_BOTH: &str =
    "echo seen > /mnt/file; cat /home/file; touch /home/x 2>/dev/null || echo refused;
    grep ' /home ' /proc/self/mountinfo | cut -d' ' -f6";

#[test]
fn what_an_earlier_mount_put_there_is_bound() {
    let fixture = Fixture::new(test_name!());
    for mapped in [false, true] {
        for (options, said) in [
            (&["rbind"][..], "seen\nrw"),
            (&["rbind", "nosuid", "noexec"], "seen\nrw,nosuid,noexec"),
            (&["bind", "ro", "nodev"], "seen\nrefused\nro,nodev"),
            (&["rbind", "rro"], "seen\nrefused\nro"),
        ] {
            let mut bundle = bound_again(fixture.bundle(), options);
            if mapped {
                bundle = in_user_namespace(bundle);
            }
            let in_image = bundle.rootfs().join("mnt/file");
            let container = fixture.container(&bundle.script(USE_BOTH).written());
            let output = container.run().ok().stdout;
            assert!(output.starts_with(said), "{options:?} {mapped}: {output}");
            // Nothing of it is in the image.
            assert!(!in_image.exists(), "{options:?} {mapped}");
        }
    }
    fixture.assert_clean();
}

#[test]
fn what_an_earlier_mount_put_there_has_ids_of_its_own() {
    if !has_idmapped_tmpfs() {
        skip!("this kernel has no id-mapped tmpfs");
    }
    let fixture = Fixture::new(test_name!());
    let mut bundle = bound_again(fixture.bundle(), &["rbind"]);
    let last = bundle.config["mounts"].as_array().expect("mounts").len() - 1;
    for (field, first) in [("uidMappings", 1000), ("gidMappings", 2000)] {
        bundle = bundle.set(&format!("/mounts/{last}/{field}"), map(0, first, 10));
    }
    let script = "touch /mnt/file; stat -c %u:%g /mnt/file /home/file";
    assert_eq!(printed(&fixture, bundle, script), "0:0\n1000:2000\n");
}
