//! Attaches to every process that enters the container, and walks what it holds.

use crate::processes::{self, Identity};
use crate::sys;
use rustix::fs::{CWD, Mode, OFlags, PROC_SUPER_MAGIC, fstatfs, openat};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Never returns without an error. The report gets a line for each process that could be attached
/// to (`attached`), and for each folder reached that is not in the container (`root`, `cwd`,
/// `fd`), as long as the process executes a program that is not the container's.
pub(crate) fn attach_to_all(report: &Path) -> io::Result<()> {
    let own = [
        Identity::of(Path::new("/bin/busybox"))?,
        Identity::of(Path::new("/proc/self/exe"))?,
    ];
    let top = Identity::of(Path::new("/"))?;
    let mut report = processes::report(report)?;
    let mut arrived = BTreeSet::new();
    loop {
        let now: BTreeSet<i32> = processes::others()?.into_iter().collect();
        arrived.retain(|pid| now.contains(pid));
        for pid in now {
            if arrived.contains(&pid) {
                continue;
            }
            let mut lines = look(pid, top);
            match program(pid) {
                // It has become the container's own: what was seen may be of after that.
                Ok(program) if own.contains(&program) => {
                    arrived.insert(pid);
                    lines.clear();
                }
                // It has ended, perhaps as the container's own.
                Err(error) if error.kind() == io::ErrorKind::NotFound => lines.clear(),
                // It is another's, or it can't be looked at yet.
                _ => {}
            }
            lines.extend(attach(pid, &own));
            for line in lines {
                report.write_all(format!("{line}\n").as_bytes())?;
            }
        }
    }
}

fn program(pid: i32) -> io::Result<Identity> {
    Identity::of(Path::new(&format!("/proc/{pid}/exe")))
}

/// Stops the process, so that what it executes stays true while it is looked at.
fn attach(pid: i32, own: &[Identity]) -> Option<String> {
    sys::ptrace(libc::PTRACE_SEIZE, pid).ok()?;
    let stopped = sys::ptrace(libc::PTRACE_INTERRUPT, pid).and_then(|()| sys::wait_for_stop(pid));
    let name = fs::read_link(format!("/proc/{pid}/exe"));
    let program = program(pid);
    let _ = sys::ptrace(libc::PTRACE_DETACH, pid);
    stopped.ok()?;
    let foreign = !own.contains(&program.ok()?);
    foreign.then(|| format!("attached {pid} {}", name.unwrap_or_default().display()))
}

fn look(pid: i32, top: Identity) -> Vec<String> {
    let mut lines = Vec::new();
    for name in ["root", "cwd"] {
        let path = format!("/proc/{pid}/{name}");
        if is_outside(&path, top) {
            lines.push(format!("{name} {pid}"));
        }
    }
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let path = entry.path();
        let target = fs::read_link(&path).unwrap_or_default();
        if is_outside(&path.to_string_lossy(), top) {
            lines.push(format!("fd {} {}", path.display(), target.display()));
        }
    }
    lines
}

/// Whether a path leads to a folder whose topmost parent isn't the container's root. The runtime's
/// private procfs is no way out.
fn is_outside(path: &str, top: Identity) -> bool {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(folder) = openat(CWD, path, flags, Mode::empty()) else {
        return false;
    };
    if fstatfs(&folder).is_ok_and(|fs| fs.f_type == PROC_SUPER_MAGIC) {
        return false;
    }
    topmost(File::from(folder)).is_ok_and(|found| found != top)
}

fn topmost(mut folder: File) -> io::Result<Identity> {
    loop {
        let here = Identity::of_file(&folder)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        folder = File::from(openat(&folder, "..", flags, Mode::empty())?);
        if Identity::of_file(&folder)? == here {
            return Ok(here);
        }
    }
}
