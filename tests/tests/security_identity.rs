//! Users and groups: a number is that number, what is not set is not guessed, and what can't be
//! set is an error.

use orlop_tests::security::config::{user, user_namespace, without_mounts};
use orlop_tests::security::{self, container_by, started_by};
use orlop_tests::{Bundle, Container, Fixture, assert_safe, exposed, test_name};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::time::Duration;

/// What `exec --user` may do with a text: the ids that are allowed to result.
const USERS: &[(&str, &[&str])] = &[
    ("0", &["0"]),
    ("1", &["1"]),
    ("1:2", &["1:2"]),
    ("2147483647", &["2147483647"]),
    ("2147483648", &["2147483648"]),
    ("4294967294", &["4294967294"]),
    // Leading zeros and a plus sign are decimal numbers, or refused.
    ("01", &["1"]),
    ("+1", &["1"]),
    ("1:", &[]),
    (":1", &[]),
    ("-1", &[]),
    ("1e3", &[]),
    ("0x1", &[]),
    ("4294967295", &[]),
    ("4294967296", &[]),
    ("10000000000000000000000000000000000000000", &[]),
    (" 1", &[]),
    ("1 ", &[]),
    ("1\n", &[]),
    ("1:2:3", &[]),
    ("1:-1", &[]),
    ("1:4294967295", &[]),
    ("1:4294967296", &[]),
    ("nobody-there", &[]),
    // A user of the image's, whose name is a number, is root there.
    ("4242", &["4242"]),
];

fn sleeping(fixture: &Fixture) -> Container {
    let bundle = fixture.bundle().args(&["sleep", "60"]).written();
    let passwd = "root:x:0:0:root:/root:/bin/sh\n4242:x:0:0::/:/bin/sh\n1e3:x:0:0::/:/bin/sh\n";
    fs::write(bundle.rootfs().join("etc/passwd"), passwd).expect("write the image's users");
    let container = fixture.container(&bundle);
    container.create().ok();
    container.start().ok();
    container
}

/// CVE-2016-3697, CVE-2024-40635, CVE-2026-46680, CVE-2026-30892. Seen red on crun 1.8.1.
#[test]
fn rt_21_exec_user_is_exactly_the_number() {
    let fixture = security::fixture(test_name!());
    let container = sleeping(&fixture);
    let mut wrong = Vec::new();
    for (text, allowed) in USERS {
        let output = container
            .call_with("exec", &["--user", text])
            .args(["sh", "-c", "echo $(id -u):$(id -g)"])
            .run();
        if !output.status.success() {
            let must_work = allowed.contains(text);
            assert!(!must_work, "--user {text:?} is a plain number: {output}");
            continue;
        }
        let both = output.stdout.trim();
        let uid = both.split(':').next().unwrap_or_default();
        if !allowed.contains(&both) && !allowed.contains(&uid) {
            wrong.push(format!("--user {text:?} runs as {both}"));
        }
    }
    assert_safe!(wrong.is_empty(), "{wrong:#?}");
    container.delete_force().ok();
    fixture.assert_clean();
}

/// In a configuration the ids are JSON's numbers. -1 would change nothing, and leave root. Seen red
/// on crun 1.8.1.
#[test]
fn rt_21_configured_ids_are_numbers_in_range() {
    let fixture = security::fixture(test_name!());
    let bad = [
        json!(4_294_967_295_u32),
        json!(4_294_967_296_u64),
        json!(-1),
        json!(1.5),
        json!(1e3),
        json!("1"),
        json!("root"),
        json!([]),
    ];
    for value in &bad {
        for pointer in ["/process/user/uid", "/process/user/gid"] {
            refused_or_less(&fixture, pointer, value);
        }
    }
    for value in [json!([4_294_967_295_u32]), json!([-1]), json!(["1"])] {
        refused_or_less(&fixture, "/process/user/additionalGids", &value);
    }
    for good in [1_u32, 65_534, 2_147_483_648, 4_294_967_294] {
        let bundle = user(fixture.bundle(), good, good)
            .script("echo $(id -u) $(id -g)")
            .written();
        let output = fixture.container(&bundle).run().ok();
        assert_eq!(output.stdout, format!("{good} {good}\n"));
    }
    fixture.assert_clean();
}

#[track_caller]
fn refused_or_less(fixture: &Fixture, pointer: &str, value: &Value) {
    let bundle = user(fixture.bundle(), 1000, 1000)
        .set(pointer, value.clone())
        .args(&["id"])
        .written();
    let output = fixture.container(&bundle).run();
    if output.status.success() {
        exposed!("{pointer} {value} is taken for {}", output.stdout.trim());
    }
}

/// Groups of a process, as the kernel has them.
fn groups(status: &str) -> Vec<u32> {
    let line = status.lines().find(|line| line.starts_with("Groups:"));
    let mut groups: Vec<u32> = line
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    groups.sort_unstable();
    groups
}

const SHOW_GROUPS: [&str; 3] = ["grep", "^Groups", "/proc/self/status"];

/// CVE-2022-36109 and kin. The caller's own groups are gone, those of the configuration are there,
/// the primary one too: otherwise a program with a set-group-id bit gets rid of it. Seen red on
/// runc 1.1.5 and crun 1.8.1.
#[test]
fn rt_22_groups_are_those_of_the_configuration() {
    let fixture = security::fixture(test_name!());
    let runtime = started_by(&fixture, "exec setpriv --groups 4,24,27 \"$@\"");
    for (name, gid, additional, expected) in [
        ("none", 1000, json!(null), vec![1000]),
        ("empty", 1000, json!([]), vec![1000]),
        ("two", 1000, json!([2000, 3000]), vec![1000, 2000, 3000]),
        ("same", 1000, json!([1000]), vec![1000]),
    ] {
        let bundle = user(fixture.bundle(), 1000, gid).args(&SHOW_GROUPS);
        let bundle = match additional {
            Value::Null => bundle,
            list => bundle.set("/process/user/additionalGids", list),
        };
        let container = container_by(&fixture, &runtime, &bundle.written(), name);
        let output = container.call("run").run().ok();
        assert_safe!(
            groups(&output.stdout) == expected,
            "{name}: groups are {:?}, not {expected:?}",
            groups(&output.stdout)
        );
    }
    fixture.assert_clean();
}

#[test]
fn rt_22_a_denied_group_stays_denied() {
    let fixture = security::fixture(test_name!());
    let bundle = user(fixture.bundle(), 1000, 1000)
        .set("/process/user/additionalGids", json!([2000]))
        .args(&["cat", "/closed1000", "/closed2000"])
        .written();
    for group in [1000, 2000] {
        let file = bundle.rootfs().join(format!("closed{group}"));
        fs::write(&file, "for all others\n").unwrap();
        chown(&file, Some(0), Some(group)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o707)).unwrap();
    }
    let output = fixture.container(&bundle).run();
    assert_safe!(output.stdout.is_empty(), "read: {output}");
    assert!(!output.status.success());
    fixture.assert_clean();
}

/// Groups that can't be set are an error, not left out.
#[test]
fn rt_22_groups_that_are_not_mapped_are_an_error() {
    let fixture = security::fixture(test_name!());
    let bundle = user_namespace(fixture.bundle(), 100_000, 1)
        .set("/process/user/additionalGids", json!([2000]))
        .args(&SHOW_GROUPS)
        .written();
    chown_tree(&bundle.rootfs(), 100_000);
    let output = fixture.container(&bundle).run();
    assert_safe!(!output.status.success(), "ran without its group: {output}");
    fixture.assert_clean();
}

fn chown_tree(path: &Path, id: u32) {
    std::os::unix::fs::lchown(path, Some(id), Some(id)).expect("change an owner");
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).expect("list a folder") {
            chown_tree(&entry.expect("list a folder").path(), id);
        }
    }
}

/// CVE-2014-8989: who maps one group of its own must not drop others.
#[test]
fn rt_23_setgroups_is_denied_without_privilege() {
    // Where it was built may be closed to that user, such as below /root.
    let folder = security::fixture(test_name!());
    let copy = folder.file("runtime");
    fs::copy(folder.runtime().program(), &copy).expect("copy the runtime");
    let fixture = security::fixture_of(test_name!(), &copy);
    let script =
        "exec setpriv --reuid 1000 --regid 1000 --clear-groups env -u XDG_RUNTIME_DIR \"$@\"";
    let runtime = started_by(&fixture, script);
    let bundle = rootless(fixture.bundle());
    chown_tree(fixture.path(), 1000);
    let container = container_by(&fixture, &runtime, &bundle, "rootless");
    let output = container.call("run").run().ok();
    assert_safe!(output.stdout == "deny\n", "setgroups is {output}");
    chown_tree(fixture.canary().path(), 0);
    fixture.assert_clean();
}

/// As `spec --rootless` has it.
fn rootless(bundle: Bundle) -> Bundle {
    let bundle = without_mounts(bundle, &["/sys", "/sys/fs/cgroup", "/dev/pts"]);
    let bundle = security::config::without_namespace(bundle, "network");
    let bundle = security::config::without(bundle, "/linux/resources");
    user_namespace(bundle, 1000, 1)
        .args(&["cat", "/proc/self/setgroups"])
        .written()
}

/// `HOME` is looked up in the image's `/etc/passwd`, which may be anything. Seen red on runc 1.1.5
/// and crun 1.8.1.
#[test]
fn rt_43_home_from_a_hostile_passwd() {
    let fixture = security::fixture(test_name!());
    let outside = fixture.file("passwd");
    fs::write(&outside, "root:x:0:0::/outside:/bin/sh\n").unwrap();
    type Make<'a> = &'a dyn Fn(&Path);
    let kinds: [(&str, Make<'_>); 6] = [
        ("link", &|path| symlink(&outside, path).unwrap()),
        ("zero", &|path| symlink("/dev/zero", path).unwrap()),
        ("fifo", &|path| {
            mknodat(CWD, path, FileType::Fifo, Mode::from(0o644), 0).unwrap();
        }),
        ("device", &|path| {
            let zero = rustix::fs::makedev(1, 5);
            mknodat(
                CWD,
                path,
                FileType::CharacterDevice,
                Mode::from(0o644),
                zero,
            )
            .unwrap();
        }),
        ("sparse", &|path| {
            let file = fs::File::create(path).unwrap();
            file.set_len(2 << 30).unwrap();
        }),
        ("long", &|path| {
            fs::write(path, vec![b'x'; 100 << 20]).unwrap();
        }),
    ];
    // Half a GiB for all of the runtime: enough for any but one that reads the file.
    let runtime = started_by(&fixture, "ulimit -d 524288; exec timeout -k 1 5 \"$@\"");
    for (name, make) in kinds {
        let bundle = fixture.bundle().script("echo home $HOME").written();
        let passwd = bundle.rootfs().join("etc/passwd");
        fs::remove_file(&passwd).unwrap();
        make(&passwd);
        let container = container_by(&fixture, &runtime, &bundle, name);
        let output = container.call("run").run();
        assert_safe!(output.code() != 124, "{name}: hangs");
        assert_safe!(!output.stdout.contains("/outside"), "{name}: {output}");
        assert_safe!(
            output.elapsed < Duration::from_secs(2),
            "{name}: took {:?}",
            output.elapsed
        );
        fs::remove_dir_all(bundle.path()).unwrap();
    }
    fixture.assert_clean();
}

/// What the lookup is for works, and what the configuration says comes first.
#[test]
fn rt_43_home_is_the_users() {
    let fixture = security::fixture(test_name!());
    for (uid, expected) in [(0, "/root"), (1000, "/home"), (77, "/")] {
        let bundle = user(fixture.bundle(), uid, uid)
            .script("echo $HOME")
            .written();
        let output = fixture.container(&bundle).run().ok();
        assert_eq!(output.stdout, format!("{expected}\n"), "uid {uid}");
    }
    let bundle = fixture
        .bundle()
        .set("/process/env/-", json!("HOME=/asked"))
        .script("echo $HOME")
        .written();
    assert_eq!(fixture.container(&bundle).run().ok().stdout, "/asked\n");
    fixture.assert_clean();
}
