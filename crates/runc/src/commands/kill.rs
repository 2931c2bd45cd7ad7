//! `kill`: a signal for a container.

use orlop::{Error, Signal, Status};

use super::{container, matching};
use crate::cli::{Argument, Arity, Command, Flag, Matches};
use crate::context::Context;
use crate::failure::Failure;

pub(super) const COMMAND: Command = Command {
    name: "kill",
    summary: "send a signal to a container",
    arguments: "ID [SIGNAL]",
    first_argument: Argument::Container,
    description: "Sends a signal to the container's first process. SIGNAL is a name, with or without SIG, \
                  or a number; without it, it is SIGTERM.\n\n\
                  SIGKILL reaches every process of a container that has no PID namespace of its own.",
    flags: &[
        Flag::switch("all", "send it to all processes of the container")
            .short('a')
            .hide(),
        matching::REGEX,
    ],
    arity: Arity::Between(1, 2),
    passes_on: false,
    run,
};

fn run(context: &Context, matches: &Matches) -> Result<u8, Failure> {
    if matches.argument(1).as_deref() == Some("0") {
        return probe(context, matches);
    }
    let signal = match matches.argument(1).filter(|signal| !signal.is_empty()) {
        Some(name) => name.parse().map_err(|error| match error {
            Error::Invalid { message, .. } => Failure::new(message),
            other => other.into(),
        })?,
        None => Signal::TERM,
    };
    let all = matches.is_set("all");
    if matches.is_set("regex") {
        return matching::each(context, matches, |runtime, id| {
            // There are stopped ones among many, and there is nothing to be done about them.
            match runtime.load(id)?.kill(signal, all) {
                Err(Error::NotRunning(_)) => Ok(()),
                other => Ok(other?),
            }
        });
    }
    container::load(context, matches)?.kill(signal, all)?;
    Ok(0)
}

/// Signal 0 is none (`kill(2)`): it only tells whether there is a process.
fn probe(context: &Context, matches: &Matches) -> Result<u8, Failure> {
    let container = container::load(context, matches)?;
    let lives = matches!(
        container.status()?,
        Status::Created | Status::Running | Status::Paused
    );
    if lives || matches.is_set("all") {
        return Ok(0);
    }
    Err(Error::NotRunning(container::id(matches)?).into())
}
