//! One container: its life from `start` to `delete`.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use orlop_cgroups::{Cgroup, CgroupPath, RecordedPath};
use rustix::process::Pid;

use crate::bundle;
use crate::console_socket::ConsoleSocket;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::notify::Notifications;
use crate::options::Options;
use crate::plan::Plan;
use crate::process_id::{self, ProcessId};
use crate::runtime::SECCOMP_CACHE;
use crate::seccomp_agent::SeccompAgent;
use crate::signal::Signal;
use crate::spawn::{self, Child, Started, TakeListener};
use crate::spec::{Hook, Process, Spec};
use crate::state::{CgroupPlace, ContainerDir, LockedDir, OciState, Phase, State, Status};
use crate::sub_cgroup::SubCgroup;
use crate::{exec, freeze, gate, hooks, resctrl, unit};

/// How long a command waits for another one on the same container.
pub(crate) const LOCK_LIMIT: Duration = Duration::from_secs(30);

/// How long a killed process may take to be gone.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// How long one takes that is not frozen.
const USUAL_END: Duration = Duration::from_millis(20);

/// A container of a [`Runtime`](crate::Runtime).
#[derive(Debug)]
pub struct Container {
    pub(crate) dir: ContainerDir,
    pub(crate) state: State,
    terminal: Option<OwnedFd>,
    /// Init, where only this value can let it go on.
    waiting: Option<(Child, Plan)>,
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
                child.wait_exec(&plan, take.as_deref_mut())?;
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
            self.kill(Signal::KILL, true)?;
        }
        run
    }

    /// Binds the socket by which the program says that it is ready, to pass that on to the service
    /// manager's socket `host`: a path, or an abstract name after an `@`. Before
    /// [`start`](Self::start). `None` for a container made without
    /// [`CreateOptions::notify_socket`](crate::CreateOptions).
    ///
    /// # Errors
    /// [`Error::WrongState`] when the container was started already, [`Error::System`] when nobody
    /// has bound `host`.
    pub fn notifications(&self, host: impl AsRef<OsStr>) -> Result<Option<Notifications>> {
        if self.status()? != Status::Created {
            return Err(self.not_startable());
        }
        let process = self.process()?;
        let gone = || Error::NotRunning(self.state.id.clone());
        let pidfd = process.open()?.ok_or_else(gone)?;
        Notifications::listen(self.dir.as_fd(), host.as_ref(), (process.pid(), pidfd))
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
            Started::Failed(record) => Err(self.compile_again()?.init_error(&record)),
            Started::Died => Err(self.not_startable()),
        }
    }

    fn not_startable(&self) -> Error {
        let message = match self.status() {
            Ok(Status::Stopped) => "cannot start a container that has stopped",
            Ok(Status::Running) => "cannot start an already running container",
            Ok(Status::Paused) => freeze::CANNOT_START,
            _ => "cannot start a container that is not created",
        };
        Error::WrongState {
            message: message.to_owned(),
        }
    }

    /// The Plan that the container was made by, to say what a step of it was.
    fn compile_again(&self) -> Result<Plan> {
        let options = Options::new(&self.state.bundle)
            .id(self.state.id.clone())
            .no_pivot(self.state.no_pivot)
            .no_new_keyring(!self.state.session_keyring);
        Plan::compile(self.spec()?, &options, &Host::probe()?)
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

    fn process(&self) -> Result<ProcessId> {
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
        Ok(self.cgroup().processes()?)
    }

    /// Runs a further process in the container.
    ///
    /// # Errors
    /// [`Error::WrongState`] when the container is stopped or paused; [`Error::Step`] says what
    /// failed inside.
    pub fn exec(&self, options: ExecOptions) -> Result<ExecProcess> {
        match self.status()? {
            Status::Stopped | Status::Creating => {
                let message = "cannot exec in a stopped container".to_owned();
                return Err(Error::WrongState { message });
            }
            Status::Paused if !options.ignore_paused => {
                let message = "cannot exec in a paused container (use --ignore-paused to override)"
                    .to_owned();
                return Err(Error::WrongState { message });
            }
            _ => {}
        }
        let not_running = || Error::NotRunning(self.state.id.clone());
        let process = self.state.process.ok_or_else(not_running)?;
        let console = ConsoleSocket::connect_to(options.console_socket.as_deref())?;
        exec::run(self, process, options, console)
    }

    /// Removes the container: its cgroup, its state, and its poststop hooks are run.
    ///
    /// One that was never started is killed; one that runs is refused, unless `force` is given.
    ///
    /// # Errors
    /// [`Error::WrongState`] when it runs; otherwise what could not be removed.
    pub fn delete(mut self, force: bool) -> Result<Vec<String>> {
        self.waiting = None;
        self.may_delete(force)?;
        let Self { dir, state, .. } = self;
        let dir = dir.lock(LOCK_LIMIT)?;
        // Another command may have finished what it had begun, before the lock was ours.
        let state = dir.state().unwrap_or(state);
        let container = Self::loaded(dir.into_dir(), state);
        container.may_delete(force)?;
        let Self { dir, state, .. } = container;
        remove(dir.lock(LOCK_LIMIT)?, &state)
    }

    fn may_delete(&self, force: bool) -> Result<()> {
        let status = self.status()?;
        if force || matches!(status, Status::Stopped | Status::Created) {
            return Ok(());
        }
        let id = &self.state.id;
        let message = format!("cannot delete container {id} that is not stopped: {status}");
        Err(Error::WrongState { message })
    }

    /// Removes whatever a directory stands for, readable or not.
    pub(crate) fn remove_by_force(dir: ContainerDir) -> Result<Vec<String>> {
        let dir = dir.lock(LOCK_LIMIT)?;
        match dir.state() {
            Ok(state) => return remove(dir, &state),
            // Nothing is made before the first record; a gate without one was robbed of it.
            Err(Error::NotFound(_)) if !gate::is_there(dir.as_fd()) => {}
            // The record is damaged; the configuration still tells where the cgroup is.
            Err(_) => {
                let known = cgroup_of_config(&dir).or_else(|| usual_cgroup(&dir));
                if let Some(cgroup) = known {
                    clear(&cgroup)?;
                }
            }
        }
        dir.remove().map(|()| Vec::new())
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

fn cgroup_of_config(dir: &ContainerDir) -> Option<Cgroup> {
    let spec = Spec::from_slice(&dir.load_config().ok()?).ok()?;
    let host = Host::probe().ok()?;
    let options = Options::new("/").id(dir.id().clone());
    let plan = Plan::compile(&spec, &options, &host).ok()?;
    let path = plan.cgroup?.path;
    Some(Cgroup::open(&Cgroup::plan_paths(&host.cgroups, &path)))
}

/// The cgroup that a container of this id has where its configuration names none, if what is there
/// looks like a container: no cgroups below it, and nothing in it that shares our PID namespace.
fn usual_cgroup(dir: &ContainerDir) -> Option<Cgroup> {
    let host = Host::probe().ok()?;
    let path = CgroupPath::new(&format!("/{}", dir.id())).ok()?;
    let places = Cgroup::plan_paths(&host.cgroups, &path);
    let cgroup = Cgroup::open(&places);
    let own = std::fs::read_link("/proc/self/ns/pid").ok()?;
    let foreign = |pid: &u32| {
        std::fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|namespace| namespace != own)
    };
    let is_leaf = |place: &RecordedPath| {
        std::fs::read_dir(&place.path).is_ok_and(|mut entries| {
            entries.all(|entry| entry.is_ok_and(|entry| !entry.path().is_dir()))
        })
    };
    let contained = cgroup.processes().ok()?.iter().all(foreign);
    (contained && places.iter().all(is_leaf)).then_some(cgroup)
}

/// Kills what is in a cgroup, and removes it.
fn clear(cgroup: &Cgroup) -> Result<()> {
    cgroup.kill_all(orlop_cgroups::Signal::KILL)?;
    Ok(cgroup.destroy()?)
}

/// Kills what runs, removes what is there, and says which poststop hooks failed.
fn remove(dir: LockedDir, state: &State) -> Result<Vec<String>> {
    kill_first_process(state)?;
    if !state.cgroup.is_empty() {
        let cgroup = cgroup_of(state);
        let may_have_more =
            state.new_namespaces & libc::CLONE_NEWPID as u32 == 0 || state.phase == Phase::Creating;
        if may_have_more {
            cgroup.kill_all(orlop_cgroups::Signal::KILL)?;
        }
        if let Some(unit) = &state.unit {
            // Where its manager can't be asked, that one finds out by itself.
            let _ = unit::stop(unit);
            // On v1 systemd leaves most hierarchies alone.
            cgroup.clear()?;
        } else {
            cgroup.destroy()?;
        }
    }
    resctrl::remove(&state.resctrl)?;
    let poststop = if state.late_hooks {
        poststop_hooks(&dir)
    } else {
        Vec::new()
    };
    let told = OciState::for_hooks(state, Status::Stopped).to_json();
    dir.remove()?;
    // runtime.md: a failing poststop hook is a warning, and the others still run.
    let place = hooks::Place::of(state);
    let failed = poststop
        .iter()
        .enumerate()
        .filter_map(|(index, hook)| hooks::run(("poststop", index), hook, &told, place).err());
    Ok(failed.map(|error| error.to_string()).collect())
}

fn poststop_hooks(dir: &ContainerDir) -> Vec<Hook> {
    let spec = dir
        .load_config()
        .ok()
        .and_then(|config| Spec::from_slice(&config).ok());
    spec.and_then(|spec| spec.hooks)
        .map(|hooks| hooks.poststop)
        .unwrap_or_default()
}

fn kill_first_process(state: &State) -> Result<()> {
    let Some(process) = state.process else {
        return Ok(());
    };
    if !state.is_of_this_boot()? {
        return Ok(());
    }
    let Some(pidfd) = process.open()? else {
        return Ok(());
    };
    process_id::send_signal(pidfd.as_fd(), Signal::KILL)?;
    if process_id::wait_exit(pidfd.as_fd(), USUAL_END)? {
        return Ok(());
    }
    freeze::thaw(state)?;
    if process_id::wait_exit(pidfd.as_fd(), KILL_LIMIT)? {
        return Ok(());
    }
    let operation = format!("wait for the killed init of container {}", state.id);
    Err(Error::TimedOut {
        operation,
        seconds: KILL_LIMIT.as_secs(),
    })
}
