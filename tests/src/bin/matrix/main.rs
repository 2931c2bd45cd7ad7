//! Writes `docs/test-matrix.md`: which test ran on which kind of machine, and how it ended.
//!
//!     matrix PAGE LOG...
//!
//! A log is what `scripts/test` keeps of a run: one for each machine.
#![allow(missing_docs)]

mod log;

use log::{Log, Outcome};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((page, logs)) = arguments.split_first().filter(|(_, logs)| !logs.is_empty()) else {
        eprintln!("usage: matrix PAGE LOG...");
        return ExitCode::from(2);
    };
    match read(logs).and_then(|logs| {
        std::fs::write(page, compose(&logs)).map_err(|error| format!("{page}: {error}"))
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("matrix: {error}");
            ExitCode::FAILURE
        }
    }
}

fn read(paths: &[String]) -> Result<Vec<Log>, String> {
    paths
        .iter()
        .map(|path| {
            let bytes = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
            Log::parse(&String::from_utf8_lossy(&bytes)).map_err(|error| format!("{path}: {error}"))
        })
        .collect()
}

fn compose(logs: &[Log]) -> String {
    let mut page = String::from(
        "# Which test ran where\n\n\
         Written by `make lab`; the lab is described in [tests/lab](../tests/lab/README.md). The same \
         tests run on each machine; one that can't run there says why.\n\n",
    );
    totals(&mut page, logs);
    reasons(&mut page, logs);
    let programs: BTreeSet<&String> = keys(logs).map(|(program, _)| program).collect();
    for program in programs {
        table(&mut page, logs, program);
    }
    page
}

fn keys(logs: &[Log]) -> impl Iterator<Item = &(String, String)> {
    logs.iter().flat_map(|log| log.outcomes.keys())
}

/// Machines are called by letters in the tables below.
fn letter(index: usize) -> char {
    ('A'..='Z').nth(index).unwrap_or('?')
}

fn totals(page: &mut String, logs: &[Log]) {
    page.push_str(
        "| | machine | passed | failed | skipped |\n| --- | --- | ---: | ---: | ---: |\n",
    );
    for (index, log) in logs.iter().enumerate() {
        let [passed, failed, skipped] = log.totals();
        let (letter, machine) = (letter(index), &log.machine);
        let _ = writeln!(
            page,
            "| {letter} | {machine} | {passed} | {failed} | {skipped} |"
        );
    }
}

fn reasons(page: &mut String, logs: &[Log]) {
    page.push_str("\n## Skipped\n\n| machine | test | why |\n| --- | --- | --- |\n");
    for (index, log) in logs.iter().enumerate() {
        for ((program, test), outcome) in &log.outcomes {
            if let Outcome::Skipped(why) = outcome {
                let (letter, why) = (letter(index), why.replace('|', "\\|"));
                let _ = writeln!(page, "| {letter} | `{program}` `{test}` | {why} |");
            }
        }
    }
}

fn table(page: &mut String, logs: &[Log], program: &str) {
    let tests: BTreeSet<&String> = keys(logs)
        .filter(|(of, _)| of == program)
        .map(|(_, test)| test)
        .collect();
    let _ = write!(page, "\n## {program}\n\n| test |");
    let columns = 0..logs.len();
    columns
        .clone()
        .for_each(|index| page.extend([' ', letter(index), ' ', '|']));
    page.push_str("\n| --- |");
    columns.for_each(|_| page.push_str(" --- |"));
    for test in tests {
        let _ = write!(page, "\n| `{test}` |");
        for log in logs {
            let cell = match log.outcomes.get(&(program.to_owned(), test.clone())) {
                Some(Outcome::Passed) => "passed",
                Some(Outcome::Failed) => "**failed**",
                Some(Outcome::Skipped(_)) => "skipped",
                None => "-",
            };
            let _ = write!(page, " {cell} |");
        }
    }
    page.push('\n');
}
