//! A directory that goes with the test.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{Mode, OFlags};

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
