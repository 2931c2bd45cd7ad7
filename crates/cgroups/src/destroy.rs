//! Removing a cgroup.

use std::io;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::cgroup::{Cgroup, Member};
use crate::error::{Error, Result};
use crate::fs;
use crate::sys::Signal;
use crate::tree;

/// For how long to wait for dying processes to be gone.
const DEADLINE: Duration = Duration::from_secs(2);

impl Cgroup {
    /// Removes the cgroup from every hierarchy, with what the container made
    /// below it. Waits up to two seconds for killed processes to be gone.
    ///
    /// What is gone already is no error, so that it can be repeated, after a
    /// crash too. All hierarchies are tried even if one fails.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] if processes stay in it, [`Error::Io`] otherwise; the
    /// first error of several.
    pub fn destroy(&self) -> Result<()> {
        let start = Instant::now();
        let results: Vec<_> = self
            .members()
            .iter()
            .map(|member| remove(member, start))
            .collect();
        results.into_iter().collect()
    }

    /// Kills what is left in the cgroup, and removes it. Nobody is looked for where
    /// it can be removed at once, as after a container's ordinary end.
    ///
    /// # Errors
    ///
    /// As [`Cgroup::kill_all`] and [`Cgroup::destroy`].
    pub fn clear(&self) -> Result<()> {
        let is_gone =
            |member: &Member| matches!(fs::rmdir(member.path()), Ok(()) | Err(Errno::NOENT));
        // Every member, also after one that is in use.
        let in_use = self
            .members()
            .iter()
            .filter(|member| !is_gone(member))
            .count();
        if in_use == 0 {
            return Ok(());
        }
        self.kill_all(Signal::KILL)?;
        self.destroy()
    }
}

fn remove(member: &Member, start: Instant) -> Result<()> {
    let path = member.path();
    let mut pause = Duration::from_micros(50);
    loop {
        match fs::rmdir(path) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::BUSY) => {}
            Err(errno) => return Err(Error::io("remove", path, io::Error::from(errno))),
        }
        if let Some(dir) = member.existing_dir()? {
            tree::remove_below(dir)
                .map_err(|errno| Error::io("remove what is below", path, io::Error::from(errno)))?;
        }
        match fs::rmdir(path) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(_) if start.elapsed() < DEADLINE => {}
            Err(_) => return Err(timeout(member, start)),
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

fn timeout(member: &Member, start: Instant) -> Error {
    Error::Timeout {
        operation: "remove",
        path: member.path().to_owned(),
        state: "populated",
        waited_ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}
