//! The root of a container without a mount namespace of its own: a mount among the host's.
//!
//! It is the caller that attaches it, since it sees the same mounts as init: so it is the caller, too,
//! that takes it back, whatever became of init. A descriptor says which mount is meant; no path of
//! the root file system is followed, and nothing of the host's is changed.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Statx, StatxAttributes, StatxFlags, statx};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, UnmountFlags, move_mount, open_tree, unmount};

use super::prepare::{open_rootfs, private_clone};
use crate::error::{Context, Error, Result};
use crate::sys;

/// Linux 6.8 has numbers that no other mount gets later.
const MNT_ID_UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// A clone of the root file system's mounts, from which nothing spreads. Attached, and dropped before
/// [`keep`](Self::keep), it is taken away again, with all that was mounted in it.
#[derive(Debug)]
pub(crate) struct HostRoot {
    /// What is covered.
    directory: OwnedFd,
    tree: OwnedFd,
    is_attached: bool,
}

impl HostRoot {
    /// Clones the mounts; they are attached nowhere yet.
    pub(crate) fn prepare(path: &Path) -> Result<Self> {
        let directory = open_rootfs(path)?;
        let operation = || format!("look at rootfs {}", path.display());
        let found = look(directory.as_fd()).context(operation)?;
        let own = statx(CWD, "/", AtFlags::empty(), wanted()).context(operation)?;
        if (found.stx_mnt_id, found.stx_ino) == (own.stx_mnt_id, own.stx_ino) {
            let message = "is the host's own root; the container needs a mount namespace of its own in linux.namespaces";
            return Err(Error::invalid("root.path", message));
        }
        if is_on_itself(directory.as_fd(), path).context(operation)? {
            let path = path.display();
            let message = format!(
                "{path} is mounted onto itself, as a container among the host's mounts leaves it, and \
                 would bring that one's mounts along: `umount --recursive {path}` first"
            );
            return Err(Error::invalid("root.path", message));
        }
        Ok(Self {
            tree: private_clone(directory.as_fd(), path, libc::MS_PRIVATE)?,
            directory,
            is_attached: false,
        })
    }

    /// Covers the root file system's directory with them.
    pub(crate) fn attach(&mut self) -> Result<()> {
        let flags =
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(&self.tree, "", &self.directory, "", flags)
            .context(|| "root.path: attach the root file system".to_owned())?;
        self.is_attached = true;
        // What is attached below a shared mount is shared.
        make_private(self.tree.as_fd())
            .context(|| "root.path: make the root file system private".to_owned())
    }

    /// What tells it from all other mounts.
    pub(crate) fn id(&self) -> Result<u64> {
        mount_id(self.tree.as_fd())
    }

    /// It is the container's for good.
    pub(super) fn keep(mut self) {
        self.is_attached = false;
    }
}

impl AsFd for HostRoot {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tree.as_fd()
    }
}

impl Drop for HostRoot {
    fn drop(&mut self) {
        if self.is_attached {
            let _ = detach(self.tree.as_fd());
        }
    }
}

/// Whether a directory covers itself. What it covers is seen in a clone of the mount that it is on.
fn is_on_itself(directory: BorrowedFd<'_>, path: &Path) -> std::io::Result<bool> {
    let found = look(directory)?;
    if !found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
        return Ok(false);
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "the parent is only looked at, in a clone that is compared by its mount"
    )]
    let path = std::fs::canonicalize(path)?;
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(false);
    };
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let bare = match open_tree(CWD, parent, flags) {
        // A mount that can't be cloned can't have been cloned.
        Err(rustix::io::Errno::INVAL) => return Ok(false),
        bare => bare?,
    };
    let covered = statx(&bare, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::INO)?;
    let identity = |one: &Statx| (one.stx_dev_major, one.stx_dev_minor, one.stx_ino);
    Ok(identity(&covered) == identity(&found))
}

/// Takes away the mount of this id, if it is what is to be seen at the path.
pub(crate) fn detach_recorded(path: &Path, id: u64) -> Result<()> {
    let Ok(root) = open_rootfs(path) else {
        return Ok(());
    };
    if !is_root_of(root.as_fd(), id)? {
        return Ok(());
    }
    detach(root.as_fd()).context(|| format!("unmount {}", path.display()))
}

/// Whether a directory is the root of the mount of this id.
pub(crate) fn is_root_of(directory: BorrowedFd<'_>, id: u64) -> Result<bool> {
    let found = look(directory).context(looking)?;
    let is_root = found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
    Ok(is_root && found.stx_mnt_id == id)
}

fn mount_id(mount: BorrowedFd<'_>) -> Result<u64> {
    Ok(look(mount).context(looking)?.stx_mnt_id)
}

fn looking() -> String {
    "look at the root file system's mount".to_owned()
}

fn wanted() -> StatxFlags {
    StatxFlags::INO | StatxFlags::MNT_ID | MNT_ID_UNIQUE
}

fn look(directory: BorrowedFd<'_>) -> rustix::io::Result<Statx> {
    statx(directory, "", AtFlags::EMPTY_PATH, wanted())
}

fn make_private(tree: BorrowedFd<'_>) -> std::io::Result<()> {
    sys::mount_setattr(tree, true, 0, 0, libc::MS_PRIVATE)
}

fn detach(tree: BorrowedFd<'_>) -> std::io::Result<()> {
    // What is shared in it would take the host's mounts along.
    make_private(tree)?;
    // By way of the descriptor, and without the working directory, which is all threads'.
    let path = format!("/proc/self/fd/{}", tree.as_raw_fd());
    Ok(unmount(path, UnmountFlags::DETACH)?)
}
