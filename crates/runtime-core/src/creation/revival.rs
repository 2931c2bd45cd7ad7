//! A container whose processes are not born but brought back.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use orlop_cgroups::Cgroup;
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use super::{Creation, Making, Sockets};
use crate::console_socket::ConsoleSocket;
use crate::container::Container;
use crate::error::Result;
use crate::plan::Plan;
use crate::process_id::ProcessId;
use crate::state::{Claim, OciState, Phase, State, Status};
use crate::{hooks, pid_file, unit};

/// Where processes are brought back to.
pub(crate) struct Cradle<'a> {
    /// The container's cgroup, if it gets one.
    pub cgroup: Option<&'a Cgroup>,
    pub state: &'a mut State,
    /// The container's state directory.
    pub directory: PathBuf,
    hooks_ran: bool,
}

impl Cradle<'_> {
    /// Runs the hooks that come when the namespaces are made; the first process has this pid.
    pub(crate) fn run_hooks(&mut self, plan: &Plan, pid: i32) -> Result<()> {
        let (prestart, create) = (&plan.hooks.prestart, &plan.hooks.create_runtime);
        if prestart.is_empty() && create.is_empty() {
            return Ok(());
        }
        self.hooks_ran = true;
        let mut told = OciState::for_hooks(self.state, Status::Creating);
        told.pid = pid;
        let told = told.to_json();
        let place = hooks::Place::of(self.state);
        hooks::run_all("prestart", prestart, &told, place)?;
        hooks::run_all("createRuntime", create, &told, place)
    }
}

/// The first process of a container, brought back: a child of the caller. Dropped before
/// [`Revived::keep`], it is killed and reaped.
#[derive(Debug)]
pub(crate) struct Revived {
    pid: i32,
    pidfd: OwnedFd,
    /// The master of its terminal, where no socket took it.
    pub terminal: Option<OwnedFd>,
    is_kept: bool,
}

impl Revived {
    pub(crate) fn new(pid: i32, pidfd: OwnedFd) -> Self {
        Self {
            pid,
            pidfd,
            terminal: None,
            is_kept: false,
        }
    }

    fn keep(mut self) -> Option<OwnedFd> {
        self.is_kept = true;
        self.terminal.take()
    }
}

impl Drop for Revived {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
            let id = WaitId::PidFd(self.pidfd.as_fd());
            let _ = rustix::io::retry_on_intr(|| waitid(id.clone(), WaitIdOptions::EXITED));
        }
    }
}

/// Makes a container for processes that `bring_back` makes. Whatever fails, nothing is left of it.
pub(crate) fn revive(
    making: &Making<'_>,
    claim: Claim,
    unit: Option<unit::Prepared>,
    sockets: Sockets,
    bring_back: impl FnOnce(&mut Cradle<'_>, Option<&ConsoleSocket>) -> Result<Revived>,
) -> Result<Container> {
    let state = making.first_state(unit.as_ref())?;
    let mut creation = Creation::begin(claim, &state, unit)?;
    let made_for = state.clone();
    match creation.revive(making, state, &sockets, bring_back) {
        Ok(container) => Ok(container),
        Err(error) => {
            creation.undo(&made_for, making);
            Err(error)
        }
    }
}

impl Creation {
    fn revive(
        &mut self,
        making: &Making<'_>,
        mut state: State,
        sockets: &Sockets,
        bring_back: impl FnOnce(&mut Cradle<'_>, Option<&ConsoleSocket>) -> Result<Revived>,
    ) -> Result<Container> {
        self.dir()?.save_config(&making.bundle.config)?;
        self.make_cgroup(making, &mut state)?;
        let directory = self.dir()?.path();
        let mut cradle = Cradle {
            cgroup: self.cgroup.as_ref(),
            state: &mut state,
            directory,
            hooks_ran: false,
        };
        let revived = bring_back(&mut cradle, sockets.console.as_ref());
        self.hooks_ran = cradle.hooks_ran;
        self.holder = None;
        let revived = revived?;
        state.phase = Phase::Created;
        state.process = Some(ProcessId::of(revived.pid, revived.pidfd.as_fd())?);
        self.dir()?.write_state(&state)?;
        if let Some(socket) = &sockets.pidfd {
            socket.send(revived.pidfd.as_fd(), "pidfd")?;
        }
        if let Some(path) = &making.options.pid_file {
            pid_file::write(path, revived.pid)?;
        }
        let mut warnings = making.plan.warnings().to_vec();
        warnings.append(&mut self.left_out);
        let Some(dir) = self.dir.take() else {
            return Err(crate::error::Error::NotFound(state.id));
        };
        self.cgroup = None;
        self.resctrl.clear();
        Ok(Container::made(dir, state, revived.keep(), None).with_warnings(warnings))
    }
}
