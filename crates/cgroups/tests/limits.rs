//! Limits written to this host's v1 hierarchies, read back from the kernel, and
//! seen to bite.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Process, Scratch, has, own_path, read};
use orlop_cgroups::{
    Access, Bytes, Cgroup, Controller, DeviceKind, DeviceRate, DeviceRule, Error, Layout, Limit,
    Limits, Micros, Mode,
};

fn create(layout: &Layout, limits: &Limits) -> Scratch {
    Scratch(Cgroup::create(layout, &own_path(), limits).unwrap())
}

#[test]
fn every_v1_limit_arrives_in_the_kernel() {
    let Some(layout) = common::v1_view() else {
        return;
    };
    let mut limits = Limits::new()
        .memory_limit(Bytes::mib(64))
        .memory_and_swap_limit(Bytes::mib(96))
        .memory_reservation(Bytes::mib(32))
        .cpu_shares(512)
        .cpu_quota(Micros(25_000), Micros(50_000))
        .cpus("0")
        .mems("0")
        .pids_limit(17);
    limits.memory.swappiness = Some(7);
    limits.memory.kernel_tcp = Some(Limit::Value(Bytes::mib(8)));
    limits.cpu.burst = Some(Micros(1000));
    let cgroup = create(&layout, &limits);
    for (hierarchy, file, value) in [
        ("memory", "memory.limit_in_bytes", "67108864"),
        ("memory", "memory.memsw.limit_in_bytes", "100663296"),
        ("memory", "memory.soft_limit_in_bytes", "33554432"),
        ("memory", "memory.swappiness", "7"),
        ("memory", "memory.kmem.tcp.limit_in_bytes", "8388608"),
        ("cpu", "cpu.shares", "512"),
        ("cpu", "cpu.cfs_period_us", "50000"),
        ("cpu", "cpu.cfs_quota_us", "25000"),
        ("cpu", "cpu.cfs_burst_us", "1000"),
        ("cpuset", "cpuset.cpus", "0"),
        ("cpuset", "cpuset.mems", "0"),
        ("pids", "pids.max", "17"),
    ] {
        assert_eq!(read(&cgroup, hierarchy, file), value, "{file}");
    }
}

#[test]
fn device_lists_arrive_and_hold() {
    let Some(layout) = common::v1_view() else {
        return;
    };
    if !has(&layout, "devices") {
        common::skipped("needs the v1 controller devices");
        return;
    }
    let rules = [
        DeviceRule::deny(DeviceKind::All, None, None, Access::ALL),
        DeviceRule::allow(DeviceKind::Char, Some(1), Some(3), Access::ALL),
        DeviceRule::allow(DeviceKind::Char, Some(1), Some(5), Access::READ),
    ];
    let cgroup = create(&layout, &Limits::new().device_rules(rules));
    assert_eq!(
        read(&cgroup, "devices", "devices.list"),
        "c 1:3 rwm\nc 1:5 r"
    );
    check_device_access(&cgroup);
}

#[test]
fn device_programs_hold() {
    let Some(layout) = common::v2_view() else {
        return;
    };
    let rules = [
        DeviceRule::deny(DeviceKind::All, None, None, Access::ALL),
        DeviceRule::allow(DeviceKind::Char, Some(1), Some(3), Access::ALL),
        DeviceRule::allow(DeviceKind::Char, Some(1), Some(5), Access::READ),
    ];
    let cgroup = create(&layout, &Limits::new().device_rules(rules));
    check_device_access(&cgroup);
}

fn check_device_access(cgroup: &Cgroup) {
    let script = "cat /dev/null && echo null-read; echo >/dev/null && echo null-write; \
                  head -c1 /dev/zero >/dev/null && echo zero-read; \
                  (echo >/dev/zero) 2>/dev/null || echo zero-write-denied; \
                  (head -c1 /dev/urandom) 2>&1 >/dev/null | grep -q 'not permitted' && echo random-denied";
    let output = Process::in_cgroup(cgroup, script).output();
    assert_eq!(
        output.split_whitespace().collect::<Vec<_>>(),
        [
            "null-read",
            "null-write",
            "zero-read",
            "zero-write-denied",
            "random-denied"
        ]
    );
}

#[test]
fn every_v2_limit_arrives_in_the_kernel() {
    let needed = [
        Controller::Memory,
        Controller::Cpu,
        Controller::Cpuset,
        Controller::Pids,
    ];
    for layout in common::views_with(&needed) {
        if layout.mode() != Mode::V2 {
            continue;
        }
        let mut limits = Limits::new()
            .memory_limit(Bytes::mib(64))
            .memory_and_swap_limit(Bytes::mib(64))
            .memory_reservation(Bytes::mib(32))
            .cpu_shares(1024)
            .cpu_quota(Micros(25_000), Micros(50_000))
            .cpus("0")
            .mems("0")
            .pids_limit(17)
            .unified("memory.high", "60000000")
            .unified("cgroup.max.depth", "5");
        limits.cpu.burst = Some(Micros(1000));
        let cgroup = create(&layout, &limits);
        for (file, value) in [
            ("memory.max", "67108864"),
            ("memory.low", "33554432"),
            ("cpu.weight", "100"),
            ("cpu.max", "25000 50000"),
            ("cpu.max.burst", "1000"),
            ("cpuset.cpus", "0"),
            ("cpuset.mems", "0"),
            ("pids.max", "17"),
            ("memory.high", "59998208"),
            ("cgroup.max.depth", "5"),
        ] {
            assert_eq!(read(&cgroup, "unified", file), value, "{file}");
        }
    }
}

#[test]
fn a_memory_hog_dies() {
    for layout in common::views_with(&[Controller::Memory]) {
        let limits = Limits::new()
            .memory_limit(Bytes::mib(8))
            .memory_and_swap_limit(Bytes::mib(8));
        let cgroup = create(&layout, &limits);
        let script = "(head -c 64000000 /dev/zero | tail -c 64000000 >/dev/null); echo status $?";
        let output = Process::in_cgroup(&cgroup, script).output();
        assert!(
            output.contains("status 137") || output.contains("Killed"),
            "{output}"
        );
        // More than one of its processes may have to go.
        assert!(cgroup.stats().unwrap().memory.oom_kills >= 1);
    }
}

#[test]
fn a_mebibyte_is_enough_for_true() {
    for layout in common::views_with(&[Controller::Memory]) {
        let cgroup = create(&layout, &Limits::new().memory_limit(Bytes::mib(1)));
        let output = Process::in_cgroup(&cgroup, "true && echo fine").output();
        assert_eq!(output, "fine\n");
    }
}

#[test]
fn a_quota_bounds_a_spinner() {
    for layout in common::views_with(&[Controller::Cpu]) {
        let limits = Limits::new().cpu_quota(Micros(20_000), Micros(100_000));
        let cgroup = create(&layout, &limits);
        let _process = Process::in_cgroup(&cgroup, "while :; do :; done");
        let figures = || cgroup.stats().unwrap().cpu;
        let (start, before) = (std::time::Instant::now(), figures());
        // Long against a period: one more may fall into it.
        std::thread::sleep(std::time::Duration::from_secs(3));
        let (after, elapsed) = (figures(), start.elapsed());
        let share = (after.usage - before.usage).as_secs_f64() / elapsed.as_secs_f64();
        assert!(share < 0.22, "{share}");
        // On a machine with other work it may not get to use up its quota.
        let throttling = after.throttling;
        if throttling.throttled_periods + 2 >= throttling.periods {
            assert!(share > 0.18 - 0.02, "{share} {throttling:?}");
        }
    }
}

#[test]
fn shares_of_one_and_three_are_kept() {
    for layout in common::views_with(&[Controller::Cpu, Controller::Cpuset]) {
        let shares = |shares| Limits::new().cpu_shares(shares).cpus("0").mems("0");
        // Weights of 100 and 300 on v2; v1 takes shares as they are.
        let (one, three) = match layout.mode() {
            Mode::V2 => (1024, 4054),
            _ => (1024, 3072),
        };
        let cgroups = [
            create(&layout, &shares(one)),
            create(&layout, &shares(three)),
        ];
        let _spinners: Vec<_> = cgroups
            .iter()
            .map(|c| Process::in_cgroup(c, "while :; do :; done"))
            .collect();
        let usage = || {
            cgroups
                .each_ref()
                .map(|c| c.stats().unwrap().cpu.usage.as_secs_f64())
        };
        // On a machine with other work it takes more than one look, and a stall in one of them is
        // no more than a part of the whole.
        let mut ratios = Vec::new();
        let before = usage();
        let mut last = before;
        let fits = |ratio: &f64| (2.7..3.3).contains(ratio);
        while ratios.len() < 30 && !ratios.iter().any(fits) {
            std::thread::sleep(std::time::Duration::from_millis(2000));
            let now = usage();
            let ratio = |then: [f64; 2]| (now[1] - then[1]) / (now[0] - then[0]);
            ratios.extend([ratio(before), ratio(last)]);
            last = now;
        }
        assert!(ratios.iter().any(fits), "{ratios:?}");
    }
}

#[test]
fn a_cpuset_pins() {
    for layout in common::views_with(&[Controller::Cpuset]) {
        let cgroup = create(&layout, &Limits::new().cpus("0").mems("0"));
        let script = "grep Cpus_allowed_list /proc/self/status";
        let output = Process::in_cgroup(&cgroup, script).output();
        assert_eq!(output.trim(), "Cpus_allowed_list:\t0");
    }
}

#[test]
fn a_pids_limit_stops_forks() {
    for layout in common::views_with(&[Controller::Pids]) {
        let cgroup = create(&layout, &Limits::new().pids_limit(3));
        let output =
            Process::in_cgroup(&cgroup, "sleep 1 & sleep 1 & sleep 1 & sleep 1 & wait").output();
        assert!(
            output.contains("fork") || output.contains("Resource"),
            "{output}"
        );
        assert!(cgroup.stats().unwrap().pids.failures > 0);
    }
}

#[test]
fn a_write_throttle_holds() {
    let dir = std::env::current_dir().unwrap();
    let Some(device) = common::disk_of(&dir) else {
        common::skipped("the working directory is on no block device");
        return;
    };
    for layout in common::views_with(&[Controller::Blkio]) {
        let mut limits = Limits::new();
        limits.blkio.write_bps = vec![DeviceRate {
            device,
            rate: 4 << 20,
        }];
        let cgroup = create(&layout, &limits);
        let file = dir.join(format!(".orlop-test-{}-throttle", std::process::id()));
        let script = format!(
            "dd if=/dev/zero of={0} bs=1M count=4 oflag=direct 2>&1; rm {0}",
            file.display()
        );
        let start = std::time::Instant::now();
        let output = Process::in_cgroup(&cgroup, &script).output();
        let took = start.elapsed().as_secs_f64();
        // The throttle lets a first slice of 0.1 s through at once.
        assert!((0.7..3.0).contains(&took), "{took} {output}");
    }
}

#[test]
fn the_unified_hierarchy_of_a_hybrid_host_lacks_memory_and_says_so() {
    let Some(layout) = common::v2_view() else {
        return;
    };
    if layout.hierarchy_of(Controller::Memory).unwrap().is_some() {
        common::skipped("this host's unified hierarchy has the memory controller");
        return;
    }
    let path = own_path();
    let error =
        Cgroup::create(&layout, &path, &Limits::new().memory_limit(Bytes::mib(8))).unwrap_err();
    let expected = "memory: cgroup controller memory is not available here";
    assert!(matches!(error, Error::NoController { .. }), "{error}");
    assert!(error.to_string().starts_with(expected), "{error}");
    assert!(
        Cgroup::plan_paths(&layout, &path)
            .iter()
            .all(|place| !place.path.exists())
    );
}

#[test]
fn a_controller_that_was_switched_off_meanwhile_is_switched_on_again() {
    let Some(layout) = common::v2_view() else {
        return;
    };
    if layout.hierarchy_of(Controller::Pids).unwrap().is_none() {
        eprintln!("skipped: needs pids on cgroup v2");
        return;
    }
    let top = own_path();
    let below = |name: &str| orlop_cgroups::CgroupPath::new(&format!("{top}/{name}")).unwrap();
    let limits = Limits::new().pids_limit(5);
    // The second finds all as it has to be, and is what the third goes by.
    for name in ["a", "b"] {
        drop(Scratch(
            Cgroup::create(&layout, &below(name), &limits).unwrap(),
        ));
    }
    let parent = Scratch(Cgroup::open(&Cgroup::plan_paths(&layout, &top)));
    let control = common::member_path(&parent, "unified").join("cgroup.subtree_control");
    std::fs::write(control, "-pids").unwrap();
    let third = Scratch(Cgroup::create(&layout, &below("c"), &limits).unwrap());
    assert_eq!(read(&third, "unified", "pids.max"), "5");
    drop(third);
}

#[test]
fn a_refused_value_is_reported_with_file_and_value() {
    let Some(layout) = common::v1_view() else {
        return;
    };
    let error = Cgroup::create(
        &layout,
        &own_path(),
        &Limits::new().cpu_quota(Micros(1), Micros(1)),
    )
    .unwrap_err()
    .to_string();
    assert!(
        error.starts_with("write \"1\" to /sys/fs/cgroup/"),
        "{error}"
    );
    assert!(error.contains("Invalid argument"), "{error}");
}
