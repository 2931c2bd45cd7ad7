//! `start`: lets a created container's program run.

use super::{container, notify};
use crate::cli::{Argument, Arity, Command, Matches};
use crate::context::Context;
use crate::failure::Failure;

pub(super) const COMMAND: Command = Command {
    name: "start",
    summary: "start a created container",
    arguments: "ID",
    first_argument: Argument::Container,
    description: "Lets the program of a container run that `create` made. With NOTIFY_SOCKET set for both, it \
                  waits until the program says READY=1, and passes that on.",
    flags: &[],
    arity: Arity::Exactly(1),
    passes_on: false,
    run,
};

fn run(context: &Context, matches: &Matches) -> Result<u8, Failure> {
    let mut container = container::load(context, matches)?;
    let notifications = notify::listen(context, &mut container);
    container.start()?;
    notify::pass_on(context, notifications);
    Ok(0)
}
