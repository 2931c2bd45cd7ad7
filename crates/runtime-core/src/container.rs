//! One container: its life from `start` to `delete`.

use std::cell::OnceCell;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use orlop_cgroups::{Cgroup, RecordedPath};
use rustix::process::Pid;

use crate::bundle;
use crate::console_socket::{CONSOLE, ConsoleSocket};
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::process_id::{self, ProcessId};
use crate::runtime::SECCOMP_CACHE;
use crate::signal::Signal;
use crate::spawn::Child;
use crate::spec::{Process, Spec};
use crate::state::{CgroupPlace, ContainerDir, LockedDir, OciState, State, Status};
use crate::sub_cgroup::SubCgroup;
use crate::{exec, freeze, unit};

/// How long a command waits for another one on the same container.
pub(crate) const LOCK_LIMIT: Duration = Duration::from_secs(30);

/// A container of a [`Runtime`](crate::Runtime).
#[derive(Debug)]
pub struct Container {
    pub(crate) dir: ContainerDir,
    pub(crate) state: State,
    terminal: Option<OwnedFd>,
    /// Init, where only this value can let it go on.
    pub(crate) waiting: Option<(Child, Plan)>,
    /// The configuration, once it was asked for.
    pub(crate) spec: OnceCell<Spec>,
    warnings: Vec<String>,
}

/// How a further process enters a container.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ExecOptions {
    /// What is run.
    pub process: Process,
    /// Who takes the terminal's master; without it the [`ExecProcess`] keeps it.
    pub console_socket: Option<PathBuf>,
    /// Who takes a pidfd of the process.
    pub pidfd_socket: Option<PathBuf>,
    /// Where the process's pid is written.
    pub pid_file: Option<PathBuf>,
    /// How many descriptors from 3 on it inherits.
    pub preserve_fds: u32,
    /// Whether a paused container is entered: the process then waits until it is resumed.
    pub ignore_paused: bool,
    /// Where in the container's cgroup it runs.
    pub cgroup: SubCgroup,
}

impl ExecOptions {
    /// Runs this process.
    #[must_use]
    pub fn new(process: Process) -> Self {
        Self {
            process,
            ..Self::default()
        }
    }
}

/// A process that entered a container.
#[derive(Debug)]
pub struct ExecProcess {
    /// Its pid, in the caller's PID namespace. It is the caller's child.
    pub pid: Pid,
    /// Its pidfd.
    pub pidfd: OwnedFd,
    /// The master of its terminal, where no socket took it.
    pub terminal: Option<OwnedFd>,
    /// What was narrowed or passed over, in sentences for a log.
    pub warnings: Vec<String>,
}

impl Container {
    pub(crate) fn loaded(dir: ContainerDir, state: State) -> Self {
        Self {
            dir,
            state,
            terminal: None,
            waiting: None,
            spec: OnceCell::new(),
            warnings: Vec::new(),
        }
    }

    pub(crate) fn made(
        dir: LockedDir,
        state: State,
        terminal: Option<OwnedFd>,
        waiting: Option<(Child, Plan)>,
    ) -> Self {
        // Until it runs, nobody but this value can do anything with a container that has no gate.
        let mut dir = dir.into_dir();
        if waiting.is_none() {
            dir.unlock();
        }
        Self {
            dir,
            state,
            terminal,
            waiting,
            spec: OnceCell::new(),
            warnings: Vec::new(),
        }
    }

    pub(crate) fn with_warnings(mut self, warnings: Vec<String>) -> Self {
        self.warnings = warnings;
        self
    }

    /// What was narrowed or passed over when it was created, in sentences for a log.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The master of the container's terminal, once, where no socket took it.
    pub fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.terminal.take()
    }

    /// The first process's pid, in the caller's PID namespace; `None` before it was recorded.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        Pid::from_raw(self.state.process?.pid())
    }

    /// What is known of the container.
    ///
    /// # Errors
    /// When the kernel can't be asked.
    pub fn state(&self) -> Result<OciState> {
        Ok(OciState::new(&self.state, self.status()?))
    }

    /// In which part of its life the container is.
    ///
    /// # Errors
    /// When the kernel can't be asked.
    pub fn status(&self) -> Result<Status> {
        self.dir.status(&self.state, || self.is_frozen())
    }

    /// The container's configuration as it was when the container was created.
    ///
    /// # Errors
    /// [`Error::State`] when it can't be read.
    pub fn spec(&self) -> Result<&Spec> {
        if let Some(spec) = self.spec.get() {
            return Ok(spec);
        }
        let spec = self.read_spec()?;
        Ok(self.spec.get_or_init(|| spec))
    }

    /// As [`spec`](Self::spec), read again: another command may have changed it.
    pub(crate) fn read_spec(&self) -> Result<Spec> {
        let dir = &self.dir;
        bundle::parse(&dir.load_config()?, &dir.path().join("config.json"))
    }

    pub(crate) fn record(&self) -> &State {
        &self.state
    }

    /// The directory of compiled filters.
    pub(crate) fn filters(&self) -> PathBuf {
        self.dir.path().with_file_name(SECCOMP_CACHE)
    }

    pub(crate) fn cgroup(&self) -> Cgroup {
        cgroup_of(&self.state)
    }

    /// Sends a signal to the first process; with `all` to every process of the container.
    ///
    /// SIGKILL reaches every process of a container that has no PID namespace of its own, too.
    ///
    /// # Errors
    /// [`Error::NotRunning`] when the first process is gone.
    pub fn kill(&self, signal: Signal, all: bool) -> Result<()> {
        let owns_pids = self.state.new_namespaces & libc::CLONE_NEWPID as u32 != 0;
        let everyone = all || (signal == Signal::KILL && !owns_pids);
        if everyone && !self.state.cgroup.is_empty() {
            if self.is_replaced() {
                return Err(Error::NotRunning(self.state.id.clone()));
            }
            if let Some(signal) = orlop_cgroups::Signal::new(signal.number()) {
                self.cgroup().kill_all(signal)?;
            }
            return Ok(());
        }
        let process = self.process()?;
        match process.open()? {
            Some(pidfd) if process_id::send_signal(pidfd.as_fd(), signal)? => {}
            _ => return Err(Error::NotRunning(self.state.id.clone())),
        }
        if signal == Signal::KILL {
            // On v1 who is killed in a frozen cgroup dies when it is thawed.
            freeze::thaw(&self.state)?;
        }
        Ok(())
    }

    /// Whether the container has ended, and another one runs in a unit of the same name.
    fn is_replaced(&self) -> bool {
        let Some(unit) = &self.state.unit else {
            return false;
        };
        let ended = matches!(self.process(), Err(Error::NotRunning(_)));
        ended && unit::is_anothers(unit)
    }

    pub(crate) fn process(&self) -> Result<ProcessId> {
        let not_running = || Error::NotRunning(self.state.id.clone());
        // As the status has it: what has let go of its program is stopped, and on its way out.
        match self.dir.status(&self.state, || Ok(false))? {
            Status::Stopped | Status::Creating => Err(not_running()),
            _ => self.state.process.ok_or_else(not_running),
        }
    }

    /// The pids of all of the container's processes, in the caller's PID namespace.
    ///
    /// # Errors
    /// When the cgroup can't be read.
    pub fn processes(&self) -> Result<Vec<u32>> {
        if self.state.cgroup.is_empty() {
            let process = self.process()?;
            return Ok(u32::try_from(process.pid()).into_iter().collect());
        }
        if self.is_replaced() {
            return Ok(Vec::new());
        }
        Ok(self.cgroup().processes()?)
    }

    /// Runs a further process in the container.
    ///
    /// # Errors
    /// [`Error::WrongState`] when the container is stopped, [`Error::Paused`] when it is paused; [`Error::Step`] says what
    /// failed inside.
    pub fn exec(&self, options: ExecOptions) -> Result<ExecProcess> {
        match self.status()? {
            Status::Stopped | Status::Creating => {
                let id = &self.state.id;
                let message = format!(
                    "cannot exec in a stopped container: {id} (delete it and create it again)"
                );
                return Err(Error::WrongState { message });
            }
            Status::Paused if !options.ignore_paused => return Err(Error::Paused),
            _ => {}
        }
        let not_running = || Error::NotRunning(self.state.id.clone());
        let process = self.state.process.ok_or_else(not_running)?;
        let console = ConsoleSocket::connect_to(CONSOLE, options.console_socket.as_deref())?;
        exec::run(self, process, options, console)
    }
}

pub(crate) fn cgroup_of(state: &State) -> Cgroup {
    cgroup_at(&state.cgroup)
}

pub(crate) fn cgroup_at(places: &[CgroupPlace]) -> Cgroup {
    let record: Vec<RecordedPath> = places
        .iter()
        .map(|place| RecordedPath {
            hierarchy: place.hierarchy.clone(),
            path: place.path.clone(),
        })
        .collect();
    Cgroup::open(&record)
}
