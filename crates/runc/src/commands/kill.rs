//! `kill`: a signal for a container.

use orlop::Signal;

use super::container;
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
    ],
    arity: Arity::Between(1, 2),
    passes_on: false,
    run,
};

fn run(context: &Context, matches: &Matches) -> Result<u8, Failure> {
    let container = container::load(context, matches)?;
    let signal = match matches.argument(1).filter(|signal| !signal.is_empty()) {
        Some(name) => name
            .parse()
            .map_err(|_| Failure::new(format!("unknown signal {name:?}")))?,
        None => Signal::TERM,
    };
    container.kill(signal, matches.is_set("all"))?;
    Ok(0)
}
