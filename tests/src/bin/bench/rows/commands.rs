//! Rows that time whole commands.

use crate::bench::Bench;
use crate::contestant::{self, Contestant, Kind};
use crate::driver::{Driver, Line};
use crate::race::{Length, race};
use crate::samples::{Entry, Note, Row, Unit};
use orlop_tests::stats::median;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// One id for all: each contestant has its own state root, and takes turns with the cgroup.
const ID: &str = "orlop-t-bench";

const PAUSE: Duration = Duration::from_millis(20);

pub(super) fn cycle(bench: &mut Bench) -> Row {
    let bundle = bench.short.clone();
    let mut takers = bench.runtimes();
    takers.extend(bench.tools.floor_alone.as_deref().map(contestant::floor));
    let length = bench.length(15, 10);
    let (entries, mut notes) = race_cycles(bench, &takers, &bundle, length, Duration::ZERO);
    notes.push(Note::Remark(
        "The straight-line program is one that does all of it, and two that only start and end."
            .to_owned(),
    ));
    Row {
        key: "cycle",
        title: "create + start + delete -f, back to back",
        unit: Unit::Milliseconds,
        budget: bench.part_of_crun(0.20),
        entries,
        notes,
    }
}

pub(super) fn cycle_with_pauses(bench: &mut Bench) -> Row {
    let bundle = bench.short.clone();
    let takers = bench.runtimes();
    let (entries, notes) = race_cycles(bench, &takers, &bundle, bench.length(10, 6), PAUSE);
    Row {
        key: "paused",
        title: "create + start + delete -f, 20 ms pauses between",
        unit: Unit::Milliseconds,
        budget: bench.part_of_crun(0.20),
        entries,
        notes,
    }
}

pub(super) fn engine(bench: &mut Bench) -> Row {
    let bundle = bench.engine.clone();
    let length = bench.length(8, 6);
    let takers = bench.runtimes();
    let (entries, mut notes) = race_cycles(bench, &takers, &bundle, length, Duration::ZERO);
    notes.push(Note::Remark(
        "Each contestant may keep what it has compiled of the filter from one container to the next."
            .to_owned(),
    ));
    Row {
        key: "engine",
        title: "the same as an engine makes it: large filter, user namespace, 20 bind mounts, limits",
        unit: Unit::Milliseconds,
        budget: bench.part_of_crun(0.30),
        entries,
        notes,
    }
}

fn race_cycles(
    bench: &mut Bench,
    takers: &[Contestant],
    bundle: &Path,
    length: Length,
    pause: Duration,
) -> (Vec<Entry>, Vec<Note>) {
    let takers: Vec<&Contestant> = takers.iter().collect();
    let nothing = bench.tools.nothing.clone();
    let rootfs = bundle.join("rootfs").to_string_lossy().into_owned();
    let bundle = bundle.to_string_lossy().into_owned();
    let mut parts: BTreeMap<String, [Vec<f64>; 3]> = BTreeMap::new();
    let (entries, mut notes) = race(&mut bench.driver, &takers, length, |driver, contestant| {
        let lines = match contestant.kind {
            Kind::Floor => [
                Line::new(&contestant.program, &[&rootfs, "1", ID])?,
                Line::new(&nothing, &[])?,
                Line::new(&nothing, &[])?,
            ],
            Kind::Runtime | Kind::Bubblewrap => [
                contestant.line(&["create", "--bundle", &bundle, ID])?,
                contestant.line(&["start", ID])?,
                contestant.line(&["delete", "-f", ID])?,
            ],
        };
        let parts = parts.entry(contestant.label.clone()).or_default();
        let mut total = 0.0;
        for (line, part) in lines.iter().zip(parts) {
            thread::sleep(pause);
            let time = milliseconds(driver.must(line)?.elapsed);
            part.push(time);
            total += time;
        }
        Ok(total)
    });
    notes.extend(parts.iter().map(|(label, parts)| split(label, parts)));
    (entries, notes)
}

fn split(label: &str, parts: &[Vec<f64>; 3]) -> Note {
    let [create, start, delete] = parts
        .each_ref()
        .map(|part| median(part).unwrap_or_default());
    Note::Remark(format!(
        "{label}: create {create:.2} ms, start {start:.2} ms, delete -f {delete:.2} ms (medians)."
    ))
}

pub(super) fn run(bench: &mut Bench) -> Row {
    let mut contestants = bench.contestants.clone();
    contestants.extend(bench.tools.floor_alone.as_deref().map(contestant::floor));
    let takers: Vec<&Contestant> = contestants.iter().collect();
    let bundle = bench.short.clone();
    let length = bench.length(12, 10);
    let (entries, mut notes) = race(&mut bench.driver, &takers, length, |driver, contestant| {
        let line = match contestant.kind {
            Kind::Runtime => contestant.line(&["run", "--bundle", &bundle.to_string_lossy(), ID]),
            Kind::Bubblewrap => bubblewrap(contestant, &bundle.join("rootfs")),
            Kind::Floor => {
                let rootfs = bundle.join("rootfs");
                Line::new(&contestant.program, &[&rootfs.to_string_lossy(), "1", ID])
            }
        }?;
        Ok(milliseconds(driver.must(&line)?.elapsed))
    });
    if contestants.iter().any(|one| one.kind == Kind::Bubblewrap) {
        notes.push(Note::Remark(
            "bwrap does less: no cgroup, no masked paths, no state, no hooks; the nearest that its \
             options allow."
                .to_owned(),
        ));
    }
    notes.push(Note::Remark(match bench.tools.floor_alone {
        Some(_) => "The straight-line program makes the container's system calls and nothing else: no \
                    configuration is read, no state written, no error explained. It is the least that \
                    a program can take here."
            .to_owned(),
        None => "The straight-line program is missing: no musl-gcc (package musl-tools).".to_owned(),
    }));
    Row {
        key: "run",
        title: "run in the foreground",
        unit: Unit::Milliseconds,
        budget: bench.part_of_crun(0.25),
        entries,
        notes,
    }
}

/// The default configuration, as near as its options come.
fn bubblewrap(contestant: &Contestant, rootfs: &Path) -> io::Result<Line> {
    let rootfs = rootfs.to_string_lossy();
    Line::new(
        &contestant.program,
        &[
            "--unshare-pid",
            "--unshare-net",
            "--unshare-ipc",
            "--unshare-uts",
            "--hostname",
            "contained",
            "--ro-bind",
            &rootfs,
            "/",
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "--mqueue",
            "/dev/mqueue",
            "--ro-bind",
            "/sys",
            "/sys",
            "--cap-drop",
            "ALL",
            "--as-pid-1",
            "true",
        ],
    )
}

pub(super) fn exec(bench: &mut Bench) -> Row {
    let runtimes = bench.runtimes();
    let mut takers = Vec::new();
    let mut notes = Vec::new();
    for contestant in &runtimes {
        match start_sleeper(&mut bench.driver, contestant, &bench.long) {
            Ok(()) => takers.push(contestant),
            Err(error) => notes.push(Note::out(&contestant.label, &error)),
        }
    }
    let length = bench.length(12, 10);
    let (entries, more) = race(&mut bench.driver, &takers, length, |driver, contestant| {
        let line = contestant.line(&["exec", &sleeper(contestant), "true"])?;
        Ok(milliseconds(driver.must(&line)?.elapsed))
    });
    notes.extend(more);
    for contestant in &runtimes {
        let deleted = contestant
            .line(&["delete", "-f", &sleeper(contestant)])
            .and_then(|line| bench.driver.must(&line));
        if let Err(error) = deleted {
            notes.push(Note::out(&contestant.label, &error));
        }
    }
    Row {
        key: "exec",
        title: "exec true into a running container",
        unit: Unit::Milliseconds,
        budget: bench.part_of_crun(0.25),
        entries,
        notes,
    }
}

/// All of them run at the same time, so each has an id, and thereby a cgroup, of its own.
fn sleeper(contestant: &Contestant) -> String {
    let label: String = contestant
        .label
        .chars()
        .map(|c| if c == ' ' { '-' } else { c })
        .collect();
    format!("orlop-t-bench-{label}")
}

fn start_sleeper(driver: &mut Driver, contestant: &Contestant, bundle: &Path) -> io::Result<()> {
    let id = sleeper(contestant);
    let bundle = bundle.to_string_lossy();
    driver.must(&contestant.line(&["run", "--detach", "--bundle", &bundle, &id])?)?;
    Ok(())
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
