//! Rows that weigh memory.

use crate::bench::{Bench, create};
use crate::contestant::Contestant;
use crate::race::race;
use crate::samples::{Budget, Note, Row, Unit};
use std::fs;
use std::io;

const ID: &str = "orlop-t-bench";

/// A created container's init may keep this much to itself, in KiB.
const INIT_LIMIT: f64 = 100.0;

pub(super) fn created_init(bench: &mut Bench) -> Row {
    let runtimes = bench.runtimes();
    let takers: Vec<&Contestant> = runtimes.iter().collect();
    let (bundle, pid_file) = (bench.short.clone(), bench.file("pid"));
    let length = bench.length(3, 3);
    let (entries, notes) = race(&mut bench.driver, &takers, length, |driver, contestant| {
        driver.must(&create(contestant, &bundle, &pid_file, ID)?)?;
        let private = fs::read_to_string(&pid_file).and_then(|pid| private_kib(pid.trim()));
        driver.must(&contestant.line(&["delete", "-f", ID])?)?;
        private
    });
    Row {
        key: "init",
        title: "private memory of a created container's init",
        unit: Unit::KibiBytes,
        budget: Budget::Absolute(INIT_LIMIT),
        entries,
        notes,
    }
}

pub(super) fn peak_of_create(bench: &mut Bench) -> Row {
    let runtimes = bench.runtimes();
    let takers: Vec<&Contestant> = runtimes.iter().collect();
    let (bundle, pid_file) = (bench.short.clone(), bench.file("pid"));
    let peak = bench.tools.peak.clone();
    let script = bench.file("peak.sh");
    let length = bench.length(3, 3);
    let (entries, mut notes) = race(&mut bench.driver, &takers, length, |driver, contestant| {
        // `peak` prints on descriptor 3, which only a shell can direct to where we read.
        fs::write(&script, "exec 3>&1 >/dev/null; exec \"$@\"")?;
        let line = create(contestant, &bundle, &pid_file, ID)?.under(&peak, &[])?;
        let shell = "/bin/sh".as_ref();
        let said = driver.output(&line.under(shell, &[&script.to_string_lossy()])?);
        driver.must(&contestant.line(&["delete", "-f", ID])?)?;
        said?.trim().parse().map_err(io::Error::other)
    });
    notes.push(Note::Remark(
        "The largest process of the command; init only where the command reaps it.".to_owned(),
    ));
    Row {
        key: "peak",
        title: "peak resident set of create",
        unit: Unit::KibiBytes,
        budget: bench.part_of_crun(0.7),
        entries,
        notes,
    }
}

/// What would be free without this process, in KiB: `proc_pid_smaps_rollup(5)`.
fn private_kib(pid: &str) -> io::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let kib = text
        .lines()
        .filter(|line| line.starts_with("Private_Clean:") || line.starts_with("Private_Dirty:"))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok())
        .sum();
    Ok(kib)
}
