//! Containers that outlive their maker: known by id, kept in a directory.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use orlop_cgroups::{Cgroup, Mode, RecordedPath};

use crate::birth::Birth;
use crate::bundle::Bundle;
use crate::console_socket::ConsoleSocket;
use crate::container::Container;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::id::ContainerId;
use crate::options::Options;
use crate::plan::Plan;
use crate::process_id::ProcessId;
use crate::seccomp::{Cache, Filter};
use crate::spawn::{self, Child, Inputs, Nature, Program};
use crate::state::{CgroupPlace, FileId, LockedDir, OciState, Phase, State, StateRoot, Status};
use crate::{gate, hooks, pid_file, unit};

/// Where the compiled filters of a state root lie; no container can have this name.
pub(crate) const SECCOMP_CACHE: &str = "@seccomp";

/// The containers below one state directory.
///
/// ```no_run
/// use orlop::{CreateOptions, Runtime, Signal};
///
/// let runtime = Runtime::open("/run/demo")?;
/// let mut container = runtime.create(CreateOptions::new("web".parse()?, "/srv/bundle"))?;
/// container.start()?;
/// container.kill(Signal::TERM, false)?;
/// # Ok::<(), orlop::Error>(())
/// ```
#[derive(Debug)]
pub struct Runtime {
    root: StateRoot,
}

/// How a container is created, beside what its bundle says.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CreateOptions {
    /// The new container's id.
    pub id: ContainerId,
    /// The directory with `config.json`.
    pub bundle: PathBuf,
    /// Who takes the terminal's master (`SCM_RIGHTS` on a stream socket); without it the
    /// [`Container`] keeps it.
    pub console_socket: Option<PathBuf>,
    /// Who takes a pidfd of the first process (`SCM_RIGHTS` on a stream socket).
    pub pidfd_socket: Option<PathBuf>,
    /// Where the first process's pid is written.
    pub pid_file: Option<PathBuf>,
    /// How many descriptors from 3 on the program inherits.
    pub preserve_fds: u32,
    /// Variables that the program gets beside those of its configuration, `NAME=VALUE`.
    pub env: Vec<String>,
    /// See [`Options::no_pivot`].
    pub no_pivot: bool,
    /// See [`Options::no_new_keyring`].
    pub no_new_keyring: bool,
    /// Whether the container waits at its gate for a `start` from another process. Without it
    /// only the [`Container`] that [`Runtime::create`] returns can start it, a little faster.
    pub gate: bool,
    /// See [`Options::systemd_cgroup`].
    pub systemd_cgroup: bool,
}

impl CreateOptions {
    /// The usual: no terminal, no files, a gate.
    pub fn new(id: ContainerId, bundle: impl Into<PathBuf>) -> Self {
        Self {
            id,
            bundle: bundle.into(),
            console_socket: None,
            pidfd_socket: None,
            pid_file: None,
            preserve_fds: 0,
            env: Vec::new(),
            no_pivot: false,
            no_new_keyring: false,
            gate: true,
            systemd_cgroup: false,
        }
    }
}

impl Runtime {
    /// Opens a state directory, and makes it (mode 0700) when it is missing.
    ///
    /// # Errors
    /// When it can't be made or opened, or is the root directory.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        Ok(Self {
            root: StateRoot::open(&path.into())?,
        })
    }

    /// Creates a container from its bundle: all but its program, which waits for
    /// [`Container::start`].
    ///
    /// Whatever fails, nothing is left of it.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Invalid`] and [`Error::Unsupported`] name what is wrong in the
    /// bundle, [`Error::Exists`] says that the id is taken, [`Error::Step`] what failed inside.
    pub fn create(&self, options: CreateOptions) -> Result<Container> {
        let mut bundle = Bundle::open(&options.bundle)?;
        if let Some(process) = &mut bundle.spec.process {
            process.env.extend_from_slice(&options.env);
        }
        let host = Host::probe_for(&bundle.spec)?;
        let plan = compile(&bundle, &options, &host)?;
        if let Some(rootfs) = &plan.rootfs {
            spawn::check_rootfs(rootfs)?;
        }
        let console = connect(options.console_socket.as_deref())?;
        let pidfd_socket = connect(options.pidfd_socket.as_deref())?;
        let filter = self.filter(&plan)?;
        let unit = plan.cgroup.as_ref().and_then(|cgroup| cgroup.unit.as_ref());
        let unit = unit.map(unit::prepare).transpose()?;
        let claim = self.root.claim(&options.id)?;
        let making = Making {
            options: &options,
            bundle: &bundle,
            plan: &plan,
            host: &host,
            filter: filter.as_deref(),
        };
        // Init does what takes longest on its own. It needs no record: it ends with its caller.
        let early = match making.is_born_in_cgroup() {
            true => None,
            false => Some(making.bear(None)?),
        };
        let state = first_state(&making, unit.as_ref())?;
        // Written down before anything else is made, so that whoever comes after can clean up.
        let mut creation = Creation {
            dir: Some(claim.record(&state)?),
            cgroup: None,
            unit,
            hooks_ran: false,
        };
        let made_for = state.clone();
        let made = creation
            .make(&making, early, state, console)
            .and_then(|made| {
                if let Some(socket) = pidfd_socket {
                    socket.send(made.child.pidfd.as_fd(), "pidfd")?;
                }
                if let Some(path) = &options.pid_file {
                    pid_file::write(path, made.child.pid)?;
                }
                Ok(made)
            });
        match made {
            Ok(made) => creation.finish(made, plan, options.gate),
            Err(error) => {
                let hooks_ran = creation.hooks_ran;
                drop(creation);
                if hooks_ran {
                    run_poststop(&plan, &made_for, &bundle);
                }
                Err(error)
            }
        }
    }

    /// The container of this id.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::State`] when its state file can't be read.
    pub fn load(&self, id: &ContainerId) -> Result<Container> {
        let dir = self.root.container(id)?;
        let state = dir.state()?;
        Ok(Container::loaded(dir, state))
    }

    /// Removes a container, whatever state it is in, and kills what runs in it. That there is none
    /// is no error.
    ///
    /// Works for containers whose maker was killed at any moment, and for those whose state file is
    /// damaged. Returns what is to be said of poststop hooks that failed.
    ///
    /// # Errors
    /// When something of it can't be removed; what could be is gone by then.
    pub fn delete_force(&self, id: &ContainerId) -> Result<Vec<String>> {
        match self.root.container(id) {
            Ok(dir) => Container::remove_by_force(dir),
            Err(Error::NotFound(_)) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// What is known of every container, sorted by id; an entry that can't be read is an error of
    /// its own.
    ///
    /// # Errors
    /// When the state directory can't be read.
    pub fn list(&self) -> Result<Vec<Result<OciState>>> {
        let mut all = Vec::new();
        for id in self.root.list()? {
            match self.load(&id).and_then(|container| container.state()) {
                // Gone meanwhile, or claimed and not begun.
                Err(Error::NotFound(_)) => {}
                result => all.push(result),
            }
        }
        Ok(all)
    }

    fn filter(&self, plan: &Plan) -> Result<Option<std::sync::Arc<Filter>>> {
        let Some(seccomp) = &plan.seccomp else {
            return Ok(None);
        };
        let cache = Cache::open(&self.root.path().join(SECCOMP_CACHE))?;
        Ok(Some(cache.filter(seccomp)?))
    }
}

fn compile(bundle: &Bundle, options: &CreateOptions, host: &Host) -> Result<Plan> {
    let compile_options = Options::new(&bundle.path)
        .id(options.id.clone())
        .no_pivot(options.no_pivot)
        .no_new_keyring(options.no_new_keyring)
        .preserve_fds(options.preserve_fds)
        .gate(options.gate)
        .systemd_cgroup(options.systemd_cgroup);
    let plan = Plan::compile(&bundle.spec, &compile_options, host)?;
    #[cfg(feature = "failpoints")]
    let plan = plan.with_fault(crate::failpoint::Fault::from_env());
    Ok(plan)
}

fn connect(socket: Option<&Path>) -> Result<Option<ConsoleSocket>> {
    socket.map(ConsoleSocket::connect).transpose()
}

/// runtime.md: what failed after hooks had run ends as any container does. The first error is the
/// one to tell.
fn run_poststop(plan: &Plan, state: &State, bundle: &Bundle) {
    let told = OciState::for_hooks(state, Status::Stopped).to_json();
    for hook in &plan.hooks.poststop {
        let _ = hooks::run("poststop", hook, &told, &bundle.path);
    }
}

/// What a container is made from.
struct Making<'a> {
    options: &'a CreateOptions,
    bundle: &'a Bundle,
    plan: &'a Plan,
    host: &'a Host,
    filter: Option<&'a Filter>,
}

impl Making<'_> {
    /// The unified hierarchy is entered at birth; the others are joined, and so can be made while
    /// init does other things.
    fn is_born_in_cgroup(&self) -> bool {
        self.plan.cgroup.is_some() && self.host.cgroups.mode() != Mode::V1
    }

    fn bear(&self, cgroup: Option<&Cgroup>) -> Result<Child> {
        let nature = Nature {
            cgroup,
            preserve_fds: self.options.preserve_fds,
        };
        Child::bear(self.plan, nature)
    }

    /// Makes the cgroup; what it returns holds a unit until the container's own process is in it.
    fn make_cgroup(
        &self,
        cgroup: &mut Option<Cgroup>,
        unit: &mut Option<unit::Prepared>,
    ) -> Result<Option<unit::Holder>> {
        let Some(planned) = &self.plan.cgroup else {
            return Ok(None);
        };
        let (layout, limits) = (&self.host.cgroups, &planned.limits);
        let Some(unit) = unit else {
            *cgroup = Some(Cgroup::create(layout, &planned.path, limits)?);
            return Ok(None);
        };
        let (made, holder) = unit.start(layout, limits)?;
        *cgroup = Some(made);
        Ok(Some(holder))
    }
}

/// A container that is ready, and not given away yet.
struct Made {
    child: Child,
    state: State,
    terminal: Option<OwnedFd>,
}

/// A container in the making: dropped, it takes everything back.
struct Creation {
    dir: Option<LockedDir>,
    cgroup: Option<Cgroup>,
    unit: Option<unit::Prepared>,
    hooks_ran: bool,
}

impl Creation {
    fn make(
        &mut self,
        making: &Making<'_>,
        early: Option<Child>,
        mut state: State,
        console: Option<ConsoleSocket>,
    ) -> Result<Made> {
        let Making {
            options,
            bundle,
            plan,
            filter,
            ..
        } = *making;
        let Self {
            dir, cgroup, unit, ..
        } = self;
        let Some(dir) = dir else {
            return Err(Error::NotFound(options.id.clone()));
        };
        dir.save_config(&bundle.config)?;
        let mut holder = None;
        let mut child = match early {
            Some(child) => child,
            None => {
                holder = making.make_cgroup(cgroup, unit)?;
                making.bear(cgroup.as_ref())?
            }
        };
        let listener = if options.gate {
            Some(gate::listen(dir.as_fd())?)
        } else {
            None
        };
        let inputs = Inputs {
            gate: listener.as_ref().map(AsFd::as_fd),
            filter,
            ..Inputs::default()
        };
        child.instruct(plan, &Program::new(plan, filter)?, &inputs)?;
        if !making.is_born_in_cgroup() {
            holder = making.make_cgroup(cgroup, unit)?;
        }
        child.cgroup_is_made(plan)?;
        let mut caller = Birth {
            console,
            terminal: None,
            hooks: &plan.hooks,
            state: &mut state,
            bundle: &bundle.path,
            hooks_ran: false,
        };
        let followed = child.follow(plan, &mut caller);
        drop(holder);
        let terminal = caller.terminal.take();
        self.hooks_ran = caller.hooks_ran;
        followed?;
        let (device, inode) = spawn::init_identity()?;
        state.phase = Phase::Created;
        state.process = Some(ProcessId::of(child.pid, child.pidfd.as_fd())?);
        state.init_file = Some(FileId { device, inode });
        dir.write_state(&state)?;
        Ok(Made {
            child,
            state,
            terminal,
        })
    }

    /// From here on the container stands on its own.
    fn finish(mut self, made: Made, plan: Plan, gate: bool) -> Result<Container> {
        let Made {
            mut child,
            state,
            terminal,
        } = made;
        let Some(dir) = self.dir.take() else {
            return Err(Error::NotFound(state.id));
        };
        self.cgroup = None;
        let warnings = plan.warnings().to_vec();
        let waiting = if gate {
            child.proceed(&[])?;
            child.release();
            None
        } else {
            Some((child, plan))
        };
        Ok(Container::made(dir, state, terminal, waiting).with_warnings(warnings))
    }
}

impl Drop for Creation {
    fn drop(&mut self) {
        if let Some(cgroup) = self.cgroup.take() {
            let _ = cgroup.kill_all(orlop_cgroups::Signal::KILL);
            if let Some(unit) = &self.unit {
                let _ = unit::stop(&unit.record());
            }
            let _ = cgroup.destroy();
        }
        if let Some(dir) = self.dir.take() {
            let _ = dir.remove();
        }
    }
}

/// The record of a container of which nothing is made yet: it names what will be.
fn first_state(making: &Making<'_>, unit: Option<&unit::Prepared>) -> Result<State> {
    let Making {
        options,
        bundle,
        plan,
        host,
        ..
    } = *making;
    let rootfs = plan.rootfs.as_deref().unwrap_or(Path::new("/"));
    let mut state = State::new(
        options.id.clone(),
        &bundle.spec.oci_version,
        &bundle.path,
        rootfs,
    )?;
    state.annotations.clone_from(&bundle.spec.annotations);
    state.new_namespaces = plan.new_namespaces;
    state.joined_namespaces = plan.joined_namespaces;
    state.session_keyring = !options.no_new_keyring;
    state.no_pivot = options.no_pivot;
    let hooks = &plan.hooks;
    state.late_hooks = !(hooks.start_container.is_empty()
        && hooks.poststart.is_empty()
        && hooks.poststop.is_empty());
    if let Some(cgroup) = &plan.cgroup {
        state.cgroup = places(match unit {
            Some(unit) => unit.locate(&host.cgroups)?,
            None => Cgroup::plan_paths(&host.cgroups, &cgroup.path),
        });
        state.unit = unit.map(unit::Prepared::record);
    }
    Ok(state)
}

fn places(paths: Vec<RecordedPath>) -> Vec<CgroupPlace> {
    let places = paths.into_iter().map(|place| CgroupPlace {
        hierarchy: place.hierarchy,
        path: place.path,
    });
    places.collect()
}
