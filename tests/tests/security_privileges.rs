//! Capabilities: exactly those of the configuration, in every one of the five sets.

use orlop_tests::security::{
    self,
    config::{user, user_namespace},
};
use orlop_tests::{Bundle, assert_safe, skip, test_name};
use rustix::fs::{XattrFlags, setxattr};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// The five sets, each with the line of `/proc/self/status` that shows it.
const SETS: [(&str, &str); 5] = [
    ("inheritable", "CapInh"),
    ("permitted", "CapPrm"),
    ("effective", "CapEff"),
    ("bounding", "CapBnd"),
    ("ambient", "CapAmb"),
];

/// `CAP_NET_RAW`, as a bit.
const NET_RAW: u64 = 1 << 13;

/// A process's sets, in the order of [`SETS`].
type Sets = [u64; 5];

const SHOW: [&str; 3] = ["grep", "^Cap", "/proc/self/status"];

fn parse(status: &str) -> Sets {
    SETS.map(|(_, name)| {
        let line = status.lines().find(|line| line.starts_with(name));
        let text = line.and_then(|line| line.split_whitespace().nth(1));
        u64::from_str_radix(text.expect("five sets"), 16).expect("a set of bits")
    })
}

/// What `capabilities(7)` says a program has after it was executed by a process with these sets:
/// without file capabilities, no-new-privileges or securebits.
fn after_execve([inheritable, _, _, bounding, ambient]: Sets, uid: u32) -> Sets {
    let permitted = match uid {
        0 => (inheritable | bounding) | ambient,
        _ => ambient,
    };
    [inheritable, permitted, permitted, bounding, ambient]
}

/// The sets with the bit in those whose place in [`SETS`] is set in the mask.
fn sets_of(mask: u32) -> Sets {
    let mut place = 0;
    SETS.map(|_| {
        let set = u64::from(mask >> place & 1) * NET_RAW;
        place += 1;
        set
    })
}

/// Whether a process can have these sets at all: the rules of `capset(2)` and `prctl(2)`.
fn possible([inheritable, permitted, effective, bounding, ambient]: Sets) -> bool {
    effective & !permitted == 0
        && inheritable & !bounding == 0
        && ambient & !(permitted & inheritable) == 0
}

fn with_sets(bundle: Bundle, mask: u32) -> Bundle {
    let mut block = json!({});
    for (place, (name, _)) in SETS.iter().enumerate() {
        if mask >> place & 1 == 1 {
            block[name] = json!(["CAP_NET_RAW"]);
        }
    }
    bundle.set("/process/capabilities", block)
}

/// All 32 ways to have one capability in some of the sets and not in the others, for root and for
/// another user: as the model says; where the kernel can't do it, an error or less.
#[test]
fn rt_20_all_combinations_of_sets() {
    let fixture = security::fixture(test_name!());
    for uid in [0, 1000] {
        for mask in 0..32 {
            let bundle = with_sets(user(fixture.bundle(), uid, uid), mask)
                .set("/process/noNewPrivileges", json!(false))
                .args(&SHOW)
                .written();
            let output = fixture.container(&bundle).run();
            let asked = sets_of(mask);
            let expected = after_execve(asked, uid);
            let what = format!("uid {uid}, {asked:x?}");
            if possible(asked) {
                let found = parse(&output.ok().stdout);
                assert_safe!(
                    found == expected,
                    "{what}: is {found:x?}, not {expected:x?}"
                );
            } else if output.status.success() {
                let found = parse(&output.stdout);
                let wider = (0..5).any(|set| found[set] & !expected[set] != 0);
                assert_safe!(!wider, "{what}: is {found:x?}, more than {expected:x?}");
            }
            fs::remove_dir_all(bundle.path()).unwrap();
        }
    }
    fixture.assert_clean();
}

/// As the host sees it, not what a program in the container is told: ids, groups, sets, the flag and
/// the filter, of the container's program and of one that `exec` started.
#[test]
fn rt_20_what_runs_is_what_was_asked_for() {
    let fixture = security::fixture(test_name!());
    for (uid, gid, mask) in [(0, 0, 0), (0, 7, 0b01000), (1000, 1001, 0b11111)] {
        for restricted in [false, true] {
            let mut bundle = with_sets(user(fixture.bundle(), uid, gid), mask)
                .set("/process/user/additionalGids", json!([5, 4_000_000]))
                .set("/process/noNewPrivileges", json!(restricted))
                .args(&["sleep", "60"]);
            if restricted {
                let filter = json!({ "defaultAction": "SCMP_ACT_ALLOW" });
                bundle = bundle.set("/linux/seccomp", filter);
            }
            let container = fixture.container(&bundle.written());
            container.create().ok();
            container.start().ok();
            let pid_file = fixture.file("pid");
            let options = ["--detach", "--pid-file", pid_file.to_str().unwrap()];
            let exec = container.call_with("exec", &options);
            exec.args(["sleep", "60"]).run().ok();
            let entered = fs::read_to_string(&pid_file).unwrap();
            let asked = sets_of(mask);
            let mut sets = after_execve(asked, uid);
            if restricted {
                // With no-new-privileges root gains nothing that it did not have.
                sets[1] &= asked[1];
                sets[2] &= asked[1];
            }
            for pid in [container.pid().to_string(), entered] {
                let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
                let found = parse(&status);
                assert_safe!(found == sets, "is {found:x?}, not {sets:x?}");
                let mut groups = vec![5, gid, 4_000_000];
                groups.sort_unstable();
                for (name, expected) in [
                    ("Uid", vec![uid; 4]),
                    ("Gid", vec![gid; 4]),
                    ("Groups", groups),
                    ("NoNewPrivs", vec![u32::from(restricted)]),
                    ("Seccomp", vec![if restricted { 2 } else { 0 }]),
                    ("Seccomp_filters", vec![u32::from(restricted)]),
                ] {
                    let found = numbers(&status, name);
                    assert_safe!(found == expected, "{name} is {found:?}, not {expected:?}");
                }
            }
            container.delete_force().ok();
        }
    }
    fixture.assert_clean();
}

/// The numbers of one line.
fn numbers(status: &str, name: &str) -> Vec<u32> {
    let mut lines = status.lines().filter_map(|line| line.split_once(':'));
    let line = lines.find(|(known, _)| *known == name).expect(name).1;
    line.split_whitespace()
        .map(|word| word.parse().expect("a number"))
        .collect()
}

/// A block that isn't there, or is empty, is no capability at all.
#[test]
fn rt_20_an_absent_block_is_no_capability() {
    let fixture = security::fixture(test_name!());
    for uid in [0, 1000] {
        for block in [None, Some(json!({})), Some(json!({ "bounding": [] }))] {
            let bundle = user(fixture.bundle(), uid, uid)
                .set("/process/noNewPrivileges", json!(false))
                .args(&SHOW);
            let bundle = match &block {
                None => security::config::without(bundle, "/process/capabilities"),
                Some(block) => bundle.set("/process/capabilities", block.clone()),
            };
            let output = fixture.container(&bundle.written()).run().ok();
            let found = parse(&output.stdout);
            assert_safe!(found == [0; 5], "uid {uid}, {block:?}: {found:x?}");
        }
    }
    fixture.assert_clean();
}

/// A name that the runtime doesn't know grants nothing.
#[test]
fn rt_20_an_unknown_name_widens_nothing() {
    let fixture = security::fixture(test_name!());
    for name in [
        "CAP_NOT_THERE",
        "ALL",
        "CAP_ALL",
        "",
        "net_raw",
        "CAP_63",
        "*",
    ] {
        let sets = json!({ "bounding": [name], "effective": [name], "permitted": [name] });
        let bundle = fixture
            .bundle()
            .set("/process/capabilities", sets)
            .args(&SHOW)
            .written();
        let output = fixture.container(&bundle).run();
        if output.status.success() {
            let found = parse(&output.stdout);
            let limit = if name == "net_raw" { NET_RAW } else { 0 };
            let wider = found.iter().any(|set| set & !limit != 0);
            assert_safe!(!wider, "{name:?} gives {found:x?}");
        }
    }
    fixture.assert_clean();
}

/// CVE-2022-29162, CVE-2022-27650: inheritable capabilities that nobody asked for.
#[test]
fn rt_19_nothing_is_inheritable_by_default() {
    let fixture = security::fixture(test_name!());
    let bundle = fixture.bundle().args(&["sleep", "60"]).written();
    let container = fixture.container(&bundle);
    container.create().ok();
    container.start().ok();
    let plain = parse(&container.exec(&SHOW).ok().stdout);
    assert_safe!(plain[0] == 0 && plain[4] == 0, "exec: {plain:x?}");
    let more = container
        .call_with("exec", &["--cap", "CAP_NET_RAW"])
        .args(SHOW)
        .run()
        .ok();
    let more = parse(&more.stdout);
    assert_safe!(more[0] == 0, "exec --cap: inheritable {:x}", more[0]);
    assert_safe!(more[4] & !NET_RAW == 0, "exec --cap: ambient {:x}", more[4]);
    for set in 1..4 {
        let expected = plain[set] | NET_RAW;
        assert_eq!(more[set], expected, "exec --cap, {}", SETS[set].0);
    }
    let other = container
        .call_with("exec", &["--user", "1000:1000", "--cap", "CAP_NET_RAW"])
        .args(SHOW)
        .run()
        .ok();
    let other = parse(&other.stdout);
    assert_safe!(
        other[0] == 0,
        "exec --cap as a user: inheritable {:x}",
        other[0]
    );
    container.delete_force().ok();
    fixture.assert_clean();
}

/// A container in a user namespace is born with inheritable capabilities: they end before anything
/// that is not the runtime's own runs.
#[test]
fn rt_19_nothing_is_inheritable_in_a_user_namespace() {
    let fixture = security::fixture(test_name!());
    let seen = fixture.file("seen");
    let script = format!("cat >/dev/null; {} >{}", SHOW.join(" "), seen.display());
    let hook = json!([{ "path": "/bin/sh", "args": ["sh", "-c", script] }]);
    fs::write(&seen, "").unwrap();
    fs::set_permissions(&seen, fs::Permissions::from_mode(0o666)).unwrap();
    let bundle = user_namespace(fixture.bundle(), 100_000, 65536)
        .set("/hooks", json!({ "createContainer": hook }))
        .args(&SHOW)
        .written();
    let program = parse(&fixture.container(&bundle).run().ok().stdout);
    let hook = parse(&fs::read_to_string(&seen).unwrap());
    for (who, sets) in [("the program", program), ("a hook", hook)] {
        assert_safe!(sets[0] == 0 && sets[4] == 0, "{who}: {sets:x?}");
    }
    fixture.assert_clean();
}

/// What `spec` writes has no inheritable set, and what it runs neither.
#[test]
fn rt_19_the_default_specification_inherits_nothing() {
    let fixture = security::fixture(test_name!());
    let mut bundle = fixture.bundle();
    fs::remove_file(bundle.config_path()).unwrap();
    let spec = fixture.runtime().bare().arg("spec").dir(bundle.path());
    spec.run().ok();
    let text = fs::read(bundle.config_path()).unwrap();
    bundle.config = serde_json::from_slice(&text).unwrap();
    let sets = &bundle.config["process"]["capabilities"];
    for name in ["inheritable", "ambient"] {
        let list = sets[name].as_array();
        // runc's older versions list the ambient set; that is not the fault looked for.
        let empty = list.is_none_or(Vec::is_empty);
        assert_safe!(name == "ambient" || empty, "{name}: {}", sets[name]);
    }
    let bundle = bundle
        .set("/process/terminal", json!(false))
        .args(&SHOW)
        .written();
    let found = parse(&fixture.container(&bundle).run().ok().stdout);
    assert_safe!(found[0] == 0, "inheritable is {:x}", found[0]);
    fixture.assert_clean();
}

/// A file's inheritable capability meets the process's empty set.
#[test]
fn rt_19_a_files_inheritable_capability_gives_nothing() {
    let fixture = security::fixture(test_name!());
    let bundle = user(fixture.bundle(), 1000, 1000)
        .set("/process/noNewPrivileges", json!(false))
        .args(&["/bin/busybox.raised", "grep", "^Cap", "/proc/self/status"])
        .written();
    let program = bundle.rootfs().join("bin/busybox.raised");
    fs::copy(bundle.rootfs().join("bin/busybox"), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    setxattr(
        &program,
        "security.capability",
        &inheritable_capability(NET_RAW),
        XattrFlags::empty(),
    )
    .unwrap();
    let found = parse(&fixture.container(&bundle).run().ok().stdout);
    assert_safe!(found[1] == 0 && found[2] == 0, "raised to {found:x?}");
    let mount = rustix::fs::statvfs(&program).unwrap();
    if mount.f_flag.contains(rustix::fs::StatVfsMountFlags::NOSUID) {
        skip!("a nosuid file system holds the test's files: their capabilities count for nothing");
    }
    // The file does raise a process that has the capability inheritable.
    let sets = json!(["CAP_NET_RAW"]);
    let bundle = bundle
        .set(
            "/process/capabilities",
            json!({ "bounding": sets, "permitted": sets, "inheritable": sets }),
        )
        .written();
    let found = parse(&fixture.container(&bundle).run().ok().stdout);
    assert_eq!(found[1], NET_RAW, "the file's capability works");
    fixture.assert_clean();
}

/// `struct vfs_cap_data` of revision 2, not effective, with one inheritable set of 32 bits.
fn inheritable_capability(set: u64) -> Vec<u8> {
    let low = u32::try_from(set).expect("a capability below 32");
    [0x0200_0000, 0, low, 0, 0]
        .iter()
        .flat_map(|word: &u32| word.to_le_bytes())
        .collect()
}
