//! Namespaces, and where each comes from.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use crate::error::{Context, Error, Result};
use crate::sys;

/// A kind of namespace (`namespaces(7)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Namespace {
    /// Process ids (PID).
    Pid,
    /// Host and domain name (UTS).
    Uts,
    /// Mount points (MNT).
    Mount,
    /// System V IPC and POSIX message queues (IPC).
    Ipc,
    /// Network devices, addresses, ports (NET).
    Network,
    /// User and group ids, and the capabilities that go with them (USR).
    User,
    /// The root of the cgroup tree.
    Cgroup,
}

impl Namespace {
    pub(super) const ALL: [Self; 7] = [
        Self::Pid,
        Self::Uts,
        Self::Mount,
        Self::Ipc,
        Self::Network,
        Self::User,
        Self::Cgroup,
    ];

    /// The `CLONE_NEW*` flag.
    pub(super) const fn flag(self) -> u32 {
        (match self {
            Self::Pid => libc::CLONE_NEWPID,
            Self::Uts => libc::CLONE_NEWUTS,
            Self::Mount => libc::CLONE_NEWNS,
            Self::Ipc => libc::CLONE_NEWIPC,
            Self::Network => libc::CLONE_NEWNET,
            Self::User => libc::CLONE_NEWUSER,
            Self::Cgroup => libc::CLONE_NEWCGROUP,
        }) as u32
    }

    pub(super) const fn kind(self) -> crate::spec::NamespaceKind {
        use crate::spec::NamespaceKind as Kind;
        match self {
            Self::Pid => Kind::Pid,
            Self::Uts => Kind::Uts,
            Self::Mount => Kind::Mount,
            Self::Ipc => Kind::Ipc,
            Self::Network => Kind::Network,
            Self::User => Kind::User,
            Self::Cgroup => Kind::Cgroup,
        }
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().as_str())
    }
}

/// Where a sandbox gets one of its namespaces from.
///
/// A namespace that is joined changes for all that are in it: a host name that is set, a root that is
/// attached in a mount namespace. What runs already is better entered with
/// [`Child::exec`](super::Child::exec).
///
/// ```
/// use orlop::Isolation;
///
/// let theirs = Isolation::join("/run/netns/blue");
/// let file = std::fs::File::open("/proc/self/ns/net")?;
/// let ours = Isolation::from(std::os::fd::OwnedFd::from(file));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Isolation {
    /// A new one for each sandbox.
    New,
    /// The one that this file stands for, such as `/proc/<pid>/ns/net` or `/run/netns/<name>`. It is
    /// opened once, when the command is built.
    Join(PathBuf),
    /// The one that this descriptor stands for.
    JoinFd(Arc<OwnedFd>),
    /// The caller's own: no isolation.
    Host,
}

impl Isolation {
    /// The namespace that this file stands for.
    pub fn join(path: impl Into<PathBuf>) -> Self {
        Self::Join(path.into())
    }
}

impl From<OwnedFd> for Isolation {
    fn from(fd: OwnedFd) -> Self {
        Self::JoinFd(Arc::new(fd))
    }
}

/// Opens a namespace's file, and makes sure that it is one of that kind.
pub(super) fn open(namespace: Namespace, path: &Path) -> Result<Arc<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, Mode::empty())
        .context(|| format!("namespace({namespace}): open {}", path.display()))?;
    check(namespace, file.as_fd(), &path.display())?;
    Ok(Arc::new(file))
}

/// Makes sure that a descriptor stands for a namespace of that kind.
pub(super) fn check(
    namespace: Namespace,
    fd: BorrowedFd<'_>,
    name: &dyn fmt::Display,
) -> Result<()> {
    if sys::namespace_kind(fd) == Some(namespace.flag()) {
        return Ok(());
    }
    let message = format!("{name} is no {namespace} namespace");
    Err(Error::invalid(format!("namespace({namespace})"), message))
}
