//! Opens what a Plan names on the host: by the caller, before anything is born.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use orlop_cgroups::{Cgroup, Member, Version};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fstat, fstatfs, open, openat};
use rustix::mount::{OpenTreeFlags, open_tree};

use super::Inputs;
use crate::error::{Context, Error, Result};
use crate::names;
use crate::plan::{Attr, Plan, Source, Tree};
use crate::sys;

const PROC_SUPER_MAGIC: i64 = 0x9fa0;
const PROC_ROOT_INODE: u64 = 1;
const NULL_DEVICE: (u32, u32) = (1, 3);

/// All sources of a Plan, in the order of their slots.
pub(super) fn open_all(plan: &Plan, inputs: &Inputs<'_>) -> Result<Vec<OwnedFd>> {
    let mut joins = match inputs.cgroup {
        Some(cgroup) => cgroup.tasks_fds()?.into_iter(),
        None => Vec::new().into_iter(),
    };
    let mut all = Vec::with_capacity(plan.sources.len());
    for (slot, source) in plan.sources.iter().enumerate() {
        let opened = match source {
            Source::CgroupJoin(_) => joins.next().ok_or_else(|| missing("cgroup"))?,
            source => open_one(source, inputs).map_err(|error| name_field(plan, slot, error))?,
        };
        all.push(opened);
    }
    Ok(all)
}

/// Says which field of the specification asked for what could not be opened.
fn name_field(plan: &Plan, slot: usize, error: Error) -> Error {
    let Error::System { operation, error } = error else { return error };
    let slot = orlop_init::wire::Slot(slot as u32);
    let field = plan.steps.iter().find_map(|step| {
        let mut uses = false;
        step.op.fields(|_, value| uses |= value == orlop_init::wire::Value::Slot(slot));
        if uses { step.field.clone() } else { None }
    });
    match field {
        Some(field) => Error::System { operation: format!("{field}: {operation}"), error },
        None => Error::System { operation, error },
    }
}

fn missing(what: &str) -> Error {
    Error::WrongState { message: format!("the plan needs a {what} that was not given") }
}

fn duplicate(fd: Option<BorrowedFd<'_>>, what: &str) -> Result<OwnedFd> {
    let fd = fd.ok_or_else(|| missing(what))?;
    fd.try_clone_to_owned().context(|| format!("duplicate the {what}"))
}

fn open_one(source: &Source, inputs: &Inputs<'_>) -> Result<OwnedFd> {
    match source {
        Source::Root { path, propagation } => root_tree(path, *propagation),
        Source::RootDir { path } => open_rootfs(path),
        Source::Tree(tree) => bind_tree(tree),
        Source::Null => null_device(),
        Source::CgroupTree(index) => cgroup_tree(inputs.cgroup, *index),
        Source::Namespace { path, kind, not_own } => namespace(path, *kind, *not_own),
        Source::Target => duplicate(inputs.target, "container's pidfd"),
        Source::Gate => duplicate(inputs.gate, "start gate"),
        Source::Given(index) => duplicate(inputs.given.get(*index).copied(), "given file"),
        Source::CgroupJoin(_) => Err(missing("cgroup")),
    }
}

/// The root file system's directory. A link in its place is refused: it would decide what becomes
/// the container's root.
fn open_rootfs(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match open(path, flags, Mode::empty()) {
        Err(rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => {
            let message = format!("{} is a symbolic link or no directory", path.display());
            Err(Error::invalid("root.path", format!("invalid rootfs: {message}")))
        }
        Err(error) => Err(Error::invalid(
            "root.path",
            format!("invalid rootfs: {}: {}", path.display(), os_text(error)),
        )),
        Ok(fd) => Ok(fd),
    }
}

fn os_text(error: rustix::io::Errno) -> String {
    crate::plan::os_error(error.raw_os_error())
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
    let root = open_rootfs(path)?;
    let operation = || format!("clone the mount of rootfs {}", path.display());
    let tree = clone_tree(root.as_fd(), true).context(operation)?;
    sys::mount_setattr(tree.as_fd(), true, 0, 0, propagation).context(operation)?;
    Ok(tree)
}

fn bind_tree(tree: &Tree) -> Result<OwnedFd> {
    let operation = || format!("bind mount {}", tree.path.display());
    let source = openat(CWD, &tree.path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .context(operation)?;
    if tree.procfs {
        must_be_procfs(source.as_fd(), &tree.path)?;
    }
    let mount = clone_tree(source.as_fd(), tree.recursive).context(operation)?;
    let set = |recursive: bool, attr: Attr, propagation: u64| {
        sys::mount_setattr(mount.as_fd(), recursive, attr.set, attr.clear, propagation)
    };
    // One call for the usual case: what the whole tree gets, and the mount itself.
    if tree.recursive_attr.is_empty() && (!tree.recursive || tree.attr.is_empty()) {
        set(tree.recursive, tree.attr, tree.propagation).context(operation)?;
        return Ok(mount);
    }
    set(true, tree.recursive_attr, tree.propagation).context(operation)?;
    if !tree.attr.is_empty() {
        set(false, tree.attr, 0).context(operation)?;
    }
    Ok(mount)
}

/// Only a whole procfs may cover `/proc`.
fn must_be_procfs(source: BorrowedFd<'_>, path: &Path) -> Result<()> {
    let operation = || format!("look at {}", path.display());
    let filesystem = fstatfs(source).context(operation)?;
    let inode = fstat(source).context(operation)?.st_ino;
    if filesystem.f_type as i64 != PROC_SUPER_MAGIC || inode != PROC_ROOT_INODE {
        let message = format!("{} is no procfs, and nothing else may cover /proc", path.display());
        return Err(Error::invalid("mounts", message));
    }
    Ok(())
}

/// The host's null device, looked at before it is trusted to be it.
fn null_device() -> Result<OwnedFd> {
    let operation = || "open /dev/null".to_owned();
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let null = open("/dev/null", flags, Mode::empty()).context(operation)?;
    let found = fstat(&null).context(operation)?;
    let device = (rustix::fs::major(found.st_rdev), rustix::fs::minor(found.st_rdev));
    if FileType::from_raw_mode(found.st_mode) != FileType::CharacterDevice || device != NULL_DEVICE {
        return Err(Error::system("the host's /dev/null is not the null device", io::ErrorKind::InvalidData));
    }
    clone_tree(null.as_fd(), false).context(|| "clone the mount of /dev/null".to_owned())
}

fn cgroup_tree(cgroup: Option<&Cgroup>, index: usize) -> Result<OwnedFd> {
    let cgroup = cgroup.ok_or_else(|| missing("cgroup"))?;
    let mut v1 = cgroup.members().iter().filter(|member| member.version() == Version::V1);
    let member: &Member = v1.nth(index).ok_or_else(|| missing("cgroup"))?;
    let operation = || format!("clone the mount of {}", member.path().display());
    let tree = clone_tree(member.dir()?, false).context(operation)?;
    sys::mount_setattr(tree.as_fd(), false, 0, 0, libc::MS_PRIVATE).context(operation)?;
    Ok(tree)
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
        let own = rustix::fs::statat(CWD, "/proc/self/ns/net", AtFlags::empty()).context(operation)?;
        if fstat(&file).context(operation)?.st_ino == own.st_ino {
            let message = format!("{} is the caller's own, where none may be set", path.display());
            return Err(Error::invalid("linux.sysctl", message));
        }
    }
    Ok(file)
}
