//! A process that the caller waits for: its signals, its terminal, its exit status.

mod relay;
mod signals;
mod terminal;

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use relay::Relay;
use signals::{Delivery, Signals};
use terminal::HostTerminal;

/// How long output may take to come through a terminal that nobody has to close.
const DRAIN: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

/// What is added to a signal's number in an exit status.
const SIGNALLED: i32 = 128;

/// Leaves the foreground to others: what is started from now on runs on without this process.
///
/// # Errors
/// What `pthread_sigmask(3)` reports.
pub(crate) fn leave() -> io::Result<()> {
    signals::hold_ignored()
}

/// The foreground, taken before the process exists: signals that arrive meanwhile are not lost.
#[derive(Debug)]
pub(crate) struct Foreground {
    signals: Signals,
}

impl Foreground {
    /// Holds all signals back that are to be passed on, and adopts orphans where that is wished.
    pub(crate) fn take(adopt_orphans: bool) -> io::Result<Self> {
        if adopt_orphans {
            rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        }
        Ok(Self {
            signals: Signals::hold()?,
        })
    }

    /// Waits for a child, passing on signals and what goes through its terminal.
    ///
    /// The result is an exit status as shells have it: 128 and more for signals.
    pub(crate) fn wait(&self, child: Pid, terminal: Option<OwnedFd>) -> io::Result<u8> {
        let Some(master) = terminal else {
            return self.wait_without_terminal(child);
        };
        let host = HostTerminal::find();
        let raw = host.as_ref().map(HostTerminal::raw).transpose()?;
        let mut relay = Relay::new(master)?;
        if let Some(host) = &host {
            host.copy_size_to(relay.master())?;
        }
        let status = loop {
            let signalled = relay.turn(Some(self.signals.as_fd()), None)?;
            if !signalled {
                continue;
            }
            if let Some(status) = self.handle_signals(child, host.as_ref(), relay.master())? {
                break status;
            }
        };
        // What the process wrote last is on its way still.
        while relay.output_is_open() && relay.drain(&DRAIN)? {}
        drop(raw);
        Ok(status)
    }

    fn wait_without_terminal(&self, child: Pid) -> io::Result<u8> {
        loop {
            let mut polled = [PollFd::new(&self.signals, PollFlags::IN)];
            retry(|| rustix::event::poll(&mut polled, None))?;
            for delivery in self.signals.take()? {
                match delivery {
                    Delivery::ChildChanged => {
                        if let Some(status) = reap(child)? {
                            return Ok(status);
                        }
                    }
                    Delivery::WindowChanged => {}
                    Delivery::PassOn(signal) => pass_on(child, signal),
                }
            }
        }
    }

    fn handle_signals(
        &self,
        child: Pid,
        host: Option<&HostTerminal>,
        master: BorrowedFd<'_>,
    ) -> io::Result<Option<u8>> {
        let mut ended = None;
        for delivery in self.signals.take()? {
            match delivery {
                Delivery::ChildChanged => ended = ended.or(reap(child)?),
                Delivery::WindowChanged => {
                    if let Some(host) = host {
                        host.copy_size_to(master)?;
                    }
                }
                Delivery::PassOn(signal) => pass_on(child, signal),
            }
        }
        Ok(ended)
    }
}

/// Passes on what was said through the terminal of a process that is gone.
pub(crate) fn last_words(master: OwnedFd) {
    // Whoever could be told of an error is told of a worse one already.
    if let Ok(mut relay) = Relay::new(master) {
        while relay.output_is_open() && relay.drain(&DRAIN).unwrap_or(false) {}
    }
}

/// Reaps every child that is over, and gives back the exit status of the one that is waited for.
fn reap(child: Pid) -> io::Result<Option<u8>> {
    let mut ended = None;
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == child => ended = exit_status(status),
            Ok(Some(_)) => {}
            Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(ended),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn exit_status(status: WaitStatus) -> Option<u8> {
    let signalled = || status.terminating_signal().map(|signal| SIGNALLED + signal);
    // Both fit: exit statuses have eight bits, and there are 64 signals.
    status
        .exit_status()
        .or_else(signalled)
        .map(|status| status as u8)
}

fn pass_on(child: Pid, signal: Signal) {
    // It cannot be another process: a child's pid stays its own until it is reaped, and then the
    // wait is over. One that is over already gets no signal, and needs none.
    let _ = rustix::process::kill_process(child, signal);
}

fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    Ok(rustix::io::retry_on_intr(&mut call)?)
}
