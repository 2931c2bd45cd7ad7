//! Sums of all trials, for a terminal and as Markdown.

use crate::trial::{State, Trial};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::time::Duration;

/// What came of all trials of one runtime.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    trials: usize,
    killed: usize,
    unreadable: usize,
    denied: usize,
    undeleted: usize,
    unusable: usize,
    with_processes: usize,
    with_cgroups: usize,
    cgroups: usize,
    with_mounts: usize,
    with_files: usize,
    said: BTreeMap<String, usize>,
}

impl Sums {
    pub(crate) fn add(&mut self, trial: &Trial) {
        self.trials += 1;
        self.killed += usize::from(trial.killed);
        self.unreadable += usize::from(trial.state == State::Unreadable);
        self.denied += usize::from(trial.state == State::Denied);
        self.undeleted += usize::from(!trial.deleted);
        self.unusable += usize::from(!trial.usable);
        self.with_processes += usize::from(!trial.left.processes.is_empty());
        self.with_cgroups += usize::from(!trial.left.cgroups.is_empty());
        self.cgroups += trial.left.cgroups.len();
        self.with_mounts += usize::from(!trial.left.mounts.is_empty());
        self.with_files += usize::from(!trial.left.files.is_empty());
        for line in &trial.said {
            // Ids and paths differ from trial to trial; the count is of the kind.
            let kind = line
                .split_whitespace()
                .map(without_numbers)
                .collect::<Vec<_>>();
            *self.said.entry(kind.join(" ")).or_default() += 1;
        }
    }

    /// Whether nothing was wrong, ever. That there is no such container yet is an answer, even if its
    /// folder is there, as long as `delete -f` removes that.
    /// Without a single kill in time nothing was tried.
    pub(crate) const fn is_clean(&self) -> bool {
        self.killed > 0
            && self.unreadable == 0
            && self.undeleted == 0
            && self.unusable == 0
            && self.with_processes == 0
            && self.with_cgroups == 0
            && self.with_mounts == 0
            && self.with_files == 0
    }
}

/// What came of one runtime: its name and version, how long `create` takes when it is left alone,
/// and the sums; or why it can't run.
pub(crate) type Line = (String, Result<(Duration, Sums), String>);

/// A page with the results of all runtimes.
pub(crate) fn page(
    machine: &[(&str, String)],
    cgroups: &str,
    trials: u32,
    seed: u64,
    lines: &[Line],
) -> String {
    let mut text = "# Crash experiment\n\nWritten by `make crash`.\n\n".to_owned();
    for (what, value) in machine {
        let _ = writeln!(text, "- {what}: {value}");
    }
    let _ = writeln!(
        text,
        "- cgroups: {cgroups}, in a private mount namespace and a PID namespace of its own\n\
         - seed: {seed}\n\n\
         `create` of each runtime is killed {trials} times, each time at a random moment of the time that it takes when it is left \
         alone. Then `state` is asked, and `delete -f` run once; whatever is found after that is left behind. At \
         last the same id is created and deleted again. Figures: trials.\n\n\
         | runtime | create, left alone | killed in time | unreadable state | no container, but its folder | `delete -f` failed | \
         processes left | cgroups left (directories) | mounts left | files left | id unusable |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    );
    for (name, result) in lines {
        let _ = match result {
            Ok((duration, sums)) => {
                let create = duration.as_secs_f64() * 1e3;
                writeln!(text, "| {name} | {create:.1} ms | {} |", sums.cells())
            }
            Err(reason) => writeln!(
                text,
                "| {name} | can't run here: {reason} {}|",
                "| ".repeat(9)
            ),
        };
    }
    text
}

impl Sums {
    fn cells(&self) -> String {
        let cgroups = format!("{} ({})", self.with_cgroups, self.cgroups);
        let counts = |counts: &[usize]| {
            let texts: Vec<String> = counts.iter().map(ToString::to_string).collect();
            texts.join(" | ")
        };
        format!(
            "{} | {cgroups} | {}",
            counts(&[
                self.killed,
                self.unreadable,
                self.denied,
                self.undeleted,
                self.with_processes,
            ]),
            counts(&[self.with_mounts, self.with_files, self.unusable])
        )
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} trials, {} killed in time: {} unreadable states, {} denied though a folder is there; after delete -f: {} failed, {} with \
             processes, {} with cgroups ({} directories), {} with mounts, {} with files; {} ids \
             unusable",
            self.trials,
            self.killed,
            self.unreadable,
            self.denied,
            self.undeleted,
            self.with_processes,
            self.with_cgroups,
            self.cgroups,
            self.with_mounts,
            self.with_files,
            self.unusable
        )?;
        for (line, count) in &self.said {
            writeln!(f, "    {count} × {line}")?;
        }
        Ok(())
    }
}

fn without_numbers(word: &str) -> String {
    let mut kind = String::new();
    for c in word.chars() {
        match c {
            '0'..='9' if kind.ends_with('N') => {}
            '0'..='9' => kind.push('N'),
            other => kind.push(other),
        }
    }
    kind
}
