//! A sandbox that runs, or a further process in one.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::process::{ChildStderr, ChildStdin, ChildStdout};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use orlop_cgroups::{Cgroup, Mode, RecordedPath, Stats};
use rustix::event::{PollFd, PollFlags};

use super::cgroup::OwnCgroup;
use super::handle::{Entered, Handle};
use super::prepared::{Prepared, deadline};
use super::stdio::Ends;
use super::{ExitStatus, Process};
use crate::error::{Context, Error, Result};
use crate::poll::poll_until;
use crate::process_id;
use crate::signal::Signal;
use crate::spawn;

/// A sandbox that runs, by its first process; or a further process in one.
///
/// It is a child of the calling process, known by a descriptor ([`AsFd`]: a pidfd, which becomes
/// readable when the process ends), so that an async program can wait for it with its own event loop
/// and then call [`try_wait`](Self::try_wait).
///
/// Dropped, the whole sandbox is killed, its first process is reaped, and its cgroup is removed.
/// [`detach`](Self::detach) leaves it alone.
///
/// ```
/// use orlop::{Command, Process, Root, Signal, Stdio};
///
/// let mut sandbox = Command::new("sleep")
///     .arg("1000")
///     .root(Root::pivot("/").read_only())
///     .map_self_to_root()
///     .spawn()?;
/// let mut inside = sandbox.exec(&Process::new("echo").arg("hello").stdout(Stdio::piped()))?;
/// assert_eq!(inside.wait_with_output()?.stdout, b"hello\n");
/// sandbox.kill()?;
/// assert_eq!(sandbox.wait()?.signal(), Some(Signal::KILL));
/// # Ok::<(), orlop::Error>(())
/// ```
#[derive(Debug)]
pub struct Child {
    /// The pipe to the program's standard input, where one was asked for.
    pub stdin: Option<ChildStdin>,
    /// The pipe from its standard output.
    pub stdout: Option<ChildStdout>,
    /// The pipe from its standard error.
    pub stderr: Option<ChildStderr>,
    /// The master of its terminal (`pty(7)`), where one was asked for.
    pub terminal: Option<OwnedFd>,
    handle: Arc<Handle>,
    reach: Reach,
    sandbox: Sandbox,
    deadline: Option<Instant>,
    capture_limit: usize,
    state: State,
}

/// What a kill reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The first process takes all others along.
    PidNamespace,
    Cgroup,
    /// A further process is killed without the sandbox that it entered.
    Alone,
}

/// What all processes of a sandbox share.
#[derive(Debug, Clone)]
pub(super) struct Sandbox {
    pub prepared: Prepared,
    /// Removed with the last process that is known.
    pub cgroup: Option<Arc<OwnCgroup>>,
    pub entered: Arc<Entered>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    /// Killed because its time ran out.
    Expired,
    Detached,
}

impl Child {
    pub(super) fn new(
        born: spawn::Child,
        sandbox: Sandbox,
        reach: Reach,
        process: &Process,
        ends: &mut Ends,
        terminal: Option<OwnedFd>,
    ) -> Result<Self> {
        let pid = born.pid.unsigned_abs();
        let handle = Arc::new(Handle::new(pid, born.into_pidfd()?));
        if reach == Reach::Alone {
            sandbox.entered.add(&handle);
        }
        let [stdin, stdout, stderr] = std::mem::take(&mut ends.ours);
        Ok(Self {
            handle,
            stdin: stdin.map(Into::into),
            stdout: stdout.map(Into::into),
            stderr: stderr.map(Into::into),
            terminal,
            reach,
            sandbox,
            deadline: deadline(process),
            capture_limit: process.capture_limit,
            state: State::Running,
        })
    }

    /// The process's id, in the caller's PID namespace.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.handle.pid
    }

    /// When its time is over, if it has a [`timeout`](super::Command::timeout): whoever waits in an
    /// event loop wakes up then, and calls [`try_wait`](Self::try_wait).
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The sandbox's own cgroup, if it has one.
    #[must_use]
    pub fn cgroup(&self) -> Option<&Cgroup> {
        self.sandbox.cgroup.as_deref().map(|own| &own.cgroup)
    }

    /// What the sandbox has used so far; `None` without a cgroup.
    ///
    /// # Errors
    /// When the figures can't be read.
    pub fn stats(&self) -> Result<Option<Stats>> {
        Ok(self.cgroup().map(Cgroup::stats).transpose()?)
    }

    /// Waits until the process ends; kills it when its time runs out. Its standard input is closed
    /// first, so that it does not wait for what never comes.
    ///
    /// In a PID namespace of its own, no other process of the sandbox is left then.
    ///
    /// # Errors
    /// When somebody else has reaped the process: SIGCHLD is ignored, or another part of the caller
    /// waits for any child.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        self.stdin = None;
        // Nothing else has to be served meanwhile. (A further process may also be reaped by the
        // sandbox's own wait, which must not be held up.)
        let plain =
            self.deadline.is_none() && self.reach != Reach::Alone && self.others().is_empty();
        if plain {
            return self.reap();
        }
        loop {
            if let Some(status) = self.wait_until(None)? {
                return Ok(status);
            }
        }
    }

    /// Waits, at most for so long; `None` when it still runs.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        self.wait_until(Instant::now().checked_add(limit))
    }

    /// How it ended, if it has; never waits. Kills it when its time is over.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        self.wait_timeout(Duration::ZERO)
    }

    /// Waits until the process ends, and captures what it writes to those streams that are piped, or
    /// to its terminal.
    ///
    /// # Errors
    /// As [`wait`](Self::wait), or when a stream can't be read.
    pub fn wait_with_output(&mut self) -> Result<super::Output> {
        super::capture::collect(self, &[])
    }

    /// Kills the whole sandbox; a further process in it is killed alone. That it has ended already
    /// is no error. It still has to be [waited](Self::wait) for.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn kill(&self) -> Result<()> {
        match (self.reach, self.cgroup()) {
            (Reach::Cgroup, Some(cgroup)) => Ok(cgroup.kill_all(orlop_cgroups::Signal::KILL)?),
            _ => self.signal(Signal::KILL).and_then(|()| self.thaw_to_die()),
        }
    }

    pub(super) fn mark_paused(&self, paused: bool) {
        if let Some(own) = &self.sandbox.cgroup {
            own.paused.store(paused, Ordering::Relaxed);
        }
    }

    /// On v1 who is killed in a frozen cgroup dies when it is thawed.
    fn thaw_to_die(&self) -> Result<()> {
        let own = self.sandbox.cgroup.as_deref();
        let paused = own.filter(|own| own.paused.load(Ordering::Relaxed));
        match paused.filter(|own| own.cgroup.mode() != Mode::V2) {
            Some(_) => self.resume(),
            None => Ok(()),
        }
    }

    /// Sends a signal to this process alone. That it has ended already is no error.
    ///
    /// The first process of a PID namespace gets those signals only that it handles, and SIGKILL and
    /// SIGSTOP (`pid_namespaces(7)`).
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        process_id::send_signal(self.handle.as_fd(), signal).map(|_| ())
    }

    /// Starts a further process in the sandbox: in all of its namespaces and its cgroup, under its
    /// filter. Only what `process` says is different: user, capabilities, limits are its own.
    ///
    /// # Errors
    /// [`Error::WrongState`] when the sandbox has ended, or has no mount namespace of its own;
    /// otherwise as [`Prepared::spawn`].
    pub fn exec(&self, process: &Process) -> Result<Self> {
        let refused = |message: &str| {
            Err(Error::WrongState {
                message: message.to_owned(),
            })
        };
        if self.reach == Reach::Alone {
            return refused(
                "a further process can't be entered; enter through the sandbox's first one",
            );
        }
        if self.handle.status().is_some() || self.poll(Some(Instant::now()))? {
            return refused("can't enter a sandbox that has ended");
        }
        self.sandbox
            .prepared
            .enter(&self.sandbox, &self.handle.pidfd, process)
    }

    /// Gives it up: it is not killed when this value goes, and its cgroup stays.
    ///
    /// # Errors
    /// When no descriptor is left; then it is killed.
    pub fn detach(mut self) -> Result<Detached> {
        let pidfd = self
            .handle
            .pidfd
            .try_clone()
            .context(|| "duplicate a pidfd".to_owned())?;
        let cgroup = self.cgroup().map(Cgroup::record).unwrap_or_default();
        if let Some(own) = &self.sandbox.cgroup {
            own.keep();
        }
        self.state = State::Detached;
        Ok(Detached {
            pid: self.handle.pid,
            pidfd,
            cgroup,
        })
    }

    /// Waits for the end, at most until that moment; kills it when its own time is over.
    fn wait_until(&mut self, until: Option<Instant>) -> Result<Option<ExitStatus>> {
        if self.handle.status().is_some() {
            return self.reap().map(Some);
        }
        loop {
            let first = match (until, self.next_deadline()) {
                (Some(until), Some(deadline)) => Some(until.min(deadline)),
                (until, deadline) => until.or(deadline),
            };
            if self.poll(first)? {
                return self.reap().map(Some);
            }
            self.expire()?;
            if until.is_some_and(|until| until <= Instant::now()) {
                return Ok(None);
            }
        }
    }

    pub(super) fn capture_limit(&self) -> usize {
        self.capture_limit
    }

    /// When to look at the clock next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadline.filter(|_| self.state == State::Running)
    }

    /// Kills it if its time is over.
    pub(super) fn expire(&mut self) -> Result<()> {
        if self
            .next_deadline()
            .is_some_and(|deadline| deadline <= Instant::now())
        {
            self.kill()?;
            self.state = State::Expired;
        }
        Ok(())
    }

    /// Whether the process has ended, at the latest at that moment.
    fn poll(&self, until: Option<Instant>) -> Result<bool> {
        loop {
            let others = self.others();
            let mut fds = vec![PollFd::new(&*self.handle, PollFlags::IN)];
            fds.extend(
                others
                    .iter()
                    .map(|other| PollFd::new(&**other, PollFlags::IN)),
            );
            let ready =
                poll_until(&mut fds, until).context(|| "wait for a process to end".to_owned())?;
            if !fds[0].revents().is_empty() {
                return Ok(true);
            }
            if ready == 0 {
                return Ok(false);
            }
            reap_ended(&others, &fds[1..])?;
        }
    }

    /// The processes that have to be reaped before this one can end.
    pub(super) fn others(&self) -> Vec<Arc<Handle>> {
        match self.reach {
            Reach::PidNamespace => self.sandbox.entered.unreaped(),
            Reach::Cgroup | Reach::Alone => Vec::new(),
        }
    }

    /// Takes the status of a process that has ended, or is about to.
    pub(super) fn reap(&mut self) -> Result<ExitStatus> {
        let status = self.handle.reap()?;
        Ok(ExitStatus::new(status, self.state == State::Expired))
    }
}

/// Reaps those that have ended, by what was polled of each.
pub(super) fn reap_ended(all: &[Arc<Handle>], polled: &[PollFd<'_>]) -> Result<()> {
    let mut ended = all
        .iter()
        .zip(polled)
        .filter(|(_, fd)| !fd.revents().is_empty());
    ended.try_for_each(|(handle, _)| handle.reap().map(|_| ()))
}

impl Drop for Child {
    fn drop(&mut self) {
        // Without a PID namespace, more than the first process may be left.
        let is_gone = self.handle.status().is_some() && self.reach != Reach::Cgroup;
        if is_gone || self.state == State::Detached {
            return;
        }
        // Whoever wants to know about failures waits; here nobody could be told.
        let _ = self.kill();
        for other in self.others() {
            let _ = other.reap();
        }
        let _ = self.reap();
    }
}

impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

impl AsRawFd for Child {
    fn as_raw_fd(&self) -> RawFd {
        self.handle.pidfd.as_raw_fd()
    }
}

/// What is known of a sandbox that was given up: see [`Child::detach`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Detached {
    /// The first process's id. It is still a child of the calling process, which has to reap it.
    pub pid: u32,
    /// A descriptor that stands for it (`pidfd_open(2)`).
    pub pidfd: OwnedFd,
    /// Where its cgroup is, for [`Cgroup::open`]; empty without one.
    pub cgroup: Vec<RecordedPath>,
}
