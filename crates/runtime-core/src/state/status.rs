//! In which part of its life a container is.

use std::fmt;

use rustix::io::Errno;
use serde::Serialize;

use super::container::ContainerDir;
use super::record::{FileId, Phase, State};
use crate::error::{Error, Result};
use crate::gate;
use crate::process_id::ProcessId;

/// In which part of its life a container is (OCI runtime specification, "State").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is being set up.
    Creating,
    /// It is set up and waits for `start`.
    Created,
    /// Its program runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// Its first process is gone.
    Stopped,
}

impl Status {
    /// The status as the specification spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a first process executes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Executes {
    /// The program that sets the container up.
    Init,
    /// Something else.
    Other,
    /// Nothing any more: it is about to be a zombie.
    Nothing,
    /// This caller may not look.
    Hidden,
}

impl ContainerDir {
    /// The container's status: facts of the kernel, asked now.
    ///
    /// `is_frozen` is asked about containers with a live process only.
    pub(crate) fn status(
        &self,
        state: &State,
        is_frozen: impl FnOnce() -> Result<bool>,
    ) -> Result<Status> {
        let process = match (state.phase, state.process) {
            (Phase::Created, Some(process)) => process,
            // Whoever creates a container holds its lock; init dies with its creator.
            _ if self.is_held_by_another()? => return Ok(Status::Creating),
            _ => return Ok(Status::Stopped),
        };
        // Before the look at the start time, which tells whose program it was.
        let executes = executes(process, state.init_file)?;
        if !process.alive()? || !state.is_of_this_boot()? {
            return Ok(Status::Stopped);
        }
        if is_frozen()? {
            return Ok(Status::Paused);
        }
        match executes {
            Executes::Init => Ok(Status::Created),
            Executes::Other => Ok(Status::Running),
            Executes::Nothing => Ok(Status::Stopped),
            Executes::Hidden if gate::is_waited_at(self.as_fd())? => Ok(Status::Created),
            Executes::Hidden => Ok(Status::Running),
        }
    }
}

fn executes(process: ProcessId, init: Option<FileId>) -> Result<Executes> {
    let path = format!("/proc/{}/exe", process.pid());
    match rustix::fs::stat(&path) {
        Ok(stat) => {
            let file = FileId {
                device: stat.st_dev,
                inode: stat.st_ino,
            };
            Ok(if init == Some(file) {
                Executes::Init
            } else {
                Executes::Other
            })
        }
        Err(Errno::NOENT | Errno::SRCH) => Ok(Executes::Nothing),
        // Init hides itself from those who may not trace it.
        Err(Errno::ACCESS | Errno::PERM) => Ok(Executes::Hidden),
        Err(errno) => Err(Error::system(format!("look at {path}"), errno)),
    }
}
