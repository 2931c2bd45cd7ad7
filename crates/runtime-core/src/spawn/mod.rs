//! From a Plan to a process: opens what the Plan names, gives birth to init, and talks with it
//! until it is what the Plan says.
//!
//! ```text
//! caller                                init
//!   │ program and descriptors ────────────▶│   on its way before there is anybody to read it
//!   │ clone ──────────────────────────────▶│
//!   │ Continue ───────────────────────────▶│   only if it is born in a user namespace, once that has its maps
//!   │◀──────────────────────── NeedMaps ───│   only where init makes the user namespace
//!   │ Continue ───────────────────────────▶│
//!   │ Tasks(fds) ─────────────────────────▶│   only on cgroup v1, once its directories are made
//!   │ Gate(socket) ───────────────────────▶│   only where it is to wait there
//!   │◀──────────────── Child(pid, pidfd) ──│   only where the process had to fork
//!   │◀───────────────────── NeedDevices ───│   only with network devices to move in
//!   │ Continue ───────────────────────────▶│
//!   │◀──────────────── Mount(slot, mount) ─│   once for each bind of what was mounted before
//!   │ Continue ───────────────────────────▶│
//!   │◀───────────────────── Console(fd) ───│   only with a terminal
//!   │ Continue ───────────────────────────▶│
//!   │◀────────────────────── HookPoint ────│   only with hooks at creation
//!   │ Continue(state) ────────────────────▶│
//!   │◀─────────────────── NeedScheduler ───│   only where a fork lost the scheduling policy
//!   │ Continue ───────────────────────────▶│
//!   │◀────────────────────────── Ready ────│   unless nothing has to be recorded
//!   │ Continue ───────────────────────────▶│
//!   │◀─────────────────── end of stream ───│   the program runs; or Failed(operation, errno)
//! ```

mod channel;
mod expected;
#[cfg(feature = "systemd")]
mod holder;
mod host_root;
mod in_order;
mod locked;
mod pidfd;
mod prepare;
mod program;
mod started;
mod user_namespace;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use orlop_cgroups::Cgroup;
use orlop_init::{Kind, Op, Record};
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Signal, WaitIdStatus, pidfd_send_signal};

use crate::error::{Context, Error, Result};
use crate::idmap;
use crate::net_devices;
use crate::plan::{Plan, RAISED_LIMIT, RaisedLimit};
use crate::poll::poll_closely;
use crate::seccomp::Filter;
use crate::sys::{self, Birth, clone_init};
use channel::Channel;
use expected::Expected;
use in_order::InOrder;
use pidfd::{pid_of, reap};

pub(crate) use channel::{Message, send_continue};
#[cfg(feature = "systemd")]
pub(crate) use holder::Holder;
pub(crate) use host_root::{HostRoot, detach_recorded, is_root_of};
pub(crate) use prepare::check_rootfs;
pub(crate) use program::{Program, SealedProgram, Supply, init_identity};
pub(crate) use started::{Started, TakeListener, wait_started};

/// The most descriptors that a program may inherit beside its standard ones.
const MAX_PRESERVED: u32 = 1024;

/// What the caller gives beside the Plan.
#[derive(Debug, Default)]
pub(crate) struct Inputs<'a> {
    pub given: Vec<BorrowedFd<'a>>,
    pub target: Option<BorrowedFd<'a>>,
    /// The root file system, where that is a mount of the host's or another process's root.
    pub root: Option<BorrowedFd<'a>>,
    pub filter: Option<&'a Filter>,
}

/// How a process is born, before it is told anything.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Nature<'a> {
    /// The cgroup whose unified directory it is born in, if it has one.
    pub cgroup: Option<&'a Cgroup>,
    /// How many descriptors from 3 on it keeps.
    pub preserve_fds: u32,
}

/// What the caller does while init waits.
pub(crate) trait Caller {
    /// The master of the container's terminal.
    fn console(&mut self, master: OwnedFd) -> Result<()>;
    /// Runs the hooks of this point; what it returns goes to the hooks that init runs.
    fn hook_point(&mut self, child: &Child) -> Result<Vec<u8>>;
    /// Takes the listener of the filter that the child has loaded, by its number there.
    fn seccomp_listener(&mut self, child: &Child, number: i32) -> Result<()>;
}

/// A container's first process, or one that entered it.
///
/// Dropped before [`Child::release`], it is killed and reaped.
#[derive(Debug)]
pub(crate) struct Child {
    pub pid: i32,
    pub pidfd: OwnedFd,
    control: OwnedFd,
    released: bool,
    expected: Expected,
    /// Network devices that go back to the host unless the process is given up.
    devices: Option<net_devices::Moved>,
    /// Its root among the host's mounts, which is taken away unless the process is given up.
    root: Option<HostRoot>,
    /// Tells where it died, should it.
    program: Option<Program>,
}

/// Starts a Plan's process, up to where init is ready, or, where the Plan has no such point, up to
/// where it has become the program.
pub(crate) fn spawn(
    plan: &Plan,
    nature: Nature<'_>,
    inputs: &Inputs<'_>,
    caller: &mut dyn Caller,
) -> Result<Child> {
    let program = Program::new(plan, inputs.filter)?;
    spawn_program(plan, Supply::Own(program), nature, inputs, caller)
}

/// As [`spawn`], of a Plan whose program was made before.
pub(crate) fn spawn_program(
    plan: &Plan,
    program: Supply<'_>,
    nature: Nature<'_>,
    inputs: &Inputs<'_>,
    caller: &mut dyn Caller,
) -> Result<Child> {
    let mut child = Child::bear(plan, program, nature, inputs)?;
    child.give_cgroup(plan, nature.cgroup)?;
    child.follow(plan, caller)?;
    Ok(child)
}

#[expect(clippy::disallowed_methods, reason = "the host's own procfs")]
fn set_oom_score(pid: i32, score: i32) -> Result<()> {
    let lower = " (less than the caller's takes CAP_SYS_RESOURCE)";
    std::fs::write(format!("/proc/{pid}/oom_score_adj"), score.to_string())
        .context(|| format!("set oom_score_adj to {score}{lower}"))
}

/// Init in a user namespace can lower its limits and raise none, so what it needs is raised first.
fn raise_limit(pid: i32, limit: RaisedLimit) -> Result<()> {
    let RaisedLimit { resource, hard, .. } = limit;
    let raised = sys::raise_hard_limit(pid, resource, hard)
        .context(|| format!("raise {} to {hard}", crate::names::rlimit(resource)));
    raised.map_err(|error| error.hinted(Some(RAISED_LIMIT)))
}

impl Child {
    /// Opens what the Plan names, and gives birth to init, which finds its program waiting.
    pub(crate) fn bear(
        plan: &Plan,
        program: Supply<'_>,
        nature: Nature<'_>,
        inputs: &Inputs<'_>,
    ) -> Result<Self> {
        let Nature {
            cgroup,
            preserve_fds,
        } = nature;
        if preserve_fds > MAX_PRESERVED {
            let message = format!("{preserve_fds} is more than {MAX_PRESERVED}");
            return Err(Error::invalid("preserve_fds", message));
        }
        let Channel { ours, theirs } = Channel::new()?;
        let sources = prepare::open_all(plan, inputs)?;
        let is_told_first = plan.oom_score_adj.is_none() && plan.raise_limits.is_empty();
        if is_told_first {
            channel::send_program(ours.as_fd(), &program, &sources)?;
        }
        let cgroup = match cgroup {
            Some(cgroup) => cgroup.v2_dir()?,
            None => None,
        };
        let born = clone_init(&Birth {
            namespaces: plan.clone_flags,
            cgroup,
            init: program::sealed_init(plan.clone_flags)?,
            control: theirs.as_fd(),
            preserve: preserve_fds,
        })
        .map_err(|error| plan.birth_error(error.raw_os_error().unwrap_or(0)))?;
        let mut child = Self {
            pid: born.pid,
            pidfd: born.pidfd,
            control: ours,
            released: false,
            expected: Expected::of(plan),
            devices: None,
            root: None,
            program: None,
        };
        if !is_told_first {
            child.privilege(plan)?;
            channel::send_program(child.control.as_fd(), &program, &sources)?;
        }
        child.program = program.own();
        if plan.clone_flags & libc::CLONE_NEWUSER as u32 != 0 {
            child.write_maps(plan)?;
            send_continue(child.control.as_fd(), &[])?;
        }
        Ok(child)
    }

    /// Sets what init can't set itself, before it has its program: later it may have hidden itself
    /// from its caller.
    fn privilege(&self, plan: &Plan) -> Result<()> {
        if let Some(score) = plan.oom_score_adj {
            set_oom_score(self.pid, score)?;
        }
        for limit in &plan.raise_limits {
            raise_limit(self.pid, *limit)?;
        }
        Ok(())
    }

    /// Makes the mount go with the process, until that is given up.
    pub(crate) fn hold_root(&mut self, root: Option<HostRoot>) {
        self.root = root;
    }

    /// Gives init the gate at which it will wait.
    pub(crate) fn give_gate(&self, gate: BorrowedFd<'_>) -> Result<()> {
        channel::send_gate(self.control.as_fd(), gate)
    }

    /// Lets init join the cgroup, where it waits for that.
    pub(crate) fn give_cgroup(&self, plan: &Plan, cgroup: Option<&Cgroup>) -> Result<()> {
        match cgroup {
            Some(cgroup) if plan.has(|op| matches!(op, Op::AwaitCgroup { .. })) => {
                let tasks = cgroup.tasks_fds()?;
                let sent = channel::send_tasks(self.control.as_fd(), &tasks);
                sys::close_all(tasks);
                sent
            }
            _ => Ok(()),
        }
    }

    /// Serves init until it is ready, or has become the program.
    pub(crate) fn follow(&mut self, plan: &Plan, caller: &mut dyn Caller) -> Result<()> {
        let mut records = InOrder::of(plan);
        // Who waits at a gate has more to do before.
        let ends_soon = !plan.has(|op| matches!(op, Op::Ready {}));
        loop {
            if ends_soon {
                poll_closely(&mut [PollFd::new(&self.control, PollFlags::IN)]);
            }
            let next = records.next(self.control.as_fd(), self.pidfd.as_fd())?;
            let Some(Message { record, fd }) = next else {
                return if self.expected.started {
                    Ok(())
                } else {
                    Err(self.died(plan))
                };
            };
            match (record.kind, fd) {
                (Kind::Failed, _) => return Err(self.failed(plan, &record)),
                (Kind::Ready, _) => return Ok(()),
                (Kind::Starting, _) => self.expected.started = true,
                (Kind::Child, Some(pidfd)) if std::mem::take(&mut self.expected.child) => {
                    self.replace(pidfd)?;
                }
                (Kind::Console, Some(master)) if std::mem::take(&mut self.expected.console) => {
                    caller.console(master)?;
                    send_continue(self.control.as_fd(), &[])?;
                }
                (Kind::NeedDevices, _) if std::mem::take(&mut self.expected.devices) => {
                    self.devices = Some(net_devices::move_all(&plan.net_devices, self.pid)?);
                    send_continue(self.control.as_fd(), &[])?;
                }
                (Kind::Mount, Some(mount)) if self.expected.take_lent(record.value) => {
                    dress_lent(plan, record.value, mount.as_fd())?;
                    send_continue(self.control.as_fd(), &[])?;
                }
                (Kind::NeedScheduler, _) if std::mem::take(&mut self.expected.scheduler) => {
                    self.schedule(plan)?;
                    send_continue(self.control.as_fd(), &[])?;
                }
                (Kind::Listener, _) if std::mem::take(&mut self.expected.listener) => {
                    caller.seccomp_listener(self, record.value)?;
                    send_continue(self.control.as_fd(), &[])?;
                }
                (Kind::NeedMaps, _) if self.expected.maps => self.give_maps(plan)?,
                (Kind::HookPoint, _) if std::mem::take(&mut self.expected.hook_point) => {
                    let state = caller.hook_point(self)?;
                    send_continue(self.control.as_fd(), &state)?;
                }
                (kind, _) => return Err(out_of_turn(kind)),
            }
        }
    }

    fn schedule(&self, plan: &Plan) -> Result<()> {
        let Some(wanted) = &plan.scheduling else {
            return Err(out_of_turn(Kind::NeedScheduler));
        };
        sys::set_scheduler(self.pid, wanted).context(|| {
            let policy = crate::names::scheduler(wanted.policy);
            format!("process.scheduler: set the scheduling policy {policy}")
        })
    }

    fn write_maps(&self, plan: &Plan) -> Result<()> {
        if let Some(maps) = &plan.id_maps {
            idmap::write(self.pid, &maps.uids, &maps.gids)?;
        }
        Ok(())
    }

    /// Answers to `NeedMaps`, once.
    fn give_maps(&mut self, plan: &Plan) -> Result<()> {
        self.expected.maps = false;
        self.write_maps(plan)?;
        send_continue(self.control.as_fd(), &[])
    }

    /// The process forked: from here on it is the other one. Its pid is what the kernel says of the
    /// descriptor, whoever sent it.
    fn replace(&mut self, pidfd: OwnedFd) -> Result<()> {
        self.pid = pid_of(pidfd.as_fd())?;
        let before = std::mem::replace(&mut self.pidfd, pidfd);
        reap(before.as_fd()).context(|| "wait for init's first process".to_owned())?;
        Ok(())
    }

    fn died(&mut self, plan: &Plan) -> Error {
        self.released = true;
        let how = match reap(self.pidfd.as_fd()) {
            Ok(Some(status)) => describe_end(&status),
            _ => "ended".to_owned(),
        };
        let at = self.program.as_ref().and_then(Program::at);
        let step = at.and_then(|at| plan.steps.get(at));
        Error::InitDied {
            how,
            operation: step.map(|step| plan.describe(&step.op)),
        }
    }

    fn failed(&mut self, plan: &Plan, record: &Record) -> Error {
        self.kill_and_reap();
        plan.init_error(record)
    }

    /// Lets a ready init go on; `state` goes to the hooks that it runs.
    pub(crate) fn proceed(&self, state: &[u8]) -> Result<()> {
        send_continue(self.control.as_fd(), state)
    }

    /// Waits until the program runs.
    ///
    /// `listener` takes the listener of its filter, where that has one.
    pub(crate) fn wait_exec(
        &mut self,
        plan: &Plan,
        listener: Option<&mut TakeListener<'_>>,
    ) -> Result<()> {
        match wait_started(self.control.as_fd(), listener)? {
            Started::Running => Ok(()),
            Started::Failed(record) => Err(self.failed(plan, &record)),
            Started::Died => Err(self.died(plan)),
        }
    }

    /// Gives the process up: it is not killed any more when this value goes.
    pub(crate) fn release(&mut self) {
        self.released = true;
        if let Some(devices) = self.devices.take() {
            devices.keep();
        }
        if let Some(root) = self.root.take() {
            root.keep();
        }
    }

    /// The process, given up.
    pub(crate) fn into_pidfd(mut self) -> Result<OwnedFd> {
        self.release();
        self.pidfd
            .try_clone()
            .context(|| "duplicate a pidfd".to_owned())
    }

    fn kill_and_reap(&mut self) {
        if !self.released {
            self.released = true;
            let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
            let _ = reap(self.pidfd.as_fd());
        }
    }
}

fn dress_lent(plan: &Plan, slot: i32, mount: BorrowedFd<'_>) -> Result<()> {
    let lent = plan.lent.iter().find(|(lent, _)| lent.0 as i32 == slot);
    let (slot, tree) = lent.ok_or_else(|| out_of_turn(Kind::Mount))?;
    prepare::dress_lent(mount, tree).map_err(|error| plan.source_error(*slot, error))
}

fn out_of_turn(kind: Kind) -> Error {
    let message = format!("init sent {kind:?} out of turn");
    Error::WrongState { message }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill_and_reap();
    }
}

fn describe_end(status: &WaitIdStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(status), _) => format!("exited with status {status}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}
