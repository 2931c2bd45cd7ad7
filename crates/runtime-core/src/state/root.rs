//! The directory that holds all containers' directories.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Dir, FileType, Mode, OFlags, mkdirat};
use rustix::io::Errno;

use super::claim::{Claim, Taken};
use super::container::ContainerDir;
use crate::error::{Context, Error, Result};
use crate::id::ContainerId;

/// How often a claim is tried while others make and remove a container of the same id.
const CLAIM_ATTEMPTS: usize = 16;

/// The directory that holds all containers' directories. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct StateRoot {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: OwnedFd,
    path: PathBuf,
}

impl StateRoot {
    /// Opens the directory, and makes it, for its owner alone, if it is not there.
    #[expect(
        clippy::disallowed_methods,
        reason = "the caller says where, and may go through links of its own"
    )]
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if let Some(root) = Self::existing(path)? {
            return Ok(root);
        }
        // The sticky bit keeps what tidies up below $XDG_RUNTIME_DIR from taking live containers'
        // directories away (XDG base directory specification).
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o1700)
            .create(path);
        made.context(|| format!("make the state directory {}", path.display()))?;
        match Self::existing(path)? {
            Some(root) => Ok(root),
            None => Err(not_opened(path, Errno::NOENT)),
        }
    }

    /// Opens the directory; `None` when it is not there.
    pub(crate) fn existing(path: &Path) -> Result<Option<Self>> {
        if is_file_system_root(path) {
            let message = format!(
                "{} can't hold containers: name a directory below it",
                path.display()
            );
            return Err(Error::invalid("state directory", message));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = match rustix::fs::open(path, flags | OFlags::NOFOLLOW, Mode::empty()) {
            Err(Errno::NOTDIR | Errno::LOOP) if is_trusted_link(path) => {
                rustix::fs::open(path, flags, Mode::empty())
            }
            opened => opened,
        };
        match opened {
            Ok(dir) => {
                let inner = Inner {
                    dir,
                    path: path.to_owned(),
                };
                Ok(Some(Self {
                    inner: Arc::new(inner),
                }))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(not_opened(path, errno)),
        }
    }

    /// The directory's path, as it was given.
    pub(crate) fn path(&self) -> &Path {
        &self.inner.path
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.dir.as_fd()
    }

    /// Takes an id for a new container.
    ///
    /// # Errors
    /// [`Error::Exists`] when a container has it, or another `create` is at work on it.
    pub(crate) fn claim(&self, id: &ContainerId) -> Result<Claim> {
        for _ in 0..CLAIM_ATTEMPTS {
            let taken = match mkdirat(self.as_fd(), id.as_str(), Mode::RWXU) {
                Ok(()) => Claim::fresh(self, id)?,
                Err(Errno::EXIST) => Claim::abandoned(self, id)?,
                Err(errno) => {
                    let path = self.path().join(id.as_str());
                    return Err(Error::system(format!("make {}", path.display()), errno));
                }
            };
            match taken {
                Taken::Mine(claim) => return Ok(claim),
                Taken::Others => break,
                Taken::Vanished => {}
            }
        }
        Err(Error::Exists(id.clone()))
    }

    /// A container's directory, not locked.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub(crate) fn container(&self, id: &ContainerId) -> Result<ContainerDir> {
        ContainerDir::open(self, id)?.ok_or_else(|| Error::NotFound(id.clone()))
    }

    /// All ids that have a directory, sorted. Whatever else lies here is passed over.
    pub(crate) fn list(&self) -> Result<Vec<ContainerId>> {
        let context = || format!("list {}", self.path().display());
        let mut ids = Vec::new();
        for entry in Dir::read_from(self.as_fd()).context(context)? {
            let entry = entry.context(context)?;
            if !matches!(entry.file_type(), FileType::Directory | FileType::Unknown) {
                continue;
            }
            let name = entry.file_name().to_str().ok();
            ids.extend(name.and_then(|name| name.parse::<ContainerId>().ok()));
        }
        ids.sort_unstable();
        Ok(ids)
    }
}

fn not_opened(path: &Path, errno: Errno) -> Error {
    if errno == Errno::ACCESS {
        let path = path.to_owned();
        return Error::ForeignRoot { path };
    }
    Error::system(
        format!("open the state directory {}", path.display()),
        errno,
    )
}

/// Whether the path is a link that root or this user made: anybody else's could lead anywhere.
fn is_trusted_link(path: &Path) -> bool {
    let owner = rustix::process::geteuid().as_raw();
    rustix::fs::lstat(path).is_ok_and(|link| {
        FileType::from_raw_mode(link.st_mode) == FileType::Symlink
            && (link.st_uid == 0 || link.st_uid == owner)
    })
}

/// Whether the path says `/`, in whatever way.
fn is_file_system_root(path: &Path) -> bool {
    let mut depth = 0_usize;
    for component in path.components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::ParentDir => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    path.is_absolute() && depth == 0
}
