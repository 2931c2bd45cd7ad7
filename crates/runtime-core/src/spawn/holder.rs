//! A process that does nothing but be there.

use std::os::fd::{AsFd, OwnedFd};

use rustix::process::{Signal, pidfd_send_signal};

use super::channel::Channel;
use super::{program, reap};
use crate::error::{Context, Result};
use crate::sys::{Birth, clone_init};

/// Init, waiting for a program that it never gets. It ends with this value, or with its maker.
#[derive(Debug)]
pub(crate) struct Holder {
    pid: i32,
    pidfd: OwnedFd,
    _control: OwnedFd,
}

impl Holder {
    /// Starts the process.
    pub(crate) fn new() -> Result<Self> {
        let Channel { ours, theirs } = Channel::new()?;
        let born = clone_init(&Birth {
            namespaces: 0,
            cgroup: None,
            init: program::sealed_init(0)?,
            control: theirs.as_fd(),
            preserve: 0,
        })
        .context(|| "clone3 a process that holds a unit".to_owned())?;
        Ok(Self {
            pid: born.pid,
            pidfd: born.pidfd,
            _control: ours,
        })
    }

    /// Its pid, in the caller's PID namespace.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.unsigned_abs()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        let _ = reap(self.pidfd.as_fd());
    }
}

#[cfg(test)]
mod tests {
    use super::Holder;

    #[test]
    fn it_lives_as_long_as_the_value() {
        let holder = Holder::new().unwrap();
        let process = format!("/proc/{}/stat", holder.pid());
        let waits = || std::fs::read_to_string(&process).is_ok_and(|stat| stat.contains(") S "));
        let asleep = (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            waits()
        });
        assert!(asleep);
        drop(holder);
        assert!(!std::path::Path::new(&process).exists());
    }
}
