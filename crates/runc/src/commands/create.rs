//! `create`: a container that waits for its start.

use super::{container, flags};
use crate::cli::{Argument, Arity, Command, Matches};
use crate::context::Context;
use crate::failure::Failure;

pub(super) const COMMAND: Command = Command {
    name: "create",
    summary: "create a container",
    arguments: "ID",
    first_argument: Argument::Free,
    description: "Makes a container from a bundle, all but its program: that waits for `start`.",
    flags: &[
        flags::BUNDLE,
        flags::CONFIG,
        flags::CONSOLE_SOCKET,
        flags::PIDFD_SOCKET,
        flags::PID_FILE,
        flags::NO_PIVOT,
        flags::NO_NEW_KEYRING,
        flags::PRESERVE_FDS,
    ],
    arity: Arity::Exactly(1),
    passes_on: false,
    run,
};

fn run(context: &Context, matches: &Matches) -> Result<u8, Failure> {
    container::create(context, container::create_options(context, matches)?, true)?;
    Ok(0)
}
