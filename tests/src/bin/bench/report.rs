//! The table, for a terminal and as Markdown.

use crate::anatomy::Anatomy;
use crate::samples::{Budget, Entry, Row, Verdict};
use std::fmt::Write;

/// The table of all rows for a terminal.
pub(crate) fn terminal(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let _ = writeln!(text, "\n{}  [{}]  {}", row.title, row.key, verdict(row));
        for entry in &row.entries {
            let _ = writeln!(text, "  {:<36} {}", entry.label, figures(row, entry));
        }
        for note in &row.notes {
            let _ = writeln!(text, "  note: {note}");
        }
    }
    text
}

/// A page with everything: machine, table, chart, where the time goes.
pub(crate) fn page(
    name: &str,
    machine: &[(&str, String)],
    cgroups: &str,
    rows: &[Row],
    anatomies: &[Anatomy],
) -> String {
    let mut text = format!("# Benchmark: {name}\n\nWritten by `make bench`.\n\n");
    for (what, value) in machine {
        let _ = writeln!(text, "- {what}: {value}");
    }
    let _ = writeln!(
        text,
        "- cgroups: {cgroups}, in a private mount namespace; state roots on tmpfs\n\n\
         Contestants take turns in blocks; each block begins with a run that is not counted. Times \
         are from before `posix_spawn` until the program is reaped, taken by the same small \
         program for all. Peers of a newer suite start with their own dynamic linker and \
         libraries, bound in place, as at home. Figures: median (10th to 90th percentile).\n\n\
         ![chart]({name}.svg)\n"
    );
    text.push_str("| what | budget | ours | ratio (10th to 90th of rounds) | verdict |\n");
    text.push_str("| --- | --- | --- | --- | --- |\n");
    for row in rows {
        let ours = row.ours().map_or("–".to_owned(), |ours| figures(row, ours));
        let _ = writeln!(
            text,
            "| {} | {} | {ours} | {} | {} |",
            row.title,
            budget(row),
            ratio(row),
            word(row.verdict())
        );
    }
    for row in rows {
        let _ = writeln!(
            text,
            "\n## {}\n\n| who | {} |",
            row.title,
            row.unit.symbol()
        );
        text.push_str("| --- | --- |\n");
        for entry in &row.entries {
            let _ = writeln!(text, "| {} | {} |", entry.label, figures(row, entry));
        }
        for note in &row.notes {
            let _ = writeln!(text, "\n{}", note.public());
        }
    }
    if !anatomies.is_empty() {
        text.push_str("\n## Where the time goes\n\n");
        text.push_str(&crate::anatomy::table(anatomies));
    }
    text
}

fn verdict(row: &Row) -> String {
    format!(
        "budget {}: {} {}",
        budget(row),
        word(row.verdict()),
        ratio(row)
    )
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASS",
        Verdict::Over => "over",
        Verdict::Unknown => "not measured",
    }
}

fn budget(row: &Row) -> String {
    match &row.budget {
        Budget::Part(part, of) => format!("{part} × {of}"),
        Budget::Absolute(limit) => format!("{limit} {}", row.unit.symbol()),
        Budget::Unknown => "none: nothing to compare with".to_owned(),
    }
}

fn ratio(row: &Row) -> String {
    row.ratio().map_or(String::new(), |ratio| {
        format!(
            "{:.3} ({:.3} to {:.3})",
            ratio.of_medians, ratio.low, ratio.high
        )
    })
}

fn figures(row: &Row, entry: &Entry) -> String {
    entry.summary().map_or("–".to_owned(), |s| {
        let unit = row.unit.symbol();
        format!(
            "{:.2} {unit} ({:.2} to {:.2}, n={})",
            s.median, s.p10, s.p90, s.count
        )
    })
}
