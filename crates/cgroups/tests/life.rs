//! The life of a cgroup on this host's own hierarchies: made, joined, frozen,
//! killed, removed; and what is refused.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::{Process, Scratch, exists, own_path, views, wait_until};
use orlop_cgroups::{Cgroup, CgroupPath, Controller, Error, FreezerState, Limits, Mode, Signal};

#[test]
fn makes_exactly_the_planned_directories_and_removes_them() {
    for layout in views() {
        let path = own_path();
        let plan = Cgroup::plan_paths(&layout, &path);
        assert_eq!(plan.len(), layout.hierarchies().len());
        assert!(plan.iter().all(|place| !exists(&place.path)));
        let cgroup = Scratch(Cgroup::create(&layout, &path, &Limits::new()).unwrap());
        assert_eq!(cgroup.record(), plan);
        assert!(plan.iter().all(|place| exists(&place.path)));
        assert!(cgroup.members().iter().all(orlop_cgroups::Member::made));
        assert_eq!(cgroup.processes().unwrap(), Vec::<u32>::new());
        cgroup.destroy().unwrap();
        assert!(plan.iter().all(|place| !exists(&place.path)));
        cgroup.destroy().unwrap();
        cgroup.kill_all(Signal::KILL).unwrap();
        assert_eq!(cgroup.processes().unwrap(), Vec::<u32>::new());
    }
}

#[test]
fn missing_parents_are_made_and_a_failure_takes_them_back() {
    for layout in views() {
        let parent = own_path();
        let path = CgroupPath::new(&format!("{parent}/b/c")).unwrap();
        let impossible = Limits::new().cpus("4000-4001").mems("900");
        let tops: Vec<_> = Cgroup::plan_paths(&layout, &parent)
            .into_iter()
            .map(|place| place.path)
            .collect();
        Cgroup::create(&layout, &path, &impossible).unwrap_err();
        assert!(
            tops.iter().all(|top| !exists(top)),
            "something of {parent} is left"
        );

        let cgroup = Scratch(Cgroup::create(&layout, &path, &Limits::new()).unwrap());
        let process = Process::in_cgroup(&cgroup, "exec sleep 60");
        assert_eq!(cgroup.processes().unwrap().first(), Some(&process.pid()));
        drop(process);
        drop(cgroup);
        // The parents belong to whoever made them; here that is this test.
        drop(Scratch(Cgroup::open(&Cgroup::plan_paths(&layout, &parent))));
    }
}

#[test]
fn a_cgroup_in_use_is_refused_and_an_empty_one_taken_over() {
    for layout in views() {
        let path = own_path();
        let first = Scratch(Cgroup::create(&layout, &path, &Limits::new()).unwrap());
        let second = Cgroup::create(&layout, &path, &Limits::new()).unwrap();
        assert!(second.members().iter().all(|member| !member.made()));

        let process = Process::in_cgroup(&first, "exec sleep 60");
        let error = Cgroup::create(&layout, &path, &Limits::new()).unwrap_err();
        assert!(matches!(error, Error::NotEmpty { .. }), "{error}");
        assert!(
            error
                .to_string()
                .starts_with("container's cgroup is not empty: "),
            "{error}"
        );
        assert!(first.members().iter().all(|member| exists(member.path())));
        drop(process);
    }
}

#[test]
fn a_frozen_cgroup_is_refused() {
    for layout in views() {
        let path = own_path();
        let first = Scratch(Cgroup::create(&layout, &path, &Limits::new()).unwrap());
        first.freeze().unwrap();
        let error = Cgroup::create(&layout, &path, &Limits::new()).unwrap_err();
        assert!(matches!(error, Error::Frozen { .. }), "{error}");
        first.thaw().unwrap();
        Cgroup::create(&layout, &path, &Limits::new()).unwrap();
    }
}

#[test]
fn below_a_frozen_cgroup_nothing_is_made() {
    for layout in views() {
        let top = own_path();
        let first = Scratch(Cgroup::create(&layout, &top, &Limits::new()).unwrap());
        let path = CgroupPath::new(&format!("{top}/b/c")).unwrap();
        first.freeze().unwrap();
        let error = Cgroup::create(&layout, &path, &Limits::new()).unwrap_err();
        // It names the one to thaw, not the one that was asked for.
        assert!(
            matches!(&error, Error::Frozen { path } if path.ends_with(top.relative())),
            "{error}"
        );
        let places = Cgroup::plan_paths(&layout, &CgroupPath::new(&format!("{top}/b")).unwrap());
        assert!(places.iter().all(|place| !exists(&place.path)));
        first.thaw().unwrap();
        drop(Scratch(
            Cgroup::create(&layout, &path, &Limits::new()).unwrap(),
        ));
    }
}

#[test]
fn clearing_kills_what_is_there_and_removes_it() {
    for layout in views() {
        let cgroup = Scratch(Cgroup::create(&layout, &own_path(), &Limits::new()).unwrap());
        let mut process = Process::in_cgroup(&cgroup, "sleep 60 & sleep 60");
        // A zombie that nobody waits for would keep it busy.
        let waiter = std::thread::spawn(move || process.0.wait().unwrap());
        cgroup.clear().unwrap();
        waiter.join().unwrap();
        assert!(cgroup.members().iter().all(|member| !exists(member.path())));
        cgroup.clear().unwrap();
    }
}

#[test]
fn a_cpuset_below_one_of_ours_is_filled_in_by_the_kernel() {
    let Some(layout) = common::v1_view().filter(|layout| common::has(layout, "cpuset")) else {
        return;
    };
    let top = own_path();
    let below = |name: &str| CgroupPath::new(&format!("{top}/{name}")).unwrap();
    let create = |path: &CgroupPath, limits: &Limits| {
        Scratch(Cgroup::create(&layout, path, limits).unwrap())
    };
    let first = create(&below("a"), &Limits::new());
    let parent = Scratch(Cgroup::open(&Cgroup::plan_paths(&layout, &top)));
    let list = |cgroup: &Cgroup| {
        ["cpuset.cpus", "cpuset.mems"].map(|file| common::read(cgroup, "cpuset", file))
    };
    let inherited = list(&parent);
    assert!(inherited.iter().all(|list| !list.is_empty()));
    assert_eq!(
        common::read(&parent, "cpuset", "cgroup.clone_children"),
        "1"
    );
    assert_eq!(list(&first), inherited);
    // A limit holds all the same.
    let second = create(&below("b"), &Limits::new().cpus("0"));
    assert_eq!(list(&second), ["0".to_owned(), inherited[1].clone()]);
    // And where the kernel does not: a parent that somebody else has made.
    let file = common::member_path(&parent, "cpuset").join("cgroup.clone_children");
    fs::write(file, "0").unwrap();
    let third = create(&below("c"), &Limits::new());
    assert_eq!(list(&third), inherited);
    drop((first, second, third));
}

#[test]
fn freezing_stops_a_counter() {
    for layout in views() {
        let cgroup = Scratch(Cgroup::create(&layout, &own_path(), &Limits::new()).unwrap());
        let file = std::env::temp_dir().join(format!("orlop-test-{}-counter", std::process::id()));
        let script = format!(
            "while :; do echo x >> {}; sleep 0.001; done",
            file.display()
        );
        let _process = Process::in_cgroup(&cgroup, &script);
        let size = || fs::metadata(&file).map_or(0, |data| data.len());
        wait_until("the counter to run", || size() > 5);

        assert_eq!(cgroup.freezer_state().unwrap(), FreezerState::Thawed);
        cgroup.freeze().unwrap();
        assert_eq!(cgroup.freezer_state().unwrap(), FreezerState::Frozen);
        let frozen = size();
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(size(), frozen);
        cgroup.thaw().unwrap();
        wait_until("the counter to go on", || size() > frozen);
        cgroup.freeze().unwrap();
        // Killing thaws: a frozen process on v1 cannot die.
        cgroup.kill_all(Signal::KILL).unwrap();
        wait_until("the end", || cgroup.processes().unwrap().is_empty());
        fs::remove_file(&file).unwrap();
    }
}

#[test]
fn other_signals_reach_each_process_once_and_leave_it_running() {
    for layout in views() {
        let cgroup = Scratch(Cgroup::create(&layout, &own_path(), &Limits::new()).unwrap());
        let script = "trap 'echo got' USR1; echo ready; n=0; while [ $n -lt 40 ]; do sleep 0.01; n=$((n+1)); done";
        let mut process = Process::in_cgroup(&cgroup, script);
        assert_eq!(process.wait_for_line(), "ready");
        // The sleep dies of the signal; the shell has a trap.
        cgroup.kill_all(Signal::new(10).unwrap()).unwrap();
        assert_eq!(cgroup.freezer_state().unwrap(), FreezerState::Thawed);
        let output = process.output();
        assert_eq!(output.matches("got").count(), 1, "{output}");
    }
}

const BOMB_DEPTH: &str = "ORLOP_TEST_BOMB_DEPTH";

/// The fork bomb of the next test: some hundred processes that never stop to
/// start more, whether they can or not.
#[test]
#[ignore = "run by another test"]
fn bomb() {
    let Some(depth) = std::env::var(BOMB_DEPTH)
        .ok()
        .and_then(|d| d.parse::<u32>().ok())
    else {
        return;
    };
    let again = |depth: u32| {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command
            .args(["bomb", "--exact", "--ignored"])
            .env(BOMB_DEPTH, depth.to_string());
        command
    };
    if depth > 6 {
        return;
    }
    let _children = [again(depth + 1).spawn(), again(depth + 1).spawn()];
    loop {
        let _ = again(100).status();
    }
}

#[test]
fn a_fork_bomb_is_gone_at_once() {
    for layout in views() {
        let pids = layout.hierarchy_of(Controller::Pids).unwrap().is_some();
        // The unified hierarchy of a hybrid host has no pids controller.
        let limits = if pids {
            Limits::new().pids_limit(100)
        } else {
            Limits::new()
        };
        let cgroup = Scratch(Cgroup::create(&layout, &own_path(), &limits).unwrap());
        let program = std::env::current_exe().unwrap();
        let script = format!(
            "{BOMB_DEPTH}=0 {} bomb --exact --ignored >/dev/null 2>&1",
            program.display()
        );
        let _process = Process::in_cgroup(&cgroup, &script);
        wait_until("the bomb to go off", || {
            cgroup.processes().unwrap().len() > 40
        });
        if pids {
            assert!(cgroup.processes().unwrap().len() <= 100);
        }
        let start = Instant::now();
        cgroup.kill_all(Signal::KILL).unwrap();
        wait_until("all to be gone", || cgroup.processes().unwrap().is_empty());
        // Some 50 ms on a machine in rest; the rest is for one that is not.
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{:?}",
            start.elapsed()
        );
    }
}

#[test]
fn nested_cgroups_are_listed_killed_and_removed() {
    for layout in views() {
        let path = own_path();
        let cgroup = Scratch(Cgroup::create(&layout, &path, &Limits::new()).unwrap());
        let nested = CgroupPath::new(&format!("{path}/x/y")).unwrap();
        let nested = Cgroup::create(&layout, &nested, &Limits::new()).unwrap();
        let process = Process::in_cgroup(&nested, "exec sleep 60");
        assert!(cgroup.processes().unwrap().contains(&process.pid()));
        assert!(
            cgroup
                .members()
                .iter()
                .all(|member| member.path().join("x/y").exists())
        );
        let busy = Cgroup::create(&layout, &path, &Limits::new()).unwrap_err();
        assert!(matches!(busy, Error::NotEmpty { .. }), "{busy}");
        cgroup.kill_all(Signal::KILL).unwrap();
        drop(process);
        cgroup.destroy().unwrap();
    }
}

#[test]
fn a_cgroup_with_processes_is_not_removed_and_says_so() {
    let Some(layout) = common::host_view() else {
        return;
    };
    let cgroup = Scratch(Cgroup::create(&layout, &own_path(), &Limits::new()).unwrap());
    let process = Process::in_cgroup(&cgroup, "exec sleep 60");
    let error = cgroup.destroy().unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert!(error.to_string().contains("still populated"), "{error}");
    drop(process);
}

#[test]
fn tasks_files_are_opened_for_the_v1_hierarchies() {
    for layout in views() {
        let cgroup = Scratch(Cgroup::create(&layout, &own_path(), &Limits::new()).unwrap());
        let v1 = common::version_of(&layout)
            .into_iter()
            .filter(|version| *version == orlop_cgroups::Version::V1)
            .count();
        assert_eq!(cgroup.tasks_fds().unwrap().len(), v1);
        assert_eq!(
            cgroup.v2_dir().unwrap().is_some(),
            layout.mode() != Mode::V1
        );
    }
}

#[test]
fn below_a_threaded_cgroup_it_says_why_not() {
    let Some(layout) = common::v2_view() else {
        return;
    };
    let top = own_path();
    let cgroup = Scratch(Cgroup::create(&layout, &top, &Limits::new()).unwrap());
    // Not by us: a cgroup with controllers for those below has no threaded ones.
    let threads = cgroup.members()[0].path().join("threads");
    fs::create_dir(&threads).unwrap();
    fs::write(threads.join("cgroup.type"), "threaded").unwrap();
    let below = CgroupPath::new(&format!("{top}/threads/x")).unwrap();
    let error = Cgroup::create(&layout, &below, &Limits::new())
        .unwrap_err()
        .to_string();
    assert!(error.contains("a cgroup above it is threaded"), "{error}");
    assert!(!threads.join("x").exists());
    drop(cgroup);
}
