//! Loading a device program, and attaching it to a v2 cgroup.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use super::program::Instruction;
use crate::error::{Error, Result};
use crate::sys::bpf;

/// A program that was attached, and the one that was there before.
#[derive(Debug)]
pub(crate) struct Attached {
    new: OwnedFd,
    replaced: Option<OwnedFd>,
}

impl Attached {
    /// Puts back what was there before.
    pub(crate) fn undo(self, cgroup: BorrowedFd<'_>) -> io::Result<()> {
        match &self.replaced {
            Some(old) => bpf::attach_device_program(cgroup, old.as_fd(), Some(self.new.as_fd())),
            None => bpf::detach_device_program(cgroup, self.new.as_fd()),
        }
    }
}

/// Attaches the program, in place of the one that an earlier call has attached.
///
/// Programs of others (a systemd that manages the unit, for example) stay: an
/// access has to pass all of them.
pub(crate) fn attach(
    cgroup: BorrowedFd<'_>,
    path: &Path,
    program: &[Instruction],
    may_exist: bool,
) -> Result<Attached> {
    let failed = |step| {
        move |source| Error::DeviceProgram {
            path: path.to_owned(),
            step,
            source,
        }
    };
    let new = bpf::load_device_program(program).map_err(failed("load"))?;
    let mut old = if may_exist {
        ours(cgroup).map_err(failed("list the attached"))?
    } else {
        Vec::new()
    };
    let replaced = old.pop();
    bpf::attach_device_program(cgroup, new.as_fd(), replaced.as_ref().map(AsFd::as_fd))
        .map_err(failed("attach"))?;
    // More than one of ours is what a crash between two calls of another version
    // could leave; the new one holds already.
    for extra in old {
        bpf::detach_device_program(cgroup, extra.as_fd()).map_err(failed("detach the old one"))?;
    }
    Ok(Attached { new, replaced })
}

fn ours(cgroup: BorrowedFd<'_>) -> io::Result<Vec<OwnedFd>> {
    let mut found = Vec::new();
    for id in bpf::attached_device_programs(cgroup)? {
        // One that is detached meanwhile has no id any more.
        let Ok(program) = bpf::program_by_id(id) else {
            continue;
        };
        if bpf::is_ours(program.as_fd())? {
            found.push(program);
        }
    }
    Ok(found)
}
