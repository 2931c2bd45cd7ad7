//! `restore`: a container from its checkpoint.

use orlop::{Bundle, Container, RestoreOptions};

use super::{container, criu, flags};
use crate::cli::{Argument, Arity, Command, Flag, Matches};
use crate::context::Context;
use crate::failure::Failure;
use crate::foreground::Foreground;

pub(super) const COMMAND: Command = Command {
    name: "restore",
    summary: "bring a container back from disk",
    arguments: "ID",
    first_argument: Argument::Free,
    description: "Makes a container from its bundle and the images that `checkpoint` wrote, by the program criu. It \
                  goes on where it was. Then it is as with `run`: this waits for it, passes signals on, \
                  removes it and ends as it did.\n\n\
                  With --detach it is over once the container runs.",
    flags: &[
        criu::IMAGE_PATH,
        criu::WORK_PATH,
        flags::BUNDLE,
        flags::CONSOLE_SOCKET,
        flags::PIDFD_SOCKET,
        flags::PID_FILE,
        flags::DETACH,
        flags::NO_SUBREAPER,
        criu::TCP_ESTABLISHED,
        Flag::switch("tcp-close", "bring TCP connections back closed"),
        criu::EXT_UNIX_SK,
        criu::SHELL_JOB,
        criu::FILE_LOCKS,
        criu::MANAGE_CGROUPS_MODE,
        criu::EMPTY_NS,
        criu::AUTO_DEDUP,
        criu::LAZY_PAGES,
        Flag::text(
            "lsm-profile",
            "TYPE:NAME",
            "a security module's profile for the processes: apparmor or selinux",
        ),
        Flag::text(
            "lsm-mount-context",
            "CONTEXT",
            "the SELinux context of the mounts",
        ),
        criu::NETWORK_LOCK,
        Flag::switch("no-pivot", "of no meaning: criu changes the root").hide(),
    ],
    arity: Arity::Exactly(1),
    passes_on: false,
    run,
};

fn run(context: &Context, matches: &Matches) -> Result<u8, Failure> {
    let detach = matches.is_set("detach");
    let create = container::create_options(context, matches)?;
    check_terminal(&create.bundle, detach, create.console_socket.is_some())?;
    let criu = criu::options(context, matches)?;
    let mut options = RestoreOptions::new(create, criu);
    options.tcp_close = matches.is_set("tcp-close");
    options.lsm_profile = matches.text("lsm-profile");
    options.lsm_mount_context = matches.text("lsm-mount-context");
    if detach {
        restored(context, &options)?;
        return Ok(0);
    }
    let foreground = Foreground::take(!matches.is_set("no-subreaper"))
        .map_err(|error| Failure::io("hold signals back", error))?;
    let mut container = restored(context, &options)?;
    let terminal = container.take_terminal();
    let waited = match container.pid() {
        Some(pid) => foreground.wait(pid, terminal),
        None => Err(std::io::ErrorKind::NotFound.into()),
    };
    container::remove(context, container)?;
    waited.map_err(|error| Failure::io("wait for the container", error))
}

fn restored(context: &Context, options: &RestoreOptions) -> Result<Container, Failure> {
    let container = container::runtime(context)?.restore(options)?;
    container::warn(context, container.warnings());
    Ok(container)
}

/// A terminal needs somebody who holds its other side: this program, or who listens on a socket.
fn check_terminal(bundle: &std::path::Path, detach: bool, socket: bool) -> Result<(), Failure> {
    let process = Bundle::open(bundle)?.spec.process;
    let terminal = process.is_some_and(|process| process.terminal);
    if socket && !(detach && terminal) {
        return Err(Failure::new(container::SOCKET_WITHOUT_TERMINAL));
    }
    if detach && terminal && !socket {
        return Err(Failure::new(container::TERMINAL_WITHOUT_HOLDER));
    }
    Ok(())
}
