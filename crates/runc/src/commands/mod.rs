//! One command a file.

mod completion;
mod features;
mod manual;
mod spec;

use std::io::Write as _;

use crate::cli::Command;
use crate::failure::Failure;

/// The commands, in the order in which help shows them.
pub(crate) const ALL: &[&Command] = &[
    &spec::COMMAND,
    &features::COMMAND,
    &completion::COMMAND,
    &manual::COMMAND,
];

/// Writes a command's result to standard output.
fn print(text: impl AsRef<[u8]>) -> Result<u8, Failure> {
    let mut output = std::io::stdout();
    output
        .write_all(text.as_ref())
        .and_then(|()| output.flush())
        .map_err(|error| Failure::io("write to standard output", error))?;
    Ok(0)
}
