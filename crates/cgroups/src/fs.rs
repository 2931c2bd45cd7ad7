//! Operations on cgroup directories and files.
//!
//! Paths here are a mount point from mountinfo, which is canonical, and validated
//! components below it. Cgroup file systems hold no symbolic links and nobody can
//! make one there, so that one lookup of the whole path, which refuses every
//! link on the way, is as good as a walk from a directory descriptor, and
//! saves opening that.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    Access, AtFlags, CWD, Dir, Mode, OFlags, ResolveFlags, accessat, mkdirat, openat, openat2,
    unlinkat,
};
use rustix::io::{Errno, read, retry_on_intr, write};

use crate::error::{Error, Result};

const NO_LINKS: ResolveFlags = ResolveFlags::NO_SYMLINKS.union(ResolveFlags::NO_MAGICLINKS);

/// Makes one directory.
pub(crate) fn mkdir(path: &Path) -> Result<(), Errno> {
    mkdirat(CWD, path, Mode::from_raw_mode(0o755))
}

/// Removes one empty directory.
pub(crate) fn rmdir(path: &Path) -> Result<(), Errno> {
    unlinkat(CWD, path, AtFlags::REMOVEDIR)
}

/// Opens by absolute path, without following links.
pub(crate) fn open(path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    retry_on_intr(|| openat2(CWD, path, flags | OFlags::CLOEXEC, Mode::empty(), NO_LINKS))
}

/// Opens a file of the calling process's own `/proc` directory, which is behind a
/// link that the kernel makes.
pub(crate) fn open_proc_self(name: &str) -> Result<OwnedFd, Errno> {
    let path = Path::new("/proc/self").join(name);
    retry_on_intr(|| openat(CWD, &path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()))
}

/// Opens a directory for lookups and listing.
pub(crate) fn open_dir(path: &Path) -> Result<OwnedFd, Errno> {
    open(path, OFlags::RDONLY | OFlags::DIRECTORY)
}

/// Opens a file by its name in a directory.
pub(crate) fn open_at(dir: impl AsFd, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    retry_on_intr(|| openat(dir.as_fd(), name, flags, Mode::empty()))
}

/// Writes a value in one call, as cgroup files want it.
pub(crate) fn write_value(file: impl AsFd, value: &str) -> Result<(), Errno> {
    retry_on_intr(|| write(file.as_fd(), value.as_bytes())).map(|_| ())
}

/// Reads a file of many records, a list of processes for example, to its end.
pub(crate) fn read_list(file: impl AsFd) -> Result<String, Errno> {
    read_until(file, |read, _| read == 0)
}

/// Reads a file that the kernel prints in one piece, from its current position.
///
/// All files of cgroups are, but `cgroup.procs`, `cgroup.threads` and `tasks`
/// (those alone have a `seq_start`), and so are the small ones of procfs. Such a
/// file is whole with the first read that does not fill the buffer.
pub(crate) fn read_record(file: impl AsFd) -> Result<String, Errno> {
    read_until(file, |read, asked| read < asked)
}

fn read_until(file: impl AsFd, is_last: impl Fn(usize, usize) -> bool) -> Result<String, Errno> {
    // One page holds nearly every cgroup file.
    let mut buffer = vec![0; 4096];
    let mut filled = 0;
    loop {
        if filled == buffer.len() {
            buffer.resize(filled * 2, 0);
        }
        let asked = buffer.len() - filled;
        let read = retry_on_intr(|| read(file.as_fd(), &mut buffer[filled..]))?;
        filled += read;
        if is_last(read, asked) {
            break;
        }
    }
    buffer.truncate(filled);
    // The kernel prints ASCII here, but for names of devices and mounts.
    Ok(String::from_utf8(buffer)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// Reads the named file, printed in one piece, in a directory given by path.
pub(crate) fn read_file(dir: &Path, name: &str) -> Result<String, Errno> {
    read_record(open(&dir.join(name), OFlags::RDONLY)?)
}

/// Writes the named file in a directory given by path.
pub(crate) fn write_file(dir: &Path, name: &str, value: &str) -> Result<(), Errno> {
    write_value(open(&dir.join(name), OFlags::WRONLY)?, value)
}

/// Whether the caller, with its effective ids, may write the named file in a directory given by path.
pub(crate) fn may_write(dir: &Path, name: &str) -> bool {
    accessat(CWD, dir.join(name), Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}

/// The names in a directory.
pub(crate) fn file_names(dir: impl AsFd) -> Result<Vec<String>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        names.extend(entry?.file_name().to_str().ok().map(str::to_owned));
    }
    Ok(names)
}

/// Whether the error says that the cgroup went away meanwhile.
pub(crate) fn is_gone(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::NODEV)
}

/// The error of reading a file in a cgroup.
pub(crate) fn read_error(dir: &Path, name: &str, errno: Errno) -> Error {
    Error::io("read", dir.join(name), io::Error::from(errno))
}

/// The error of writing a file in a cgroup.
pub(crate) fn write_error(dir: &Path, name: &str, value: &str, errno: Errno) -> Error {
    Error::hinted(
        format!("write {value:?} to"),
        dir.join(name),
        io::Error::from(errno),
        write_hint(name, errno),
    )
}

fn write_hint(name: &str, errno: Errno) -> &'static str {
    match (name, errno) {
        ("cgroup.subtree_control", Errno::BUSY) => {
            " (the cgroup has processes of its own; move them into a child cgroup first)"
        }
        ("cgroup.subtree_control", Errno::NOENT) => " (its parent does not have that controller)",
        ("cgroup.subtree_control", Errno::OPNOTSUPP) => {
            " (a threaded cgroup cannot have domain controllers)"
        }
        ("cgroup.procs", Errno::OPNOTSUPP) => " (the cgroup is threaded or in an invalid state)",
        ("cgroup.procs" | "tasks", Errno::NOSPC) => " (its cpuset.cpus or cpuset.mems is empty)",
        ("memory.limit_in_bytes", Errno::INVAL) => {
            " (above the memory+swap limit that holds: set memory.swap as well)"
        }
        ("cpu.pressure" | "memory.pressure" | "io.pressure", Errno::INVAL) => {
            " (the window has to be 0.5 to 10 s, and without CAP_SYS_RESOURCE a multiple of 2 s; \
             the threshold less than that)"
        }
        ("memory.memsw.limit_in_bytes", Errno::INVAL) => " (below the memory limit that holds)",
        (_, Errno::ACCESS | Errno::PERM | Errno::ROFS) => {
            " (the cgroup is not delegated to this user, or the mount is read-only)"
        }
        (_, Errno::RANGE | Errno::INVAL) => " (the kernel refuses the value)",
        _ => "",
    }
}
