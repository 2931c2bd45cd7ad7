//! A created container's program is let run.

use std::ffi::OsStr;
use std::os::fd::AsFd;

use crate::container::{Container, LOCK_LIMIT};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::notify::Notifications;
use crate::options::Options;
use crate::plan::Plan;
use crate::removal::kill_first_process;
use crate::seccomp_agent::SeccompAgent;
use crate::signal::Signal;
use crate::spawn::{self, Started, TakeListener};
use crate::state::{OciState, Status};
use crate::{gate, hooks, out_of_memory};

impl Container {
    /// Lets a created container's program run; returns once it does.
    ///
    /// # Errors
    /// [`Error::Step`] says why the program could not be executed, [`Error::WrongState`] that the
    /// container is not waiting for its start.
    pub fn start(&mut self) -> Result<()> {
        let hooks = if self.state.late_hooks {
            Some(self.spec()?.hooks.clone().unwrap_or_default())
        } else {
            None
        };
        match self.waiting.take() {
            Some((mut child, plan)) => {
                self.refuse_start_while_paused()?;
                let mut take = self.listener_taker()?;
                child.proceed(&self.start_state(hooks.is_some()))?;
                child
                    .wait_exec(&plan, take.as_deref_mut())
                    .map_err(|error| self.explain(error))?;
                drop(take);
                child.release();
                self.dir.unlock();
            }
            None => {
                // One start at a time: the next one finds the gate closed.
                self.dir.lock_in_place(LOCK_LIMIT)?;
                let opened = self
                    .may_start()
                    .and_then(|()| self.open_gate(hooks.is_some()));
                self.dir.unlock();
                opened?;
            }
        }
        let Some(hooks) = hooks.filter(|hooks| !hooks.poststart.is_empty()) else {
            return Ok(());
        };
        let state = OciState::for_hooks(&self.state, Status::Running).to_json();
        let run = hooks::run_all(
            "poststart",
            &hooks.poststart,
            &state,
            hooks::Place::of(&self.state),
        );
        if run.is_err() {
            // runtime.md: a container whose poststart hook failed is stopped.
            match self.kill(Signal::KILL, true) {
                // It has ended by itself.
                Ok(()) | Err(Error::NotRunning(_)) => {}
                Err(error) => return Err(error),
            }
        }
        run
    }

    /// Binds the socket by which the program says that it is ready, to pass that on to the service
    /// manager's socket `host`: a path, or an abstract name after an `@`. Before
    /// [`start`](Self::start), and nobody else starts the container until then. `None` for a
    /// container made without [`CreateOptions::notify_socket`](crate::CreateOptions).
    ///
    /// # Errors
    /// [`Error::WrongState`] when the container was started already, [`Error::System`] when nobody
    /// has bound `host`.
    pub fn notifications(&mut self, host: impl AsRef<OsStr>) -> Result<Option<Notifications>> {
        if self.dir.is_locked() {
            return self.listen(host.as_ref());
        }
        // Another start would take the socket's place, whichever of the two succeeds.
        self.dir.lock_in_place(LOCK_LIMIT)?;
        let notifications = self.listen(host.as_ref());
        if !matches!(notifications, Ok(Some(_))) {
            self.dir.unlock();
        }
        notifications
    }

    fn listen(&self, host: &OsStr) -> Result<Option<Notifications>> {
        if self.status()? != Status::Created {
            return Err(self.not_startable());
        }
        let process = self.process()?;
        let gone = || Error::NotRunning(self.state.id.clone());
        let pidfd = process.open()?.ok_or_else(gone)?;
        Notifications::listen(self.dir.as_fd(), host, (process.pid(), pidfd))
    }

    /// Whoever holds the lock may have been waited for: it may have paused the container.
    fn may_start(&mut self) -> Result<()> {
        self.state = self.dir.state()?;
        self.refuse_start_while_paused()
    }

    /// What hooks in the container are told.
    fn start_state(&self, hooks: bool) -> Vec<u8> {
        if hooks {
            OciState::for_hooks(&self.state, Status::Created).to_json()
        } else {
            Vec::new()
        }
    }

    /// What hands the filter's listener to its agent, where there is one.
    fn listener_taker(&self) -> Result<Option<Box<TakeListener<'static>>>> {
        if !self.state.seccomp_agent {
            return Ok(None);
        }
        let linux = self.spec()?.linux.as_ref();
        let Some(agent) = SeccompAgent::of(linux.and_then(|linux| linux.seccomp.as_ref())) else {
            return Ok(None);
        };
        let process = self.process()?;
        let gone = || Error::NotRunning(self.state.id.clone());
        let pidfd = process.open()?.ok_or_else(gone)?;
        let state = OciState::for_hooks(&self.state, Status::Created);
        Ok(Some(Box::new(move |number| {
            agent.hand_over(pidfd.as_fd(), number, process.pid(), &state)
        })))
    }

    fn open_gate(&mut self, hooks: bool) -> Result<()> {
        let Some(connection) = gate::connect(self.dir.as_fd())? else {
            return Err(self.not_startable());
        };
        let mut take = self.listener_taker()?;
        spawn::send_continue(connection.as_fd(), &self.start_state(hooks))?;
        let started = spawn::wait_started(connection.as_fd(), take.as_deref_mut());
        if started.is_err() {
            // It would wait for ever for somebody to take its listener.
            kill_first_process(&self.state)?;
        }
        match started? {
            Started::Running => Ok(()),
            Started::Failed(record) => {
                let error = self.compile_again()?.init_error(&record);
                Err(self.explain(error))
            }
            Started::Died if self.lacked_memory() => Err(out_of_memory::of(&self.cgroup())),
            Started::Died => Err(self.not_startable()),
        }
    }

    fn explain(&self, error: Error) -> Error {
        let cgroup = (!self.state.cgroup.is_empty()).then(|| self.cgroup());
        out_of_memory::explain(error, cgroup.as_ref())
    }

    fn lacked_memory(&self) -> bool {
        !self.state.cgroup.is_empty() && out_of_memory::happened(&self.cgroup())
    }

    fn not_startable(&self) -> Error {
        let (what, hint) = match self.status() {
            Ok(Status::Stopped) => (
                "cannot start a container that has stopped",
                "delete it and create it again",
            ),
            Ok(Status::Running) => (
                "cannot start an already running container",
                "`exec` runs a further process in it",
            ),
            Ok(Status::Paused) => return self.not_startable_while_paused(),
            _ => (
                "cannot start a container that is not created",
                "create it again",
            ),
        };
        let message = format!("{what}: {} ({hint})", self.state.id);
        Error::WrongState { message }
    }

    /// The Plan that the container was made by, to say what a step of it was.
    fn compile_again(&self) -> Result<Plan> {
        let options = Options::new(&self.state.bundle)
            .id(self.state.id.clone())
            .no_pivot(self.state.no_pivot)
            .no_new_keyring(!self.state.session_keyring);
        Plan::compile(self.spec()?, &options, &Host::probe()?)
    }
}
