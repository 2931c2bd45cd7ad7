//! A sandbox that runs, paused, limited anew and watched: what its cgroup does.

use orlop_cgroups::{Cgroup, Limits, Watch};

use super::Child;
use crate::error::{Error, Result};

impl Child {
    /// Makes all processes of the sandbox stand still, and returns once they do.
    ///
    /// ```no_run
    /// use orlop::Command;
    /// use orlop::cgroups::Limits;
    ///
    /// let sandbox = Command::new("worker").limits(Limits::new().pids_limit(32u64)).spawn()?;
    /// sandbox.pause()?;
    /// sandbox.resume()?;
    /// # Ok::<(), orlop::Error>(())
    /// ```
    ///
    /// A kill ends a paused sandbox, too. On cgroup v1 the kill of a further process in it lets the
    /// others go on: there nothing that stands still can die.
    ///
    /// # Errors
    /// [`Error::WrongState`] when the sandbox has no cgroup; [`Error::Cgroup`] when a process did
    /// not stop within two seconds: all of them run then.
    pub fn pause(&self) -> Result<()> {
        self.own_cgroup("pause")?;
        self.mark_paused(true);
        let paused = self.own_cgroup("pause")?.freeze();
        if paused.is_err() {
            self.mark_paused(false);
        }
        Ok(paused?)
    }

    /// Lets the processes of a paused sandbox go on. That it was not paused is no error.
    ///
    /// # Errors
    /// [`Error::WrongState`] when the sandbox has no cgroup; [`Error::Cgroup`].
    pub fn resume(&self) -> Result<()> {
        self.own_cgroup("resume")?.thaw()?;
        self.mark_paused(false);
        Ok(())
    }

    /// Gives the sandbox other limits while it runs. What is absent stays as it is; either all of
    /// it holds afterwards or nothing has changed.
    ///
    /// ```no_run
    /// use orlop::Command;
    /// use orlop::cgroups::{Bytes, Limits};
    ///
    /// let sandbox = Command::new("worker").limits(Limits::new().memory_limit(Bytes::mib(64))).spawn()?;
    /// sandbox.update(&Limits::new().memory_limit(Bytes::mib(128)))?;
    /// # Ok::<(), orlop::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::WrongState`] when the sandbox has no cgroup; [`Error::Cgroup`] when the kernel
    /// refuses a limit.
    pub fn update(&self, limits: &Limits) -> Result<()> {
        Ok(self.own_cgroup("update")?.update(limits)?)
    }

    /// Starts to watch for events, such as memory that ran out: see [`Watch`].
    ///
    /// # Errors
    /// [`Error::WrongState`] when the sandbox has no cgroup; [`Error::Cgroup`].
    pub fn watch(&self) -> Result<Watch> {
        Ok(self.own_cgroup("watch")?.watch()?)
    }

    fn own_cgroup(&self, verb: &str) -> Result<&Cgroup> {
        self.cgroup().ok_or_else(|| Error::WrongState {
            message: format!(
                "cannot {verb} a sandbox without a cgroup: give its command limits, which may be empty"
            ),
        })
    }
}
