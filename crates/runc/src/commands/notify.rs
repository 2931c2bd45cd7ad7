//! Who is told that a container is ready: this program's own `NOTIFY_SOCKET` (`sd_notify(3)`).

use std::env;
use std::ffi::OsString;
use std::thread::{self, JoinHandle};

use orlop::{Container, Notifications};

use crate::advice;
use crate::context::Context;

const VARIABLE: &str = "NOTIFY_SOCKET";

/// The service manager's socket.
fn host() -> Option<OsString> {
    env::var_os(VARIABLE).filter(|host| !host.is_empty())
}

/// Whether anybody wants to be told.
pub(super) fn is_wanted() -> bool {
    host().is_some()
}

/// Waits for the program's word, where somebody wants to be told. That nobody can be is no reason
/// not to start it.
pub(super) fn listen(context: &Context, container: &mut Container) -> Option<Notifications> {
    match container.notifications(host()?) {
        Ok(notifications) => notifications,
        Err(error) => {
            let warning = format!("{error}; nobody is told when the container is ready");
            context.log.warn(&warning);
            None
        }
    }
}

/// Returns when the service manager was told, or the container is over.
pub(super) fn pass_on(context: &Context, notifications: Option<Notifications>) {
    if let Some(Err(error)) = notifications.map(Notifications::pass_on) {
        context.log.warn(&advice::line(&error));
    }
}

/// As [`pass_on`], beside what else there is to do.
pub(super) fn pass_on_meanwhile(
    context: &Context,
    notifications: Option<Notifications>,
) -> Option<JoinHandle<orlop::Result<()>>> {
    let notifications = notifications?;
    match thread::Builder::new().spawn(move || notifications.pass_on()) {
        Ok(thread) => Some(thread),
        Err(error) => {
            let warning =
                format!("start a thread: {error}; nobody is told when the container is ready");
            context.log.warn(&warning);
            None
        }
    }
}
