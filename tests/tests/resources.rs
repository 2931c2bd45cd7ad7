//! Limits that few containers have: each is written where the kernel has it, or refused by name.

use orlop_tests::view::{cgroup_roots, has_v1};
use orlop_tests::{Container, Fixture, cgroup, security, skip, test_name};
use serde_json::{Value, json};
use std::fs;

fn created(fixture: &Fixture, resources: &[(&str, Value)]) -> Container {
    let mut bundle = fixture.bundle().args(&["sleep", "60"]);
    for (field, value) in resources {
        bundle = bundle.set(&format!("/linux/resources/{field}"), value.clone());
    }
    let container = fixture.container(&bundle.written());
    container.create().ok();
    container
}

/// A block device that can be throttled.
fn disk() -> Option<(u32, u32)> {
    let folders = fs::read_dir("/sys/block").ok()?;
    let mut numbers: Vec<String> = folders
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("dev")).ok())
        .collect();
    numbers.sort();
    let (major, minor) = numbers.first()?.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[test]
fn limits_of_v1_are_written() {
    if !has_v1() {
        skip!("no cgroup v1 hierarchy on this host");
    }
    let fixture = Fixture::new(test_name!());
    let memory = json!({ "limit": 32 << 20, "swappiness": 7, "disableOOMKiller": true, "kernelTCP": 1 << 20 });
    let cpu = json!({ "burst": 1000, "quota": 20_000, "period": 100_000, "realtimePeriod": 900_000, "idle": 1 });
    let container = created(&fixture, &[("memory", memory), ("cpu", cpu)]);
    let pid = container.pid();
    for (controller, file, value) in [
        ("memory", "memory.swappiness", "7"),
        ("memory", "memory.kmem.tcp.limit_in_bytes", "1048576"),
        ("cpu", "cpu.cfs_burst_us", "1000"),
        ("cpu", "cpu.rt_period_us", "900000"),
        ("cpu", "cpu.idle", "1"),
    ] {
        let folder = cgroup::folder(pid, controller).unwrap();
        if !folder.join(file).exists() {
            orlop_tests::skip::record(test_name!(), &format!("this kernel has no {file}"));
            continue;
        }
        assert_eq!(cgroup::read(pid, controller, file), value, "{file}");
    }
    let oom = cgroup::read(pid, "memory", "memory.oom_control");
    assert!(oom.contains("oom_kill_disable 1"), "{oom}");
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn a_disk_is_throttled_on_v1() {
    let Some((major, minor)) = disk().filter(|_| has_v1()) else {
        skip!("no block device, or no cgroup v1 hierarchy");
    };
    let fixture = Fixture::new(test_name!());
    let rate = |rate: u64| json!([{ "major": major, "minor": minor, "rate": rate }]);
    let io = json!({
        "throttleReadBpsDevice": rate(1000), "throttleWriteBpsDevice": rate(2000),
        "throttleReadIOPSDevice": rate(3000), "throttleWriteIOPSDevice": rate(4000),
    });
    let container = created(&fixture, &[("blockIO", io)]);
    for (file, rate) in [
        ("read_bps", 1000),
        ("write_bps", 2000),
        ("read_iops", 3000),
        ("write_iops", 4000),
    ] {
        let found = cgroup::read(
            container.pid(),
            "blkio",
            &format!("blkio.throttle.{file}_device"),
        );
        assert_eq!(found, format!("{major}:{minor} {rate}"));
    }
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn huge_pages_are_limited_and_a_file_of_v2_is_written() {
    let fixture = Fixture::new(test_name!());
    let probe = created(&fixture, &[]);
    let there = cgroup::folder(probe.pid(), "hugetlb");
    probe.delete_force().ok();
    let roots = cgroup_roots().unwrap();
    let offered = roots.iter().any(|root| {
        root.ends_with("hugetlb")
            || fs::read_to_string(root.join("cgroup.controllers"))
                .is_ok_and(|all| all.contains("hugetlb"))
    });
    if !offered {
        skip!("no hierarchy has the hugetlb controller");
    }
    let limits = json!([{ "pageSize": "2MB", "limit": 4 << 20 }]);
    let container = created(&fixture, &[("hugepageLimits", limits)]);
    let v1 = there.is_some_and(|folder| folder.join("hugetlb.2MB.limit_in_bytes").exists());
    let file = if v1 {
        "hugetlb.2MB.limit_in_bytes"
    } else {
        "hugetlb.2MB.max"
    };
    assert_eq!(cgroup::read(container.pid(), "hugetlb", file), "4194304");
    container.delete_force().ok();
    if !v1 {
        let unified = json!({ "hugetlb.2MB.max": "2097152", "cgroup.max.depth": "3" });
        let container = created(&fixture, &[("unified", unified)]);
        assert_eq!(cgroup::read(container.pid(), "hugetlb", file), "2097152");
        assert_eq!(
            cgroup::read(container.pid(), "hugetlb", "cgroup.max.depth"),
            "3"
        );
        container.delete_force().ok();
    }
    fixture.assert_clean();
}

#[test]
fn what_the_host_does_not_have_is_refused_by_name_and_leaves_nothing() {
    let fixture = Fixture::new(test_name!());
    let roots = cgroup_roots().unwrap();
    let has = |name: &str| {
        roots.iter().any(|root| {
            root.ends_with(name)
                || fs::read_to_string(root.join("cgroup.controllers"))
                    .is_ok_and(|all| all.split_whitespace().any(|one| one == name))
        })
    };
    for (name, field, value) in [
        ("rdma", "rdma", json!({ "mlx5_0": { "hcaHandles": 1 } })),
        ("net_cls", "network", json!({ "classID": 1_048_577 })),
        (
            "net_prio",
            "network",
            json!({ "priorities": [{ "name": "lo", "priority": 1 }] }),
        ),
        ("", "unified", json!({ "../x": "1" })),
        ("", "unified", json!({ "no.such.file": "1" })),
        (
            "",
            "hugepageLimits",
            json!([{ "pageSize": "3XB", "limit": 1 }]),
        ),
        ("", "cpu/idle", json!(2)),
        ("", "memory/swappiness", json!(101)),
    ] {
        if has(name) || (field == "network" && !has_v1()) {
            continue;
        }
        let bundle = fixture
            .bundle()
            .args(&["true"])
            .set(&format!("/linux/resources/{field}"), value);
        let output = fixture.container(&bundle.written()).create();
        assert_eq!(output.code(), 1, "{field}: {output}");
        let field = field.rsplit('/').next().unwrap_or_default();
        assert!(output.stderr.contains(field), "{output}");
        fixture.assert_clean();
    }
}

#[test]
fn what_kernels_have_no_more_is_passed_over_and_said() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture
        .bundle()
        .args(&["true"])
        .set("/linux/resources/memory", json!({ "kernel": 1 << 20 }))
        .written();
    let output = fixture.container(&bundle).run().ok();
    if fixture.runtime().program().ends_with("orlop-runc") {
        output.says("linux.resources.memory.kernel is passed over");
    }
    fixture.assert_clean();
}

/// Resources that no host has.
fn impossible(fixture: &Fixture) -> orlop_tests::Bundle {
    fixture
        .bundle()
        .args(&["sleep", "60"])
        .set("/linux/resources/pids", json!({ "limit": 40 }))
        .set("/linux/resources/unified", json!({ "no.such.file": "1" }))
}

#[test]
fn what_cannot_be_had_is_left_out_and_said_where_that_is_asked_for() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&impossible(&fixture).written());
    assert_eq!(container.create().code(), 1);
    fixture.assert_clean();
    let create = container
        .call("create")
        .global("--rootless=true")
        .run()
        .ok();
    create.says("left out: ");
    assert_eq!(cgroup::read(container.pid(), "pids", "pids.max"), "40");
    container.start().ok();
    container.call("pause").run().ok();
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn a_user_without_cgroups_is_told_what_is_left_out() {
    let fixture = Fixture::new(test_name!());
    let bundle = security::config::without_mounts(
        impossible(&fixture),
        &["/sys", "/sys/fs/cgroup", "/dev/pts"],
    );
    let bundle = security::config::without_namespace(bundle, "network");
    let bundle = security::config::user_namespace(bundle, 1000, 1)
        .args(&["echo", "runs"])
        .written();
    let script =
        "exec setpriv --reuid 1000 --regid 1000 --clear-groups env -u XDG_RUNTIME_DIR \"$@\"";
    let runtime = security::started_by(&fixture, script);
    give(fixture.path(), 1000);
    let container = security::container_by(&fixture, &runtime, &bundle, "user");
    let refused = container.call("run").run();
    assert_eq!(refused.code(), 1, "{refused}");
    assert!(
        refused.stderr.contains("delegate"),
        "says what to do: {refused}"
    );
    let output = container.call("run").global("--rootless=true").run().ok();
    assert_eq!(output.stdout, "runs\n");
    output.says("left out: ");
    give(fixture.canary().path(), 0);
    fixture.assert_clean();
}

fn give(path: &std::path::Path, id: u32) {
    std::os::unix::fs::lchown(path, Some(id), Some(id)).expect("change an owner");
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).expect("list a folder") {
            give(&entry.expect("list a folder").path(), id);
        }
    }
}
