//! Who decides about system calls with the action `SCMP_ACT_NOTIFY` (config-linux.md, seccomp,
//! container process state).

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
    sendmsg, socket_with,
};
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};
use serde::Serialize;

use crate::console_socket::connect_by_path;
use crate::error::{Context, Result};
use crate::seccomp;
use crate::spec::{OCI_VERSION, Seccomp};
use crate::state::OciState;

/// The listener's name among the descriptors.
const LISTENER: &str = "seccompFd";

/// Of a process that its caller may not look into.
const HIDDEN: &str = "who enters a user namespace in which others are hides itself, and from a caller \
                      without CAP_SYS_PTRACE, too: SCMP_ACT_NOTIFY needs a new user namespace, or root";

/// The agent of one configuration.
#[derive(Debug, Clone)]
pub(crate) struct SeccompAgent {
    path: PathBuf,
    metadata: Option<String>,
}

/// What it is told with the listener.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessState<'a> {
    oci_version: &'a str,
    fds: [&'a str; 1],
    pid: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a str>,
    state: &'a OciState,
}

impl SeccompAgent {
    /// The agent, where the filter asks one.
    pub(crate) fn of(filter: Option<&Seccomp>) -> Option<Self> {
        let filter = filter.filter(|filter| seccomp::notifies(filter))?;
        let path = filter
            .listener_path
            .as_deref()
            .filter(|path| !path.is_empty())?;
        Some(Self {
            path: PathBuf::from(path),
            metadata: filter
                .listener_metadata
                .clone()
                .filter(|text| !text.is_empty()),
        })
    }

    /// Takes the listener out of a process, by its number there, and hands it to the agent.
    pub(crate) fn hand_over(
        &self,
        process: BorrowedFd<'_>,
        number: i32,
        pid: i32,
        state: &OciState,
    ) -> Result<()> {
        let taken = pidfd_getfd(process, number, PidfdGetfdFlags::empty());
        let hint = matches!(taken, Err(Errno::PERM)).then_some(HIDDEN);
        let listener = taken
            .context(|| format!("take the seccomp listener of process {pid}"))
            .map_err(|error| error.hinted(hint))?;
        self.send(&listener, pid, state).context(|| {
            format!(
                "failed to connect with seccomp agent, linux.seccomp.listenerPath: {}",
                self.path.display()
            )
        })
    }

    fn send(&self, listener: &OwnedFd, pid: i32, state: &OciState) -> std::io::Result<()> {
        let told = ProcessState {
            oci_version: OCI_VERSION,
            fds: [LISTENER],
            pid,
            metadata: self.metadata.as_deref(),
            state,
        };
        let text = serde_json::to_vec(&told)?;
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        connect_by_path(&socket, &self.path)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let fds = [listener.as_fd()];
        ancillary.push(SendAncillaryMessage::ScmRights(&fds));
        let mut rest = text.as_slice();
        while !rest.is_empty() {
            let parts = [IoSlice::new(rest)];
            let sent =
                retry_on_intr(|| sendmsg(&socket, &parts, &mut ancillary, SendFlags::NOSIGNAL))?;
            // The listener goes with the first bytes.
            ancillary.clear();
            rest = &rest[sent..];
        }
        Ok(())
    }
}
