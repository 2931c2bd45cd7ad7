//! Rows that time the library in a loop, beside the straight-line program.

use crate::bench::Bench;
use crate::contestant::FLOOR;
use crate::driver::Line;
use crate::race::Length;
use crate::samples::{Budget, Entry, Note, Row, Unit};
use orlop_tests::locate;
use std::io;

const SMALL: &str = "small caller";
const LARGE: &str = "caller with 512 MiB and 32 threads";

pub(super) fn against_floor(bench: &mut Bench) -> Row {
    let library = library(bench, &[]);
    let floor = Line::new(&bench.tools.floor, &[]);
    let (entries, notes) = loops(bench, [("library", true, library), (FLOOR, false, floor)]);
    Row {
        key: "library",
        title: "the library in a loop: spawn to exit of true",
        unit: Unit::Milliseconds,
        budget: Budget::Part(1.5, FLOOR.to_owned()),
        entries,
        notes,
    }
}

pub(super) fn large_caller(bench: &mut Bench) -> Row {
    let large = library(bench, &["--resident-mib", "512", "--threads", "32"]);
    let small = library(bench, &[]);
    let (entries, notes) = loops(bench, [(LARGE, true, large), (SMALL, false, small)]);
    Row {
        key: "caller",
        title: "the library from a large caller",
        unit: Unit::Milliseconds,
        budget: Budget::Part(1.1, SMALL.to_owned()),
        entries,
        notes,
    }
}

/// The program that loops over the library: `bench-lib`, built beside this one.
fn library(_bench: &Bench, options: &[&str]) -> io::Result<Line> {
    Line::new(&locate::sibling("bench-lib")?, options)
}

/// Runs the programs in turn. Each takes a root file system and a count as its last arguments, and
/// prints one line a loop: nanoseconds.
fn loops(
    bench: &mut Bench,
    programs: [(&str, bool, io::Result<Line>); 2],
) -> (Vec<Entry>, Vec<Note>) {
    let Length { rounds, samples } = bench.length(10, 40);
    let rootfs = bench.short.join("rootfs");
    let mut notes = Vec::new();
    let mut entries = Vec::new();
    let mut lines = Vec::new();
    for (label, ours, line) in programs {
        let count = (samples + 1).to_string();
        match line.and_then(|line| line.then(&[&rootfs.to_string_lossy(), &count])) {
            Ok(line) => {
                lines.push(line);
                entries.push(Entry {
                    label: label.to_owned(),
                    ours,
                    rounds: Vec::new(),
                });
            }
            Err(error) => notes.push(Note::out(label, &error)),
        }
    }
    for round in 0..rounds {
        for turn in 0..lines.len() {
            let who = (round + turn) % lines.len();
            match figures(bench, &lines[who]) {
                Ok(figures) => entries[who].rounds.push(figures),
                Err(error) => notes.push(Note::out(&entries[who].label, &error)),
            }
        }
    }
    entries.retain(|entry| entry.rounds.len() == rounds);
    notes.dedup();
    (entries, notes)
}

fn figures(bench: &mut Bench, line: &Line) -> io::Result<Vec<f64>> {
    let said = bench.driver.output(line)?;
    said.lines()
        .skip(1) // the first loop warms up
        .map(|line| {
            line.parse::<f64>()
                .map(|nanoseconds| nanoseconds / 1e6)
                .map_err(io::Error::other)
        })
        .collect()
}
