//! One command a file.

mod checkpoint;
mod completion;
mod container;
mod create;
mod criu;
mod delete;
mod doctor;
mod event_pressure;
mod event_stats;
mod events;
mod exec;
mod exec_cgroup;
mod exec_process;
mod features;
mod flags;
mod kill;
mod list;
mod listen_fds;
mod manual;
mod matching;
mod notify;
mod pause;
mod plan;
mod ps;
mod quantity;
mod restore;
mod resume;
mod run;
mod spec;
mod start;
mod state;
mod steps;
mod update;

use std::io::{self, Write as _};

use crate::cli::{Command, Matches};
use crate::failure::Failure;

/// The commands, in the order in which help shows them.
pub(crate) const ALL: &[&Command] = &[
    &create::COMMAND,
    &start::COMMAND,
    &run::COMMAND,
    &exec::COMMAND,
    &state::COMMAND,
    &list::COMMAND,
    &ps::COMMAND,
    &events::COMMAND,
    &kill::COMMAND,
    &pause::COMMAND,
    &resume::COMMAND,
    &update::COMMAND,
    &checkpoint::COMMAND,
    &restore::COMMAND,
    &delete::COMMAND,
    &spec::COMMAND,
    &plan::COMMAND,
    &features::COMMAND,
    &doctor::COMMAND,
    &completion::COMMAND,
    &manual::COMMAND,
];

/// Checks the descriptors that a command is to pass on, before this program opens any; what is wrong
/// is for the command's log.
pub(crate) fn check_preserved(command: &Command, matches: &Matches) -> Result<(), Failure> {
    let checked = listen_fds::check_preserved(matches.number("preserve-fds"));
    if command.name == exec::COMMAND.name {
        checked.map_err(exec::failed)
    } else {
        checked
    }
}

/// Writes a command's result to standard output.
fn print(text: impl AsRef<[u8]>) -> Result<u8, Failure> {
    let mut output = io::stdout();
    match output
        .write_all(text.as_ref())
        .and_then(|()| output.flush())
    {
        Ok(()) => Ok(0),
        // Who stops reading early has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        Err(error) => Err(Failure::io("write to standard output", error)),
    }
}
