//! One container's directory: claimed, looked at, or locked and changed.

use std::ffi::CStr;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{
    AtFlags, Dir, Mode, OFlags, RenameFlags, fstat, openat, renameat, renameat_with, statat,
    unlinkat,
};
use rustix::io::{Errno, retry_on_intr};

use super::lock::{is_held, lock_within, try_lock};
use super::place::PLACE;
use super::record::{MAX_SIZE, State, state_error};
use super::root::StateRoot;
use crate::error::{Context, Error, Result};
use crate::gate;
use crate::id::ContainerId;
use crate::notify;

pub(super) const STATE: &str = "state.json";
/// What `state.json` is called until it is whole.
const NEW_STATE: &str = "state.json.new";
pub(super) const CONFIG: &str = "config.json";

/// The largest `config.json` that is read back, in bytes.
const MAX_CONFIG: usize = 16 << 20;

/// What happens to a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overwrite {
    Yes,
    No,
}

/// A container's directory, open for looking.
#[derive(Debug)]
pub(crate) struct ContainerDir {
    dir: OwnedFd,
    root: StateRoot,
    id: ContainerId,
    /// Whether this descriptor holds the lock.
    locked: bool,
}

/// A container's directory that nobody else may change as long as this value lives.
#[derive(Debug)]
pub(crate) struct LockedDir(ContainerDir);

impl Deref for LockedDir {
    type Target = ContainerDir;

    fn deref(&self) -> &ContainerDir {
        &self.0
    }
}

impl ContainerDir {
    /// Opens the directory; `None` when it is not there. One that belongs to another user is
    /// refused: what it says would be done with this user's rights.
    pub(super) fn open(root: &StateRoot, id: &ContainerId) -> Result<Option<Self>> {
        let Some(dir) = Self::open_unchecked(root, id)? else {
            return Ok(None);
        };
        let stat = fstat(&dir.dir).context(|| format!("look at {}", dir.path().display()))?;
        let user = rustix::process::geteuid().as_raw();
        if stat.st_uid != user {
            let message = format!("it belongs to user {}, this is user {user}", stat.st_uid);
            return Err(state_error(&dir.path(), message));
        }
        Ok(Some(dir))
    }

    pub(super) fn open_unchecked(root: &StateRoot, id: &ContainerId) -> Result<Option<Self>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = || root.path().join(id.as_str());
        match openat(root.as_fd(), id.as_str(), flags, Mode::empty()) {
            Ok(dir) => Ok(Some(Self {
                dir,
                root: root.clone(),
                id: id.clone(),
                locked: false,
            })),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                Err(state_error(&path(), "it is not a container's directory"))
            }
            Err(errno) => Err(Error::system(format!("open {}", path().display()), errno)),
        }
    }

    /// The container's id.
    pub(crate) fn id(&self) -> &ContainerId {
        &self.id
    }

    /// The directory's path, for messages.
    pub(crate) fn path(&self) -> PathBuf {
        self.root.path().join(self.id.as_str())
    }

    /// The directory itself.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Reads `state.json`.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none; [`Error::State`] when it can't be understood.
    pub(crate) fn state(&self) -> Result<State> {
        let path = self.path_of(STATE);
        match self.read(STATE, MAX_SIZE) {
            Ok(json) => State::from_json(&json, &self.id, &path),
            Err(Errno::NOENT) => Err(Error::NotFound(self.id.clone())),
            Err(errno) => Err(state_error(&path, io::Error::from(errno))),
        }
    }

    /// Reads the copy of the container's `config.json`.
    pub(crate) fn load_config(&self) -> Result<Vec<u8>> {
        let path = self.path_of(CONFIG);
        let config = self.read(CONFIG, MAX_CONFIG);
        let config = config.map_err(|errno| state_error(&path, io::Error::from(errno)))?;
        if config.len() > MAX_CONFIG {
            return Err(state_error(
                &path,
                format!("it has more than {MAX_CONFIG} bytes"),
            ));
        }
        Ok(config)
    }

    /// Reads a file, at most one byte more than `limit`.
    pub(super) fn read(&self, name: &str, limit: usize) -> rustix::io::Result<Vec<u8>> {
        // Not to wait, should somebody have put a fifo there.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = retry_on_intr(|| openat(&self.dir, name, flags, Mode::empty()))?;
        let mut content = vec![0; 4096];
        let mut length = 0;
        while length <= limit {
            if length == content.len() {
                content.resize((length * 4).min(limit + 1), 0);
            }
            match retry_on_intr(|| rustix::io::read(&file, &mut content[length..]))? {
                0 => break,
                count => length += count,
            }
        }
        content.truncate(length);
        Ok(content)
    }

    pub(super) fn has_state(&self) -> Result<bool> {
        match statat(&self.dir, STATE, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => {
                let path = self.path_of(STATE);
                Err(Error::system(format!("look at {}", path.display()), errno))
            }
        }
    }

    /// Waits for the lock, to change the container.
    ///
    /// # Errors
    /// [`Error::TimedOut`] when somebody else holds it for longer than `limit`;
    /// [`Error::NotFound`] when the container is gone by then.
    pub(crate) fn lock(mut self, limit: Duration) -> Result<LockedDir> {
        self.lock_in_place(limit)?;
        Ok(LockedDir(self))
    }

    /// As [`ContainerDir::lock`], for a value that goes on.
    pub(crate) fn lock_in_place(&mut self, limit: Duration) -> Result<()> {
        let operation = || format!("lock {}", self.path().display());
        if !lock_within(self.as_fd(), limit).context(operation)? {
            let operation = format!("wait for another command on container {}", self.id);
            return Err(Error::TimedOut {
                operation,
                seconds: limit.as_secs(),
            });
        }
        self.locked = true;
        if self.is_at_its_name()? {
            Ok(())
        } else {
            Err(Error::NotFound(self.id.clone()))
        }
    }

    /// Lets others change the container again.
    pub(crate) fn unlock(&mut self) {
        // On an open directory this can't fail; closing it would do the same.
        let _ = rustix::fs::flock(&self.dir, rustix::fs::FlockOperation::Unlock);
        self.locked = false;
    }

    pub(super) fn try_lock(mut self) -> Result<Option<LockedDir>> {
        let locked =
            try_lock(self.as_fd()).context(|| format!("lock {}", self.path().display()))?;
        self.locked = locked;
        Ok(locked.then(|| LockedDir(self)))
    }

    /// Whether somebody else changes the container now.
    pub(super) fn is_held_by_another(&self) -> Result<bool> {
        if self.locked {
            return Ok(false);
        }
        is_held(self.as_fd()).context(|| format!("lock {}", self.path().display()))
    }

    /// Whether this is still the directory of that name: it may have been removed, and another
    /// made, before it was locked.
    pub(super) fn is_at_its_name(&self) -> Result<bool> {
        let context = || format!("look at {}", self.path().display());
        let mine = fstat(&self.dir).context(context)?;
        match statat(
            self.root.as_fd(),
            self.id.as_str(),
            AtFlags::SYMLINK_NOFOLLOW,
        ) {
            Ok(there) => Ok((there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno).context(context),
        }
    }

    /// Whether this value holds the lock.
    pub(crate) fn is_locked(&self) -> bool {
        self.locked
    }

    /// For who holds the lock.
    pub(super) fn replace(&self, name: &str, content: &[u8]) -> Result<()> {
        let written = self.write_new(name, content, Overwrite::Yes);
        written.map_err(|errno| self.not_written(name, errno))
    }

    /// As [`replace`](Self::replace), with an act that the content describes in between: what it
    /// costs to write is spent before, and nothing is replaced if the act fails.
    pub(super) fn replace_after(
        &self,
        name: &str,
        content: &[u8],
        act: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let written = self.write_file(NEW_STATE, content);
        let done = written
            .map_err(|errno| self.not_written(name, errno))
            .and_then(|()| act())
            .and_then(|()| {
                renameat(&self.dir, NEW_STATE, &self.dir, name)
                    .map_err(|errno| self.not_written(name, errno))
            });
        if done.is_err() {
            let _ = unlinkat(&self.dir, NEW_STATE, AtFlags::empty());
        }
        done
    }

    pub(super) fn not_written(&self, name: &str, errno: Errno) -> Error {
        Error::system(format!("write {}", self.path_of(name).display()), errno)
    }

    /// Writes beside the file and renames, so that nobody ever reads half of it. No fsync: the
    /// root lies on a tmpfs, and after a restart no container of before is alive anyway.
    pub(super) fn write_new(
        &self,
        name: &str,
        content: &[u8],
        overwrite: Overwrite,
    ) -> rustix::io::Result<()> {
        let renamed = self
            .write_file(NEW_STATE, content)
            .and_then(|()| match overwrite {
                Overwrite::Yes => renameat(&self.dir, NEW_STATE, &self.dir, name),
                Overwrite::No => renameat_with(
                    &self.dir,
                    NEW_STATE,
                    &self.dir,
                    name,
                    RenameFlags::NOREPLACE,
                ),
            });
        if renamed.is_err() {
            let _ = unlinkat(&self.dir, NEW_STATE, AtFlags::empty());
        }
        renamed
    }

    pub(super) fn write_file(&self, name: &str, content: &[u8]) -> rustix::io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW;
        let flags = flags | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.dir, name, flags, Mode::RUSR | Mode::WUSR)?;
        let mut rest = content;
        while !rest.is_empty() {
            match retry_on_intr(|| rustix::io::write(&file, rest))? {
                0 => return Err(Errno::IO),
                count => rest = &rest[count..],
            }
        }
        Ok(())
    }
}

impl LockedDir {
    /// The directory, with the lock still held.
    pub(crate) fn into_dir(self) -> ContainerDir {
        self.0
    }

    /// Replaces `state.json`.
    pub(crate) fn write_state(&self, state: &State) -> Result<()> {
        self.replace(STATE, &state.to_json(&self.path_of(STATE))?)
    }

    /// Writes what [`publish_state`](Self::publish_state) will make `state.json`.
    pub(crate) fn prepare_state(&self, state: &State) -> Result<()> {
        self.write_file(NEW_STATE, &state.to_json(&self.path_of(STATE))?)
            .map_err(|errno| self.not_written(STATE, errno))
    }

    /// Replaces `state.json` by what was prepared.
    pub(crate) fn publish_state(&self) -> Result<()> {
        renameat(&self.dir, NEW_STATE, &self.dir, STATE)
            .map_err(|errno| self.not_written(STATE, errno))
    }

    /// Keeps a copy of the container's configuration.
    pub(crate) fn save_config(&self, config: &[u8]) -> Result<()> {
        self.write_file(CONFIG, config)
            .map_err(|errno| self.not_written(CONFIG, errno))
    }

    /// Removes the directory and all that lies in it, `state.json` last: killed half-way, it can
    /// be done again.
    ///
    /// # Errors
    /// When there is a directory in it other than `notify`: no version of this program makes one.
    pub(crate) fn remove(self) -> Result<()> {
        for name in [gate::NAME, CONFIG, PLACE, STATE] {
            match unlinkat(&self.dir, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(self.not_removed(Path::new(name), errno)),
            }
        }
        match self.remove_directory() {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTEMPTY) => self.sweep()?,
            Err(errno) => return Err(self.not_removed(Path::new(""), errno)),
        }
        self.remove_directory()
            .map_err(|errno| self.not_removed(Path::new(""), errno))
    }

    pub(super) fn remove_directory(&self) -> rustix::io::Result<()> {
        unlinkat(self.root.as_fd(), self.id.as_str(), AtFlags::REMOVEDIR)
    }

    /// Removes all files, and the directory that the container saw: what killed processes left.
    pub(super) fn sweep(&self) -> Result<()> {
        notify::remove_directory(self.dir.as_fd())
            .map_err(|errno| self.not_removed(Path::new(notify::DIRECTORY), errno))?;
        let context = || format!("list {}", self.path().display());
        for entry in Dir::read_from(&self.dir).context(context)? {
            let entry = entry.context(context)?;
            let name: &CStr = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            match unlinkat(&self.dir, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => {
                    let name = name.to_string_lossy().into_owned();
                    return Err(self.not_removed(Path::new(&name), errno));
                }
            }
        }
        Ok(())
    }

    fn not_removed(&self, name: &Path, errno: Errno) -> Error {
        let path = self.path().join(name);
        Error::system(format!("remove {}", path.display()), errno)
    }
}
