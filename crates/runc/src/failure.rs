//! Why a command fails, and how the program ends then.

use std::fmt;

use crate::advice;
use crate::cli::PROGRAM;

/// The exit status of a failed command.
const FAILURE: u8 = 1;

/// A message and an exit status.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// One line.
    pub(crate) message: String,
    /// The program's exit status.
    pub(crate) code: u8,
}

impl Failure {
    /// A failure with the usual exit status.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: FAILURE,
        }
    }

    /// A failed operation on a file, or of the operating system.
    pub(crate) fn io(operation: impl fmt::Display, error: impl Into<std::io::Error>) -> Self {
        Self::new(format!("{operation}: {}", error.into()))
    }
}

impl Failure {
    /// A container that could not be made. Of a mount that fails people look for runc's words, and
    /// other programs know them.
    pub(crate) fn of_creation(command: &str, error: &orlop::Error) -> Self {
        Self::new(match error {
            orlop::Error::Mount(failed) => format!(
                "{PROGRAM} {command} failed: unable to start container process: \
                 error during container init: {failed}"
            ),
            _ => advice::line(error),
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<orlop::Error> for Failure {
    fn from(error: orlop::Error) -> Self {
        Self::new(advice::line(&error))
    }
}
