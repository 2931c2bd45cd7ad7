//! A directory and a process that go with the test, even with one that fails.

use std::fmt::Display;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{Mode, OFlags};

use super::FileId;
use crate::process_id::ProcessId;

pub(crate) struct Scratch {
    top: PathBuf,
    path: PathBuf,
    dir: OwnedFd,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self::with_name("d")
    }

    pub(crate) fn with_name(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let top = format!("orlop-test-{}-{number}", std::process::id());
        let top = std::env::temp_dir().join(top);
        let path = top.join(name);
        std::fs::create_dir_all(&path).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(&path, flags, Mode::empty()).unwrap();
        Self { top, path, dir }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.top);
    }
}

/// A process that does nothing.
pub(crate) struct Sleeper {
    pub(crate) child: Child,
    pub(crate) id: ProcessId,
}

impl Sleeper {
    pub(crate) fn new() -> Self {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        // Whoever spawns is told while the program is still taking its parent's place.
        while program_of(pid) == program_of("self") {
            std::thread::yield_now();
        }
        let number = rustix::process::Pid::from_raw(pid).unwrap();
        let pidfd = rustix::process::pidfd_open(number, rustix::process::PidfdFlags::empty());
        let id = ProcessId::of(pid, pidfd.unwrap().as_fd()).unwrap();
        Self { child, id }
    }

    /// The program that it executes.
    pub(crate) fn program(&self) -> FileId {
        program_of(self.id.pid())
    }
}

fn program_of(process: impl Display) -> FileId {
    let stat = rustix::fs::stat(format!("/proc/{process}/exe")).unwrap();
    FileId {
        device: stat.st_dev,
        inode: stat.st_ino,
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
