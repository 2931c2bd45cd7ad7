//! Further processes in a running container.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use orlop_cgroups::Cgroup;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, fstat, statat};
use rustix::process::Pid;

use crate::annotations;
use crate::birth::Entering;
use crate::compile::JoinOptions;
use crate::console_socket::{ConsoleSocket, PIDFD};
use crate::container::{Container, ExecOptions, ExecProcess, cgroup_at};
use crate::error::{Context, Error, Result};
use crate::host::Host;
use crate::pid_file;
use crate::plan::Plan;
use crate::process_id::ProcessId;
use crate::seccomp::Cache;
use crate::seccomp_agent::SeccompAgent;
use crate::spawn::{self, Child, Inputs, Nature};
use crate::state::{CgroupPlace, OciState, State, Status};
use crate::sub_cgroup::{self, SubCgroup};

pub(crate) fn run(
    container: &Container,
    first: ProcessId,
    options: ExecOptions,
    console: Option<ConsoleSocket>,
) -> Result<ExecProcess> {
    let state = container.record();
    let host = Host::probe_for_exec(&options.process)?;
    let places = options.cgroup.places(&state.cgroup)?;
    let join = join_options(container, &places)?;
    let plan = Plan::compile_exec(&options.process, &join, &host)?;
    #[cfg(feature = "failpoints")]
    let plan = plan.with_fault(crate::failpoint::Fault::from_env());
    let filter = match &join.seccomp {
        Some(seccomp) => Some(Cache::open(&container.filters())?.filter(seccomp)?),
        None => None,
    };
    let pidfd_socket = ConsoleSocket::connect_to(PIDFD, options.pidfd_socket.as_deref())?;
    let gone = || Error::NotRunning(state.id.clone());
    let target = first.open()?.ok_or_else(gone)?;
    let cgroup = cgroup_at(&places);
    let root = join
        .enters_root
        .then(|| root_of(state, first))
        .transpose()?;
    let inputs = Inputs {
        target: Some(target.as_fd()),
        root: root.as_ref().map(AsFd::as_fd),
        filter: filter.as_deref(),
        ..Inputs::default()
    };
    let nature = Nature {
        cgroup: (!places.is_empty()).then_some(&cgroup),
        preserve_fds: options.preserve_fds,
    };
    let running = || OciState::for_hooks(state, Status::Running);
    let mut caller = Entering {
        console,
        terminal: None,
        agent: SeccompAgent::of(join.seccomp.as_ref()).map(|agent| (agent, running())),
    };
    let elsewhere = (options.cgroup == SubCgroup::Own).then_some((&places[..], first));
    let child = enter(&plan, nature, &inputs, elsewhere, &mut caller)?;
    if let Some(socket) = pidfd_socket {
        socket.send(child.pidfd.as_fd(), "pidfd")?;
    }
    if let Some(path) = &options.pid_file {
        pid_file::write(path, child.pid)?;
    }
    let pid = Pid::from_raw(child.pid).ok_or_else(gone)?;
    Ok(ExecProcess {
        pid,
        pidfd: child.into_pidfd()?,
        terminal: caller.terminal,
        warnings: plan.warnings,
    })
}

/// The root directory of a container that has no mount namespace of its own, as its first process
/// has it: what is mounted over its path by now is another's. A process may change its root, and
/// nobody is to follow it to the host's.
fn root_of(state: &State, first: ProcessId) -> Result<OwnedFd> {
    let rootfs = state.rootfs.display();
    let operation = || format!("open the container's root {rootfs}");
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let path = format!("/proc/{}/root", first.pid());
    let root = rustix::fs::open(path, flags, Mode::empty()).context(operation)?;
    // It was opened by number: only now is it sure whose it is.
    if !first.alive()? {
        return Err(Error::NotRunning(state.id.clone()));
    }
    let is_it = match state.root_mount {
        Some(id) => spawn::is_root_of(root.as_fd(), id)?,
        None => {
            let planned = statat(CWD, &state.rootfs, AtFlags::SYMLINK_NOFOLLOW);
            let planned = planned.context(operation)?;
            let found = fstat(&root).context(operation)?;
            (found.st_dev, found.st_ino) == (planned.st_dev, planned.st_ino)
        }
    };
    if !is_it {
        let message = format!(
            "cannot exec: the container's first process has left {rootfs}, or something else was mounted there"
        );
        return Err(Error::WrongState { message });
    }
    Ok(root)
}

/// Starts the process; on v2, where a cgroup with children takes none, in that of the container's
/// first process.
fn enter(
    plan: &Plan,
    nature: Nature<'_>,
    inputs: &Inputs<'_>,
    elsewhere: Option<(&[CgroupPlace], ProcessId)>,
    caller: &mut Entering,
) -> Result<Child> {
    match (spawn::spawn(plan, nature, inputs, caller), elsewhere) {
        (Err(error), Some((places, first))) if is_busy(&error) => {
            let cgroup = cgroup_of_first(places, first, &Host::probe()?).ok_or(error)?;
            let nature = Nature {
                cgroup: Some(&cgroup),
                ..nature
            };
            spawn::spawn(plan, nature, inputs, caller)
        }
        (result, _) => result,
    }
}

/// Whether a cgroup of v2 takes no process, since it has children (the "no internal processes"
/// rule of cgroups(7)).
fn is_busy(error: &Error) -> bool {
    let busy = rustix::io::Errno::BUSY.raw_os_error();
    matches!(error, Error::Step(error) if error.errno == busy)
}

/// The same places, with that of the container's first process in the unified hierarchy.
fn cgroup_of_first(places: &[CgroupPlace], first: ProcessId, host: &Host) -> Option<Cgroup> {
    let mut places = places.to_vec();
    let unified = places
        .iter_mut()
        .find(|place| place.hierarchy == orlop_cgroups::UNIFIED)?;
    unified.path = sub_cgroup::unified_of(first.pid(), host)?;
    // It was read by number: only now is it sure whose it is.
    first.alive().ok().filter(|alive| *alive)?;
    Some(cgroup_at(&places))
}

/// What a process that enters the container gets of it.
fn join_options(container: &Container, places: &[CgroupPlace]) -> Result<JoinOptions> {
    let state = container.record();
    let linux = container.spec()?.linux.as_ref();
    // The container's own filter holds for everything that enters it.
    let seccomp = linux.and_then(|linux| linux.seccomp.clone());
    let namespaces = state.new_namespaces | state.joined_namespaces;
    Ok(JoinOptions {
        namespaces,
        enters_root: namespaces & libc::CLONE_NEWNS as u32 == 0,
        seccomp,
        id: Some(state.id.clone()),
        no_new_keyring: !state.session_keyring,
        keep_groups: annotations::keep_groups(&state.annotations),
        unnamed_keyring: false,
        keep_affinity: false,
        resctrl: state.resctrl.clone(),
        memory_policy: linux.and_then(|linux| linux.memory_policy.clone()),
        personality: linux.and_then(|linux| linux.personality.clone()),
        stdio: [None; 3],
        cgroup: v1_directories(places),
        rootfs: Some(state.rootfs.clone()),
    })
}

fn v1_directories(places: &[CgroupPlace]) -> Vec<PathBuf> {
    let v1 = places
        .iter()
        .filter(|place| place.hierarchy != orlop_cgroups::UNIFIED);
    v1.map(|place| place.path.clone()).collect()
}
