//! How a program ended.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process;

use rustix::process::WaitIdStatus;

use crate::signal::Signal;

/// How a program ended: with a status of its own, or by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitStatus {
    /// As `wait(2)` encodes it.
    status: process::ExitStatus,
    timed_out: bool,
}

impl ExitStatus {
    pub(super) fn new(status: &WaitIdStatus, timed_out: bool) -> Self {
        const DUMPED: i32 = 0x80;
        let raw = match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => code << 8,
            (None, Some(signal)) if status.dumped() => signal | DUMPED,
            (None, signal) => signal.unwrap_or(libc::SIGKILL),
        };
        let status = process::ExitStatus::from_raw(raw);
        Self { status, timed_out: timed_out && status.signal() == Some(libc::SIGKILL) }
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
