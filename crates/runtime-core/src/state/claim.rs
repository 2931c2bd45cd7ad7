//! Taking an id for a new container.

use rustix::io::Errno;

use super::container::{ContainerDir, LockedDir, Overwrite, STATE};
use super::record::State;
use super::root::StateRoot;
use crate::error::{Error, Result};
use crate::id::ContainerId;

/// An id taken for a new container, its directory locked. Dropped before [`Claim::record`], it
/// gives the id back.
#[derive(Debug)]
pub(crate) struct Claim {
    /// Present until recorded.
    dir: Option<LockedDir>,
}

/// What came of trying to take an id.
pub(super) enum Taken {
    Mine(Claim),
    /// A container has it, or will have.
    Others,
    /// Somebody removed the directory meanwhile.
    Vanished,
}

impl Claim {
    /// Locks a directory that this caller just made. Between the two calls another `create` may
    /// have taken it for an abandoned one: [`Claim::record`] finds that out.
    pub(super) fn fresh(root: &StateRoot, id: &ContainerId) -> Result<Taken> {
        let Some(dir) = ContainerDir::open_unchecked(root, id)? else {
            return Ok(Taken::Vanished);
        };
        Ok(match dir.try_lock()? {
            Some(dir) => Taken::Mine(Self { dir: Some(dir) }),
            None => Taken::Others,
        })
    }

    /// Takes over a directory that was there, if a `create` left it that was killed before it
    /// recorded anything.
    pub(super) fn abandoned(root: &StateRoot, id: &ContainerId) -> Result<Taken> {
        let Some(dir) = ContainerDir::open(root, id)? else {
            return Ok(Taken::Vanished);
        };
        let Some(dir) = dir.try_lock()? else {
            return Ok(Taken::Others);
        };
        if !dir.is_at_its_name()? {
            return Ok(Taken::Vanished);
        }
        if dir.has_state()? {
            return Ok(Taken::Others);
        }
        dir.sweep()?;
        Ok(Taken::Mine(Self { dir: Some(dir) }))
    }

    /// Writes the first record, which makes the id the container's. To be called before anything
    /// that the record names is made.
    ///
    /// # Errors
    /// [`Error::Exists`] when another `create` was faster.
    pub(crate) fn record(mut self, state: &State) -> Result<LockedDir> {
        let Some(dir) = &self.dir else {
            return Err(Error::Exists(state.id.clone()));
        };
        match dir.write_new(STATE, &state.to_json(&dir.path_of(STATE))?, Overwrite::No) {
            Ok(()) => {}
            // ENOENT: the directory is gone, its name another's.
            Err(Errno::EXIST | Errno::NOENT) => return Err(Error::Exists(state.id.clone())),
            Err(errno) => return Err(dir.not_written(STATE, errno)),
        }
        let dir = self.dir.take();
        let dir = dir.ok_or_else(|| Error::Exists(state.id.clone()))?;
        match dir.write_first_place(state) {
            Ok(()) => Ok(dir),
            Err(error) => {
                let _ = dir.remove();
                Err(error)
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(dir) = &self.dir
            && dir.is_at_its_name().unwrap_or(false)
            && !dir.has_state().unwrap_or(true)
        {
            let _ = dir.sweep();
            let _ = dir.remove_directory();
        }
    }
}
