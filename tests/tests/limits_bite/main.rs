//! Limits bite, whatever the version of cgroups and whoever makes them: seen from the processes
//! alone, so that each test is the same on every host, and with systemd as without it.

mod controllers;
mod disk;

use controllers::need;
use disk::a_writer_gets_its_throttle;
use orlop_tests::patience::{patient, until};
use orlop_tests::{Bundle, Container, Fixture};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shares of processors are measured: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// What the host lacks for a test.
struct Lacking(String);

type Outcome = Result<(), Lacking>;

macro_rules! on_each_back_end {
    ($($test:ident)*) => {
        mod cgroupfs {
            use orlop_tests::{Fixture, skip, test_name};
            $(#[test]
            fn $test() {
                let _alone = super::ALONE.lock().unwrap_or_else(super::PoisonError::into_inner);
                if let Err(super::Lacking(what)) = super::$test(&Fixture::new(test_name!())) {
                    skip!("{what}");
                }
            })*
        }

        mod systemd {
            use orlop_tests::{Fixture, skip, test_name};
            $(#[test]
            fn $test() {
                if !super::Path::new("/run/systemd/private").exists() {
                    skip!("systemd does not run on this host");
                }
                let _alone = super::ALONE.lock().unwrap_or_else(super::PoisonError::into_inner);
                let fixture = Fixture::new(test_name!()).with_global("--systemd-cgroup");
                if let Err(super::Lacking(what)) = super::$test(&fixture) {
                    skip!("{what}");
                }
            })*
        }
    };
}

on_each_back_end! {
    a_mebibyte_of_memory_starts_true
    a_memory_hog_dies_and_is_reported
    a_spinner_gets_its_quota
    one_and_three_shares_are_one_and_three_parts
    a_cpuset_pins
    a_fork_bomb_is_gone_within_a_second
    a_writer_gets_its_throttle
    a_denied_device_is_refused_and_an_allowed_one_works
    a_frozen_counter_stands_still
}

const SPIN: &str = "while :; do :; done";

fn bundle(fixture: &Fixture, resource: &str, value: Value) -> Bundle {
    fixture
        .bundle()
        .set(&format!("/linux/resources/{resource}"), value)
}

/// Processor time of one process. Spinners here are one process each.
fn time_of(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    let (_, fields) = stat.rsplit_once(") ").expect("a name in brackets");
    let ticks: u64 = fields
        .split(' ')
        .skip(11) // to utime and stime, proc_pid_stat(5)
        .take(2)
        .map(|ticks| ticks.parse::<u64>().expect("a number"))
        .sum();
    // The unit is a hundredth of a second on every architecture that Linux tells programs about.
    Duration::from_millis(ticks * 10)
}

fn a_mebibyte_of_memory_starts_true(fixture: &Fixture) -> Outcome {
    need(&["memory"])?;
    let limit = json!({ "limit": 1 << 20, "swap": 1 << 20 });
    let bundle = bundle(fixture, "memory", limit).args(&["true"]).written();
    let output = fixture.container(&bundle).call("run").run();
    output.ok();
    fixture.assert_clean();
    Ok(())
}

fn a_spinner_gets_its_quota(fixture: &Fixture) -> Outcome {
    need(&["cpu"])?;
    let quota = json!({ "quota": 20_000, "period": 100_000 });
    let bundle = bundle(fixture, "cpu", quota).script(SPIN).written();
    let container = fixture.container(&bundle);
    container.create().ok();
    container.start().ok();
    fixture.track(&container);
    let pid = container.pid();
    let mut shares = Vec::new();
    // On a machine with other work it may get less for a while, but never more.
    for _ in 0..5 {
        let (begin, before) = (Instant::now(), time_of(pid));
        // Long against a period: one more may fall into it.
        std::thread::sleep(Duration::from_secs(3));
        let used = time_of(pid) - before;
        let share = used.as_secs_f64() / begin.elapsed().as_secs_f64();
        assert!(share <= 0.22, "{share} of a processor instead of 0.2");
        shares.push(share);
        if share >= 0.18 {
            break;
        }
    }
    assert!(shares.iter().any(|share| *share >= 0.18), "{shares:?}");
    container.delete_force().ok();
    fixture.assert_clean();
    Ok(())
}

fn one_and_three_shares_are_one_and_three_parts(fixture: &Fixture) -> Outcome {
    need(&["cpu", "cpuset"])?;
    // 1024 shares are a weight of 100 on v2, where 3 times the weight is 4054 shares.
    let v2 = fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap_or(false);
    let containers: Vec<_> = [1024, if v2 { 4054 } else { 3072 }]
        .into_iter()
        .map(|shares| {
            let cpu = json!({ "shares": shares, "cpus": "0" });
            let bundle = bundle(fixture, "cpu", cpu).script(SPIN).written();
            fixture.container(&bundle)
        })
        .collect();
    for container in &containers {
        container.create().ok();
        container.start().ok();
        fixture.track(container);
    }
    let times = || {
        let each = containers.iter().map(|one| time_of(one.pid()));
        each.map(|time| time.as_secs_f64()).collect::<Vec<_>>()
    };
    let fits = |ratio: &f64| (2.7..3.3).contains(ratio);
    // On a machine with other work it takes more than one look, and a stall in one of them is no
    // more than a part of the whole.
    let mut ratios = Vec::new();
    let before = times();
    let mut last = before.clone();
    while ratios.len() < 30 && !ratios.iter().any(fits) {
        std::thread::sleep(Duration::from_secs(2));
        let now = times();
        let ratio = |then: &[f64]| (now[1] - then[1]) / (now[0] - then[0]);
        ratios.extend([ratio(&before), ratio(&last)]);
        last = now;
    }
    assert!(ratios.iter().any(fits), "{ratios:?} instead of 3");
    for container in &containers {
        container.delete_force().ok();
    }
    fixture.assert_clean();
    Ok(())
}

fn a_cpuset_pins(fixture: &Fixture) -> Outcome {
    need(&["cpuset"])?;
    let bundle = bundle(fixture, "cpu", json!({ "cpus": "0" }))
        .script("grep Cpus_allowed_list /proc/self/status")
        .written();
    let output = fixture.container(&bundle).call("run").run();
    assert_eq!(output.ok().stdout, "Cpus_allowed_list:\t0\n");
    fixture.assert_clean();
    Ok(())
}

fn a_fork_bomb_is_gone_within_a_second(fixture: &Fixture) -> Outcome {
    need(&["pids"])?;
    let bundle = bundle(fixture, "pids", json!({ "limit": 40 }))
        .script("bomb() { bomb | bomb & }; bomb 2>/dev/null; while :; do :; done")
        .written();
    let container = fixture.container(&bundle);
    container.create().ok();
    container.start().ok();
    fixture.track(&container);
    let pid = container.pid();
    std::thread::sleep(Duration::from_millis(500));
    let members = members_of(pid);
    assert!(members <= 40, "{members} processes");
    let begin = Instant::now();
    container.kill("KILL").ok();
    while members_of(pid) > 0 && begin.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(
        begin.elapsed() < Duration::from_secs(1),
        "{:?}",
        begin.elapsed()
    );
    container.delete().ok();
    fixture.assert_clean();
    Ok(())
}

/// Makes a container with this resource, and starts it.
fn started(fixture: &Fixture, bundle: Bundle) -> Container {
    let container = fixture.container(&bundle.written());
    container.create().ok();
    container.start().ok();
    fixture.track(&container);
    container
}

fn a_memory_hog_dies_and_is_reported(fixture: &Fixture) -> Outcome {
    need(&["memory"])?;
    let limit = json!({ "limit": 16 << 20, "swap": 16 << 20 });
    // It begins once somebody watches.
    let script = "trap 'tail /dev/zero; echo $? >/tmp/ended' USR1; while :; do sleep 0.1; done";
    let shared = fixture.file("shared");
    fs::create_dir(&shared).expect("make a folder");
    let mount = json!({ "destination": "/tmp", "type": "bind", "source": shared,
                        "options": ["bind", "rw"] });
    let bundle = bundle(fixture, "memory", limit)
        .set("/mounts/-", mount)
        .script(script);
    let container = started(fixture, bundle);
    let events = container.call_with("events", &["--interval=1h"]).start();
    std::thread::sleep(patient(Duration::from_millis(300)));
    container.kill("USR1").ok();
    let ended = || fs::read_to_string(shared.join("ended")).unwrap_or_default();
    assert!(until(|| ended() == "137\n"), "{:?}", ended());
    std::thread::sleep(Duration::from_secs(1));
    container.delete_force().ok();
    let output = events.finish().ok();
    let first = output.stdout.lines().next().unwrap_or("null");
    assert_eq!(
        serde_json::from_str::<Value>(first).ok(),
        Some(json!({ "type": "oom", "id": container.id() })),
        "{output}"
    );
    fixture.assert_clean();
    Ok(())
}

fn a_denied_device_is_refused_and_an_allowed_one_works(fixture: &Fixture) -> Outcome {
    let allow = json!({ "allow": true, "type": "c", "major": 1, "minor": 11, "access": "rwm" });
    // Not in the root file system, which may lie on one that has no devices, as systemd's /tmp.
    let script =
        "cd /dev; mknod k c 1 11 && dd if=k of=/dev/null bs=8192 count=1 2>/dev/null && echo kmsg
        mknod m c 1 1; head -c 1 m 2>&1 >/dev/null; true";
    let mut bundle = fixture
        .bundle()
        .set("/linux/resources/devices/-", allow)
        .script(script);
    for set in ["bounding", "effective", "permitted"] {
        bundle = bundle.set(
            &format!("/process/capabilities/{set}"),
            json!(["CAP_MKNOD", "CAP_SYSLOG"]),
        );
    }
    let output = fixture.container(&bundle.written()).run();
    assert_eq!(
        output.stdout, "kmsg\nhead: m: Operation not permitted\n",
        "{output}"
    );
    fixture.assert_clean();
    Ok(())
}

fn a_frozen_counter_stands_still(fixture: &Fixture) -> Outcome {
    let container = started(fixture, fixture.bundle().script(SPIN));
    let pid = container.pid();
    let moves = || {
        let before = time_of(pid);
        until(|| time_of(pid) > before)
    };
    assert!(moves());
    container.call("pause").run().ok();
    let before = time_of(pid);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(time_of(pid), before);
    container.call("resume").run().ok();
    assert!(moves());
    container.delete_force().ok();
    fixture.assert_clean();
    Ok(())
}

/// How many processes run in the PID namespace of the container's init. One that has ended and
/// waits for the host's init to look does not.
fn members_of(pid: u32) -> usize {
    // Of a process that is gone nothing can be read, so the first look is kept.
    thread_local!(static NAMESPACE: std::cell::OnceCell<std::path::PathBuf> = const { std::cell::OnceCell::new() });
    NAMESPACE.with(|namespace| {
        let namespace = namespace.get_or_init(|| {
            fs::read_link(format!("/proc/{pid}/ns/pid")).expect("the process runs")
        });
        let Ok(processes) = fs::read_dir("/proc") else {
            return 0;
        };
        processes
            .flatten()
            .filter(|process| {
                let path = process.path();
                let has_ended = || {
                    fs::read_to_string(path.join("stat")).is_ok_and(|stat| stat.contains(") Z "))
                };
                fs::read_link(path.join("ns/pid")).is_ok_and(|own| own == *namespace)
                    && !has_ended()
            })
            .count()
    })
}
