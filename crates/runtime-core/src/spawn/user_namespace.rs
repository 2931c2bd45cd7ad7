//! User namespaces that no process is in: they hold the ids of a mount.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use orlop_init::{Kind, Op};
use rustix::fs::{Mode, OFlags, open};

use super::channel::{Message, receive};
use super::program::{Program, Supply};
use super::{Child, Inputs, Nature};
use crate::error::{Context, Result};
use crate::plan::{IdMaps, PlanBuilder};

/// Those that one Plan needs, each made once.
#[derive(Debug, Default)]
pub(super) struct UserNamespaces(Vec<(IdMaps, OwnedFd)>);

impl UserNamespaces {
    /// The user namespace with these maps.
    pub(super) fn get(&mut self, maps: &IdMaps) -> Result<BorrowedFd<'_>> {
        let index = match self.0.iter().position(|(known, _)| known == maps) {
            Some(index) => index,
            None => {
                self.0.push((maps.clone(), make(maps)?));
                self.0.len() - 1
            }
        };
        Ok(self.0[index].1.as_fd())
    }
}

/// A process is born in it and killed; the descriptor keeps it.
fn make(maps: &IdMaps) -> Result<OwnedFd> {
    let mut build = PlanBuilder::new();
    build.push(Op::AwaitMaps {});
    // It has nothing to hide, and its caller may be without CAP_SYS_PTRACE.
    build.push(Op::Dumpable { on: true });
    build.push(Op::Ready {});
    let mut plan = build.plan;
    plan.clone_flags = libc::CLONE_NEWUSER as u32;
    plan.id_maps = Some(maps.clone());
    let program = Supply::Own(Program::new(&plan, None)?);
    let mut child = Child::bear(&plan, program, Nature::default(), &Inputs::default())?;
    match receive(child.control.as_fd())? {
        Some(Message { record, .. }) if record.kind == Kind::Ready => {}
        Some(Message { record, .. }) => return Err(child.failed(&plan, &record)),
        None => return Err(child.died(&plan)),
    }
    let path = format!("/proc/{}/ns/user", child.pid);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    open(&path, flags, Mode::empty()).context(|| format!("open user namespace {path}"))
}
