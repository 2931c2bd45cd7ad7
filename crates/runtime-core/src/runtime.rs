//! Containers that outlive their maker: known by id, kept in a directory.

use std::path::PathBuf;

use crate::bundle::Bundle;
use crate::container::Container;
use crate::creation::{self, Making, Sockets};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::id::ContainerId;
use crate::notify;
use crate::options::{CgroupPolicy, Options};
use crate::plan::Plan;
use crate::seccomp::{Cache, Filter};
use crate::spawn;
#[cfg(feature = "checkpoint")]
use crate::state::Claim;
use crate::state::{OciState, StateRoot};
use crate::unit;

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
    /// The file in the place of `config.json`, below the bundle unless absolute.
    pub config: Option<PathBuf>,
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
    /// Whether the program gets a socket in `NOTIFY_SOCKET` to say that it is ready
    /// (`sd_notify(3)`), for [`Container::notifications`].
    pub notify_socket: bool,
    /// See [`Options::no_pivot`].
    pub no_pivot: bool,
    /// See [`Options::no_new_keyring`].
    pub no_new_keyring: bool,
    /// Whether the container waits at its gate for a `start` from another process. Without it
    /// only the [`Container`] that [`Runtime::create`] returns can start it, a little faster.
    pub gate: bool,
    /// See [`Options::systemd_cgroup`].
    pub systemd_cgroup: bool,
    /// See [`Options::cgroup_policy`].
    pub cgroup_policy: CgroupPolicy,
}

impl CreateOptions {
    /// The usual: no terminal, no files, a gate.
    pub fn new(id: ContainerId, bundle: impl Into<PathBuf>) -> Self {
        Self {
            id,
            bundle: bundle.into(),
            config: None,
            console_socket: None,
            pidfd_socket: None,
            pid_file: None,
            preserve_fds: 0,
            env: Vec::new(),
            notify_socket: false,
            no_pivot: false,
            no_new_keyring: false,
            gate: true,
            systemd_cgroup: false,
            cgroup_policy: CgroupPolicy::Require,
        }
    }
}

impl CreateOptions {
    /// Reads the bundle.
    ///
    /// # Errors
    /// As [`Bundle::open`].
    pub fn open_bundle(&self) -> Result<Bundle> {
        match &self.config {
            Some(config) => Bundle::open_configured(&self.bundle, config),
            None => Bundle::open(&self.bundle),
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
    /// bundle, [`Error::Exists`] says that the id is taken, [`Error::Mount`] and [`Error::Step`] what
    /// failed.
    pub fn create(&self, options: CreateOptions) -> Result<Container> {
        let mut bundle = options.open_bundle()?;
        if let Some(process) = &mut bundle.spec.process {
            process.env.extend_from_slice(&options.env);
        }
        if options.notify_socket {
            let own = self.root.path().join(options.id.as_str());
            notify::add_to(&mut bundle, &own.join(notify::DIRECTORY))?;
        }
        let mut host = Host::probe_for(&bundle.spec)?;
        if options.no_pivot {
            host = host.probe_kernel_mounts()?;
        }
        let plan = compile(&bundle, &options, &host)?;
        if let Some(rootfs) = &plan.rootfs {
            spawn::check_rootfs(rootfs)?;
        }
        let sockets = Sockets::connect(&options, &bundle.spec.annotations)?;
        let filter = self.filter(&plan)?;
        let unit = plan.cgroup.as_ref().and_then(|cgroup| cgroup.unit.as_ref());
        let unit = unit.map(unit::prepare).transpose()?;
        let plan = match &unit {
            Some(unit) => unit.plan_within(plan, &host.cgroups)?,
            None => plan,
        };
        let claim = self.root.claim(&options.id)?;
        let warnings = std::mem::take(&mut bundle.warnings);
        let making = Making {
            options: &options,
            bundle: &bundle,
            plan: &plan,
            host: &host,
            filter: filter.as_deref(),
        };
        creation::run(&making, claim, unit, sockets)?.finish(plan, options.gate, warnings)
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

    /// The ids of all containers, sorted.
    ///
    /// # Errors
    /// When the state directory can't be read.
    pub fn ids(&self) -> Result<Vec<ContainerId>> {
        self.root.list()
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

    #[cfg(feature = "checkpoint")]
    pub(crate) fn claim(&self, id: &ContainerId) -> Result<Claim> {
        self.root.claim(id)
    }

    fn filter(&self, plan: &Plan) -> Result<Option<std::sync::Arc<Filter>>> {
        let Some(seccomp) = &plan.seccomp else {
            return Ok(None);
        };
        let cache = Cache::open(&self.root.path().join(SECCOMP_CACHE))?;
        Ok(Some(cache.filter(seccomp)?))
    }
}

pub(crate) fn compile(bundle: &Bundle, options: &CreateOptions, host: &Host) -> Result<Plan> {
    let compile_options = Options::new(&bundle.path)
        .id(options.id.clone())
        .no_pivot(options.no_pivot)
        .no_new_keyring(options.no_new_keyring)
        .preserve_fds(options.preserve_fds)
        .gate(options.gate)
        .systemd_cgroup(options.systemd_cgroup)
        .cgroup_policy(options.cgroup_policy);
    let plan = Plan::compile(&bundle.spec, &compile_options, host)?;
    #[cfg(feature = "failpoints")]
    let plan = plan.with_fault(crate::failpoint::Fault::from_env());
    Ok(plan)
}
