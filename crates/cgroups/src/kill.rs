//! Signals to everything in a cgroup.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::cgroup::{Cgroup, Member};
use crate::error::{Error, Result};
use crate::freeze::FreezerState;
use crate::fs;
use crate::sys::{self, Signal};
use crate::tree;

/// For how long new processes may keep appearing before killing gives up.
const DEADLINE: Duration = Duration::from_secs(10);

impl Cgroup {
    /// Sends a signal to every process in the cgroup and below it.
    ///
    /// For [`Signal::KILL`] the call returns when no process is left that has not
    /// been killed, however fast they fork; a frozen cgroup is thawed, so that
    /// they can die. They may still be dying when it returns. For other signals
    /// the cgroup stands still meanwhile (where there is a freezer), so that each
    /// process gets exactly one, and none goes to a recycled pid.
    ///
    /// A cgroup that has vanished or is empty is no error.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] if processes still appear after ten seconds,
    /// [`Error::Io`] if the kernel refuses a signal.
    pub fn kill_all(&self, signal: Signal) -> Result<()> {
        if signal == Signal::KILL {
            self.kill_for_good()
        } else {
            self.signal_each(signal)
        }
    }

    fn kill_for_good(&self) -> Result<()> {
        let by_kernel = match self.v2_member() {
            Some(member) => kill_v2(member)?,
            None => false,
        };
        let pure_v2 = self.members().len() == 1;
        if by_kernel && pure_v2 {
            return self.thaw_if_there();
        }
        // Also with cgroup.kill on a hybrid host: a process that was on its way
        // into the cgroup may be in v1 only.
        let start = Instant::now();
        for member in self.by_reach() {
            self.kill_members(member, start)?;
        }
        self.thaw_if_there()
    }

    /// Kills what is in one member until nothing new appears.
    fn kill_members(&self, member: &Member, start: Instant) -> Result<()> {
        let mut signalled = BTreeSet::new();
        let mut pause = Duration::from_micros(50);
        loop {
            let Some(dir) = member.existing_dir()? else {
                return Ok(());
            };
            let pids = tree::processes(dir, member.path())?;
            let fresh = pids.iter().filter(|pid| !signalled.contains(*pid)).count();
            if fresh == 0 {
                return Ok(());
            }
            // Frozen, nothing forks and no pid changes hands. What cannot be frozen in
            // time is killed running; the next round finds what it forked.
            let _ = self.freeze();
            let Some(dir) = member.existing_dir()? else {
                return Ok(());
            };
            signalled.clear();
            for pid in tree::processes(dir, member.path())? {
                send(member, pid, Signal::KILL)?;
                signalled.insert(pid);
            }
            self.thaw_if_there()?;
            if start.elapsed() > DEADLINE {
                return Err(timeout(member, start));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }

    fn signal_each(&self, signal: Signal) -> Result<()> {
        let state = self.freezer_state();
        let thawed = matches!(state, Ok(FreezerState::Thawed));
        if thawed {
            // A cgroup that cannot be frozen gets the signal running.
            let _ = self.freeze();
        }
        let result = self.signal_now(signal);
        if thawed {
            self.thaw_if_there()?;
        }
        result
    }

    fn signal_now(&self, signal: Signal) -> Result<()> {
        for member in self.by_reach() {
            if let Some(dir) = member.existing_dir()? {
                let pids = tree::processes(dir, member.path())?;
                return pids
                    .into_iter()
                    .try_for_each(|pid| send(member, pid, signal));
            }
        }
        Ok(())
    }

    fn thaw_if_there(&self) -> Result<()> {
        match self.thaw() {
            Err(Error::Io { source, .. }) if is_gone(&source) => Ok(()),
            Err(Error::Unsupported { .. }) => Ok(()),
            other => other,
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV))
}

/// Lets the kernel kill the whole tree; `false` where it cannot (before 5.14).
fn kill_v2(member: &Member) -> Result<bool> {
    match member
        .try_open("cgroup.kill", OFlags::WRONLY)
        .and_then(|file| fs::write_value(file, "1"))
    {
        Ok(()) | Err(Errno::NODEV) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        // Threaded cgroups cannot be killed by the kernel.
        Err(Errno::OPNOTSUPP) => Ok(false),
        Err(errno) => Err(fs::write_error(member.path(), "cgroup.kill", "1", errno)),
    }
}

fn send(member: &Member, pid: u32, signal: Signal) -> Result<()> {
    match sys::kill(pid, signal) {
        Err(error) if error.raw_os_error() != Some(libc::ESRCH) => {
            let operation = format!("send signal {} to process {pid} of", signal.number());
            Err(Error::io(operation, member.path(), error))
        }
        _ => Ok(()),
    }
}

fn timeout(member: &Member, start: Instant) -> Error {
    Error::Timeout {
        operation: "kill",
        path: member.path().to_owned(),
        state: "populated",
        waited_ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}
