//! `state`: what there is to know about a container.

use super::container;
use crate::cli::{Argument, Arity, Command, Matches};
use crate::context::Context;
use crate::failure::Failure;

pub(super) const COMMAND: Command = Command {
    name: "state",
    summary: "show a container's state",
    arguments: "ID",
    first_argument: Argument::Container,
    description: "Prints the container's state as the OCI runtime specification has it, as JSON.",
    flags: &[],
    arity: Arity::Exactly(1),
    passes_on: false,
    run,
};

fn run(context: &Context, matches: &Matches) -> Result<u8, Failure> {
    let state = container::load(context, matches)?.state()?;
    let json = serde_json::to_vec_pretty(&state)
        .map_err(|error| Failure::new(format!("render the state: {error}")))?;
    super::print(json)
}
