//! Cgroups of unprivileged users.
#![allow(clippy::unwrap_used)]

mod common;

use std::os::unix::fs::MetadataExt;

use common::{Scratch, member_path, own_path};
use orlop_cgroups::{Cgroup, CgroupPath, Limits};

const USER: u32 = 4711;

#[test]
fn an_owner_can_make_cgroups_below_but_no_limits() {
    let Some(layout) = common::v2_view() else {
        return;
    };
    let path = own_path();
    let cgroup = Scratch(Cgroup::create(&layout, &path, &Limits::new()).unwrap());
    cgroup.delegate(USER, USER).unwrap();
    let dir = member_path(&cgroup, "unified");
    let owner = |name: &str| std::fs::metadata(dir.join(name)).unwrap().uid();
    assert_eq!(owner("."), USER);
    for name in ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control"] {
        assert_eq!(owner(name), USER, "{name}");
    }
    for name in ["cgroup.freeze", "cgroup.max.depth", "cgroup.kill"] {
        assert_eq!(owner(name), 0, "{name}");
    }
}

#[test]
fn without_privileges_what_is_left_out_is_told() {
    let Some(layout) = common::host_view() else {
        return;
    };
    let path = own_path();
    let cgroup = Scratch(Cgroup::create(&layout, &path, &Limits::new()).unwrap());
    if cgroup.v2_dir().unwrap().is_none() {
        common::skipped("needs a cgroup v2 hierarchy");
        return;
    }
    cgroup.delegate(USER, USER).unwrap();
    common::again_as(
        USER,
        "unprivileged",
        &[("ORLOP_TEST_PATH", path.to_string())],
    );
    // What the user made there is below it, and goes with it.
}

#[test]
#[ignore = "run by another test, as a user"]
fn unprivileged() {
    let Ok(parent) = std::env::var("ORLOP_TEST_PATH") else {
        return;
    };
    let layout = orlop_cgroups::Layout::probe().unwrap();
    let path = CgroupPath::new(&format!("{parent}/mine")).unwrap();
    let limits = Limits::new().pids_limit(5);

    if layout.mode() == orlop_cgroups::Mode::Hybrid {
        let refused = Cgroup::create(&layout, &path, &limits)
            .unwrap_err()
            .to_string();
        assert!(refused.contains("not delegated to this user"), "{refused}");
        let (cgroup, left_out) = Cgroup::create_best_effort(&layout, &path, &limits).unwrap();
        assert_eq!(cgroup.members().len(), 1);
        // Each of the others is named, and the limit that is lost with them.
        assert_eq!(left_out.len(), layout.hierarchies().len(), "{left_out:?}");
        assert!(
            left_out.last().unwrap().to_string().starts_with("pids"),
            "{left_out:?}"
        );
        cgroup.destroy().unwrap();
        // A limit is never left out, only hierarchies without one.
        let refused = Cgroup::create_delegated(&layout, &path, &limits).unwrap_err();
        assert!(refused.to_string().contains("/pids/"), "{refused}");
        let cgroup = Cgroup::create_delegated(&layout, &path, &Limits::new()).unwrap();
        // The user may make a cgroup there, but is not in what is delegated, to move from.
        assert_eq!(cgroup.members().len(), 0);
        assert!(
            !layout
                .hierarchies()
                .last()
                .unwrap()
                .mountpoint()
                .join(&parent[1..])
                .join("mine")
                .exists()
        );
    }
    let nowhere = CgroupPath::new("/orlop-test-nowhere").unwrap();
    let (none, left_out) = Cgroup::create_best_effort(&layout, &nowhere, &Limits::new()).unwrap();
    assert!(none.members().is_empty());
    let none = Cgroup::create_delegated(&layout, &nowhere, &Limits::new()).unwrap();
    assert!(none.members().is_empty());
    assert_eq!(left_out.len(), layout.hierarchies().len());
}

#[test]
fn with_privileges_nothing_is_left_out() {
    for layout in common::views() {
        let (cgroup, left_out) =
            Cgroup::create_best_effort(&layout, &own_path(), &Limits::new()).unwrap();
        let cgroup = Scratch(cgroup);
        assert!(left_out.is_empty(), "{left_out:?}");
        assert_eq!(cgroup.members().len(), layout.hierarchies().len());
        let mut senseless = Limits::new();
        senseless.blkio.weight = Some(5);
        Cgroup::create_best_effort(&layout, &own_path(), &senseless).unwrap_err();
    }
}
