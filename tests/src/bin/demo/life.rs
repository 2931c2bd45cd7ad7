//! The life of a container, step by step, each beside the same step of other runtimes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use orlop_tests::{Bundle, Fixture, Output, stats};
use serde_json::Value;

use crate::paper::Paper;
use crate::{Result, bundle, label};

/// How often each runtime takes all steps; they take turns.
const ROUNDS: usize = 10;

const STEPS: [&str; 6] = [
    "create",
    "state",
    "start",
    "exec true",
    "kill KILL",
    "delete",
];

/// The width of a runtime's column.
const COLUMN: usize = 20;

/// A runtime with its own state, and the milliseconds of each step.
struct Contender {
    label: String,
    fixture: Fixture,
    bundle: Bundle,
    times: [Vec<f64>; STEPS.len()],
}

/// Prints the table; the first program is the one that the others are compared with.
pub(crate) fn show(paper: &Paper, programs: &[PathBuf], config: &Value) -> Result<()> {
    let mut contenders: Vec<Contender> = Vec::new();
    let mut unable = Vec::new();
    for program in programs {
        if let Err(reason) = tells_its_version(program) {
            unable.push(format!("{} is left out: {reason}", program.display()));
            continue;
        }
        let fixture = Fixture::of("demo", program);
        let bundle = bundle(&fixture.file("life"), config, &["sleep", "60"])?;
        let mut contender = Contender {
            label: label(fixture.runtime()),
            fixture,
            bundle,
            times: Default::default(),
        };
        // One round for the caches, which is not counted; and to see whether it can at all.
        match contender.live(false) {
            Ok(()) => contenders.push(contender),
            Err(error) if contenders.is_empty() => return Err(error),
            Err(error) => unable.push(format!(
                "{} can't run here and is left out: {error}",
                program.display()
            )),
        }
    }
    for _ in 0..ROUNDS {
        for contender in &mut contenders {
            contender.live(true)?;
        }
    }
    for contender in &contenders {
        contender.fixture.assert_clean();
    }
    print(paper, &contenders);
    for line in &unable {
        paper.line(&paper.dim(format!("  ({line})")));
    }
    if programs.len() == 1 {
        paper.line(&paper.dim("  (neither crun nor runc is in PATH to be compared with)"));
    }
    Ok(())
}

/// A program in PATH may be one that does not even start.
fn tells_its_version(program: &Path) -> Result<()> {
    let output = Command::new(program).arg("--version").output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("--version: {}", output.status).into()),
    }
}

impl Contender {
    /// One container from `create` to `delete`.
    fn live(&mut self, counted: bool) -> Result<()> {
        let container = self.fixture.container(&self.bundle);
        for (step, times) in STEPS.iter().zip(&mut self.times) {
            let output = match *step {
                "exec true" => container.exec(&["true"]),
                "kill KILL" => container.kill("KILL"),
                verb => container.call(verb).run(),
            };
            if !output.status.success() {
                container.delete_force();
                return Err(format!("{step}: {}", output.stderr.trim_end()).into());
            }
            if counted {
                times.push(milliseconds(&output));
            }
            if *step == "kill KILL" {
                container.wait_for("stopped");
            }
        }
        Ok(())
    }

    /// The median of each step, and of all together.
    fn medians(&self) -> Vec<f64> {
        let of_steps = self.times.iter().map(|times| stats::median(times));
        let rounds: Vec<f64> = (0..ROUNDS)
            .map(|round| self.times.iter().map(|times| times[round]).sum())
            .collect();
        of_steps
            .chain([stats::median(&rounds)])
            .map(Option::unwrap_or_default)
            .collect()
    }
}

fn milliseconds(output: &Output) -> f64 {
    output.elapsed.as_secs_f64() * 1e3
}

fn print(paper: &Paper, contenders: &[Contender]) {
    let title = format!("The life of a container, in milliseconds (median of {ROUNDS} rounds)");
    paper.line(&format!("\n{}\n", paper.bold(title)));
    let mut head = format!("  {:<14}", "");
    for contender in contenders {
        let _ = write!(head, "{:<COLUMN$}", contender.label);
    }
    paper.line(&paper.bold(head.trim_end()));
    let medians: Vec<Vec<f64>> = contenders.iter().map(Contender::medians).collect();
    for (row, name) in STEPS.iter().chain(&["all of them"]).enumerate() {
        let times = medians.iter().map(|medians| medians[row]);
        paper.line(&line(name, &times.collect::<Vec<f64>>()));
    }
}

/// A row: each time, and how many times the first one it is.
fn line(name: &str, times: &[f64]) -> String {
    let first = times.first().copied().unwrap_or_default();
    let mut line = format!("  {name:<14}");
    for (column, time) in times.iter().enumerate() {
        let cell = match column {
            0 => format!("{time:.2}"),
            _ => format!("{time:<7.2}{:.1}×", time / first),
        };
        let _ = write!(line, "{cell:<COLUMN$}");
    }
    line.trim_end().to_owned()
}
