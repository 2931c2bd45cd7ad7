//! `pause`: makes a container stand still.

use super::container;
use crate::cli::{Argument, Arity, Command, Matches};
use crate::context::Context;
use crate::failure::Failure;

pub(super) const COMMAND: Command = Command {
    name: "pause",
    summary: "suspend all processes of a container",
    arguments: "ID",
    first_argument: Argument::Container,
    description: "Makes all processes of the container stand still, until `resume`. Of the signals that reach \
                  it meanwhile, SIGKILL ends it and the others wait.",
    flags: &[],
    arity: Arity::Exactly(1),
    passes_on: false,
    run,
};

fn run(context: &Context, matches: &Matches) -> Result<u8, Failure> {
    container::load(context, matches)?.pause()?;
    Ok(0)
}
