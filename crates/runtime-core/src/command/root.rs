//! The root directory of a sandbox.

use std::path::PathBuf;

/// The directory that becomes the sandbox's root.
///
/// ```
/// use orlop::Root;
///
/// let root = Root::pivot("/srv/images/alpine").read_only();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Root {
    pub(super) path: PathBuf,
    pub(super) chroot: bool,
    pub(super) read_only: bool,
}

impl Root {
    /// Enters it with `pivot_root(2)`: the caller's own tree is not in the sandbox's mount namespace
    /// at all.
    pub fn pivot(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            chroot: false,
            read_only: false,
        }
    }

    /// Enters it with `chroot(2)`: for callers whose own root is a ramfs, and for sandboxes
    /// without a mount namespace. Less safe: the caller's tree is still there, below.
    pub fn chroot(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            chroot: true,
            read_only: false,
        }
    }

    /// Lets nobody in the sandbox write to it. Needs a mount namespace of its own.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }
}
