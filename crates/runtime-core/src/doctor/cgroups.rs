//! Cgroups: which versions, which back end follows from them, what is missing, what is delegated.

use std::path::Path;

use orlop_cgroups::{Controller, Hierarchy, Layout, Mode, UNIFIED};
use rustix::fs::{Access, access};

use super::Finding;

/// What limits need that most containers have.
const USUAL: [Controller; 5] = [
    Controller::Cpu,
    Controller::Cpuset,
    Controller::Memory,
    Controller::Pids,
    Controller::Blkio,
];

/// What limits need that few have.
const RARE: [Controller; 2] = [Controller::Hugetlb, Controller::Rdma];

/// What is a hierarchy of its own on v1 only, and part of every cgroup on v2.
const OF_V1: [Controller; 2] = [Controller::Devices, Controller::Freezer];

pub(super) fn findings() -> Vec<Finding> {
    let layout = match Layout::probe() {
        Ok(layout) => layout,
        Err(error) => {
            let advice = "mount procfs at /proc";
            return vec![Finding::fail("cgroup.layout", error.to_string(), advice)];
        }
    };
    let mut findings = vec![
        layout_finding(&layout),
        back_end(layout.mode(), systemd_runs()),
    ];
    if layout.mode() != Mode::None {
        findings.push(controllers(&layout));
        findings.push(delegation(&layout));
    }
    findings
}

fn systemd_runs() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

fn layout_finding(layout: &Layout) -> Finding {
    let check = "cgroup.layout";
    let names = layout.hierarchies().iter().map(|hierarchy| {
        let at = hierarchy.mountpoint().display();
        format!("{} at {at}", hierarchy.name())
    });
    let names = names.collect::<Vec<_>>().join(", ");
    match layout.mode() {
        Mode::V2 => Finding::ok(check, format!("cgroup v2: {names}")),
        Mode::V1 => Finding::ok(check, format!("cgroup v1: {names}")),
        Mode::Hybrid => Finding::ok(check, format!("cgroup v1 and v2 (hybrid): {names}")),
        Mode::None => Finding::warn(
            check,
            "no cgroup hierarchy is mounted: containers have no limits and can't be paused",
            "mount -t cgroup2 none /sys/fs/cgroup",
        ),
    }
}

/// What limits are applied by, and why.
fn back_end(mode: Mode, systemd: bool) -> Finding {
    let by_files = match mode {
        Mode::V2 => "containers are born in their cgroup of v2",
        Mode::V1 => "containers join their cgroups of v1, one in each hierarchy",
        Mode::Hybrid => {
            "containers are born in their cgroup of v2 and join those of v1, which has controllers"
        }
        Mode::None => "containers have no cgroups",
    };
    let units = match (mode, systemd) {
        (Mode::None, _) | (_, false) => "systemd does not run, so it can make none of them",
        (_, true) => "those that systemd is to make are scopes",
    };
    Finding::ok("cgroup.backend", format!("{by_files}; {units}"))
}

fn has(layout: &Layout, controller: Controller) -> bool {
    matches!(layout.hierarchy_of(controller), Ok(Some(_)))
}

fn controllers(layout: &Layout) -> Finding {
    let of_v1: &[Controller] = if layout.mode() == Mode::V2 {
        &[]
    } else {
        &OF_V1
    };
    let names = |wanted: &mut dyn Iterator<Item = &Controller>, there: bool| {
        let found = wanted.filter(|controller| has(layout, **controller) == there);
        found
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let there = names(&mut USUAL.iter().chain(of_v1).chain(&RARE), true);
    let missing = names(&mut USUAL.iter().chain(of_v1), false);
    let rare = names(&mut RARE.iter(), false);
    let check = "cgroup.controllers";
    if missing.is_empty() {
        let rest = if rare.is_empty() {
            String::new()
        } else {
            format!(" (not {rare})")
        };
        return Finding::ok(check, format!("{there}{rest}"));
    }
    let advice = if layout.mode() == Mode::V2 {
        "enable them: not all kernels have them compiled in, some need cgroup_enable= at boot, and all \
         cgroups above need them in cgroup.subtree_control"
    } else {
        "mount their v1 hierarchies, or boot with cgroup v2"
    };
    let message =
        format!("no {missing}: containers that ask for such limits are refused (there: {there})");
    Finding::warn(check, message, advice)
}

/// Whether this caller can make cgroups, and where.
fn delegation(layout: &Layout) -> Finding {
    let check = "cgroup.delegation";
    let unified = layout
        .hierarchies()
        .iter()
        .find(|one| one.name() == UNIFIED);
    if rustix::process::geteuid().is_root() {
        let writable = layout
            .hierarchies()
            .iter()
            .all(|one| may_write(one.mountpoint()));
        return if writable {
            Finding::ok(check, "this caller may make cgroups in every hierarchy")
        } else {
            Finding::warn(
                check,
                "a cgroup hierarchy is mounted read-only for this caller",
                "remount it: mount -o remount,rw on its mount point",
            )
        };
    }
    match unified {
        Some(unified) => of_user(unified),
        None => Finding::warn(
            check,
            "cgroup v1 can't be delegated safely: this user's containers have no limits",
            "boot the host with cgroup v2 (systemd.unified_cgroup_hierarchy=1)",
        ),
    }
}

fn of_user(unified: &Hierarchy) -> Finding {
    let check = "cgroup.delegation";
    let own = unified.own_path();
    let delegated = may_write(&own) && may_write(&own.join("cgroup.subtree_control"));
    let controllers = std::fs::read_to_string(own.join("cgroup.controllers")).unwrap_or_default();
    if delegated {
        let at = own.display();
        return Finding::ok(
            check,
            format!("{at} is this user's, with {}", controllers.trim()),
        );
    }
    Finding::warn(
        check,
        format!(
            "{} is not delegated to this user: its containers have no limits",
            own.display()
        ),
        "systemd-run --user --scope -p Delegate=yes COMMAND; for more controllers, Delegate= in a drop-in \
         of user@.service",
    )
}

fn may_write(path: &Path) -> bool {
    access(path, Access::WRITE_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    const V1: &str = "30 23 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      31 23 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";

    fn v1() -> Layout {
        Layout::parse(V1, "2:memory:/\n1:cpu:/\n")
    }

    #[test]
    fn a_layout_is_named() {
        let finding = layout_finding(&v1());
        assert_eq!(finding.level, Level::Ok);
        assert!(
            finding.message.starts_with("cgroup v1: "),
            "{}",
            finding.message
        );
        assert_eq!(layout_finding(&Layout::parse("", "")).level, Level::Warn);
    }

    #[test]
    fn missing_controllers_are_named() {
        let finding = controllers(&v1());
        assert_eq!(finding.level, Level::Warn);
        assert!(
            finding.message.starts_with("no cpuset, pids, "),
            "{}",
            finding.message
        );
        assert!(
            finding.message.ends_with("(there: cpu, memory)"),
            "{}",
            finding.message
        );
    }

    #[test]
    fn the_back_end_is_explained() {
        for (mode, systemd, text) in [
            (Mode::V2, true, "those that systemd is to make are scopes"),
            (
                Mode::V2,
                false,
                "systemd does not run, so it can make none of them",
            ),
            (
                Mode::Hybrid,
                false,
                "born in their cgroup of v2 and join those of v1",
            ),
            (Mode::None, true, "no cgroups"),
        ] {
            assert!(back_end(mode, systemd).message.contains(text), "{text}");
        }
    }
}
