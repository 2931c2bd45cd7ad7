//! A container in the making: everything between a Plan and a container that stands on its own.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use orlop_cgroups::{Cgroup, Mode};

use crate::annotations::{self, PIDFD_RECEIVER};
use crate::birth::Birth;
use crate::bundle::Bundle;
use crate::cgroup_birth::{self, MadeCgroup};
use crate::console_socket::{CONSOLE, ConsoleSocket, PIDFD};
use crate::container::Container;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::options::CgroupPolicy;
use crate::plan::Plan;
use crate::process_id::ProcessId;
use crate::resctrl::{self, Resctrl, ResctrlPlace};
use crate::runtime::CreateOptions;
use crate::seccomp::Filter;
use crate::seccomp_agent::SeccompAgent;
use crate::spawn::{self, Child, HostRoot, Inputs, Nature, Program, Supply};
use crate::state::{Claim, FileId, LockedDir, OciState, Phase, State, Status};
use crate::{gate, hooks, notify, out_of_memory, pid_file, unit};

/// What a container is made from.
pub(crate) struct Making<'a> {
    pub options: &'a CreateOptions,
    pub bundle: &'a Bundle,
    pub plan: &'a Plan,
    pub host: &'a Host,
    pub filter: Option<&'a Filter>,
}

/// Who is told of the container by a socket.
#[derive(Default)]
pub(crate) struct Sockets {
    pub console: Option<ConsoleSocket>,
    pub pidfd: Option<ConsoleSocket>,
}

impl Sockets {
    /// Connects to those that the options, or annotations, name.
    pub(crate) fn connect(
        options: &CreateOptions,
        annotations: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let annotated = annotations::value(annotations, PIDFD_RECEIVER).map(Path::new);
        let (asked_by, pidfd) = match options.pidfd_socket.as_deref() {
            None => (PIDFD_RECEIVER, annotated),
            given => (PIDFD, given),
        };
        Ok(Self {
            console: ConsoleSocket::connect_to(CONSOLE, options.console_socket.as_deref())?,
            pidfd: ConsoleSocket::connect_to(asked_by, pidfd)?,
        })
    }
}

/// Makes a container. Whatever fails, nothing is left of it.
pub(crate) fn run(
    making: &Making<'_>,
    claim: Claim,
    unit: Option<unit::Prepared>,
    sockets: Sockets,
) -> Result<Made> {
    let root = making.host_root()?;
    // Init does what takes longest on its own. It needs no record: it ends with its caller.
    let early = match making.can_be_born_first() {
        true => Some(making.bear(making.plan, None, None)?),
        false => None,
    };
    let mut state = making.first_state(unit.as_ref())?;
    state.root_mount = root.as_ref().map(HostRoot::id).transpose()?;
    if let Some(child) = &early {
        // In no cgroup of the container's yet, where it would be found.
        state.process = Some(ProcessId::of(child.pid, child.pidfd.as_fd())?);
    }
    let mut creation = Creation::begin(claim, &state, unit)?;
    let made_for = state.clone();
    match creation.make(making, early, root, state, sockets) {
        Ok(grown) => Ok(Made { creation, grown }),
        Err(error) => {
            let error = out_of_memory::explain(error, creation.cgroup.as_ref());
            creation.undo(&made_for, making);
            Err(error)
        }
    }
}

impl Making<'_> {
    /// The unified hierarchy is entered at birth; those of v1 are joined, and so can be made while
    /// init does other things, if it is sure which there will be. What else the Plan names that is
    /// made for this container has to be there before.
    fn can_be_born_first(&self) -> bool {
        let is_delegated = self
            .plan
            .cgroup
            .as_ref()
            .is_some_and(|one| one.delegated_only);
        let is_certain = self.options.cgroup_policy == CgroupPolicy::Require && !is_delegated;
        let late = self.host.cgroups.mode() == Mode::V1 && is_certain;
        let names_others = self.plan.resctrl.is_some()
            || self.plan.host_root().is_some()
            || self.options.notify_socket;
        (self.plan.cgroup.is_none() || late) && !names_others
    }

    /// The root file system, where it is to become one of the host's mounts.
    fn host_root(&self) -> Result<Option<HostRoot>> {
        self.plan.host_root().map(HostRoot::prepare).transpose()
    }

    fn bear(
        &self,
        plan: &Plan,
        root: Option<BorrowedFd<'_>>,
        cgroup: Option<&Cgroup>,
    ) -> Result<Child> {
        let inputs = Inputs {
            root,
            filter: self.filter,
            ..Inputs::default()
        };
        let nature = Nature {
            cgroup,
            preserve_fds: self.options.preserve_fds,
        };
        let program = Supply::Own(Program::new(plan, self.filter)?);
        Child::bear(plan, program, nature, &inputs)
    }

    /// The record of a container of which nothing is made yet: it names what will be.
    fn first_state(&self, unit: Option<&unit::Prepared>) -> Result<State> {
        let Self {
            options,
            bundle,
            plan,
            host,
            ..
        } = *self;
        let rootfs = plan.rootfs.as_deref().unwrap_or(Path::new("/"));
        let mut state = State::new(options.id.clone(), &bundle.path, rootfs, host.uid)?;
        state.annotations.clone_from(&bundle.spec.annotations);
        state.new_namespaces = plan.new_namespaces;
        state.joined_namespaces = plan.joined_namespaces;
        state.session_keyring = !options.no_new_keyring;
        state.no_pivot = options.no_pivot;
        let hooks = &plan.hooks;
        state.late_hooks = !(hooks.start_container.is_empty()
            && hooks.poststart.is_empty()
            && hooks.poststop.is_empty());
        let resctrl = plan.resctrl.as_ref();
        state.resctrl = resctrl.map(Resctrl::places).unwrap_or_default();
        state.seccomp_agent = SeccompAgent::of(plan.seccomp.as_ref()).is_some();
        if let Some(cgroup) = &plan.cgroup {
            state.cgroup = cgroup_birth::places(match unit {
                Some(unit) => unit.locate(&host.cgroups)?,
                None => Cgroup::plan_paths(&host.cgroups, &cgroup.path),
            });
        }
        state.unit = unit.map(unit::Prepared::record);
        Ok(state)
    }
}

/// A container that is ready, and not given away yet.
pub(crate) struct Made {
    creation: Creation,
    grown: Grown,
}

/// What `make` has made.
struct Grown {
    child: Child,
    state: State,
    terminal: Option<OwnedFd>,
    /// The Plan that was executed, where that was not the one that was given.
    reduced: Option<Plan>,
}

impl Made {
    /// From here on the container stands on its own. `warnings` is what was said of its bundle.
    pub(crate) fn finish(
        self,
        plan: Plan,
        gate: bool,
        mut warnings: Vec<String>,
    ) -> Result<Container> {
        let Self {
            mut creation,
            grown,
        } = self;
        let Grown {
            mut child,
            state,
            terminal,
            reduced,
        } = grown;
        warnings.extend_from_slice(plan.warnings());
        warnings.append(&mut creation.left_out);
        if gate {
            child.proceed(&[])?;
        }
        let Some(dir) = creation.dir.take() else {
            return Err(Error::NotFound(state.id));
        };
        creation.cgroup = None;
        creation.resctrl.clear();
        let waiting = if gate {
            child.release();
            None
        } else {
            Some((child, reduced.unwrap_or(plan)))
        };
        Ok(Container::made(dir, state, terminal, waiting).with_warnings(warnings))
    }
}

#[cfg(feature = "checkpoint")]
mod revival;
#[cfg(feature = "checkpoint")]
pub(crate) use revival::{Cradle, Revived, revive};

/// What is there of a container so far: dropped, it takes everything back.
struct Creation {
    dir: Option<LockedDir>,
    cgroup: Option<Cgroup>,
    resctrl: Vec<ResctrlPlace>,
    unit: Option<unit::Prepared>,
    /// What keeps the unit alive until the container is in it.
    holder: Option<unit::Holder>,
    /// What its cgroup lacks.
    left_out: Vec<String>,
    hooks_ran: bool,
}

impl Creation {
    /// Written down before anything else is made, so that whoever comes after can clean up.
    fn begin(claim: Claim, state: &State, unit: Option<unit::Prepared>) -> Result<Self> {
        Ok(Self {
            dir: Some(claim.record(state)?),
            cgroup: None,
            resctrl: state.resctrl.clone(),
            unit,
            holder: None,
            left_out: Vec::new(),
            hooks_ran: false,
        })
    }

    fn make(
        &mut self,
        making: &Making<'_>,
        early: Option<Child>,
        root: Option<HostRoot>,
        mut state: State,
        sockets: Sockets,
    ) -> Result<Grown> {
        let options = making.options;
        self.dir()?.save_config(&making.bundle.config)?;
        if options.notify_socket {
            notify::make_directory(self.dir()?.as_fd())?;
        }
        let (mut child, reduced) = match early {
            Some(child) => {
                self.make_cgroup(making, &mut state)?;
                (child, None)
            }
            None => self.bear_late(making, root, &mut state)?,
        };
        let plan = reduced.as_ref().unwrap_or(making.plan);
        child.give_cgroup(plan, self.cgroup.as_ref())?;
        if options.gate {
            child.give_gate(gate::listen(self.dir()?.as_fd())?.as_fd())?;
        }
        let (device, inode) = spawn::init_identity(plan)?;
        state.init_file = Some(FileId { device, inode });
        state.phase = Phase::Created;
        // While init is busy, unless its last pid is yet to be known.
        let is_prepared = !plan.forks();
        if is_prepared {
            if state.process.is_none() {
                state.process = Some(ProcessId::of(child.pid, child.pidfd.as_fd())?);
            }
            self.dir()?.prepare_state(&state)?;
        }
        let terminal = self.follow(&mut child, plan, &mut state, sockets.console)?;
        if !is_prepared {
            state.process = Some(ProcessId::of(child.pid, child.pidfd.as_fd())?);
            self.dir()?.prepare_state(&state)?;
        }
        self.dir()?.publish_state()?;
        if let Some(socket) = sockets.pidfd {
            socket.send(child.pidfd.as_fd(), "pidfd")?;
        }
        if let Some(path) = &options.pid_file {
            pid_file::write(path, child.pid)?;
        }
        Ok(Grown {
            child,
            state,
            terminal,
            reduced,
        })
    }

    /// Gives birth to init once all that its Plan names is there. Returns that Plan, where it is not the
    /// one that was given.
    fn bear_late(
        &mut self,
        making: &Making<'_>,
        mut root: Option<HostRoot>,
        state: &mut State,
    ) -> Result<(Child, Option<Plan>)> {
        let reduced = self.make_cgroup(making, state)?;
        if let Some(resctrl) = &making.plan.resctrl {
            resctrl.make()?;
        }
        if let Some(root) = &mut root {
            root.attach()?;
        }
        let plan = reduced.as_ref().unwrap_or(making.plan);
        let tree = root.as_ref().map(AsFd::as_fd);
        let mut child = making.bear(plan, tree, self.cgroup.as_ref())?;
        child.hold_root(root);
        Ok((child, reduced))
    }

    fn dir(&self) -> Result<&LockedDir> {
        let gone = || Error::WrongState {
            message: "the container's directory was given away".to_owned(),
        };
        self.dir.as_ref().ok_or_else(gone)
    }

    /// Makes the cgroup. Returns the Plan for what there is of it, where that is not all.
    fn make_cgroup(&mut self, making: &Making<'_>, state: &mut State) -> Result<Option<Plan>> {
        let Some(planned) = &making.plan.cgroup else {
            return Ok(None);
        };
        let layout = &making.host.cgroups;
        let policy = making.options.cgroup_policy;
        let linux = making.bundle.spec.linux.as_ref();
        let path = linux.and_then(|linux| linux.cgroups_path.as_deref());
        let is_named = path.is_some_and(|path| !path.is_empty());
        let MadeCgroup {
            cgroup,
            holder,
            is_partial,
            left_out,
        } = cgroup_birth::make(planned, layout, self.unit.as_mut(), policy, is_named)?;
        let reduced = match is_partial {
            false => None,
            true => {
                state.cgroup = cgroup_birth::places(cgroup.record());
                cgroup_birth::plan_within(making.plan, planned, layout, &cgroup)
            }
        };
        self.holder = holder;
        self.left_out = left_out;
        self.cgroup = Some(cgroup);
        state.unit = self.unit.as_ref().map(unit::Prepared::record);
        if reduced.is_some() || state.unit.is_some() {
            self.dir()?.write_place(state)?;
        }
        Ok(reduced)
    }

    /// Serves init until it is ready.
    fn follow(
        &mut self,
        child: &mut Child,
        plan: &Plan,
        state: &mut State,
        console: Option<ConsoleSocket>,
    ) -> Result<Option<OwnedFd>> {
        let mut caller = Birth {
            console,
            terminal: None,
            hooks: &plan.hooks,
            state,
            hooks_ran: false,
        };
        let followed = child.follow(plan, &mut caller);
        let terminal = caller.terminal.take();
        self.hooks_ran = caller.hooks_ran;
        // The container is in its unit now.
        self.holder = None;
        followed?;
        Ok(terminal)
    }

    /// Takes everything back, and ends what had begun for hooks.
    fn undo(self, made_for: &State, making: &Making<'_>) {
        let hooks_ran = self.hooks_ran;
        drop(self);
        if hooks_ran {
            // runtime.md: what failed after hooks had run ends as any container does. The first
            // error is the one to tell.
            let told = OciState::for_hooks(made_for, Status::Stopped).to_json();
            for (index, hook) in making.plan.hooks.poststop.iter().enumerate() {
                let _ = hooks::run(("poststop", index), hook, &told, hooks::Place::of(made_for));
            }
        }
    }
}

impl Drop for Creation {
    fn drop(&mut self) {
        if let Some(cgroup) = self.cgroup.take() {
            let _ = cgroup.kill_all(orlop_cgroups::Signal::KILL);
            let _ = match &self.unit {
                Some(unit) => unit::end(&unit.record(), &cgroup, false),
                None => cgroup.destroy().map_err(Error::from),
            };
        }
        let _ = resctrl::remove(&self.resctrl);
        if let Some(dir) = self.dir.take() {
            let _ = dir.remove();
        }
    }
}
