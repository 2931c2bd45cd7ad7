//! A process that is the caller's child, and its end.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::io::{Errno, retry_on_intr};
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::status;
use crate::error::{Error, Result};

/// A child, reaped once by whoever comes first.
#[derive(Debug)]
pub(super) struct Handle {
    pub pid: u32,
    pub pidfd: OwnedFd,
    status: Mutex<Option<process::ExitStatus>>,
}

impl Handle {
    pub(super) fn new(pid: u32, pidfd: OwnedFd) -> Self {
        Self {
            pid,
            pidfd,
            status: Mutex::new(None),
        }
    }

    /// How it ended, if it was reaped.
    pub(super) fn status(&self) -> Option<process::ExitStatus> {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the status of a process that has ended; waits for one that has not.
    pub(super) fn reap(&self) -> Result<process::ExitStatus> {
        let mut known = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(status) = *known {
            return Ok(status);
        }
        let which = WaitId::PidFd(self.pidfd.as_fd());
        match retry_on_intr(|| waitid(which.clone(), WaitIdOptions::EXITED)) {
            Ok(Some(ended)) => {
                let status = status::encode(&ended);
                *known = Some(status);
                Ok(status)
            }
            Err(errno) if errno != Errno::CHILD => Err(Error::system(
                format!("wait for process {}", self.pid),
                errno,
            )),
            _ => {
                let message = format!(
                    "process {} was reaped by somebody else: SIGCHLD is ignored, or another part of \
                     this program waits for any child",
                    self.pid
                );
                Err(Error::WrongState { message })
            }
        }
    }
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// The processes that entered a sandbox and were not reaped.
///
/// The first process of a PID namespace does not end before all others there are reaped, and those
/// that entered it are children of the caller: so whoever waits for the first one reaps them.
#[derive(Debug, Default)]
pub(super) struct Entered(Mutex<Vec<Weak<Handle>>>);

impl Entered {
    pub(super) fn add(&self, handle: &Arc<Handle>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known| known.strong_count() > 0);
        all.push(Arc::downgrade(handle));
    }

    pub(super) fn unreaped(&self) -> Vec<Arc<Handle>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .filter_map(Weak::upgrade)
            .filter(|one| one.status().is_none())
            .collect()
    }
}
