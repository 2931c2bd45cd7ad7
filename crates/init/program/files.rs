//! Device nodes, links, and writes to the private procfs.

use core::ffi::CStr;

use crate::execute::{Parent, State};
use crate::ops::Op;
use crate::report::Part;
use crate::resolve;
use crate::sys::{
    self, Errno, Fd, O_PATH, O_WRONLY, RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV, S_IFMT,
};
use crate::wire::{Slot, Str};
use crate::{During, Failure, Step};

pub fn step(state: &mut State, op: Op) -> Step {
    match op {
        Op::Device { root, path, mode, major, minor, uid, gid } => {
            let node = Node { mode, device: (major, minor), owner: (uid, gid) };
            let (parent, name) = place(state, root, path)?;
            make_node(parent, name, &node)
        }
        Op::Symlink { root, path, target, replace } => {
            let target = state.image.str(target)?;
            let (parent, name) = place(state, root, path)?;
            make_link(parent, name, target, replace)
        }
        Op::WriteProc { proc, path, data } => {
            let State { image, slots, .. } = state;
            write_proc(slots.get(proc)?, image.str(path)?, image.str(data)?)
        }
        _ => unreachable!(),
    }
}

/// The directory for a new object, and its name there. What is made in a row is mostly made in one
/// directory, which is looked up once: by descriptor it stays the same one.
fn place(state: &mut State, root: Slot, path: Str) -> Result<(Fd, &'static CStr), Failure> {
    let path = state.image.str(path)?;
    let directory = resolve::directory_of(path);
    match state.parent {
        Some(last) if last.root == root && last.path == directory => Ok((last.dir, resolve::name_of(path)?)),
        _ => {
            let (dir, name) = resolve::parent(state.slots.get(root)?, path)?;
            state.parent = Some(Parent { root, path: directory, dir });
            Ok((dir, name))
        }
    }
}

struct Node {
    mode: u32,
    device: (u32, u32),
    owner: (u32, u32),
}

/// The kernel's encoding of a device number for `mknodat(2)`.
pub fn encode((major, minor): (u32, u32)) -> u64 {
    let (major, minor) = (u64::from(major), u64::from(minor));
    (minor & 0xff) | (major & 0xfff) << 8 | (minor & !0xff) << 12 | (major & !0xfff) << 32
}

fn make_node(parent: Fd, name: &CStr, node: &Node) -> Step {
    match sys::mknodat(parent, name, node.mode, encode(node.device)) {
        Err(Errno::EXIST) => return same_node(parent, name, node),
        result => result.during(Part::Create)?,
    }
    if node.owner != (0, 0) {
        let made = sys::openat2(parent, name, O_PATH, RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV)
            .during(Part::Owner)?;
        sys::chown(made, node.owner.0, node.owner.1).during(Part::Owner)?;
    }
    Ok(())
}

/// A node that is there already must be the one that was asked for.
fn same_node(parent: Fd, name: &CStr, node: &Node) -> Step {
    let found = sys::stat(parent, name).during(Part::Lookup)?;
    if found.mode & S_IFMT != node.mode & S_IFMT || found.device != node.device {
        return Err(Errno::EXIST).during(Part::Kind);
    }
    Ok(())
}

fn make_link(parent: Fd, name: &CStr, target: &CStr, replace: bool) -> Step {
    let make = || sys::symlinkat(target, parent, name);
    match make() {
        Err(Errno::EXIST) if replace => {
            sys::unlinkat(parent, name)?;
            Ok(make()?)
        }
        Err(Errno::EXIST) => Ok(()),
        result => result.during(Part::Create),
    }
}

/// Writes below a procfs that is mounted nowhere: no mount can lie over what is written to.
fn write_proc(proc: Fd, path: &CStr, data: &CStr) -> Step {
    let resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS;
    let file = sys::openat2(proc, path, O_WRONLY, resolve).during(Part::Lookup)?;
    let bytes = data.to_bytes();
    if sys::write(file, bytes)? != bytes.len() {
        return Err(Errno::INVAL.into());
    }
    Ok(sys::close(file)?)
}
