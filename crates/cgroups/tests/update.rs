//! Changing limits while processes run.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Process, Scratch, own_path, read};
use orlop_cgroups::{
    Access, Bytes, Cgroup, Controller, DeviceKind, DeviceNumber, DeviceRate, DeviceRule, Error,
    Layout, Limit, Limits, Micros, Mode,
};

fn create(layout: &Layout, limits: &Limits) -> Scratch {
    Scratch(Cgroup::create(layout, &own_path(), limits).unwrap())
}

/// Every value that an update touches on v1, as the kernel shows it.
fn v1_state(cgroup: &Cgroup) -> Vec<String> {
    [
        ("memory", "memory.limit_in_bytes"),
        ("memory", "memory.memsw.limit_in_bytes"),
        ("memory", "memory.oom_control"),
        ("cpu", "cpu.shares"),
        ("cpu", "cpu.cfs_quota_us"),
        ("cpu", "cpu.cfs_period_us"),
        ("cpuset", "cpuset.cpus"),
        ("pids", "pids.max"),
        ("blkio", "blkio.throttle.read_bps_device"),
        ("devices", "devices.list"),
    ]
    .into_iter()
    .map(|(hierarchy, file)| read(cgroup, hierarchy, file))
    .collect()
}

#[test]
fn limits_go_up_and_down_in_whatever_order_the_kernel_wants() {
    let Some(layout) = common::v1_view() else {
        return;
    };
    let memory = |mib, both| {
        Limits::new()
            .memory_limit(Bytes::mib(mib))
            .memory_and_swap_limit(Bytes::mib(both))
    };
    let cgroup = create(&layout, &memory(8, 16));
    for (mib, both) in [(32, 64), (4, 4), (100, 100), (50, 60)] {
        cgroup.update(&memory(mib, both)).unwrap();
        assert_eq!(
            read(&cgroup, "memory", "memory.limit_in_bytes"),
            (mib << 20).to_string()
        );
        assert_eq!(
            read(&cgroup, "memory", "memory.memsw.limit_in_bytes"),
            (both << 20).to_string()
        );
    }
    cgroup
        .update(&Limits::new().memory_limit(Limit::Max))
        .unwrap();
    assert!(read(&cgroup, "memory", "memory.memsw.limit_in_bytes").starts_with("92233720368"));
    for (quota, period) in [(50_000, 100_000), (2_000, 2_000), (900_000, 1_000_000)] {
        cgroup
            .update(&Limits::new().cpu_quota(Micros(quota), Micros(period)))
            .unwrap();
        assert_eq!(read(&cgroup, "cpu", "cpu.cfs_quota_us"), quota.to_string());
        assert_eq!(
            read(&cgroup, "cpu", "cpu.cfs_period_us"),
            period.to_string()
        );
    }
}

#[test]
fn a_failed_update_changes_nothing() {
    let Some(layout) = common::v1_view() else {
        return;
    };
    let device = DeviceNumber {
        major: 254,
        minor: 0,
    };
    let rules = [
        DeviceRule::allow(DeviceKind::Char, Some(1), Some(3), Access::ALL),
        DeviceRule::allow(DeviceKind::Char, Some(1), Some(5), Access::READ),
    ];
    let old = Limits::new()
        .memory_limit(Bytes::mib(64))
        .memory_and_swap_limit(Bytes::mib(64))
        .cpu_shares(300)
        .pids_limit(7)
        .device_rules(rules);
    let cgroup = create(&layout, &old);
    let before = v1_state(&cgroup);

    let mut new = Limits::new()
        .memory_limit(Bytes::mib(128))
        .memory_and_swap_limit(Bytes::mib(256))
        .cpu_shares(600)
        .cpu_quota(Micros(10_000), Micros(20_000))
        .pids_limit(9)
        .device_rules([DeviceRule::allow(
            DeviceKind::Char,
            Some(1),
            Some(7),
            Access::READ,
        )]);
    new.memory.disable_oom_killer = Some(true);
    new.blkio.read_bps = vec![DeviceRate {
        device,
        rate: 1 << 20,
    }];
    // No device has that number, which the kernel finds after all the rest.
    new.blkio.write_iops = vec![DeviceRate {
        device: DeviceNumber {
            major: 4000,
            minor: 9,
        },
        rate: 5,
    }];
    let error = cgroup.update(&new).unwrap_err();
    assert!(error.to_string().contains("write_iops_device"), "{error}");
    assert_eq!(v1_state(&cgroup), before);

    new.blkio.write_iops.clear();
    cgroup.update(&new).unwrap();
    let after = v1_state(&cgroup);
    assert_eq!(after.last().unwrap(), "c 1:7 r");
    assert_eq!(
        after.iter().zip(&before).filter(|(a, b)| a == b).count(),
        1,
        "{after:?}"
    );

    let mut impossible = Limits::new().pids_limit(1);
    impossible.unified.insert("memory.high".into(), "1".into());
    cgroup.update(&impossible).unwrap_err();
    assert_eq!(v1_state(&cgroup), after);
}

/// Pure v2 with the controllers that the tests need.
fn v2_views() -> Vec<Layout> {
    let needed = [
        Controller::Memory,
        Controller::Cpu,
        Controller::Cpuset,
        Controller::Pids,
    ];
    let mut views = common::views_with(&needed);
    if !views.is_empty() {
        views.retain(|layout| layout.mode() == Mode::V2);
        if views.is_empty() {
            common::skipped("needs pure cgroup v2");
        }
    }
    views
}

fn v2_state(cgroup: &Cgroup) -> Vec<String> {
    [
        "memory.max",
        "memory.low",
        "cpu.weight",
        "cpu.max",
        "cpuset.cpus",
        "pids.max",
    ]
    .into_iter()
    .map(|file| read(cgroup, "unified", file))
    .collect()
}

#[test]
fn a_failed_update_changes_nothing_on_v2() {
    for layout in v2_views() {
        let cgroup = create(
            &layout,
            &Limits::new().memory_limit(Bytes::mib(64)).pids_limit(7),
        );
        let before = v2_state(&cgroup);
        let new = Limits::new()
            .memory_limit(Limit::Max)
            .memory_reservation(Bytes::mib(1))
            .cpu_shares(2000)
            .cpu_quota(Micros(10_000), Micros(20_000))
            .cpus("0")
            .pids_limit(9)
            .unified("cgroup.max.depth", "no number");
        let error = cgroup.update(&new).unwrap_err();
        assert!(error.to_string().contains("cgroup.max.depth"), "{error}");
        assert_eq!(v2_state(&cgroup), before);
        cgroup
            .update(&new.unified("cgroup.max.depth", "3"))
            .unwrap();
        let after = v2_state(&cgroup);
        assert!(after.iter().zip(&before).all(|(a, b)| a != b), "{after:?}");
    }
}

#[test]
fn parts_of_v2_values_that_are_left_out_stay() {
    for layout in v2_views() {
        let cgroup = create(
            &layout,
            &Limits::new().cpu_quota(Micros(10_000), Micros(20_000)),
        );
        let mut period = Limits::new();
        period.cpu.period = Some(Micros(50_000));
        cgroup.update(&period).unwrap();
        assert_eq!(read(&cgroup, "unified", "cpu.max"), "10000 50000");
        let mut quota = Limits::new();
        quota.cpu.quota = Some(Limit::Max);
        cgroup.update(&quota).unwrap();
        assert_eq!(read(&cgroup, "unified", "cpu.max"), "max 50000");
    }
}

#[test]
fn memory_in_use_is_named() {
    for layout in common::views_with(&[Controller::Memory]) {
        memory_in_use_is_named_on(&layout);
    }
}

fn memory_in_use_is_named_on(layout: &Layout) {
    let cgroup = create(layout, &Limits::new());
    let _process = Process::in_cgroup(
        &cgroup,
        "x=$(head -c 6000000 /dev/zero | tr '\\0' x); sleep 60; :",
    );
    common::wait_until("memory to be in use", || {
        cgroup.stats().unwrap().memory.memory.usage.0 > 6_000_000
    });
    let mut limits = Limits::new().memory_limit(Bytes::mib(1));
    limits.memory.check_before_update = true;
    let error = cgroup.update(&limits).unwrap_err();
    assert!(
        matches!(
            error,
            Error::MemoryInUse {
                limit: 1_048_576,
                ..
            }
        ),
        "{error}"
    );
    limits.memory.swap = Some(Limit::Value(Bytes::mib(2)));
    let error = cgroup.update(&limits).unwrap_err().to_string();
    assert!(
        error.starts_with("rejecting memory+swap limit 2097152: "),
        "{error}"
    );
    limits.memory.swap = None;
    limits.memory.limit = Some(Limit::Value(Bytes::mib(100)));
    cgroup.update(&limits).unwrap();
}

#[test]
fn device_programs_are_replaced() {
    let Some(layout) = common::v2_view() else {
        return;
    };
    let null = |access| DeviceRule::allow(DeviceKind::Char, Some(1), Some(3), access);
    let cgroup = create(&layout, &Limits::new().device_rules([null(Access::READ)]));
    let probe =
        "cat /dev/null && echo read; (echo >/dev/null) 2>&1 | grep -q permitted && echo refused";
    assert_eq!(
        Process::in_cgroup(&cgroup, probe).output(),
        "read\nrefused\n"
    );
    for _ in 0..3 {
        cgroup
            .update(&Limits::new().device_rules([null(Access::ALL)]))
            .unwrap();
        let probe = "cat /dev/null && echo read; (echo >/dev/null) && echo write; cat /dev/zero 2>&1 | head -c1 >/dev/null; \
                     head -c1 /dev/zero 2>&1 | grep -q permitted && echo refused";
        assert_eq!(
            Process::in_cgroup(&cgroup, probe).output(),
            "read\nwrite\nrefused\n"
        );
        cgroup
            .update(&Limits::new().device_rules([null(Access::READ)]))
            .unwrap();
    }
    assert_eq!(
        Process::in_cgroup(&cgroup, probe).output(),
        "read\nrefused\n"
    );
}

fn has_io_weights(layout: &Layout) -> bool {
    let cgroup = create(layout, &Limits::new());
    let dir = common::member_path(&cgroup, "blkio");
    ["blkio.bfq.weight", "blkio.weight"]
        .iter()
        .any(|file| dir.join(file).exists())
}

#[test]
fn limits_are_read_back_as_they_were_set() {
    let Some(layout) = common::v1_view() else {
        return;
    };
    let device = DeviceNumber {
        major: 254,
        minor: 0,
    };
    let mut set = Limits::new()
        .memory_limit(Bytes::mib(64))
        .memory_and_swap_limit(Bytes::mib(96))
        .memory_reservation(Limit::Max)
        .cpu_shares(300)
        .cpu_quota(Micros(10_000), Micros(20_000))
        .cpus("0")
        .mems("0")
        .pids_limit(Limit::Max)
        .device_rules([
            DeviceRule::deny(DeviceKind::All, None, None, Access::ALL),
            DeviceRule::allow(DeviceKind::Char, Some(1), Some(3), Access::ALL),
        ]);
    // Weights are there as long as the io scheduler that has them.
    set.blkio.weight = has_io_weights(&layout).then_some(200);
    set.blkio.read_bps = vec![DeviceRate {
        device,
        rate: 1 << 20,
    }];
    set.memory.swappiness = Some(33);
    set.memory.disable_oom_killer = Some(true);
    let cgroup = create(&layout, &set);
    let mut read = cgroup.limits().unwrap();
    // What was not asked for has the kernel's defaults.
    assert_eq!(read.memory.kernel_tcp.take(), Some(Limit::Max));
    assert!(matches!(read.memory.kernel.take(), None | Some(Limit::Max)));
    assert_eq!(read.cpu.burst.take(), Some(Micros(0)));
    assert_eq!(read.cpu.idle.take(), Some(false));
    read.cpu.realtime_period = None;
    read.cpu.realtime_runtime = None;
    read.network = orlop_cgroups::NetworkLimits::default();
    let hugepages = std::mem::take(&mut read.hugepages);
    assert!(
        hugepages.iter().all(|one| one.limit == Limit::Max),
        "{hugepages:?}"
    );
    assert_eq!(read, set);
}

#[test]
fn limits_are_read_back_as_they_were_set_on_v2() {
    for layout in v2_views() {
        let mut set = Limits::new()
            .memory_limit(Bytes::mib(64))
            .memory_reservation(Bytes::mib(8))
            .cpu_shares(1024)
            .cpu_quota(Micros(10_000), Micros(20_000))
            .cpus("0")
            .mems("0")
            .pids_limit(Limit::Max);
        set.memory.oom_group = Some(true);
        set.cpu.burst = Some(Micros(500));
        set.cpu.idle = Some(false);
        let cgroup = create(&layout, &set);
        let mut read = cgroup.limits().unwrap();
        // What was not asked for has the kernel's defaults, where it has the file.
        assert!(matches!(read.memory.swap.take(), None | Some(Limit::Max)));
        read.hugepages.clear();
        read.blkio = orlop_cgroups::BlkioLimits::default();
        // Several shares become the same weight.
        assert!(read.cpu.shares.take().unwrap() <= set.cpu.shares.take().unwrap());
        assert_eq!(read, set);
    }
}
