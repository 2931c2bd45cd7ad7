//! What the caller does while a container is born: hands its terminal on, runs hooks.

use std::os::fd::{AsFd, OwnedFd};

use rustix::termios::{OptionalActions, OutputModes, tcgetattr, tcsetattr};

use crate::console_socket::ConsoleSocket;
use crate::error::{Context, Error, Result};
use crate::hooks;
use crate::process_id::ProcessId;
use crate::seccomp_agent::SeccompAgent;
use crate::spawn::{Caller, Child};
use crate::spec::Hooks;
use crate::state::{OciState, State, Status};

/// What the receiver of a terminal is told its name is; it is the container's own.
const MASTER_NAME: &str = "/dev/ptmx";

/// Gives a terminal's master to who waits for it, or keeps it where nobody does.
fn hand_on(
    master: OwnedFd,
    socket: Option<&ConsoleSocket>,
    kept: &mut Option<OwnedFd>,
) -> Result<()> {
    match socket {
        Some(socket) => socket.send(master.as_fd(), MASTER_NAME)?,
        None => {
            // What the program writes may go into a file, and a terminal at the other end ends lines
            // itself.
            keep_line_ends(&master).context(|| "set the terminal's modes".to_owned())?;
            *kept = Some(master);
        }
    }
    Ok(())
}

/// Lets line ends through as they are, without carriage returns.
fn keep_line_ends(terminal: &OwnedFd) -> rustix::io::Result<()> {
    let mut modes = tcgetattr(terminal)?;
    modes.output_modes &= !OutputModes::ONLCR;
    tcsetattr(terminal, OptionalActions::Now, &modes)
}

fn nobody_to_ask() -> Error {
    let message = "there is no agent to notify of system calls";
    Error::invalid("linux.seccomp.listenerPath", message)
}

/// The caller of a container's first process.
#[derive(Debug)]
pub(crate) struct Birth<'a> {
    pub console: Option<ConsoleSocket>,
    /// The terminal's master, where no socket takes it.
    pub terminal: Option<OwnedFd>,
    pub hooks: &'a Hooks,
    pub state: &'a mut State,
    /// Whether hooks were run: then those at the end are, too, whatever fails.
    pub hooks_ran: bool,
}

impl Caller for Birth<'_> {
    fn console(&mut self, master: OwnedFd) -> Result<()> {
        hand_on(master, self.console.as_ref(), &mut self.terminal)
    }

    fn seccomp_listener(&mut self, _: &Child, _: i32) -> Result<()> {
        // The filter is loaded after the gate.
        Err(nobody_to_ask())
    }

    fn hook_point(&mut self, child: &Child) -> Result<Vec<u8>> {
        self.hooks_ran = true;
        self.state.process = Some(ProcessId::of(child.pid, child.pidfd.as_fd())?);
        let state = OciState::for_hooks(self.state, Status::Creating).to_json();
        let place = hooks::Place::of(self.state);
        hooks::run_all("prestart", &self.hooks.prestart, &state, place)?;
        hooks::run_all("createRuntime", &self.hooks.create_runtime, &state, place)?;
        Ok(if self.hooks.create_container.is_empty() {
            Vec::new()
        } else {
            state
        })
    }
}

/// The caller of a process that enters a container.
#[derive(Debug, Default)]
pub(crate) struct Entering {
    pub console: Option<ConsoleSocket>,
    pub terminal: Option<OwnedFd>,
    /// Who is asked about system calls, and the container's state for it.
    pub agent: Option<(SeccompAgent, OciState)>,
}

impl Caller for Entering {
    fn console(&mut self, master: OwnedFd) -> Result<()> {
        hand_on(master, self.console.as_ref(), &mut self.terminal)
    }

    fn seccomp_listener(&mut self, child: &Child, number: i32) -> Result<()> {
        let (agent, state) = self.agent.as_ref().ok_or_else(nobody_to_ask)?;
        agent.hand_over(child.pidfd.as_fd(), number, child.pid, state)
    }

    fn hook_point(&mut self, _: &Child) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }
}
