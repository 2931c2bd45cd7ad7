//! What commands about containers share.

use std::path::PathBuf;

use orlop::{Container, ContainerId, CreateOptions, Runtime};

use crate::cli::Matches;
use crate::context::{Context, Rootless};
use crate::failure::Failure;

/// The containers whose state is where the caller says.
pub(super) fn runtime(context: &Context) -> Result<Runtime, Failure> {
    Ok(Runtime::open(&context.root)?)
}

/// The container that the first argument names.
pub(super) fn id(matches: &Matches) -> Result<ContainerId, Failure> {
    Ok(matches.argument(0).unwrap_or_default().parse()?)
}

/// The container that the first argument names, which has to exist.
pub(super) fn load(context: &Context, matches: &Matches) -> Result<Container, Failure> {
    Ok(runtime(context)?.load(&id(matches)?)?)
}

/// Removes a container.
pub(super) fn delete(context: &Context, id: &ContainerId, force: bool) -> Result<(), Failure> {
    runtime(context)?.load(id)?.delete(force)?;
    Ok(())
}

/// A terminal needs somebody to hold its other side: this program, or who listens on a socket.
pub(super) fn check_terminal(terminal: bool, detach: bool, socket: bool) -> Result<(), Failure> {
    let message = match (terminal, detach, socket) {
        (true, true, false) => {
            "cannot allocate tty if the runtime will detach without setting console socket"
        }
        (false, _, true) | (_, false, true) => {
            "cannot use console socket if the runtime will not detach or allocate tty"
        }
        _ => return Ok(()),
    };
    Err(Failure::new(message))
}

/// What `create` and `run` are asked for.
pub(super) fn create_options(
    context: &Context,
    matches: &Matches,
    detach: bool,
) -> Result<CreateOptions, Failure> {
    Ok(CreateOptions {
        id: id(matches)?,
        bundle: matches.path("bundle").unwrap_or_else(|| PathBuf::from(".")),
        console_socket: matches.path("console-socket"),
        pidfd_socket: matches.path("pidfd-socket"),
        pid_file: matches.path("pid-file"),
        preserve_fds: matches.number("preserve-fds"),
        no_pivot: matches.is_set("no-pivot"),
        no_new_keyring: matches.is_set("no-new-keyring"),
        detach,
        systemd_cgroup: context.systemd_cgroup,
        rootless: match context.rootless {
            Rootless::Yes => Some(true),
            Rootless::No => Some(false),
            Rootless::Auto => None,
        },
    })
}
