//! The Plan of a further process in a container.

use std::path::PathBuf;

use orlop_init::Op;

use super::identity::Groups;
use super::process::{
    Program, needs_proc, push_console, push_controlling_terminal, push_cwd, push_cwd_again,
    push_filter, push_limits, push_proc_writes, push_small_limits,
};
use super::{identity, intel_rdt, push_join, scheduling, security_labels};
use crate::error::Result;
use crate::host::Host;
use crate::id::ContainerId;
use crate::plan::{Plan, PlanBuilder, Source};
use crate::resctrl::ResctrlPlace;
use crate::spec::{MemoryPolicy, Personality, Process, Seccomp};

/// What is entered: the container's namespaces and filter.
#[derive(Debug, Clone, Default)]
pub(crate) struct JoinOptions {
    /// Namespaces to join, as `CLONE_NEW*`.
    pub(crate) namespaces: u32,
    /// Whether the container's root is entered by itself: no namespace leads there.
    pub(crate) enters_root: bool,
    pub(crate) seccomp: Option<Seccomp>,
    pub(crate) id: Option<ContainerId>,
    pub(crate) no_new_keyring: bool,
    /// Whether the program keeps the caller's additional groups.
    pub(crate) keep_groups: bool,
    /// As [`Options::unnamed_keyring`](crate::Options).
    pub(crate) unnamed_keyring: bool,
    /// As [`Options::keep_affinity`](crate::Options).
    pub(crate) keep_affinity: bool,
    pub(crate) resctrl: Vec<ResctrlPlace>,
    pub(crate) memory_policy: Option<MemoryPolicy>,
    pub(crate) personality: Option<Personality>,
    pub(crate) stdio: [Option<usize>; 3],
    /// The directories of the container's cgroup in v1 hierarchies.
    pub(crate) cgroup: Vec<PathBuf>,
    /// Directories to record for messages.
    pub(crate) rootfs: Option<PathBuf>,
}

const USER: u32 = libc::CLONE_NEWUSER as u32;
const PID: u32 = libc::CLONE_NEWPID as u32;

impl Plan {
    /// Compiles a process that joins a running container.
    ///
    /// Everything is done before the process is born in the container's PID namespace: from there
    /// on others in the container can look at it, and it has no more than they have.
    ///
    /// # Errors
    /// As [`Plan::compile`].
    pub(crate) fn compile_exec(
        process: &Process,
        options: &JoinOptions,
        host: &Host,
    ) -> Result<Self> {
        let mut build = PlanBuilder::new();
        build.plan.joined_namespaces = options.namespaces;
        build.plan.rootfs.clone_from(&options.rootfs);
        build.push(Op::ResetSignals {});
        build.push(Op::Dumpable { on: false });
        for (number, given) in options.stdio.into_iter().enumerate() {
            if let Some(given) = given {
                let from = build.source(Source::Given(given))?;
                build.push(Op::Dup {
                    from,
                    to: number as u32,
                });
            }
        }
        scheduling::push_initial_affinity(&mut build, process, options.cgroup.is_empty())?;
        intel_rdt::push_joins(&mut build, &options.resctrl)?;
        for directory in &options.cgroup {
            let path = directory.join("tasks");
            let tasks = build.source(Source::Tasks { path: path.clone() })?;
            push_join(&mut build, tasks, &path)?;
        }
        if !options.keep_affinity {
            scheduling::push_final_affinity(&mut build, process)?;
        }
        // Init is not in the container yet, so that its own procfs is the host's; a caller without
        // privilege has none and writes the score itself.
        if needs_proc(process) && !host.is_privileged() {
            build.plan.oom_score_adj = process.oom_score_adj;
        } else if needs_proc(process) {
            let proc = build.made()?;
            build.push(Op::PrivateProc { to: proc });
            push_proc_writes(&mut build, process, host, proc, false)?;
            if !options.no_new_keyring {
                security_labels::push_keyring(&mut build, process, host, proc)?;
            }
        }
        // Before a user namespace is entered, in which limits can't be raised.
        push_limits(&mut build, process, false)?;
        let forks = options.namespaces & PID != 0;
        let policy = options.memory_policy.as_ref();
        scheduling::push_entering(&mut build, process, policy, forks)?;
        scheduling::push_personality(&mut build, options.personality.as_ref())?;
        enter(&mut build, options)?;
        if process.terminal {
            let root = build.made()?;
            build.push(Op::OpenRoot { to: root });
            push_console(&mut build, process, root, false);
        }
        become_process(&mut build, process, options, host)?;
        Ok(build.plan)
    }
}

fn enter(build: &mut PlanBuilder, options: &JoinOptions) -> Result<()> {
    let flags = options.namespaces;
    if flags != 0 {
        let fd = build.source(Source::Target)?;
        build.push(Op::SetNs { fd, flags });
    }
    if flags & USER != 0 {
        build.push(Op::BecomeIds { uid: 0, gid: 0 });
    }
    if options.enters_root {
        let root = build.source(Source::TargetRoot)?;
        build.push(Op::Chroot { root });
    }
    let name = options.id.as_ref().map(|id| format!("_ses.{id}"));
    if !options.no_new_keyring && (name.is_some() || options.unnamed_keyring) {
        let name = build.str(&name.unwrap_or_default())?;
        build.push(Op::SessionKeyring { name });
    }
    build.push(Op::Umask { mask: 0 });
    Ok(())
}

fn become_process(
    build: &mut PlanBuilder,
    process: &Process,
    options: &JoinOptions,
    host: &Host,
) -> Result<()> {
    let in_user_namespace = options.namespaces & USER != 0;
    push_cwd(build, process, false)?;
    let may_set_groups = host.may_set_groups();
    let host = if in_user_namespace { None } else { Some(host) };
    let has_filter = options.seccomp.is_some();
    // Who mapped one group without privilege has given up changing them.
    let fixed = host.is_some_and(|host| host.groups_are_fixed);
    let denied =
        (fixed || in_user_namespace && !may_set_groups) && process.user.additional_gids.is_empty();
    let groups = match denied {
        _ if options.keep_groups => Groups::Kept,
        true => Groups::Denied,
        false => Groups::Set,
    };
    let give_up = identity::push(build, process, host, has_filter, groups)?;
    push_cwd_again(build, process)?;
    build.push(Op::Umask {
        mask: process.user.umask.unwrap_or(0o022),
    });
    let program = Program::push(build, process)?;
    push_small_limits(build, process)?;
    build.push(Op::CloseFds {});
    let forks = options.namespaces & PID != 0;
    // A filter that was loaded with privilege comes before the fork, so that the process in the
    // container never has that privilege; any other comes after, since it may forbid forking.
    let filter_first = give_up.is_some();
    if filter_first {
        push_filter(build, options.seccomp.as_ref(), give_up);
    }
    if forks {
        build.push(Op::Fork {});
        scheduling::push_lost(build);
    }
    build.push(Op::Starting {});
    build.push(Op::NewSession {});
    if process.terminal {
        push_controlling_terminal(build);
    }
    if !filter_first {
        push_filter(build, options.seccomp.as_ref(), None);
    }
    program.exec(build);
    Ok(())
}

#[cfg(test)]
mod tests {
    use orlop_cgroups::Layout;
    use serde_json::json;

    use super::*;

    fn operations(scheduler: serde_json::Value, namespaces: u32) -> Vec<&'static str> {
        let process = json!({ "cwd": "/", "args": ["true"], "scheduler": scheduler });
        let process: Process = serde_json::from_value(process).unwrap();
        let options = JoinOptions {
            namespaces,
            ..JoinOptions::default()
        };
        let host = Host::root_with(Layout::parse("", "0::/\n"));
        let plan = Plan::compile_exec(&process, &options, &host).unwrap();
        plan.steps.iter().map(|step| step.op.name()).collect()
    }

    #[test]
    fn a_root_that_no_namespace_leads_to_is_entered_before_the_working_directory() {
        let process = json!({ "cwd": "/", "args": ["true"], "terminal": true });
        let process: Process = serde_json::from_value(process).unwrap();
        let options = JoinOptions {
            namespaces: PID,
            enters_root: true,
            ..JoinOptions::default()
        };
        let host = Host::root_with(Layout::parse("", "0::/\n"));
        let plan = Plan::compile_exec(&process, &options, &host).unwrap();
        let place = |name| plan.steps.iter().position(|step| step.op.name() == name);
        let places = ["SetNs", "Chroot", "OpenRoot", "Console", "Cwd", "Fork"].map(place);
        assert!(places.is_sorted() && places[0].is_some(), "{places:?}");
        assert_eq!(plan.sources.last(), Some(&Source::TargetRoot));
    }

    #[test]
    fn what_a_fork_loses_of_the_scheduler_is_set_after_it() {
        let deadline = json!({ "policy": "SCHED_DEADLINE", "runtime": 1, "deadline": 2 });
        let batch = json!({ "policy": "SCHED_BATCH" });
        let place = |all: &[&str], name| all.iter().position(|one| *one == name);
        let lost = operations(deadline.clone(), PID);
        assert!(
            place(&lost, "NeedScheduler") > place(&lost, "Fork"),
            "{lost:?}"
        );
        assert_eq!(place(&lost, "Scheduler"), None);
        for (scheduler, namespaces) in [(deadline, 0), (batch, PID)] {
            let kept = operations(scheduler, namespaces);
            assert!(place(&kept, "Scheduler").is_some(), "{kept:?}");
            assert_eq!(place(&kept, "NeedScheduler"), None);
        }
    }
}
