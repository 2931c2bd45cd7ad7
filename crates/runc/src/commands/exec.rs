//! `exec`: a further process in a container.

use std::fs;

use orlop::spec::Process;
use orlop::{Container, ExecOptions};

use super::exec_process::{self, Changes};
use super::listen_fds::ListenFds;
use super::{container, exec_cgroup, flags, steps};
use crate::cli::{Argument, Arity, Command, Flag, Matches};
use crate::context::Context;
use crate::failure::Failure;
use crate::foreground::{self, Foreground};

pub(super) const COMMAND: Command = Command {
    name: "exec",
    summary: "run a further process in a container",
    arguments: "ID COMMAND [ARGUMENTS] | --process FILE ID",
    first_argument: Argument::Container,
    description: "Runs a process in a running container and waits for it. User, capabilities, limits and the like \
                  are those of the container's own process, unless options or FILE say otherwise.\n\n\
                  The exit status is the process's, 128 and the number of the signal that ended it, or 255 \
                  when it could not be run. With --detach it is over once the process runs.",
    flags: &[
        flags::CONSOLE_SOCKET,
        flags::PIDFD_SOCKET,
        Flag::text("cwd", "DIR", "the working directory in the container"),
        Flag::text(
            "env",
            "NAME=VALUE",
            "add to the environment; may be repeated",
        )
        .short('e'),
        Flag::switch("tty", "give the process a terminal").short('t'),
        Flag::text("user", "UID[:GID]", "the user, and the group, in numbers").short('u'),
        Flag::number(
            "additional-gids",
            "GID",
            "add a supplementary group; may be repeated",
        )
        .short('g'),
        Flag::path(
            "process",
            "FILE",
            "take all about the process from this JSON file",
        )
        .short('p'),
        flags::DETACH,
        flags::PID_FILE,
        Flag::text(
            "process-label",
            "LABEL",
            "the SELinux context of the process",
        ),
        Flag::text("apparmor", "PROFILE", "the AppArmor profile of the process"),
        Flag::switch("no-new-privs", "never let the process gain privileges"),
        Flag::text("cap", "CAPABILITY", "add a capability; may be repeated").short('c'),
        flags::PRESERVE_FDS,
        Flag::text(
            "cgroup",
            "[CONTROLLERS:]PATH",
            "run in a cgroup below the container's; may be repeated",
        ),
        Flag::switch("ignore-paused", "go on when the container is paused"),
    ],
    arity: Arity::AtLeast(1),
    passes_on: true,
    run,
};

/// The exit status when there was no process to have one.
const NO_PROCESS: u8 = 255;

fn run(context: &Context, matches: &Matches) -> Result<u8, Failure> {
    execute(context, matches).map_err(failed)
}

/// As callers know that there is no process.
pub(super) fn failed(failure: Failure) -> Failure {
    Failure {
        message: format!("exec failed: {failure}"),
        code: NO_PROCESS,
    }
}

fn execute(context: &Context, matches: &Matches) -> Result<u8, Failure> {
    let cgroup = exec_cgroup::choice(&matches.all("cgroup"))?;
    let container = container::load(context, matches)?;
    let mut options = ExecOptions::new(process(context, &container, matches)?);
    options.cgroup = cgroup;
    let detach = matches.is_set("detach");
    options.console_socket = matches.path("console-socket");
    match (options.process.terminal, detach, &options.console_socket) {
        (true, true, None) => return Err(Failure::new(container::TERMINAL_WITHOUT_HOLDER)),
        (false, _, Some(_)) | (_, false, Some(_)) => {
            return Err(Failure::new(container::SOCKET_WITHOUT_TERMINAL));
        }
        _ => {}
    }
    options.pidfd_socket = matches.path("pidfd-socket");
    options.pid_file = matches.path("pid-file");
    let sockets = ListenFds::from_env();
    options.preserve_fds = sockets.count + matches.number("preserve-fds");
    options.process.env.extend(sockets.env);
    options.ignore_paused = matches.is_set("ignore-paused");
    steps::begin_exec(&context.log, &options.process);
    if detach {
        foreground::leave().map_err(|error| Failure::io("hold signals back", error))?;
        let started = container.exec(options)?;
        container::warn(context, &started.warnings);
        steps::executed(&context.log);
        return Ok(0);
    }
    let foreground =
        Foreground::take(false).map_err(|error| Failure::io("hold signals back", error))?;
    let started = container.exec(options)?;
    container::warn(context, &started.warnings);
    steps::executed(&context.log);
    foreground
        .wait(started.pid, started.terminal)
        .map_err(|error| Failure::io("wait for the process", error))
}

/// All about the process: from a file, or from the container's own and the command line.
fn process(
    context: &Context,
    container: &Container,
    matches: &Matches,
) -> Result<Process, Failure> {
    if let Some(path) = matches.path("process") {
        let json = fs::read(&path)
            .map_err(|error| Failure::io(format_args!("read {}", path.display()), error))?;
        let name = path.display().to_string();
        let (process, remarks) = Process::from_slice_noting(&json)
            .map_err(|error| Failure::new(format!("{name}: {error}")))?;
        container::warn_of_document(context, &name, &remarks);
        return Ok(process);
    }
    let arguments = matches.arguments().get(1..).unwrap_or_default();
    if arguments.is_empty() {
        return Err(Failure::new("process args cannot be empty"));
    }
    let changes = Changes {
        args: arguments
            .iter()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect(),
        cwd: matches.text("cwd"),
        env: matches.all("env"),
        terminal: matches.is_set("tty"),
        user: matches.text("user"),
        additional_gids: matches.all("additional-gids"),
        selinux_label: matches.text("process-label"),
        apparmor_profile: matches.text("apparmor"),
        no_new_privileges: matches.given("no-new-privs"),
        capabilities: matches.all("cap"),
    };
    let own = container.spec()?.process.clone();
    exec_process::build(own.unwrap_or_default(), changes)
}
