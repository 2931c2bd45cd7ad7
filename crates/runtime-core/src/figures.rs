//! What a container uses, and what happens to it.

use orlop_cgroups::{Stats, Watch};

use crate::container::Container;
use crate::error::{Error, Result};
use crate::resctrl::{self, ResctrlStats};
use crate::state::Status;

impl Container {
    /// Reads what the container's processes have used so far, and what they use now.
    ///
    /// ```no_run
    /// let runtime = orlop::Runtime::open("/run/demo")?;
    /// let stats = runtime.load(&"web".parse()?)?.stats()?;
    /// println!("{:?} of CPU time, {} bytes", stats.cpu.usage, stats.memory.memory.usage.0);
    /// # Ok::<(), orlop::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotRunning`] when it is stopped, [`Error::WrongState`] when it has no cgroup;
    /// [`Error::Cgroup`] when a figure can't be read.
    pub fn stats(&self) -> Result<Stats> {
        self.must_be_alive("show figures of")?;
        Ok(self.cgroup().stats()?)
    }

    /// Reads what the resctrl file system says of the container's group; `None` when it is in none.
    ///
    /// # Errors
    /// [`Error::System`] when a figure can't be read.
    pub fn resctrl_stats(&self) -> Result<Option<ResctrlStats>> {
        let places = &self.record().resctrl;
        if places.is_empty() {
            return Ok(None);
        }
        match resctrl::mount_point() {
            Some(root) => resctrl::read_stats(&root, places),
            None => Ok(None),
        }
    }

    /// Starts to watch for events: memory that ran out, the last process's end, the container's
    /// removal; and, where asked for, memory and pressure levels. Nothing polls: the watch has a
    /// descriptor for an event loop.
    ///
    /// ```no_run
    /// use orlop::cgroups::Event;
    ///
    /// let runtime = orlop::Runtime::open("/run/demo")?;
    /// let mut watch = runtime.load(&"web".parse()?)?.watch()?;
    /// while let Some(event) = watch.next(None)? {
    ///     if event == Event::Oom {
    ///         eprintln!("out of memory");
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Container::stats`].
    pub fn watch(&self) -> Result<Watch> {
        self.must_be_alive("watch")?;
        Ok(self.cgroup().watch()?)
    }

    fn must_be_alive(&self, verb: &str) -> Result<()> {
        self.must_have_cgroup(verb)?;
        match self.status()? {
            Status::Stopped | Status::Creating => Err(Error::NotRunning(self.record().id.clone())),
            _ => Ok(()),
        }
    }
}
