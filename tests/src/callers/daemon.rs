//! A daemon of a test's own.

use super::World;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const ENDING: Duration = Duration::from_secs(20);

/// A program that runs until this value goes; its words are in a log.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts it in that world.
    ///
    /// # Errors
    /// What `fork(2)` and `execve(2)` report.
    pub fn start<S: AsRef<OsStr>>(
        world: &World,
        program: &str,
        args: impl IntoIterator<Item = S>,
        log: &Path,
    ) -> io::Result<Self> {
        let log = fs::File::create(log)?;
        let child = world
            .command(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Self { child })
    }

    /// Waits until that is so.
    ///
    /// # Errors
    /// `TimedOut`, with what it waited for.
    pub fn wait_until(&self, what: &str, mut so: impl FnMut() -> bool) -> io::Result<()> {
        let end = Instant::now() + Duration::from_secs(30);
        while !so() {
            if Instant::now() > end {
                return Err(io::Error::new(io::ErrorKind::TimedOut, what.to_owned()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // A daemon that is asked ends what it has started itself.
        let pid = Pid::from_child(&self.child);
        let _ = kill_process(pid, Signal::TERM);
        let end = Instant::now() + ENDING;
        while Instant::now() < end {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
