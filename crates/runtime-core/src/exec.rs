//! Further processes in a running container.

use std::os::fd::AsFd;
use std::path::PathBuf;

use rustix::process::Pid;

use crate::birth::Entering;
use crate::compile::JoinOptions;
use crate::console_socket::ConsoleSocket;
use crate::container::{Container, ExecOptions, ExecProcess};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::pid_file;
use crate::plan::Plan;
use crate::process_id::ProcessId;
use crate::seccomp::Cache;
use crate::spawn::{self, Inputs, Nature};
use crate::spec::Seccomp;
use crate::state::State;

pub(crate) fn run(
    container: &Container,
    first: ProcessId,
    options: ExecOptions,
    console: Option<ConsoleSocket>,
) -> Result<ExecProcess> {
    let state = container.record();
    let host = Host::probe_for_exec(&options.process)?;
    let seccomp = filter_of(container)?;
    let join = JoinOptions {
        namespaces: state.new_namespaces | state.joined_namespaces,
        seccomp: seccomp.clone(),
        id: Some(state.id.clone()),
        no_new_keyring: !state.session_keyring,
        unnamed_keyring: false,
        stdio: [None; 3],
        cgroup: v1_directories(state),
        rootfs: Some(state.rootfs.clone()),
    };
    let plan = Plan::compile_exec(&options.process, &join, &host)?;
    #[cfg(feature = "failpoints")]
    let plan = plan.with_fault(crate::failpoint::Fault::from_env());
    let filter = match &seccomp {
        Some(seccomp) => Some(Cache::open(&container.filters())?.filter(seccomp)?),
        None => None,
    };
    let pidfd_socket = options
        .pidfd_socket
        .as_deref()
        .map(ConsoleSocket::connect)
        .transpose()?;
    let gone = || Error::NotRunning(state.id.clone());
    let target = first.open()?.ok_or_else(gone)?;
    let cgroup = container.cgroup();
    let inputs = Inputs {
        target: Some(target.as_fd()),
        filter: filter.as_deref(),
        ..Inputs::default()
    };
    let nature = Nature {
        cgroup: (!state.cgroup.is_empty()).then_some(&cgroup),
        preserve_fds: options.preserve_fds,
    };
    let mut caller = Entering {
        console,
        terminal: None,
    };
    let child = spawn::spawn(&plan, nature, &inputs, &mut caller)?;
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
    })
}

fn v1_directories(state: &State) -> Vec<PathBuf> {
    let v1 = state
        .cgroup
        .iter()
        .filter(|place| place.hierarchy != orlop_cgroups::UNIFIED);
    v1.map(|place| place.path.clone()).collect()
}

/// The container's own filter holds for everything that enters it.
fn filter_of(container: &Container) -> Result<Option<Seccomp>> {
    let linux = container.spec()?.linux.as_ref();
    Ok(linux.and_then(|linux| linux.seccomp.clone()))
}
