//! Figures of this host's hierarchies against what was done to them.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Process, Scratch, own_path};
use orlop_cgroups::{Bytes, Cgroup, Controller, DeviceRate, Limit, Limits, Micros, Mode};

#[test]
fn cpu_time_and_throttling() {
    let Some(layout) = common::v1_view() else {
        return;
    };
    let limits = Limits::new().cpu_quota(Micros(10_000), Micros(50_000));
    let cgroup = Scratch(Cgroup::create(&layout, &own_path(), &limits).unwrap());
    assert_eq!(cgroup.stats().unwrap().cpu.usage, Duration::ZERO);
    let _process = Process::in_cgroup(&cgroup, "while :; do :; done");
    common::wait_until("throttling", || {
        let throttling = cgroup.stats().unwrap().cpu.throttling;
        throttling.throttled_periods >= 5 && throttling.throttled_time > Duration::from_millis(100)
    });
    let cpu = cgroup.stats().unwrap().cpu;
    // More than the quota by the ticks with which the kernel notices that it is used up; without
    // a quota it would be 50 ms a period.
    let most = Duration::from_millis(25) * u32::try_from(cpu.throttling.periods + 2).unwrap();
    assert!(
        Duration::from_millis(20) < cpu.usage && cpu.usage < most,
        "{cpu:?}"
    );
    assert_eq!(cpu.per_cpu.len(), cpu.per_cpu_user.len());
    let sum: Duration = cpu.per_cpu.iter().sum();
    assert!(
        sum.abs_diff(cpu.usage) < Duration::from_millis(50),
        "{cpu:?}"
    );
    let parts: Duration = cpu.per_cpu_user.iter().chain(&cpu.per_cpu_system).sum();
    assert!(
        parts.abs_diff(cpu.usage) < Duration::from_millis(50),
        "{cpu:?}"
    );
}

#[test]
fn memory_with_its_peak_limit_and_kills() {
    let Some(layout) = common::v1_view() else {
        return;
    };
    let limits = Limits::new()
        .memory_limit(Bytes::mib(16))
        .memory_and_swap_limit(Bytes::mib(16));
    let cgroup = Scratch(Cgroup::create(&layout, &own_path(), &limits).unwrap());
    let process = Process::in_cgroup(
        &cgroup,
        "x=$(head -c 4000000 /dev/zero | tr '\\0' x); sleep 60; :",
    );
    common::wait_until("memory in use", || {
        cgroup.stats().unwrap().memory.memory.usage.0 > 4_000_000
    });
    let memory = cgroup.stats().unwrap().memory;
    assert_eq!(memory.memory.limit, Some(Limit::Value(Bytes::mib(16))));
    assert!(
        memory.memory.peak.unwrap() >= memory.memory.usage,
        "{memory:?}"
    );
    assert!(memory.memory_and_swap.unwrap().usage.0 > 4_000_000);
    // The kernel brings this file up to date every two seconds.
    common::wait_until("memory.stat", || {
        cgroup.stats().unwrap().memory.stat["total_rss"] > 4_000_000
    });
    assert_eq!(memory.oom_kills, 0);
    drop(process);
    let hog = "(head -c 64000000 /dev/zero | tail -c 64000000 >/dev/null); true";
    Process::in_cgroup(&cgroup, hog).output();
    let memory = cgroup.stats().unwrap().memory;
    assert_eq!(memory.oom_kills, 1);
}

#[test]
fn tasks_placement_and_pressure() {
    let Some(layout) = common::host_view() else {
        return;
    };
    let cgroup = Scratch(
        Cgroup::create(
            &layout,
            &own_path(),
            &Limits::new().pids_limit(2).cpus("0").mems("0"),
        )
        .unwrap(),
    );
    let _process = Process::in_cgroup(
        &cgroup,
        "while :; do (:) ; (:) & (:) & wait; done 2>/dev/null",
    );
    common::wait_until("a failed fork", || {
        cgroup.stats().unwrap().pids.failures > 0
    });
    let stats = cgroup.stats().unwrap();
    assert_eq!(stats.pids.limit, Some(Limit::Value(2)));
    assert!((1..=2).contains(&stats.pids.current), "{stats:?}");
    assert_eq!(
        (
            stats.cpuset.cpus.as_str(),
            stats.cpuset.effective_cpus.as_str()
        ),
        ("0", "0")
    );
    if layout.mode() == orlop_cgroups::Mode::Hybrid {
        assert!(
            stats.cpu.pressure.is_some() && stats.memory.pressure.is_some(),
            "{stats:?}"
        );
        assert!(!stats.hugetlb.is_empty());
    }
}

#[test]
fn block_io_is_counted() {
    let Some(layout) = common::v1_view() else {
        return;
    };
    // A file on a disk: temporary directories may be memory.
    let dir = std::env::current_dir().unwrap();
    let Some(device) = common::disk_of(&dir) else {
        eprintln!("skipped: the working directory is on no block device");
        return;
    };
    let mut limits = Limits::new();
    // Some kernels (6.1) count only where there is a throttle.
    limits.blkio.write_bps = vec![DeviceRate {
        device,
        rate: 1 << 40,
    }];
    let cgroup = Scratch(Cgroup::create(&layout, &own_path(), &limits).unwrap());
    let file = dir.join(format!(".orlop-test-{}", std::process::id()));
    let script = format!(
        "dd if=/dev/zero of={0} bs=1M count=4 oflag=direct 2>&1; rm {0}",
        file.display()
    );
    let output = Process::in_cgroup(&cgroup, &script).output();
    let written: u64 = cgroup
        .stats()
        .unwrap()
        .blkio
        .bytes
        .iter()
        .filter(|entry| entry.operation == "Write")
        .map(|entry| entry.value)
        .sum();
    assert!(written >= 4 << 20, "{written} {output}");
}

#[test]
fn figures_of_v2() {
    let needed = [
        Controller::Memory,
        Controller::Cpu,
        Controller::Pids,
        Controller::Blkio,
    ];
    for layout in common::views_with(&needed) {
        if layout.mode() != Mode::V2 {
            continue;
        }
        let limits = Limits::new().memory_limit(Bytes::mib(64)).pids_limit(9);
        let cgroup = Scratch(Cgroup::create(&layout, &own_path(), &limits).unwrap());
        let script = "x=$(head -c 4000000 /dev/zero | tr '\\0' x); sleep 60; :";
        let _process = Process::in_cgroup(&cgroup, script);
        common::wait_until("memory in use", || {
            cgroup.stats().unwrap().memory.memory.usage.0 > 4_000_000
        });
        let stats = cgroup.stats().unwrap();
        assert_eq!(
            stats.memory.memory.limit,
            Some(Limit::Value(Bytes::mib(64)))
        );
        assert!(
            stats
                .memory
                .memory
                .peak
                .is_none_or(|peak| peak >= stats.memory.memory.usage)
        );
        assert!(stats.cpu.usage > Duration::ZERO && stats.cpu.user <= stats.cpu.usage);
        assert_eq!(stats.pids.limit, Some(Limit::Value(9)));
        assert!(stats.pids.current >= 1);
        assert!(stats.memory.events.contains_key("oom_kill"));
        assert!(stats.memory.pressure.is_some() && stats.blkio.pressure.is_some());
        assert!(!stats.cpuset.effective_cpus.is_empty());
    }
}

#[test]
fn a_cgroup_that_is_gone_has_no_figures() {
    let Some(layout) = common::host_view() else {
        return;
    };
    let cgroup = Cgroup::create(&layout, &own_path(), &Limits::new()).unwrap();
    cgroup.destroy().unwrap();
    let error = cgroup.stats().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(2), "{error}");
}
