//! Limits bite, whatever the version of cgroups and whoever makes them: seen from the processes
//! alone, so that each test is the same on every host.

use orlop_tests::{Bundle, Fixture, Output, skip, test_name};
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};

const SPIN: &str = "while :; do :; done";

fn bundle(fixture: &Fixture, resource: &str, value: Value) -> Bundle {
    fixture
        .bundle()
        .set(&format!("/linux/resources/{resource}"), value)
}

/// Whether this host has no controller for it, which the runtime has to say itself.
fn is_missing(output: &Output) -> bool {
    output.stderr.contains("is not available here")
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

#[test]
fn a_mebibyte_of_memory_starts_true() {
    let fixture = Fixture::new(test_name!());
    let limit = json!({ "limit": 1 << 20, "swap": 1 << 20 });
    let bundle = bundle(&fixture, "memory", limit).args(&["true"]).written();
    let output = fixture.container(&bundle).call("run").run();
    if is_missing(&output) {
        skip!("no memory controller");
    }
    output.ok();
    fixture.assert_clean();
}

#[test]
fn a_spinner_gets_its_quota() {
    let fixture = Fixture::new(test_name!());
    let quota = json!({ "quota": 20_000, "period": 100_000 });
    let bundle = bundle(&fixture, "cpu", quota).script(SPIN).written();
    let container = fixture.container(&bundle);
    let created = container.call("create").run();
    if is_missing(&created) {
        skip!("no cpu controller");
    }
    created.ok();
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
}

#[test]
fn one_and_three_shares_are_one_and_three_parts() {
    let fixture = Fixture::new(test_name!());
    // 1024 shares are a weight of 100 on v2, where 3 times the weight is 4054 shares.
    let v2 = fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap_or(false);
    let containers: Vec<_> = [1024, if v2 { 4054 } else { 3072 }]
        .into_iter()
        .map(|shares| {
            let cpu = json!({ "shares": shares, "cpus": "0" });
            let bundle = bundle(&fixture, "cpu", cpu).script(SPIN).written();
            fixture.container(&bundle)
        })
        .collect();
    for container in &containers {
        let created = container.call("create").run();
        if is_missing(&created) {
            skip!("no cpu or cpuset controller");
        }
        created.ok();
        container.start().ok();
        fixture.track(container);
    }
    let times = || {
        let each = containers.iter().map(|one| time_of(one.pid()));
        each.map(|time| time.as_secs_f64()).collect::<Vec<_>>()
    };
    let mut ratios = Vec::new();
    for _ in 0..5 {
        let before = times();
        std::thread::sleep(Duration::from_secs(2));
        let after = times();
        ratios.push((after[1] - before[1]) / (after[0] - before[0]));
        if ratios
            .last()
            .is_some_and(|ratio| (2.7..3.3).contains(ratio))
        {
            break;
        }
    }
    assert!(
        ratios.iter().any(|ratio| (2.7..3.3).contains(ratio)),
        "{ratios:?} instead of 3"
    );
    for container in &containers {
        container.delete_force().ok();
    }
    fixture.assert_clean();
}

#[test]
fn a_cpuset_pins() {
    let fixture = Fixture::new(test_name!());
    let bundle = bundle(&fixture, "cpu", json!({ "cpus": "0" }))
        .script("grep Cpus_allowed_list /proc/self/status")
        .written();
    let output = fixture.container(&bundle).call("run").run();
    if is_missing(&output) {
        skip!("no cpuset controller");
    }
    assert_eq!(output.ok().stdout, "Cpus_allowed_list:\t0\n");
    fixture.assert_clean();
}

#[test]
fn a_fork_bomb_is_gone_within_a_second() {
    let fixture = Fixture::new(test_name!());
    let bundle = bundle(&fixture, "pids", json!({ "limit": 40 }))
        .script("bomb() { bomb | bomb & }; bomb 2>/dev/null; while :; do :; done")
        .written();
    let container = fixture.container(&bundle);
    let created = container.call("create").run();
    if is_missing(&created) {
        skip!("no pids controller");
    }
    created.ok();
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
