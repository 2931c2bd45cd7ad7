//! `exec --cgroup`: a process in a part of the container's cgroup.

use orlop_tests::view::{cgroup_roots, has_v1};
use orlop_tests::{Container, Fixture, cgroup, skip, test_name};
use std::fs;
use std::path::PathBuf;

/// The directories of a container's cgroup, in all hierarchies.
fn folders(container: &Container) -> Vec<PathBuf> {
    let table = fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).expect("a cgroup");
    let mut all: Vec<PathBuf> = Vec::new();
    for root in cgroup_roots().expect("the mounts") {
        for line in table.lines() {
            let path = line.splitn(3, ':').nth(2).unwrap_or("/");
            let folder = root.join(path.trim_start_matches('/'));
            if path.contains(container.id()) && folder.is_dir() && !all.contains(&folder) {
                all.push(folder);
            }
        }
    }
    all
}

fn started(fixture: &Fixture) -> Container {
    let bundle = fixture.bundle().args(&["sleep", "60"]).written();
    let container = fixture.container(&bundle);
    container.create().ok();
    container.start().ok();
    container
}

/// What `/proc/self/cgroup` says in the container, as the host sees it.
fn table_of_exec(fixture: &Fixture, container: &Container, options: &[&str]) -> String {
    let pid_file = fixture.file("pid");
    let mut all = vec!["--detach", "--pid-file", pid_file.to_str().expect("text")];
    all.extend(options);
    container
        .call_with("exec", &all)
        .args(["sleep", "60"])
        .run()
        .ok();
    let pid = fs::read_to_string(pid_file).expect("a pid");
    fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("a cgroup")
}

#[test]
fn a_path_is_below_the_container_s_cgroup_in_every_hierarchy() {
    let fixture = Fixture::new(test_name!());
    let container = started(&fixture);
    for folder in folders(&container) {
        fs::create_dir(folder.join("part")).unwrap();
        for file in ["cpuset.cpus", "cpuset.mems"] {
            // A v1 cpuset without them takes no process.
            if let Ok(list) = fs::read_to_string(folder.join(file)) {
                let _ = fs::write(folder.join("part").join(file), list);
            }
        }
    }
    for path in ["part", "/part"] {
        let table = table_of_exec(&fixture, &container, &["--cgroup", path]);
        let own = fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).unwrap();
        for (line, own) in table.lines().zip(own.lines()) {
            if own.contains(container.id()) {
                assert_eq!(line, format!("{own}/part"));
            }
        }
    }
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn a_controller_has_a_path_of_its_own() {
    if !has_v1() {
        skip!("no cgroup v1 hierarchy on this host");
    }
    let fixture = Fixture::new(test_name!());
    let container = started(&fixture);
    for controller in ["cpu", "memory", "pids"] {
        let folder = cgroup::folder(container.pid(), controller).unwrap();
        fs::create_dir(folder.join("part")).unwrap();
    }
    let options = ["--cgroup", "cpu,memory:part", "--cgroup", "pids:/part"];
    let table = table_of_exec(&fixture, &container, &options);
    for line in table.lines() {
        let controllers = line.split(':').nth(1).unwrap_or_default();
        let moved = ["cpu", "memory", "pids"].contains(&controllers);
        assert_eq!(line.ends_with("/part"), moved, "{line}");
    }
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn what_is_not_below_is_refused() {
    let fixture = Fixture::new(test_name!());
    let container = started(&fixture);
    for (options, text) in [
        (&["--cgroup", "../.."][..], "is not a sub cgroup path"),
        (
            &["--cgroup", "a", "--cgroup", "b"],
            "(missing <controller>: prefix)",
        ),
        (&["--cgroup", "a:b:c"], "invalid --cgroup argument: a:b:c"),
        (&["--cgroup", "nonsense:part"], "nonsense"),
        (&["--cgroup", "part"], "part"),
    ] {
        let output = container.call_with("exec", options).arg("true").run();
        assert_eq!(output.code(), 255, "{output}");
        output.says(text);
    }
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn on_v2_a_process_follows_the_first_one_into_a_child() {
    let fixture = Fixture::new(test_name!());
    let container = started(&fixture);
    let pid = container.pid();
    let unified = folders(&container).into_iter().find(|one| {
        one.join("cgroup.procs").exists() && one.join("cgroup.subtree_control").exists()
    });
    let controller = unified.as_ref().and_then(|folder| {
        let all = fs::read_to_string(folder.join("cgroup.controllers")).ok()?;
        all.split_whitespace()
            .find(|name| ["memory", "pids", "hugetlb"].contains(name))
            .map(str::to_owned)
    });
    let (Some(unified), Some(controller)) = (unified, controller) else {
        container.delete_force().ok();
        skip!("no controller of cgroup v2 is enabled for containers");
    };
    let child = unified.join("child");
    fs::create_dir(&child).unwrap();
    fs::write(child.join("cgroup.procs"), pid.to_string()).unwrap();
    fs::write(
        unified.join("cgroup.subtree_control"),
        format!("+{controller}"),
    )
    .unwrap();
    let table = table_of_exec(&fixture, &container, &[]);
    assert!(
        table
            .lines()
            .any(|line| line.starts_with("0::") && line.ends_with("/child")),
        "{table}"
    );
    let output = container
        .call_with("exec", &["--cgroup", "/"])
        .arg("true")
        .run();
    assert_eq!(output.code(), 255, "{output}");
    container.delete_force().ok();
    fixture.assert_clean();
}
