//! The interpreter: one operation after the other, none skipped, none repeated.

use core::ffi::CStr;

use crate::control::Control;
use crate::image::Image;
use crate::ops::Op;
use crate::report::{Kind, Part};
use crate::sys::{self, Errno, Fd};
use crate::wire::{MAX_SLOTS, OnError, Slot};
use crate::{
    Failure, Step, console, copy_up, credentials, files, home, hook, mount, process, scheduling, timens,
};

/// The descriptors that operations name.
pub struct Slots {
    fds: [i32; MAX_SLOTS],
    used: usize,
}

impl Slots {
    pub fn new() -> Self {
        Self { fds: [-1; MAX_SLOTS], used: 0 }
    }

    /// Appends a descriptor that the caller sent.
    pub fn push(&mut self, fd: Fd) -> sys::Result<()> {
        *self.fds.get_mut(self.used).ok_or(Errno::PROTO)? = fd.0;
        self.used += 1;
        Ok(())
    }

    pub fn get(&self, slot: Slot) -> sys::Result<Fd> {
        match self.fds.get(slot.0 as usize) {
            Some(fd) if *fd >= 0 => Ok(Fd(*fd)),
            _ => Err(Errno::PROTO),
        }
    }

    pub fn set(&mut self, slot: Slot, fd: Fd) -> sys::Result<()> {
        *self.fds.get_mut(slot.0 as usize).ok_or(Errno::PROTO)? = fd.0;
        Ok(())
    }
}

/// All that operations change.
pub struct State {
    pub image: Image,
    pub control: Control,
    pub slots: Slots,
    /// The program that was found, for exec.
    pub program: Option<&'static CStr>,
    /// Whether the working directory is one that only the container's user may enter.
    pub cwd_denied: bool,
    /// Whether the null device's mount was attached: then masks clone it.
    pub null_attached: bool,
    /// The empty directory that was put over a masked one last: the next mask clones it.
    pub empty_attached: Option<Fd>,
    /// The directory in which something was made last.
    pub parent: Option<Parent>,
}

/// A directory inside the root that was looked up, by the path that led there.
#[derive(Clone, Copy)]
pub struct Parent {
    pub root: Slot,
    pub path: &'static [u8],
    pub dir: Fd,
}

pub fn run(image: Image, control: Control, slots: Slots) -> ! {
    // Between the questions, too, at which it would see that the caller is gone.
    if let Err(errno) = sys::die_with_parent(true) {
        control.fail_start(errno);
    }
    let mut words = image.words();
    let mut state = State { image, control, slots, program: None, cwd_denied: false, null_attached: false, empty_attached: None, parent: None };
    loop {
        state.image.reach(state.control.op);
        let step = match Op::decode(&mut words) {
            Some(op) => state.step(op),
            None => Err(Failure { errno: Errno::PROTO.0, part: Part::Program }),
        };
        if let Err(failure) = step {
            state.control.fail(failure);
        }
        state.control.op += 1;
    }
}

impl State {
    fn ask(&mut self, kind: Kind) -> Step {
        self.control.send(kind, 0, None)?;
        Ok(self.control.wait_continue()?)
    }

    fn step(&mut self, op: Op) -> Step {
        match op {
            Op::MountFs { .. }
            | Op::Attach { .. }
            | Op::AttachLink { .. }
            | Op::BindAt { .. }
            | Op::AttachRoot { .. }
            | Op::OpenTree { .. }
            | Op::CloneInside { .. }
            | Op::OpenNull { .. }
            | Op::OpenDir { .. }
            | Op::OpenRoot { .. }
            | Op::SecurityLabel { .. }
            | Op::SetAttr { .. }
            | Op::Propagation { .. }
            | Op::Pivot { .. }
            | Op::Conceal { .. }
            | Op::Chroot { .. }
            | Op::PrivateProc { .. } => mount::step(self, op),
            Op::Mask { root, path, null, on_error } => {
                skip_missing(on_error, mount::mask(self, root, path, null))
            }
            Op::ReadOnly { root, path, on_error } => {
                skip_missing(on_error, mount::read_only(self, root, path))
            }
            Op::Device { .. } | Op::Symlink { .. } | Op::WriteProc { .. } => files::step(self, op),
            Op::Bounding { .. }
            | Op::Groups { .. }
            | Op::SetIds { .. }
            | Op::BecomeIds { .. }
            | Op::Capabilities { .. }
            | Op::NoNewPrivs {}
            | Op::Dumpable { .. }
            | Op::SessionKeyring { .. }
            | Op::Seccomp { .. } => credentials::step(self, op),
            Op::ResetAffinity {}
            | Op::Affinity { .. }
            | Op::Scheduler { .. }
            | Op::IoPriority { .. }
            | Op::MemoryPolicy { .. } => scheduling::step(self, op),
            Op::OpenCovered { .. } | Op::CopyUp { .. } => copy_up::step(self, op),
            Op::TimeNamespace { offsets } => timens::make(self.image.str(offsets)?),
            Op::Console { root, uid, rows, columns, bind } => {
                console::open(self, root, uid, (rows, columns), bind)
            }
            Op::ControllingTerminal {} => console::control(),
            Op::Home { cell, uid } => home::fill(self, cell, uid),
            Op::Hook { path, argv, env, timeout } => hook::run(self, path, argv, env, timeout),
            Op::HookPoint {} => self.ask(Kind::HookPoint),
            Op::LendMount { mount } => {
                let fd = self.slots.get(mount)?;
                self.control.send(Kind::Mount, mount.0 as i32, Some(fd))?;
                Ok(self.control.wait_continue()?)
            }
            Op::NeedScheduler {} => self.ask(Kind::NeedScheduler),
            Op::NeedDevices {} => self.ask(Kind::NeedDevices),
            Op::NeedMaps {} => self.ask(Kind::NeedMaps),
            Op::AwaitMaps {} => Ok(self.control.wait_continue()?),
            Op::AwaitCgroup { to, count } => {
                for (index, tasks) in self.control.wait_tasks(count)?.iter().enumerate() {
                    self.slots.set(Slot(to.0 + index as u32), *tasks)?;
                }
                Ok(())
            }
            Op::Ready {} => {
                // Whoever has recorded it may end.
                sys::die_with_parent(false)?;
                self.ask(Kind::Ready)
            }
            Op::Starting {} => {
                sys::die_with_parent(false)?;
                Ok(self.control.send(Kind::Starting, 0, None)?)
            }
            Op::Gate {} => {
                let listener = self.control.wait_gate()?;
                Ok(self.control.wait_at_gate(listener)?)
            }
            _ => process::step(self, op),
        }
    }
}

fn skip_missing(on_error: OnError, step: Step) -> Step {
    match (on_error, step) {
        (OnError::SkipMissing, Err(failure))
            if [Errno::NOENT.0, Errno::NOTDIR.0].contains(&failure.errno)
                && failure.part == Part::Lookup =>
        {
            Ok(())
        }
        (_, step) => step,
    }
}
