//! What the fuzz targets feed: each function takes any bytes, and panics where a
//! promise of the parser behind it is broken. The same functions run over the
//! corpus in `cargo test`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::fs;
use std::io::Write;
use std::path::{Component, Path};

use crate::device::{DeviceList, model};
use crate::{
    Access, Cgroup, CgroupPath, DeviceKind, DeviceRule, Layout, Mode, RecordedPath, UNIFIED,
};

/// A parser's promises, checked on one input.
pub type Target = fn(&[u8]);

/// All targets, by the names of their programs and of their folders in the corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("cgroup_layout", layout),
    ("cgroup_path", path),
    ("cgroup_files", files),
    ("device_rules", device_rules),
    #[cfg(feature = "systemd")]
    ("systemd_unit", crate::systemd::fuzzing::unit),
    #[cfg(feature = "systemd")]
    ("systemd_message", crate::systemd::fuzzing::message),
];

/// Whether nothing in the path leads elsewhere.
pub(crate) fn is_plain(path: &Path) -> bool {
    path.components()
        .all(|part| matches!(part, Component::Normal(_)))
}

/// `/proc/self/mountinfo`, an empty line, `/proc/self/cgroup`: a cgroup lies below
/// the mount point of its hierarchy, whatever is mounted where.
pub fn layout(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (mountinfo, cgroup) = text.split_once("\n\n").unwrap_or((&text, "0::/\n"));
    let layout = Layout::parse(mountinfo, cgroup);
    assert_eq!(layout.mode() == Mode::None, layout.hierarchies().is_empty());
    for path in ["/a/b", "a/b"] {
        let path = CgroupPath::new(path).expect("a good path");
        let places = Cgroup::plan_paths(&layout, &path);
        assert_eq!(places.len(), layout.hierarchies().len());
        for (place, hierarchy) in places.iter().zip(layout.hierarchies()) {
            let below = place.path.strip_prefix(hierarchy.mountpoint());
            let below = below.expect("a cgroup below its mount point");
            assert!(is_plain(below) && below.ends_with("a/b"), "{place:?}");
        }
    }
}

/// `cgroupsPath`: what is accepted leads down, and is read again as the same.
pub fn path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(read) = CgroupPath::new(text) else {
        return;
    };
    assert!(is_plain(read.relative()), "{text:?}");
    assert!(read.relative().components().next().is_some(), "{text:?}");
    let again = CgroupPath::new(&read.to_string()).expect("a path that was written can be read");
    assert_eq!(read, again);
}

/// Files of a cgroup, each as a line `== NAME` and its content: whatever is in
/// them, figures and limits can be read, on v1 and on v2.
pub fn files(data: &[u8]) {
    // On v1 every hierarchy may well be one and the same directory.
    const V1: &str =
        "cpu,cpuacct,cpuset,memory,pids,blkio,devices,freezer,hugetlb,rdma,net_cls,net_prio";
    let dir = std::env::temp_dir().join(format!("orlop-fuzz-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir(&dir).expect("a scratch directory");
    let mut file = None;
    for line in data.split_inclusive(|byte| *byte == b'\n') {
        match (line.strip_prefix(b"== "), &mut file) {
            (Some(name), file) => *file = create(&dir, name),
            (None, Some(file)) => file.write_all(line).expect("room for a file"),
            (None, None) => {}
        }
    }
    for hierarchy in [V1, UNIFIED] {
        let cgroup = Cgroup::open(&[RecordedPath {
            hierarchy: hierarchy.to_owned(),
            path: dir.clone(),
        }]);
        cgroup.stats().expect("figures");
        cgroup.limits().expect("limits").check().ok();
        cgroup.processes().expect("processes");
        let _ = cgroup.freezer_state();
    }
    fs::remove_dir_all(&dir).expect("the scratch directory is removed");
}

/// A file of that name, if it is one that a kernel could have chosen.
fn create(dir: &Path, name: &[u8]) -> Option<fs::File> {
    let name = std::str::from_utf8(name).ok()?.trim_end();
    let is_usual = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_good = name.len() < 200 && !name.starts_with('.') && name.chars().all(is_usual);
    (is_good && !name.is_empty()).then(|| fs::File::create(dir.join(name)).ok())?
}

/// Five bytes a rule: the v2 program and the v1 list mean what the rules say, and
/// the list survives being shown by the kernel. As text: `devices.list`.
pub fn device_rules(data: &[u8]) {
    let rules: Vec<_> = data.chunks_exact(5).take(12).map(rule).collect();
    model::check_everywhere(&rules);
    let lists = [
        DeviceList::from_rules(&rules).ok(),
        Some(DeviceList::parse(&String::from_utf8_lossy(data))),
    ];
    for list in lists.into_iter().flatten() {
        let rules = list.to_rules();
        let again = DeviceList::from_rules(&rules).expect("a list's own rules are a list");
        assert_eq!(list, again);
        let (default, exceptions) = rules.split_first().expect("the default");
        if !default.allow {
            let shown: Vec<_> = exceptions.iter().map(DeviceRule::to_string).collect();
            assert_eq!(DeviceList::parse(&shown.join("\n")), list);
        }
    }
}

fn rule(bytes: &[u8]) -> DeviceRule {
    let number = |byte: u8| match byte % 5 {
        0 => None,
        4 => Some(u32::MAX),
        n => Some(n.into()),
    };
    let letters = ["r", "w", "m", "rw", "rm", "wm", "rwm"];
    DeviceRule {
        allow: bytes[0] & 1 == 1,
        kind: [DeviceKind::All, DeviceKind::Block, DeviceKind::Char][usize::from(bytes[1]) % 3],
        major: number(bytes[2]),
        minor: number(bytes[3]),
        access: Access::parse(letters[usize::from(bytes[4]) % 7]).expect("letters"),
    }
}

#[cfg(test)]
#[path = "fuzzing_tests.rs"]
mod tests;
