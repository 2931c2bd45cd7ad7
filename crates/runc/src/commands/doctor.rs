//! `doctor`: what the host offers to containers, and what it lacks.

use std::fmt::Write as _;

use orlop::doctor::{Report, examine};

use crate::cli::{Argument, Arity, Command, Flag, Matches};
use crate::context::Context;
use crate::failure::Failure;

pub(super) const COMMAND: Command = Command {
    name: "doctor",
    summary: "examine the host",
    arguments: "",
    first_argument: Argument::Free,
    description: "Tells what the host offers to containers, what it lacks, and what to do about it: the \
                  kernel's calls, cgroups and who may make them, user namespaces, filters, security modules. \
                  It changes nothing.\n\n\
                  The exit status is 0 unless something makes containers impossible, for root too.",
    flags: &[Flag::choice(
        "format",
        &["text", "json"],
        "how to show it (default: text)",
    )
    .short('f')],
    arity: Arity::Exactly(0),
    passes_on: false,
    run,
};

/// The exit status where root can have no containers.
const IMPOSSIBLE: u8 = 1;

fn run(_: &Context, matches: &Matches) -> Result<u8, Failure> {
    let report = examine();
    match matches.text("format").as_deref() {
        None | Some("text") => super::print(text(&report))?,
        Some("json") => super::print(json(&report)?)?,
        Some(_) => return Err(Failure::new("invalid format option")),
    };
    Ok(if report.root_containers {
        0
    } else {
        IMPOSSIBLE
    })
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let _ = writeln!(
            text,
            "{:4}  {:18}  {}",
            finding.level, finding.check, finding.message
        );
        if let Some(advice) = &finding.advice {
            let _ = writeln!(text, "{:26}→ {advice}", "");
        }
    }
    text
}

fn json(report: &Report) -> Result<String, Failure> {
    let json = serde_json::to_string_pretty(report);
    json.map(|json| json + "\n")
        .map_err(|error| Failure::new(format!("render the report: {error}")))
}
