//! `start`: lets a created container's program run.

use super::container;
use crate::cli::{Argument, Arity, Command, Matches};
use crate::context::Context;
use crate::failure::Failure;

pub(super) const COMMAND: Command = Command {
    name: "start",
    summary: "start a created container",
    arguments: "ID",
    first_argument: Argument::Container,
    description: "Lets the program of a container run that `create` made.",
    flags: &[],
    arity: Arity::Exactly(1),
    passes_on: false,
    run,
};

fn run(context: &Context, matches: &Matches) -> Result<u8, Failure> {
    container::load(context, matches)?.start()?;
    Ok(0)
}
