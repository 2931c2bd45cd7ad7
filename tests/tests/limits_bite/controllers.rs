//! Which controllers this host has, as the kernel tells it: what the runtime says is under test.

use std::fs;
use std::path::Path;

use crate::Lacking;

/// Passes if the host has them all, by their names on v1, in a hierarchy that is mounted.
pub(crate) fn need(controllers: &[&str]) -> Result<(), Lacking> {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("read the mounts");
    match controllers.iter().find(|name| !is_there(&mounts, name)) {
        Some(name) => Err(Lacking(format!("no {name} controller"))),
        None => Ok(()),
    }
}

fn is_there(mounts: &str, controller: &str) -> bool {
    mounts.lines().any(|mount| {
        let mut fields = mount.split(' ').skip(1);
        match (fields.next(), fields.next(), fields.next()) {
            (_, Some("cgroup"), Some(options)) => options.split(',').any(|one| one == controller),
            (Some(root), Some("cgroup2"), _) => {
                let name = if controller == "blkio" {
                    "io"
                } else {
                    controller
                };
                fs::read_to_string(Path::new(root).join("cgroup.controllers"))
                    .is_ok_and(|all| all.split_whitespace().any(|one| one == name))
            }
            _ => false,
        }
    })
}

#[test]
fn every_hierarchy_is_looked_at() {
    let mounts =
        "cgroup /c cgroup rw,cpu,cpuacct 0 0\nnone /none cgroup2 rw 0 0\nx /x tmpfs rw,pids 0 0";
    assert!(is_there(mounts, "cpuacct"));
    assert!(!is_there(mounts, "pids") && !is_there(mounts, "cpuset"));
}
