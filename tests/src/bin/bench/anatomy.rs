//! Where the time goes: system calls, page faults and the mere start of each program.

use crate::bench::{Bench, create};
use crate::contestant::Contestant;
use crate::driver::Line;
use orlop_tests::locate;
use orlop_tests::stats::median;
use orlop_tests::sys;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const ID: &str = "orlop-t-bench";
const STARTS: usize = 31;

/// One contestant, taken apart.
#[derive(Debug)]
pub(crate) struct Anatomy {
    label: String,
    /// Milliseconds from start to end of `--version`.
    start: f64,
    /// `create`, `start`, `delete -f`.
    verbs: [Verb; 3],
}

#[derive(Clone, Copy, Debug, Default)]
struct Verb {
    /// Of all of its processes; `None` without strace.
    calls: Option<usize>,
    /// Of the processes that were reaped.
    faults: u64,
}

/// Takes every runtime apart; who fails is left out, and a line says why.
pub(crate) fn measure(bench: &mut Bench) -> Vec<Anatomy> {
    let strace = locate::in_path("strace");
    if strace.is_none() {
        eprintln!("strace is missing: system calls are not counted");
    }
    let mut anatomies = Vec::new();
    for contestant in bench.runtimes() {
        match dissect(bench, &contestant, strace.as_deref()) {
            Ok(anatomy) => anatomies.push(anatomy),
            Err(error) => eprintln!("{} is left out: {error}", contestant.label),
        }
    }
    anatomies
}

/// The figures as a Markdown table.
pub(crate) fn table(anatomies: &[Anatomy]) -> String {
    let mut text = String::from(
        "System calls are of all processes of the command, counted by `strace -f`; those of \
         `create` include the init it leaves behind. Page faults are those of reaped processes.\n\n\
         | who | start of the program (`--version`) | system calls: create, start, delete -f | \
         page faults: create, start, delete -f |\n| --- | --- | --- | --- |\n",
    );
    for one in anatomies {
        let calls: Vec<String> = one
            .verbs
            .iter()
            .map(|verb| verb.calls.map_or("–".to_owned(), |calls| calls.to_string()))
            .collect();
        let faults: Vec<String> = one
            .verbs
            .iter()
            .map(|verb| verb.faults.to_string())
            .collect();
        let _ = writeln!(
            text,
            "| {} | {:.2} ms | {} | {} |",
            one.label,
            one.start,
            calls.join(", "),
            faults.join(", ")
        );
    }
    text
}

fn dissect(
    bench: &mut Bench,
    contestant: &Contestant,
    strace: Option<&Path>,
) -> io::Result<Anatomy> {
    let version = Line::new(&contestant.program, &["--version"])?;
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        starts.push(bench.driver.must(&version)?.elapsed.as_secs_f64() * 1e3);
    }
    let lines = [
        create(contestant, &bench.short, &bench.file("pid"), ID)?,
        contestant.line(&["start", ID])?,
        contestant.line(&["delete", "-f", ID])?,
    ];
    let mut verbs = [Verb::default(); 3];
    for (verb, line) in verbs.iter_mut().zip(&lines) {
        verb.faults = bench.driver.must(line)?.usage.minor_faults;
    }
    if let Some(strace) = strace {
        let counts = count(bench, contestant, strace, &lines)?;
        for (verb, calls) in verbs.iter_mut().zip(counts) {
            verb.calls = Some(calls);
        }
    }
    Ok(Anatomy {
        label: contestant.label.clone(),
        start: median(&starts).unwrap_or_default(),
        verbs,
    })
}

fn count(
    bench: &mut Bench,
    contestant: &Contestant,
    strace: &Path,
    [create, start, delete]: &[Line; 3],
) -> io::Result<[usize; 3]> {
    let log = bench.file("strace");
    let options = ["-f", "-qq", "-o", &log.to_string_lossy()];
    // strace traces init too, and stays until that ends: count while it waits to be started.
    fs::write(bench.file("pid"), "")?;
    let tracer = bench.driver.start(&create.under(strace, &options)?)?;
    let created = wait_until_created(bench, contestant);
    let in_create = calls(&log)?;
    if let Err(error) = created {
        let _ = bench.driver.run(delete);
        sys::wait4(tracer)?;
        return Err(error);
    }
    let other = bench.file("strace.2");
    let options = ["-f", "-qq", "-o", &other.to_string_lossy()];
    bench.driver.must(&start.under(strace, &options)?)?;
    let in_start = calls(&other)?;
    bench.driver.must(&delete.under(strace, &options)?)?;
    let in_delete = calls(&other)?;
    sys::wait4(tracer)?;
    Ok([in_create, in_start, in_delete])
}

fn wait_until_created(bench: &mut Bench, contestant: &Contestant) -> io::Result<()> {
    let state = contestant.line(&["state", ID])?;
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        if bench.driver.run(&state)?.status.success()
            && bench.driver.output(&state)?.contains("\"created\"")
        {
            // The command still has to end, and init to arrive at its gate.
            thread::sleep(Duration::from_millis(200));
            return Ok(());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Err(io::Error::new(
        io::ErrorKind::TimedOut,
        "not created within 10 s under strace",
    ))
}

/// Lines of a log that are a call's beginning.
fn calls(log: &Path) -> io::Result<usize> {
    let text = fs::read_to_string(log)?;
    Ok(text
        .lines()
        .filter(|line| line.contains('('))
        .filter(|line| !line.contains(" resumed>"))
        .filter(|line| !line.contains("+++") && !line.contains("---"))
        .count())
}
