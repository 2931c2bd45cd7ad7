//! Exchanges two paths without end, while a runtime walks them.

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::thread::{CpuSet, sched_setaffinity};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

/// A thread that exchanges two names with `renameat2(RENAME_EXCHANGE)` as fast as it can, until it
/// is dropped. So each name leads to the one file or the other, and never to none.
#[derive(Debug)]
pub struct Swap {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Swap {
    /// Starts to exchange the two paths, pinned to the last processor: the runtime, started by an
    /// unpinned test, has the others.
    ///
    /// # Errors
    /// What the first `renameat2(2)` reports, or a thread that can't be started.
    pub fn start(one: &Path, other: &Path) -> io::Result<Self> {
        exchange(one, other)?;
        let stop = Arc::new(AtomicBool::new(false));
        let count = Arc::new(AtomicU64::new(0));
        let (paths, signal, counter) = (
            (one.to_path_buf(), other.to_path_buf()),
            Arc::clone(&stop),
            Arc::clone(&count),
        );
        let thread = thread::Builder::new()
            .name("swap".to_owned())
            .spawn(move || swap_until(&signal, &counter, &paths))?;
        Ok(Self {
            stop,
            count,
            thread: Some(thread),
        })
    }

    /// How often the paths have been exchanged.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Stops, with the two names as they were at the start.
    ///
    /// # Errors
    /// The error that ended the thread early: then the attack was none.
    pub fn stop(mut self) -> io::Result<u64> {
        self.join()?;
        Ok(self.count())
    }

    fn join(&mut self) -> io::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("the swapping thread panicked")),
        }
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        let _ = self.join();
    }
}

fn swap_until(
    stop: &AtomicBool,
    count: &AtomicU64,
    (one, other): &(PathBuf, PathBuf),
) -> io::Result<()> {
    let last = thread::available_parallelism()?.get() - 1;
    let mut cpus = CpuSet::new();
    cpus.set(last);
    sched_setaffinity(None, &cpus)?;
    // `start` made the first exchange; an odd number of further ones restores the names.
    loop {
        exchange(one, other)?;
        count.fetch_add(1, Ordering::Relaxed);
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        exchange(one, other)?;
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TempDir;
    use std::fs;

    #[test]
    fn names_are_restored_when_it_stops() {
        let folder = TempDir::new("swap").unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        fs::write(&one, "1").unwrap();
        fs::write(&other, "2").unwrap();
        let swap = Swap::start(&one, &other).unwrap();
        while swap.count() < 100 {
            thread::yield_now();
        }
        assert!(swap.stop().unwrap() >= 100);
        assert_eq!(fs::read(&one).unwrap(), b"1");
        assert_eq!(fs::read(&other).unwrap(), b"2");
    }
}
