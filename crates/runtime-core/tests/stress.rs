//! Many sandboxes from many threads, while others allocate without pause: nothing hangs, nothing
//! fails, nothing is left.
//!
//! The allocator has one arena, so that a child that allocated after its birth would sooner or later
//! wait for a lock whose holder it does not have.

// In what tests call, too, a failed call ends the test.
#![allow(clippy::unwrap_used)]

mod common;

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{Rootfs, open_files, own_cgroups, text, zombies};
use orlop::Prepared;
use orlop::cgroups::Limits;

const SANDBOXES: u32 = 2000;
const MAKERS: usize = 8;
const ALLOCATORS: usize = 4;
/// Every so many has a cgroup of its own, which takes longer.
const WITH_CGROUP: u32 = 20;
const TIME: Duration = Duration::from_secs(180);
const ROOT: &str = "ORLOP_STRESS_ROOT";

#[test]
fn two_thousand_sandboxes_from_eight_threads() {
    need_root!();
    if std::env::var_os(ROOT).is_some() {
        return run();
    }
    let rootfs = Rootfs::new();
    let mut helper = Command::new(std::env::current_exe().unwrap());
    helper.args([
        "--exact",
        "two_thousand_sandboxes_from_eight_threads",
        "--nocapture",
    ]);
    helper.env(ROOT, rootfs.path()).env("MALLOC_ARENA_MAX", "1");
    let mut child = helper.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    // On an emulated processor everything takes ten times as long.
    let patience = std::env::var("ORLOP_TEST_PATIENCE").ok();
    let limit = TIME * patience.and_then(|text| text.parse().ok()).unwrap_or(1);
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if start.elapsed() > limit => {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("still not done after {limit:?}");
            }
            None => thread::sleep(Duration::from_millis(20)),
        }
    };
    let said = text(&child.wait_with_output().unwrap().stdout);
    assert!(status.success(), "{said}");
    assert_eq!(common::own_mounts(), [""; 0]);
}

/// The part that runs in a process of its own.
fn run() {
    let root = std::env::var_os(ROOT).unwrap();
    let command = orlop::Command::new("/bin/true")
        .root(orlop::Root::pivot(root))
        .default_mounts();
    let plain = command.build().unwrap();
    let limited = command
        .limits(Limits::new().pids_limit(16u64))
        .build()
        .unwrap();
    plain.status().unwrap();
    let files = open_files();
    let (next, done) = (AtomicU32::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..ALLOCATORS {
            scope.spawn(|| allocate_until(&done));
        }
        let makers: Vec<_> = (0..MAKERS)
            .map(|_| scope.spawn(|| make(&plain, &limited, &next)))
            .collect();
        let failures: Vec<String> = makers
            .into_iter()
            .flat_map(|one| one.join().unwrap())
            .collect();
        done.store(true, Ordering::Relaxed);
        assert!(
            failures.is_empty(),
            "{} failures: {:?}",
            failures.len(),
            &failures[..failures.len().min(5)]
        );
    });
    assert_eq!(open_files(), files);
    assert!(zombies().is_empty(), "{:?}", zombies());
    assert!(own_cgroups().is_empty(), "{:?}", own_cgroups());
}

fn make(plain: &Prepared, limited: &Prepared, next: &AtomicU32) -> Vec<String> {
    let mut failures = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= SANDBOXES {
            return failures;
        }
        let prepared = if number.is_multiple_of(WITH_CGROUP) {
            limited
        } else {
            plain
        };
        match prepared.status() {
            Ok(status) if status.success() => {}
            Ok(status) => failures.push(status.to_string()),
            Err(error) => failures.push(error.to_string()),
        }
    }
}

/// Holds the allocator's lock as much of the time as can be.
fn allocate_until(done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        let blocks: Vec<Vec<u8>> = (1..200).map(|size| vec![1; size * 97 % 5000]).collect();
        std::hint::black_box(blocks);
    }
}
