//! Opens what a Plan names on the host: by the caller, before anything is born.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use orlop_init::wire::Slot;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, fstat, fstatfs, open, openat, openat2,
    statat,
};
use rustix::mount::{OpenTreeFlags, open_tree};

use super::Inputs;
use super::locked;
use super::user_namespace::UserNamespaces;
use crate::error::{Context, Error, Result};
use crate::names;
use crate::plan::{Attr, MountIdMap, MountIds, Plan, Source, Tree};
use crate::sys;

const PROC_SUPER_MAGIC: i64 = 0x9fa0;
const PROC_ROOT_INODE: u64 = 1;

/// A source: opened for this, or the caller's own, which needs no copy to be sent.
#[derive(Debug)]
pub(super) enum Opened<'a> {
    Owned(OwnedFd),
    Borrowed(BorrowedFd<'a>),
}

impl AsFd for Opened<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Owned(fd) => fd.as_fd(),
            Self::Borrowed(fd) => *fd,
        }
    }
}

/// All sources of a Plan, in the order of their slots.
pub(super) fn open_all<'a>(plan: &Plan, inputs: &Inputs<'a>) -> Result<Vec<Opened<'a>>> {
    let mut users = UserNamespaces::default();
    let open = |(slot, source)| {
        open_one(source, inputs, &mut users)
            .map_err(|error| plan.source_error(Slot(slot as u32), error))
    };
    plan.sources.iter().enumerate().map(open).collect()
}

fn missing(what: &str) -> Error {
    Error::WrongState {
        message: format!("the plan needs a {what} that was not given"),
    }
}

fn given<'a>(fd: Option<BorrowedFd<'a>>, what: &str) -> Result<Opened<'a>> {
    fd.map(Opened::Borrowed).ok_or_else(|| missing(what))
}

fn open_one<'a>(
    source: &Source,
    inputs: &Inputs<'a>,
    users: &mut UserNamespaces,
) -> Result<Opened<'a>> {
    match source {
        Source::Root { path, propagation } => root_tree(path, *propagation).map(Opened::Owned),
        Source::RootDir { path } => open_rootfs(path).map(Opened::Owned),
        Source::HostRoot { .. } | Source::TargetRoot => given(inputs.root, "root file system"),
        Source::Tree(tree) => bind_tree(tree, users).map(Opened::Owned),
        Source::Namespace {
            path,
            kind,
            not_own,
        } => namespace(path, *kind, *not_own).map(Opened::Owned),
        Source::Tasks { path } => tasks(path).map(Opened::Owned),
        Source::Target => given(inputs.target, "container's pidfd"),
        Source::Given(index) => given(inputs.given.get(*index).copied(), "given file"),
    }
}

fn tasks(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(CWD, path, flags, Mode::empty(), resolve)
        .context(|| format!("open {} to join the cgroup", path.display()))
}

/// Looks at a root file system that init will open: an early error is a clear one.
pub(crate) fn check_rootfs(path: &Path) -> Result<()> {
    match statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => Ok(()),
        Ok(_) => Err(not_a_rootfs(path)),
        Err(error) => Err(no_rootfs(path, error)),
    }
}

fn not_a_rootfs(path: &Path) -> Error {
    let message = format!(
        "{} is a symbolic link or no directory (name the directory itself)",
        path.display()
    );
    Error::invalid("root.path", format!("invalid rootfs: {message}"))
}

fn no_rootfs(path: &Path, error: rustix::io::Errno) -> Error {
    let reason = crate::plan::os_error(error.raw_os_error());
    Error::invalid(
        "root.path",
        format!(
            "invalid rootfs: {}: {reason} \
             (unpack the image there, or put the path right)",
            path.display()
        ),
    )
}

/// The root file system's directory. A link in its place is refused: it would decide what becomes
/// the container's root.
pub(super) fn open_rootfs(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match open(path, flags, Mode::empty()) {
        Err(rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => Err(not_a_rootfs(path)),
        Err(error) => Err(no_rootfs(path, error)),
        Ok(fd) => Ok(fd),
    }
}

fn clone_tree(of: BorrowedFd<'_>, recursive: bool) -> rustix::io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(of, "", flags)
}

fn root_tree(path: &Path, propagation: u64) -> Result<OwnedFd> {
    private_clone(open_rootfs(path)?.as_fd(), path, propagation)
}

/// A clone of all mounts at a root file system's directory, detached; `path` is for errors.
pub(super) fn private_clone(
    root: BorrowedFd<'_>,
    path: &Path,
    propagation: u64,
) -> Result<OwnedFd> {
    let operation = || format!("clone the mount of rootfs {}", path.display());
    let tree = clone_tree(root, true).context(operation)?;
    sys::mount_setattr(tree.as_fd(), true, 0, 0, propagation).context(operation)?;
    Ok(tree)
}

fn bind_tree(tree: &Tree, users: &mut UserNamespaces) -> Result<OwnedFd> {
    let mut flags = OFlags::PATH | OFlags::CLOEXEC;
    if !tree.follow {
        flags |= OFlags::NOFOLLOW;
    }
    let source =
        openat(CWD, &tree.path, flags, Mode::empty()).context(|| "open the source".to_owned())?;
    if tree.procfs {
        must_be_procfs(source.as_fd(), &tree.path)?;
    }
    let mount = clone_tree(source.as_fd(), tree.recursive)
        .context(|| "clone the source's mount".to_owned())?;
    dress(mount.as_fd(), tree, users)?;
    Ok(mount)
}

/// Gives a tree that init has cloned what it has no right to give it.
pub(super) fn dress_lent(mount: BorrowedFd<'_>, tree: &Tree) -> Result<()> {
    dress(mount, tree, &mut UserNamespaces::default())
}

fn dress(mount: BorrowedFd<'_>, tree: &Tree, users: &mut UserNamespaces) -> Result<()> {
    let operation = || "set its attributes".to_owned();
    if let Some(map) = &tree.id_map {
        map_ids(mount, tree, map, users)?;
    }
    if tree.guarded && !tree.attr.is_empty() {
        locked::check(mount, tree.attr)?;
    }
    let set = |recursive: bool, attr: Attr, propagation: u64| {
        sys::mount_setattr(mount, recursive, attr.set, attr.clear, propagation)
    };
    if tree.apart != 0 {
        set(true, Attr::default(), tree.apart).context(operation)?;
    }
    // One call for the usual case: what the whole tree gets, and the mount itself.
    if tree.recursive_attr.is_empty() && (!tree.recursive || tree.attr.is_empty()) {
        return set(tree.recursive, tree.attr, tree.propagation).context(operation);
    }
    set(true, tree.recursive_attr, tree.propagation).context(operation)?;
    if !tree.attr.is_empty() {
        set(false, tree.attr, 0).context(operation)?;
    }
    Ok(())
}

fn map_ids(
    mount: BorrowedFd<'_>,
    tree: &Tree,
    map: &MountIdMap,
    users: &mut UserNamespaces,
) -> Result<()> {
    let joined;
    let user_namespace = match &map.ids {
        MountIds::Maps(maps) => users.get(maps)?,
        MountIds::Namespace(path) => {
            joined = namespace(path, libc::CLONE_NEWUSER as u32, false)?;
            joined.as_fd()
        }
    };
    sys::map_mount_ids(mount, map.recursive, user_namespace).map_err(|error| {
        let hint = match error.raw_os_error() {
            Some(libc::EINVAL) => " (its file system has no id-mapped mounts)",
            Some(libc::EPERM) => " (it is id-mapped already, or not the caller's to map)",
            _ => "",
        };
        Error::system(
            format!("map the ids of {}{hint}", tree.path.display()),
            error,
        )
    })
}

/// Only a whole procfs may cover `/proc`.
fn must_be_procfs(source: BorrowedFd<'_>, path: &Path) -> Result<()> {
    let operation = || format!("look at {}", path.display());
    let filesystem = fstatfs(source).context(operation)?;
    let inode = fstat(source).context(operation)?.st_ino;
    if filesystem.f_type as i64 != PROC_SUPER_MAGIC || inode != PROC_ROOT_INODE {
        let message = format!(
            "{} is no procfs, and nothing else may cover /proc",
            path.display()
        );
        return Err(Error::invalid("mounts", message));
    }
    Ok(())
}

/// A namespace's file, checked to be one of that kind.
fn namespace(path: &Path, kind: u32, not_own: bool) -> Result<OwnedFd> {
    let name = names::namespaces(kind);
    let operation = || format!("open {name} namespace {}", path.display());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = open(path, flags, Mode::empty()).context(operation)?;
    if sys::namespace_kind(file.as_fd()) != Some(kind) {
        let message = format!("{} is no {name} namespace", path.display());
        return Err(Error::invalid("linux.namespaces", message));
    }
    if not_own {
        let entry = names::NAMESPACES.iter().find(|(flag, ..)| *flag == kind);
        let own = format!("/proc/self/ns/{}", entry.map_or("", |(.., file)| file));
        let own = statat(CWD, &own, AtFlags::empty()).context(operation)?;
        if fstat(&file).context(operation)?.st_ino == own.st_ino {
            let message = format!(
                "{} is the caller's own, where none may be set",
                path.display()
            );
            return Err(Error::invalid("linux.sysctl", message));
        }
    }
    Ok(file)
}
