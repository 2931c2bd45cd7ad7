//! Our figures against those of another library that reads the same files.
#![allow(clippy::unwrap_used)]

mod common;

use cgroups_rs::MaxValue;
use cgroups_rs::cpu::CpuController;
use cgroups_rs::cpuacct::CpuAcctController;
use cgroups_rs::cpuset::CpuSetController;
use cgroups_rs::memory::MemController;
use cgroups_rs::pid::PidController;
use common::{Process, Scratch, has, member_path, own_path};
use orlop_cgroups::{Bytes, Cgroup, Controller, Limits, Micros, Mode, Version};

#[test]
fn figures_agree() {
    let needed = [
        Controller::Memory,
        Controller::Cpu,
        Controller::Cpuset,
        Controller::Pids,
    ];
    for layout in common::views_with(&needed) {
        let v2 = layout.mode() == Mode::V2;
        let limits = Limits::new()
            .memory_limit(Bytes::mib(64))
            .cpu_quota(Micros(50_000), Micros(100_000))
            .cpus("0")
            .mems("0")
            .pids_limit(20);
        let cgroup = Scratch(Cgroup::create(&layout, &own_path(), &limits).unwrap());
        let script = "x=$(head -c 4000000 /dev/zero | tr '\\0' x); sleep 60; :";
        let _process = Process::in_cgroup(&cgroup, script);
        let mut last = 0;
        common::wait_until("rest", || {
            let stats = cgroup.stats().unwrap();
            let before = std::mem::replace(&mut last, stats.memory.memory.usage.0);
            std::thread::sleep(std::time::Duration::from_millis(50));
            last > 4_000_000 && last == before && stats.pids.current == 2
        });
        let name = |hierarchy| if v2 { "unified" } else { hierarchy };

        let theirs = MemController::new(member_path(&cgroup, name("memory")), v2);
        let memory = cgroup.stats().unwrap().memory.memory;
        let their_memory = theirs.memory_stat();
        assert_eq!(their_memory.limit_in_bytes, 64 << 20);
        assert!(memory.usage.0.abs_diff(their_memory.usage_in_bytes) < 1 << 20);
        let their_peak = their_memory.max_usage_in_bytes;
        assert!(v2 || memory.peak.unwrap().0.abs_diff(their_peak) < 1 << 20);

        let theirs = PidController::new(member_path(&cgroup, name("pids")), v2);
        let pids = cgroup.stats().unwrap().pids;
        assert_eq!(theirs.get_pid_current().unwrap(), pids.current);
        assert_eq!(theirs.get_pid_max().unwrap(), MaxValue::Value(20));

        let theirs = CpuController::new(member_path(&cgroup, name("cpu")), v2);
        assert_eq!(theirs.cfs_quota().unwrap(), 50_000);
        assert_eq!(theirs.cfs_period().unwrap(), 100_000);
        assert_eq!(cgroup.limits().unwrap().cpu.period, Some(Micros(100_000)));
        placement_and_time(&cgroup, v2, has(&layout, "cpuacct"));
    }
}

fn placement_and_time(cgroup: &Cgroup, v2: bool, cpuacct: bool) {
    let theirs = CpuSetController::new(
        member_path(cgroup, if v2 { "unified" } else { "cpuset" }),
        v2,
    );
    assert_eq!(theirs.cpuset().cpus, [(0, 0)]);
    if !cpuacct {
        return;
    }
    assert_eq!(cgroup.members()[0].version(), Version::V1);
    let theirs = CpuAcctController::new(member_path(cgroup, "cpuacct"));
    let (before, their, after) = (
        cgroup.stats().unwrap().cpu,
        theirs.cpuacct(),
        cgroup.stats().unwrap().cpu,
    );
    let their_usage = std::time::Duration::from_nanos(their.usage);
    assert!(
        before.usage <= their_usage && their_usage <= after.usage,
        "{before:?} {their_usage:?}"
    );
    assert_eq!(
        their.usage_percpu.split_whitespace().count(),
        before.per_cpu.len()
    );
}
