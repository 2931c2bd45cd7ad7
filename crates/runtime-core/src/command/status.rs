//! How a program ended.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process;

use rustix::process::WaitIdStatus;

use crate::signal::Signal;

/// How a program ended: with a status of its own, or by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitStatus {
    status: process::ExitStatus,
    timed_out: bool,
}

/// As `wait(2)` encodes it.
pub(super) fn encode(ended: &WaitIdStatus) -> process::ExitStatus {
    const DUMPED: i32 = 0x80;
    process::ExitStatus::from_raw(match (ended.exit_status(), ended.terminating_signal()) {
        (Some(code), _) => code << 8,
        (None, Some(signal)) if ended.dumped() => signal | DUMPED,
        (None, signal) => signal.unwrap_or(libc::SIGKILL),
    })
}

impl ExitStatus {
    /// `killed` says whether it was told to end because of its time.
    pub(super) fn new(status: process::ExitStatus, killed: bool) -> Self {
        Self {
            status,
            timed_out: killed && status.signal() == Some(libc::SIGKILL),
        }
    }

    /// Whether it ended with status 0.
    #[must_use]
    pub fn success(self) -> bool {
        self.status.success()
    }

    /// The status it ended with; `None` when a signal ended it.
    #[must_use]
    pub fn code(self) -> Option<i32> {
        self.status.code()
    }

    /// The signal that ended it.
    #[must_use]
    pub fn signal(self) -> Option<Signal> {
        Signal::from_number(self.status.signal()?)
    }

    /// Whether it was killed because its [`timeout`](super::Command::timeout) ran out.
    #[must_use]
    pub fn timed_out(self) -> bool {
        self.timed_out
    }
}

impl From<ExitStatus> for process::ExitStatus {
    fn from(status: ExitStatus) -> Self {
        status.status
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code(), self.signal()) {
            (Some(code), _) => write!(f, "exit status {code}"),
            (None, _) if self.timed_out => f.write_str("killed after its time ran out"),
            (None, Some(signal)) => write!(f, "killed by {signal}"),
            (None, None) => f.write_str("ended"),
        }
    }
}
