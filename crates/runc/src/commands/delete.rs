//! `delete`: removes what is left of a container.

use orlop::{ContainerId, Runtime};

use super::{container, matching};
use crate::cli::{Argument, Arity, Command, Flag, Matches};
use crate::context::Context;
use crate::failure::Failure;

pub(super) const COMMAND: Command = Command {
    name: "delete",
    summary: "remove a container",
    arguments: "ID",
    first_argument: Argument::Container,
    description: "Removes what a stopped container, or one that was never started, still has: cgroup, \
                  state, and its poststop hooks are run.\n\n\
                  With --force it is killed first, and that there is none is no error.",
    flags: &[
        Flag::switch("force", "kill the container first, with SIGKILL").short('f'),
        matching::REGEX,
    ],
    arity: Arity::Exactly(1),
    passes_on: false,
    run,
};

fn run(context: &Context, matches: &Matches) -> Result<u8, Failure> {
    let delete = |runtime: &Runtime, id: &ContainerId| {
        let warnings = match matches.is_set("force") {
            true => runtime.delete_force(id)?,
            false => runtime.load(id)?.delete(false)?,
        };
        container::warn(context, &warnings);
        Ok(())
    };
    if matches.is_set("regex") {
        return matching::each(context, matches, delete);
    }
    let (runtime, id) = (container::runtime(context)?, container::id(matches)?);
    delete(&runtime, &id)?;
    Ok(0)
}
