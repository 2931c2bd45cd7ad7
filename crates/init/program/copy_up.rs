//! Copies what a new file system covers into it (`tmpcopyup`).
//!
//! The tree comes from an image: nothing in it is followed, opened but as a directory or a regular
//! file, or read beyond its own mount.

use core::ffi::CStr;

use crate::execute::State;
use crate::ops::Op;
use crate::resolve::{self, Missing};
use crate::sys::{
    self, Errno, Fd, O_DIRECTORY, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_PATH, RESOLVE_BENEATH,
    RESOLVE_NO_MAGICLINKS, RESOLVE_NO_XDEV, S_IFDIR, S_IFMT, S_IFREG, Stat,
};
use crate::report::Part;
use crate::{During, Failure, Step};

const TMPFS_MAGIC: u64 = 0x0102_1994;
const S_IFLNK: u32 = 0o120_000;
const INSIDE: u64 = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS;

/// Directories below one another: each takes a stack frame of five kilobytes, and two descriptors.
const MAX_DEPTH: u32 = 128;

/// Bytes of directory entries that are read at a time.
const BATCH: usize = 4096;

/// Where the name starts in a `struct linux_dirent64`.
const NAME_OFFSET: usize = 19;

pub fn step(state: &mut State, op: Op) -> Step {
    let State { image, slots, .. } = state;
    match op {
        Op::OpenCovered { to, root, target } => {
            let (root, target) = (slots.get(root)?, image.str(target)?);
            let place = resolve::mount_point(root, target, false, Missing::Directory)?;
            Ok(slots.set(to, sys::openat2(place, c".", O_DIRECTORY, INSIDE)?)?)
        }
        Op::CopyUp { from, root, target } => {
            let (from, root) = (slots.get(from)?, slots.get(root)?);
            let covering = resolve::existing(root, image.str(target)?)?;
            // Nothing else is written to, whatever became of the path meanwhile.
            if sys::filesystem_magic(covering)? != TMPFS_MAGIC {
                return Err(Errno::BUSY).during(Part::Kind);
            }
            let (uid, gid) = sys::stat(from, c"")?.owner;
            own(sys::chown(covering, uid, gid))?;
            copy(from, covering, MAX_DEPTH)
        }
        _ => unreachable!(),
    }
}

/// An owner that this user namespace does not know stays who made it.
fn own(result: sys::Result<()>) -> Step {
    match result {
        Err(Errno::INVAL | Errno::PERM) => Ok(()),
        result => Ok(result?),
    }
}

fn copy(from: Fd, to: Fd, depth: u32) -> Step {
    if depth == 0 {
        return Err(Errno::NAMETOOLONG.into());
    }
    let mut buffer = [0u8; BATCH];
    loop {
        let len = sys::read_directory(from, &mut buffer)?;
        let mut rest = buffer.get(..len).ok_or(Errno::PROTO)?;
        if rest.is_empty() {
            return Ok(());
        }
        while let Some((name, next)) = first_entry(rest) {
            if name != c"." && name != c".." {
                entry(from, to, name, depth)?;
            }
            rest = next;
        }
    }
}

/// The first entry's name, and the entries after it.
fn first_entry(entries: &[u8]) -> Option<(&CStr, &[u8])> {
    let length = usize::from(u16::from_ne_bytes([*entries.get(16)?, *entries.get(17)?]));
    let (entry, rest) = entries.split_at_checked(length)?;
    let name = CStr::from_bytes_until_nul(entry.get(NAME_OFFSET..)?).ok()?;
    Some((name, rest))
}

fn entry(from: Fd, to: Fd, name: &CStr, depth: u32) -> Step {
    let found = match sys::openat2(from, name, O_PATH | O_NOFOLLOW, INSIDE) {
        // Another mount, or an entry that is gone.
        Err(Errno::XDEV | Errno::NOENT) => return Ok(()),
        result => result?,
    };
    let stat = sys::stat(found, c"")?;
    match stat.mode & S_IFMT {
        S_IFDIR => directory(found, to, name, &stat, depth)?,
        S_IFREG => file(from, to, name, &stat)?,
        S_IFLNK => link(found, to, name, &stat)?,
        _ => node(to, name, &stat)?,
    }
    Ok(sys::close(found)?)
}

fn directory(found: Fd, to: Fd, name: &CStr, stat: &Stat, depth: u32) -> Step {
    let from = sys::openat2(found, c".", O_DIRECTORY, INSIDE)?;
    sys::mkdirat(to, name, 0o700)?;
    let made = sys::openat2(to, name, O_DIRECTORY | O_NOFOLLOW, INSIDE)?;
    copy(from, made, depth - 1)?;
    finish(made, stat)?;
    Ok(sys::close(from)?)
}

fn file(from: Fd, to: Fd, name: &CStr, stat: &Stat) -> Step {
    // Not to wait for a FIFO that took its place meanwhile.
    let flags = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    let source = sys::openat2(from, name, flags, INSIDE)?;
    let now = sys::stat(source, c"")?;
    if now.inode != stat.inode || now.mode & S_IFMT != S_IFREG {
        return Err(Errno::AGAIN.into());
    }
    let made = sys::create(to, name, 0o600)?;
    while sys::send_file(made, source)? != 0 {}
    finish(made, stat)?;
    Ok(sys::close(source)?)
}

/// Owner, then permissions: the other way round the kernel would take set-user-id away.
fn finish(made: Fd, stat: &Stat) -> Step {
    let (uid, gid) = stat.owner;
    own(sys::chown(made, uid, gid))?;
    sys::chmod(made, stat.mode & !S_IFMT)?;
    Ok(sys::close(made)?)
}

#[inline(never)]
fn link(found: Fd, to: Fd, name: &CStr, stat: &Stat) -> Step {
    let mut target = [0u8; 4097];
    let len = sys::readlink(found, &mut target[..4096])?;
    let Some(target) = target.get(..=len).and_then(|text| CStr::from_bytes_until_nul(text).ok())
    else {
        return Err(Failure::from(Errno::NAMETOOLONG));
    };
    sys::symlinkat(target, to, name)?;
    own(sys::chown_entry(to, name, stat.owner.0, stat.owner.1))
}

/// A device, FIFO or socket; a device only where this user namespace may make one.
fn node(to: Fd, name: &CStr, stat: &Stat) -> Step {
    match sys::mknodat(to, name, stat.mode, crate::files::encode(stat.device)) {
        Err(Errno::PERM) => Ok(()),
        result => {
            result?;
            own(sys::chown_entry(to, name, stat.owner.0, stat.owner.1))
        }
    }
}
