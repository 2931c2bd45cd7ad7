//! Events of this host's hierarchies, made to happen.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::{Process, Scratch, own_path};
use orlop_cgroups::{
    Bytes, Cgroup, Controller, Event, Limits, MemoryLevel, Micros, Mode, Resource, Waiting,
};

const SOON: Option<Duration> = Some(Duration::from_secs(5));
const HOG: &str = "(head -c 64000000 /dev/zero | tail -c 64000000 >/dev/null); true";
const NOW: Option<Duration> = Some(Duration::ZERO);

#[test]
fn running_out_of_memory_is_told_once_and_removal_last() {
    for layout in common::views_with(&[Controller::Memory]) {
        let limits = Limits::new()
            .memory_limit(Bytes::mib(8))
            .memory_and_swap_limit(Bytes::mib(8));
        let cgroup = Scratch(Cgroup::create(&layout, &own_path(), &limits).unwrap());
        let mut watch = cgroup.watch().unwrap();
        assert_eq!(watch.next(NOW).unwrap(), None);
        Process::in_cgroup(&cgroup, HOG).output();
        assert_eq!(watch.next(SOON).unwrap(), Some(Event::Oom));
        if layout.mode() != Mode::V1 {
            assert_eq!(watch.next(SOON).unwrap(), Some(Event::Empty));
        }
        assert_eq!(watch.next(NOW).unwrap(), None);
        cgroup.destroy().unwrap();
        assert_eq!(watch.next(SOON).unwrap(), Some(Event::Removed));
        assert_eq!(watch.next(SOON).unwrap(), None);
    }
}

#[test]
fn emptiness_is_told_on_the_unified_hierarchy() {
    let Some(layout) = common::v2_view() else {
        return;
    };
    let cgroup = Scratch(Cgroup::create(&layout, &own_path(), &Limits::new()).unwrap());
    let mut watch = cgroup.watch().unwrap();
    let process = Process::in_cgroup(&cgroup, "exec sleep 60");
    assert_eq!(watch.next(NOW).unwrap(), None);
    drop(process);
    assert_eq!(watch.next(SOON).unwrap(), Some(Event::Empty));
    // Of its neighbours nothing is told, and the wait goes on.
    let start = Instant::now();
    let neighbour = Scratch(Cgroup::create(&layout, &own_path(), &Limits::new()).unwrap());
    let removal = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(10));
        drop(neighbour);
    });
    assert_eq!(watch.next(Some(Duration::from_millis(50))).unwrap(), None);
    assert!(start.elapsed() >= Duration::from_millis(50));
    removal.join().unwrap();
    cgroup.destroy().unwrap();
    assert_eq!(watch.next(SOON).unwrap(), Some(Event::Removed));
    assert_eq!(watch.next(SOON).unwrap(), None);
}

#[test]
fn memory_levels_on_v1() {
    let Some(layout) = common::v1_view() else {
        return;
    };
    let limits = Limits::new()
        .memory_limit(Bytes::mib(8))
        .memory_and_swap_limit(Bytes::mib(8));
    let cgroup = Scratch(Cgroup::create(&layout, &own_path(), &limits).unwrap());
    let mut watch = cgroup
        .watch()
        .unwrap()
        .memory_level(&cgroup, MemoryLevel::Low)
        .unwrap();
    Process::in_cgroup(
        &cgroup,
        "(head -c 64000000 /dev/zero | tail -c 64000000 >/dev/null); true",
    )
    .output();
    let mut seen = Vec::new();
    while let Some(event) = watch.next(Some(Duration::from_millis(200))).unwrap() {
        seen.push(event);
    }
    assert!(seen.contains(&Event::Oom), "{seen:?}");
    assert!(
        seen.contains(&Event::MemoryLevel(MemoryLevel::Low)),
        "{seen:?}"
    );
}

#[test]
fn waiting_for_a_cpu_is_told() {
    let Some(layout) = common::host_view() else {
        return;
    };
    if layout.mode() == Mode::V1 {
        common::skipped("needs a cgroup v2 hierarchy");
        return;
    }
    let cgroup =
        Scratch(Cgroup::create(&layout, &own_path(), &Limits::new().cpus("0").mems("0")).unwrap());
    let watch = cgroup.watch().unwrap();
    let mut watch = watch
        .pressure(
            &cgroup,
            Resource::Cpu,
            Waiting::Some,
            Micros(50_000),
            Micros(2_000_000),
        )
        .unwrap();
    // Two that both want the one CPU.
    let _first = Process::in_cgroup(&cgroup, "while :; do :; done");
    let _second = Process::in_cgroup(&cgroup, "while :; do :; done");
    assert_eq!(
        watch.next(SOON).unwrap(),
        Some(Event::Pressure(Resource::Cpu))
    );
}
