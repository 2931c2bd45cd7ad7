//! Mounts: attached by descriptor, on a descriptor that was looked up inside the root.

use core::ffi::CStr;

use crate::execute::State;
use crate::ops::Op;
use crate::report::Part;
use crate::resolve::{self, Missing};
use crate::sys::{self, CWD, Errno, Fd, MOUNT_ATTR_RDONLY, MountAttr, O_DIRECTORY, O_NOFOLLOW, O_PATH, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT};
use crate::wire::{Slot, Str};
use crate::{During, Failure, Step};

const MOUNT_ATTR_NOSUID: u64 = 2;
const MOUNT_ATTR_NODEV: u64 = 4;
const MOUNT_ATTR_NOEXEC: u64 = 8;
const MS_PRIVATE: u64 = 1 << 18;
const PROC_SUPER_MAGIC: u64 = 0x9fa0;

pub fn step(state: &mut State, op: Op) -> Step {
    // A mount may cover the directory that was looked up last.
    state.parent = None;
    let State { image, slots, .. } = state;
    match op {
        Op::MountFs { root, target, fstype, source, flags, data, strict, keep_mode } => {
            // A directory that has to be made has no permissions yet that anybody chose.
            let keeps = keep_mode && resolve::existing(slots.get(root)?, image.str(target)?).is_ok();
            let target = resolve::mount_point(
                slots.get(root)?,
                image.str(target)?,
                strict,
                Missing::Directory,
            )?;
            let (source, fstype) = (image.str(source)?, image.str(fstype)?);
            let data = image.str(data)?;
            if keeps {
                let mode = sys::stat(target, c"")?.mode;
                cover(target, source, fstype, flags, with_mode(data, mode, &mut [0; 4096])?)
            } else {
                cover(target, source, fstype, flags, data)
            }
        }
        Op::Attach { mount, root, target, strict } => {
            let (mount, root) = (slots.get(mount)?, slots.get(root)?);
            let (target, missing) = (image.str(target)?, missing_for(mount)?);
            attach(mount, resolve::mount_point(root, target, strict, missing)?, missing)
        }
        Op::AttachLink { mount, root, target, follow, copy } => {
            let (mount, root, target) = (slots.get(mount)?, slots.get(root)?, image.str(target)?);
            if copy && sys::stat(mount, c"")?.mode & S_IFMT == S_IFLNK {
                return copy_link(mount, root, target);
            }
            let missing = missing_for(mount)?;
            let target = if follow {
                resolve::mount_point(root, target, false, missing)?
            } else {
                resolve::mount_point_itself(root, target, missing)?
            };
            attach(mount, target, missing)
        }
        Op::BindAt { path, name } => {
            let (path, name) = (image.str(path)?, image.str(name)?);
            sys::mkdirat(CWD, name, 0o755).during(Part::Create)?;
            Ok(sys::mount(path, name, c"", sys::MS_BIND, c"")?)
        }
        Op::AttachRoot { root, at } => {
            Ok(sys::move_mount(slots.get(root)?, CWD, image.str(at)?)?)
        }
        Op::OpenTree { to, path, recursive, follow, procfs } => {
            let tree = sys::open_tree(CWD, image.str(path)?, recursive, follow)?;
            if procfs {
                must_be_procfs(tree)?;
            }
            Ok(slots.set(to, tree)?)
        }
        Op::CloneInside { to, root, path, recursive, follow, procfs } => {
            let resolve = sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_MAGICLINKS;
            let (root, path) = (slots.get(root)?, image.str(path)?);
            let flags = if follow { O_PATH } else { O_PATH | O_NOFOLLOW };
            let source = sys::openat2(root, path, flags, resolve).during(Part::Lookup)?;
            let tree = sys::open_tree(source, c"", recursive, true)?;
            sys::close(source)?;
            if procfs {
                must_be_procfs(tree)?;
            }
            Ok(slots.set(to, tree)?)
        }
        Op::OpenNull { to } => Ok(slots.set(to, open_null()?)?),
        Op::OpenDir { to, root, path } => {
            let flags = O_PATH | O_DIRECTORY;
            let resolve = sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_MAGICLINKS;
            let dir = sys::openat2(slots.get(root)?, image.str(path)?, flags, resolve)?;
            Ok(slots.set(to, dir)?)
        }
        Op::SecurityLabel { root, path, label } => {
            let resolve = sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_MAGICLINKS;
            let (root, path) = (slots.get(root)?, image.str(path)?);
            let dir = sys::openat2(root, path, O_DIRECTORY, resolve).during(Part::Lookup)?;
            sys::set_attribute(dir, c"security.selinux", image.str(label)?)?;
            Ok(sys::close(dir)?)
        }
        Op::OpenRoot { to } => {
            let root = sys::openat2(CWD, c"/", O_PATH | O_DIRECTORY, 0)?;
            Ok(slots.set(to, root)?)
        }
        Op::SetAttr { mount, set, clear, propagation, recursive } => {
            let attr = MountAttr { set, clear, propagation, userns: 0 };
            Ok(sys::mount_setattr(slots.get(mount)?, c"", recursive, &attr)?)
        }
        Op::Propagation { path, propagation } => {
            let attr = MountAttr { set: 0, clear: 0, propagation, userns: 0 };
            Ok(sys::mount_setattr(CWD, image.str(path)?, true, &attr)?)
        }
        Op::PrivateProc { to } => {
            let attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
            Ok(slots.set(to, sys::new_filesystem(c"proc", &[], attributes)?)?)
        }
        Op::Conceal { path } => conceal(image.str(path)?),
        Op::Pivot { root } => pivot(slots.get(root)?),
        Op::Chroot { root } => {
            sys::fchdir(slots.get(root)?)?;
            sys::chroot(c".")?;
            Ok(sys::chdir(c"/")?)
        }
        _ => unreachable!(),
    }
}

/// Mounts a new file system on a directory. The working directory is the verified descriptor, so
/// that no path is looked up again.
fn cover(target: Fd, source: &CStr, fstype: &CStr, flags: u64, data: &CStr) -> Step {
    sys::fchdir(target).during(Part::Kind)?;
    match sys::mount(source, c".", fstype, flags, data) {
        // mount(2) puts no file system onto a mount of the same one, as where the host's /sys brought
        // its cgroup2 along; a mount that was made elsewhere may be moved there.
        Err(Errno::BUSY) if fstype == c"cgroup2" && data.is_empty() => {
            // The flags for one mount have the same bits in both calls.
            let attributes = flags & (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
            let mount = sys::new_filesystem(fstype, &[], attributes)?;
            sys::move_mount(mount, target, c"").during(Part::Attach)?;
            Ok(sys::close(mount)?)
        }
        other => Ok(other?),
    }
}

/// Appends `mode=` in octal to a file system's options.
fn with_mode<'a>(data: &CStr, mode: u32, buffer: &'a mut [u8; 4096]) -> sys::Result<&'a CStr> {
    let mut digits = *b",mode=0000";
    for (place, shift) in digits[6..].iter_mut().zip([9, 6, 3, 0]) {
        *place = b'0' + (mode >> shift & 7) as u8;
    }
    let data = data.to_bytes();
    let suffix = if data.is_empty() { &digits[1..] } else { &digits[..] };
    let end = data.len() + suffix.len();
    if end >= buffer.len() {
        return Err(sys::Errno::NAMETOOLONG);
    }
    buffer[..data.len()].copy_from_slice(data);
    buffer[data.len()..end].copy_from_slice(suffix);
    CStr::from_bytes_until_nul(buffer).map_err(|_| sys::Errno::INVAL)
}

/// What a mount needs to be attached to.
fn missing_for(mount: Fd) -> Result<Missing, Failure> {
    Ok(if is_directory(mount)? { Missing::Directory } else { Missing::File })
}

/// Makes a link as the one that was cloned. It is read off the mount: that is still the same one.
fn copy_link(mount: Fd, root: Fd, target: &CStr) -> Step {
    let (parent, name) = resolve::parent(root, target)?;
    let mut wanted = [0; 4096];
    let wanted = resolve::read_link(mount, &mut wanted).during(Part::Lookup)?;
    match sys::symlinkat(wanted, parent, name) {
        Err(Errno::EXIST) => {
            let there = resolve::itself(parent, name).during(Part::Lookup)?;
            match resolve::read_link(there, &mut [0; 4096]) {
                Ok(says) if says == wanted => Ok(()),
                _ => Err(Errno::EXIST).during(Part::Kind),
            }
        }
        result => result.during(Part::Create),
    }
}

fn attach(mount: Fd, target: Fd, missing: Missing) -> Step {
    match sys::move_mount(mount, target, c"") {
        // The kernel has one answer for many things; this is the one that people run into.
        Err(Errno::INVAL) if is_directory(target)? != (missing == Missing::Directory) => {
            Err(Errno::NOTDIR).during(Part::Attach)
        }
        result => result.during(Part::Attach),
    }
}

fn is_directory(object: Fd) -> sys::Result<bool> {
    Ok(sys::stat(object, c"")?.mode & S_IFMT == S_IFDIR)
}

/// The new root covers the old one at the same place, and the old one is taken out from under it.
fn pivot(root: Fd) -> Step {
    sys::fchdir(root)?;
    sys::pivot_root(c".", c".")?;
    sys::detach(c".").during(Part::Attach)
}

fn conceal(path: &CStr) -> Step {
    const MS_RDONLY: u64 = 1;
    match sys::detach(path) {
        // A user namespace can't take apart what it was given.
        Err(Errno::INVAL | Errno::PERM) => {
            Ok(sys::mount(c"tmpfs", path, c"tmpfs", MS_RDONLY, c"size=0,nr_inodes=2")?)
        }
        // It went with the one that it was below.
        Err(Errno::NOENT) => Ok(()),
        result => Ok(result?),
    }
}

/// Only a whole procfs may cover `/proc`.
fn must_be_procfs(tree: Fd) -> Step {
    const ROOT_INODE: u64 = 1;
    let magic = sys::filesystem_magic(tree)?;
    if magic != PROC_SUPER_MAGIC || sys::stat(tree, c"")?.inode != ROOT_INODE {
        return Err(sys::Errno::PERM).during(Part::Kind);
    }
    Ok(())
}

/// The host's null device, and nothing that only has its name.
fn open_null() -> Result<Fd, Failure> {
    const NULL_DEVICE: (u32, u32) = (1, 3);
    let null = sys::open_tree(CWD, c"/dev/null", false, false)?;
    let found = sys::stat(null, c"")?;
    if found.mode & S_IFMT != S_IFCHR || found.device != NULL_DEVICE {
        return Err(sys::Errno::NODEV).during(Part::Kind);
    }
    // It is the host's own inode: read-only, so that nobody changes its owner or mode from inside.
    // What is written to a device is no change of its file system.
    let set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
    let attr = MountAttr { set, clear: 0, propagation: MS_PRIVATE, userns: 0 };
    sys::mount_setattr(null, c"", false, &attr)?;
    Ok(null)
}

/// Hides a path. A file is covered with the null device, whose mount was made from the host's
/// verified one: nothing in the container is trusted to be it.
pub fn mask(state: &mut State, root: Slot, path: Str, null: Slot) -> Step {
    let root = state.slots.get(root)?;
    let target = resolve::existing(root, state.image.str(path)?)?;
    if sys::stat(target, c"").during(Part::Lookup)?.mode & S_IFMT == S_IFDIR {
        // One empty directory covers them all: a file system for each would be memory for each.
        let empty = match state.empty_attached {
            Some(attached) => sys::open_tree(attached, c"", false, true)?,
            None => empty_directory()?,
        };
        state.empty_attached = Some(empty);
        return sys::move_mount(empty, target, c"").during(Part::Attach);
    }
    let null = state.slots.get(null)?;
    // A mount that is not attached yet can't be cloned before Linux 6.15; an attached one can.
    let mount = if state.null_attached { sys::open_tree(null, c"", false, true)? } else { null };
    state.null_attached = true;
    sys::move_mount(mount, target, c"").during(Part::Attach)
}

/// A directory that nobody can put anything into.
fn empty_directory() -> sys::Result<Fd> {
    let options = [(c"source", c"tmpfs"), (c"size", c"0"), (c"nr_inodes", c"2"), (c"mode", c"755")];
    sys::new_filesystem(c"tmpfs", &options, MOUNT_ATTR_RDONLY)
}

/// Covers a path with a read-only clone of itself, made read-only before it is attached.
pub fn read_only(state: &mut State, root: Slot, path: Str) -> Step {
    let target = resolve::existing(state.slots.get(root)?, state.image.str(path)?)?;
    let clone = sys::open_tree(target, c"", true, true)?;
    let attr = MountAttr { set: MOUNT_ATTR_RDONLY, clear: 0, propagation: 0, userns: 0 };
    sys::mount_setattr(clone, c"", true, &attr)?;
    sys::move_mount(clone, target, c"").during(Part::Attach)
}
