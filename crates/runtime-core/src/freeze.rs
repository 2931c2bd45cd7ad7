//! Standing still, and going on: the cgroup's freezer.

use std::io;

use orlop_cgroups::{Error as CgroupError, FreezerState};

use crate::container::{Container, LOCK_LIMIT, cgroup_of};
use crate::error::{Error, Result};
use crate::state::{State, Status};

const NOT_PAUSED: &str = "container not paused";

impl Container {
    /// Makes all processes of the container stand still, and returns once they do. Processes that
    /// enter it later stand still at once; signals but SIGKILL wait.
    ///
    /// ```no_run
    /// # let runtime = orlop::Runtime::open("/run/demo")?;
    /// let mut container = runtime.load(&"web".parse()?)?;
    /// container.pause()?;
    /// assert_eq!(container.status()?, orlop::Status::Paused);
    /// container.resume()?;
    /// # Ok::<(), orlop::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotRunning`] when it neither runs nor waits for its start, [`Error::WrongState`]
    /// when it is paused already;
    /// [`Error::Cgroup`] when it has no freezer, or a process did not stop within two seconds: all
    /// of them run then.
    pub fn pause(&mut self) -> Result<()> {
        self.must_have_cgroup("pause")?;
        self.locked(|container, status| {
            match status {
                Status::Running => {}
                // Before it is true: killed here, it only makes the next start ask.
                Status::Created => container.note_early_pause(true)?,
                Status::Paused => {
                    let message = format!(
                        "container not running: {} is paused already",
                        container.state.id
                    );
                    return Err(Error::WrongState { message });
                }
                _ => return Err(Error::NotRunning(container.state.id.clone())),
            }
            Ok(container.cgroup().freeze()?)
        })
    }

    /// Lets the processes of a paused container go on.
    ///
    /// # Errors
    /// [`Error::WrongState`] when it is not paused; [`Error::Cgroup`].
    pub fn resume(&mut self) -> Result<()> {
        self.locked(|container, status| {
            if status != Status::Paused {
                let message = NOT_PAUSED.to_owned();
                return Err(Error::WrongState { message });
            }
            container.cgroup().thaw()?;
            container.note_early_pause(false)
        })
    }

    fn note_early_pause(&mut self, paused: bool) -> Result<()> {
        if self.state.paused_early == paused {
            return Ok(());
        }
        self.state.paused_early = paused;
        self.dir.change(LOCK_LIMIT)?.write_state(&self.state)
    }

    /// Does something to the container that nobody else does at the same time, given its record
    /// and status of now.
    pub(crate) fn locked<T>(
        &mut self,
        act: impl FnOnce(&mut Self, Status) -> Result<T>,
    ) -> Result<T> {
        let own_lock = !self.dir.is_locked();
        if own_lock {
            self.dir.lock_in_place(LOCK_LIMIT)?;
        }
        let acted = || {
            self.state = self.dir.state()?;
            let status = self.status()?;
            act(self, status)
        };
        let result = acted();
        if own_lock {
            self.dir.unlock();
        }
        result
    }

    pub(crate) fn is_frozen(&self) -> Result<bool> {
        is_frozen(&self.state)
    }

    /// Init at the gate of a frozen container would not answer before it is thawed.
    pub(crate) fn refuse_start_while_paused(&self) -> Result<()> {
        if self.state.paused_early && self.is_frozen()? {
            return Err(self.not_startable_while_paused());
        }
        Ok(())
    }

    /// What runc says, and its callers know, of a `start` that would not come to an end.
    pub(crate) fn not_startable_while_paused(&self) -> Error {
        let id = &self.state.id;
        Error::WrongState {
            message: format!(
                "cannot start a container in the paused state: {id} (resume it first)"
            ),
        }
    }

    pub(crate) fn must_have_cgroup(&self, verb: &str) -> Result<()> {
        if !self.state.cgroup.is_empty() {
            return Ok(());
        }
        let message = format!(
            "cannot {verb} container {}: it has no cgroup (a user's container gets one where \
             linux.cgroupsPath names a place that is delegated to the user)",
            self.state.id
        );
        Err(Error::WrongState { message })
    }
}

fn is_frozen(state: &State) -> Result<bool> {
    if state.cgroup.is_empty() {
        return Ok(false);
    }
    match cgroup_of(state).freezer_state() {
        Ok(found) => Ok(found == FreezerState::Frozen),
        // Where nothing can be frozen nothing is.
        Err(CgroupError::Unsupported { .. }) => Ok(false),
        // Somebody removed it meanwhile: whoever was in it has ended.
        Err(CgroupError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// Lets the processes of a container go on if they stand still.
pub(crate) fn thaw(state: &State) -> Result<()> {
    if is_frozen(state)? {
        cgroup_of(state).thaw()?;
    }
    Ok(())
}
