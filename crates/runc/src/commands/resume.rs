//! `resume`: lets a paused container go on.

use super::container;
use crate::cli::{Argument, Arity, Command, Matches};
use crate::context::Context;
use crate::failure::Failure;

pub(super) const COMMAND: Command = Command {
    name: "resume",
    summary: "let the processes of a paused container go on",
    arguments: "ID",
    first_argument: Argument::Container,
    description: "Lets the processes of a container go on that `pause` made stand still.",
    flags: &[],
    arity: Arity::Exactly(1),
    passes_on: false,
    run,
};

fn run(context: &Context, matches: &Matches) -> Result<u8, Failure> {
    container::load(context, matches)?.resume()?;
    Ok(0)
}
