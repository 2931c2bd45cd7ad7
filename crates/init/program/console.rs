//! The container's terminal.

use crate::execute::State;
use crate::report::{Kind, Part};
use crate::resolve::{self, Missing};
use crate::sys::{
    self, Errno, Fd, O_CLOEXEC, O_NOCTTY, O_RDWR, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS, S_IFCHR, S_IFMT,
};
use crate::wire::Slot;
use crate::{During, Step};

const TIOCSPTLCK: u32 = 0x4004_5431;
const TIOCGPTPEER: u32 = 0x5441;
const TIOCSWINSZ: u32 = 0x5414;
const TIOCSCTTY: u32 = 0x540e;
const DEVPTS_SUPER_MAGIC: u64 = 0x1cd1;
const PTMX: (u32, u32) = (5, 2);
const KEEP_GROUP: u32 = u32::MAX;

pub fn open(state: &mut State, root: Slot, uid: u32, size: (u32, u32), bind: bool) -> Step {
    let root = state.slots.get(root)?;
    let master = open_master(root)?;
    sys::ioctl_words(master, TIOCSPTLCK, [0, 0])?;
    // The peer by descriptor: a name below /dev/pts could be anything.
    let flags = O_RDWR | O_NOCTTY | O_CLOEXEC;
    let terminal = Fd(sys::ioctl_value(master, TIOCGPTPEER, flags)? as i32);
    let (rows, columns) = size;
    if rows != 0 && columns != 0 {
        sys::ioctl_words(terminal, TIOCSWINSZ, [rows | columns << 16, 0])?;
    }
    if uid != 0 {
        sys::chown(terminal, uid, KEEP_GROUP).during(Part::Owner)?;
    }
    if bind {
        let console = resolve::mount_point(root, c"/dev/console", false, Missing::File)?;
        let mount = sys::open_tree(terminal, c"", false, true).during(Part::Attach)?;
        sys::move_mount(mount, console, c"").during(Part::Attach)?;
    }
    for standard in 0..3 {
        sys::dup_to(terminal, Fd(standard), false)?;
    }
    state.control.send(Kind::Console, 0, Some(master))?;
    // The caller sets its modes, or hands it on: before the program writes its first line.
    Ok(state.control.wait_continue()?)
}

/// For the process that stays: a terminal hangs up when the leader of its session ends.
pub fn control() -> Step {
    sys::ioctl_value(Fd(0), TIOCSCTTY, 0)?;
    Ok(())
}

/// The multiplexer of the container's own devpts, and nothing that only looks like it.
fn open_master(root: Fd) -> Result<Fd, crate::Failure> {
    let resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    let flags = O_RDWR | O_NOCTTY | sys::O_NONBLOCK;
    let path = c"/dev/pts/ptmx";
    let handle = sys::openat2(root, path, sys::O_PATH, resolve).during(Part::Lookup)?;
    let found = sys::stat(handle, c"").during(Part::Lookup)?;
    let magic = sys::filesystem_magic(handle).during(Part::Lookup)?;
    if found.mode & S_IFMT != S_IFCHR || found.device != PTMX || magic != DEVPTS_SUPER_MAGIC {
        return Err(Errno::NODEV).during(Part::Kind);
    }
    let master = sys::openat2(root, path, flags, resolve).during(Part::Lookup)?;
    let opened = sys::stat(master, c"").during(Part::Lookup)?;
    // Opening must not wait; what the caller gets is an ordinary terminal.
    sys::set_blocking(master)?;
    if opened.inode != found.inode || sys::filesystem_magic(master)? != DEVPTS_SUPER_MAGIC {
        return Err(Errno::NODEV).during(Part::Kind);
    }
    Ok(master)
}
