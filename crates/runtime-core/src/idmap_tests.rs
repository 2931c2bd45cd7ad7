use std::os::fd::AsFd;

use super::{GIDS, IdMapping, UIDS, Way, Writer, text, validate, write};

fn map(lines: &[(u32, u32, u32)]) -> Vec<IdMapping> {
    lines
        .iter()
        .map(|&(container_id, host_id, size)| IdMapping {
            container_id,
            host_id,
            size,
        })
        .collect()
}

fn reason(lines: &[(u32, u32, u32)]) -> String {
    validate("linux.uidMappings", &map(lines))
        .unwrap_err()
        .to_string()
}

#[test]
fn sound_maps_pass() {
    let many: Vec<_> = (0..340).map(|index| (index, 1000 + index, 1)).collect();
    for good in [
        &[(0, 0, u32::MAX)][..],
        &[(0, 1000, 1)],
        &[(0, 1000, 1), (1, 100_000, 65_536)],
        &[(1, 100_000, 65_536), (0, 1000, 1)],
        &[(0, u32::MAX - 1, 1)],
        &many,
    ] {
        validate("linux.uidMappings", &map(good)).unwrap();
    }
}

#[test]
fn unsound_maps_name_the_field() {
    assert!(reason(&[]).starts_with("linux.uidMappings: it has no line"));
    assert_eq!(
        reason(&[(0, 0, 1), (1, 1, 0)]),
        "linux.uidMappings[1].size: it must be greater than 0"
    );
    let wraps = reason(&[(1, 0, u32::MAX)]);
    assert!(
        wraps.starts_with("linux.uidMappings[0].containerID: "),
        "{wraps}"
    );
    let wraps = reason(&[(0, u32::MAX, 1)]);
    assert!(
        wraps.starts_with("linux.uidMappings[0].hostID: "),
        "{wraps}"
    );
    let twice = reason(&[(0, 1000, 10), (9, 2000, 1)]);
    assert_eq!(
        twice,
        "linux.uidMappings: id 9 is mapped twice (containerID)"
    );
    let twice = reason(&[(20, 1005, 1), (0, 1000, 10)]);
    assert_eq!(twice, "linux.uidMappings: id 1005 is mapped twice (hostID)");
}

#[test]
fn maps_are_bounded() {
    let lines: Vec<_> = (0..341).map(|index| (index, index, 1)).collect();
    assert_eq!(
        reason(&lines),
        "linux.uidMappings: it has 341 lines; the kernel takes 340"
    );
    let lines: Vec<_> = (0..10_000).map(|index| (index, index, 1)).collect();
    assert!(reason(&lines).contains("10000 lines"));
    let long = |index: u32| {
        (
            1_000_000_000 + index * 10_000,
            2_000_000_000 + index * 10_000,
            10_000,
        )
    };
    let lines: Vec<_> = (0..300).map(long).collect();
    if rustix::param::page_size() == 4096 {
        assert!(reason(&lines).contains("bytes as text; the kernel takes 4095"));
    }
}

#[test]
fn only_ones_own_id_is_written_without_privilege() {
    let own = map(&[(0, 1000, 1)]);
    assert_eq!(Way::of(&own, 1000, true), Way::Direct);
    assert_eq!(Way::of(&own, 1000, false), Way::OwnId);
    assert_eq!(Way::of(&own, 1001, false), Way::Helper);
    assert_eq!(Way::of(&map(&[(0, 1000, 2)]), 1000, false), Way::Helper);
    assert_eq!(
        Way::of(&map(&[(0, 1000, 1), (1, 1, 1)]), 1000, false),
        Way::Helper
    );
}

#[test]
fn the_text_is_what_the_kernel_reads() {
    assert_eq!(
        text(&map(&[(0, 1000, 1), (1, 100_000, 65_536)])),
        "0 1000 1\n1 100000 65536\n"
    );
}

/// A process in a new user namespace that waits until its input ends.
fn in_new_namespace() -> Option<(std::process::Child, i32)> {
    use std::process::{Command, Stdio};
    let mut child = Command::new("unshare")
        .args(["--user", "sh", "-c", "echo ready; exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut byte = [0];
    let out = child.stdout.as_ref()?.as_fd().try_clone_to_owned().ok()?;
    rustix::io::read(out, &mut byte).ok()?;
    let pid = child.id().try_into().ok()?;
    if byte == *b"r" {
        return Some((child, pid));
    }
    child.wait().ok()?;
    None
}

#[test]
fn the_kernel_takes_the_longest_map() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let Some((mut child, pid)) = in_new_namespace() else {
        panic!("unshare(1) can't make a user namespace");
    };
    let lines: Vec<_> = (0..340).map(|index| (index, 1000 + index, 1)).collect();
    write(pid, &map(&lines), &map(&[(0, 0, 1), (1, 100, 10)])).unwrap();
    let uids = std::fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap();
    assert_eq!(uids.lines().count(), 340);
    let gids = std::fs::read_to_string(format!("/proc/{pid}/gid_map")).unwrap();
    assert_eq!(
        gids.split_whitespace().collect::<Vec<_>>(),
        ["0", "0", "1", "1", "100", "10"]
    );
    let again = write(pid, &map(&[(0, 0, 1)]), &map(&[(0, 0, 1)]))
        .unwrap_err()
        .to_string();
    assert!(
        again.starts_with(&format!("write /proc/{pid}/uid_map: ")),
        "{again}"
    );
    drop(child.stdin.take());
    child.wait().unwrap();
}

#[test]
fn without_privilege_groups_can_not_be_dropped() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let Some((mut child, pid)) = in_new_namespace() else {
        panic!("unshare(1) can't make a user namespace");
    };
    let writer = Writer {
        capabilities: 0,
        uid: 0,
        gid: 0,
    };
    let own = map(&[(0, 0, 1)]);
    writer.write(&UIDS, pid, &own, writer.uid).unwrap();
    writer.write(&GIDS, pid, &own, writer.gid).unwrap();
    let setgroups = std::fs::read_to_string(format!("/proc/{pid}/setgroups")).unwrap();
    assert_eq!(setgroups.trim(), "deny");
    drop(child.stdin.take());
    child.wait().unwrap();
}
