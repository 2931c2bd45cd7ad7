//! One change of a container that somebody goes on using.

use std::time::Duration;

use super::container::{CONFIG, ContainerDir, STATE};
use super::record::State;
use crate::error::Result;

/// A container's directory, locked as long as this value lives.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    dir: &'a mut ContainerDir,
    /// Whether the lock was taken for this change.
    own_lock: bool,
}

impl ContainerDir {
    /// Waits for the lock, unless this value holds it, to change the container.
    ///
    /// # Errors
    /// As [`ContainerDir::lock`].
    pub(crate) fn change(&mut self, limit: Duration) -> Result<Change<'_>> {
        let own_lock = !self.is_locked();
        if own_lock {
            self.lock_in_place(limit)?;
        }
        Ok(Change {
            dir: self,
            own_lock,
        })
    }
}

impl Change<'_> {
    /// Replaces `state.json`.
    pub(crate) fn write_state(&self, state: &State) -> Result<()> {
        let json = state.to_json(&self.dir.path_of(STATE))?;
        self.dir.replace(STATE, &json)
    }

    /// Replaces the copy of the container's configuration once `act` has made it true.
    pub(crate) fn write_config_after(
        &self,
        config: &[u8],
        act: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        self.dir.replace_after(CONFIG, config, act)
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        if self.own_lock {
            self.dir.unlock();
        }
    }
}
