//! `run`: a container from its creation to its end.

use std::thread::JoinHandle;

use orlop::Container;

use super::{container, flags, notify};
use crate::advice;
use crate::cli::{Argument, Arity, Command, Flag, Matches};
use crate::context::Context;
use crate::failure::Failure;
use crate::foreground::{self, Foreground};

pub(super) const COMMAND: Command = Command {
    name: "run",
    summary: "create, start and wait for a container",
    arguments: "ID",
    first_argument: Argument::Free,
    description: "Makes a container from a bundle, runs its program, waits for it and removes the container. \
                  The exit status is the program's, or 128 and the number of the signal that ended it; \
                  signals are passed on.\n\n\
                  With --detach it is over once the program runs, and the container stays. With NOTIFY_SOCKET set the program \
                  gets one, too: when it says READY=1, that is passed on, and --detach waits for it.",
    flags: &[
        flags::BUNDLE,
        flags::CONFIG,
        flags::CONSOLE_SOCKET,
        flags::PIDFD_SOCKET,
        flags::PID_FILE,
        flags::DETACH,
        Flag::switch("keep", "do not remove the container when it is over"),
        flags::NO_SUBREAPER,
        flags::NO_PIVOT,
        flags::NO_NEW_KEYRING,
        flags::PRESERVE_FDS,
    ],
    arity: Arity::Exactly(1),
    passes_on: false,
    run,
};

fn run(context: &Context, matches: &Matches) -> Result<u8, Failure> {
    let detach = matches.is_set("detach");
    let mut options = container::create_options(context, matches)?;
    // Nobody else starts it.
    options.gate = false;
    if detach {
        foreground::leave().map_err(|error| Failure::io("hold signals back", error))?;
        let mut container = container::create(context, options, detach)?;
        let notifications = notify::listen(context, &mut container);
        started(container)?;
        notify::pass_on(context, notifications);
        return Ok(0);
    }
    let foreground = Foreground::take(!matches.is_set("no-subreaper"))
        .map_err(|error| Failure::io("hold signals back", error))?;
    let mut container = container::create(context, options, detach)?;
    let notifications = notify::listen(context, &mut container);
    let mut container = started(container)?;
    let told = notify::pass_on_meanwhile(context, notifications);
    let terminal = container.take_terminal();
    let waited = match container.pid() {
        Some(pid) => foreground.wait(pid, terminal),
        None => Err(std::io::ErrorKind::NotFound.into()),
    };
    // As long as the container is not over, that may not be, either.
    let told = told.filter(|_| waited.is_ok());
    if let Some(Ok(Err(error))) = told.map(JoinHandle::join) {
        context.log.warn(&advice::line(&error));
    }
    if !matches.is_set("keep") {
        container::remove(context, container)?;
    }
    waited.map_err(|error| Failure::io("wait for the container", error))
}

/// Starts a new container, and removes one that cannot be started.
fn started(mut container: Container) -> Result<Container, Failure> {
    if let Err(error) = container.start() {
        if let Some(terminal) = container.take_terminal() {
            // A hook in the container may have said what is wrong.
            foreground::last_words(terminal);
        }
        // Why it did not start says more than why it could not be removed.
        let _ = container.delete(true);
        return Err(error.into());
    }
    Ok(container)
}
