//! The rows of the table.

mod cgroups;
mod commands;
mod library;
mod memory;

use crate::bench::Bench;
use crate::samples::Row;

/// A row's name for `--only`, and how it is measured.
type Measure = (&'static str, fn(&mut Bench) -> Row);

const ROWS: [Measure; 11] = [
    ("cycle", commands::cycle),
    ("paused", commands::cycle_with_pauses),
    ("engine", commands::engine),
    ("run", commands::run),
    ("exec", commands::exec),
    ("library", library::against_floor),
    ("caller", library::large_caller),
    ("cgroups", cgroups::beside_bare_calls),
    ("cgroups-many", cgroups::among_many),
    ("init", memory::created_init),
    ("peak", memory::peak_of_create),
];

/// Measures every row that is asked for.
pub(crate) fn measure(bench: &mut Bench, only: &[String]) -> Vec<Row> {
    ROWS.iter()
        .filter(|(key, _)| only.is_empty() || only.iter().any(|wanted| wanted == key))
        .map(|(key, measure)| {
            eprintln!("measuring: {key}");
            let row = measure(bench);
            for note in &row.notes {
                eprintln!("  {note}");
            }
            row
        })
        .collect()
}
