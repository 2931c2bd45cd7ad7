//! What commands about containers share.

use std::path::PathBuf;

use orlop::{Container, ContainerId, CreateOptions, Error, Runtime};

use super::listen_fds::ListenFds;
use super::{notify, steps};
use crate::cli::Matches;
use crate::context::Context;
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

/// Records what went wrong without being a failure.
pub(super) fn warn(context: &Context, warnings: &[String]) {
    for warning in warnings {
        context.log.warn(warning);
    }
}

/// Records what is to be remarked on in a document.
pub(super) fn warn_of_document(context: &Context, document: &str, remarks: &[String]) {
    for remark in remarks {
        context.log.warn(&format!("{document}: {remark}"));
    }
}

/// Creates the container that the options ask for.
///
/// A terminal needs somebody who holds its other side: this program, or who listens on a socket.
pub(super) fn create(
    context: &Context,
    mut options: CreateOptions,
    detach: bool,
) -> Result<Container, Failure> {
    options.notify_socket = notify::is_wanted();
    if options.console_socket.is_some() && (!detach || !has_terminal(&options)?) {
        return Err(Failure::new(SOCKET_WITHOUT_TERMINAL));
    }
    steps::begin(&context.log);
    let command = if options.gate { "create" } else { "run" };
    let mut container = runtime(context)?
        .create(options)
        .map_err(|error| Failure::of_creation(command, &error))?;
    steps::created(&context.log);
    warn(context, container.warnings());
    if detach && container.take_terminal().is_some() {
        container.delete(true)?;
        return Err(Failure::new(TERMINAL_WITHOUT_HOLDER));
    }
    Ok(container)
}

/// Removes a container that is over. Somebody else may have done it, as `checkpoint` does.
pub(super) fn remove(context: &Context, container: Container) -> Result<(), Failure> {
    match container.delete(true) {
        Ok(warnings) => warn(context, &warnings),
        Err(Error::NotFound(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// What runc says, and its callers know, of a terminal without a holder.
pub(super) const TERMINAL_WITHOUT_HOLDER: &str = "cannot allocate tty if runc will detach without setting console socket \
     (process.terminal is true: give --console-socket, set it to false, or do not detach)";

/// What runc says, and its callers know, of a holder without a terminal.
pub(super) const SOCKET_WITHOUT_TERMINAL: &str =
    "cannot use console socket if runc will not detach or allocate tty";

fn has_terminal(options: &CreateOptions) -> Result<bool, Failure> {
    let bundle = options.open_bundle()?;
    Ok(bundle.spec.process.is_some_and(|process| process.terminal))
}

/// What `create` and `run` are asked for.
pub(super) fn create_options(
    context: &Context,
    matches: &Matches,
) -> Result<CreateOptions, Failure> {
    let bundle = matches.path("bundle").unwrap_or_else(|| PathBuf::from("."));
    let mut options = CreateOptions::new(id(matches)?, bundle);
    options.config = matches.path("config");
    options.console_socket = matches.path("console-socket");
    options.pidfd_socket = matches.path("pidfd-socket");
    options.pid_file = matches.path("pid-file");
    let sockets = ListenFds::from_env();
    options.preserve_fds = sockets.count + matches.number("preserve-fds");
    options.env = sockets.env;
    options.systemd_cgroup = context.systemd_cgroup;
    options.cgroup_policy = context.cgroup_policy;
    options.no_pivot = matches.is_set("no-pivot");
    options.no_new_keyring = matches.is_set("no-new-keyring");
    Ok(options)
}
