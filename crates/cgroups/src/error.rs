//! What can go wrong, by what the caller can do about it.

use std::io;
use std::path::PathBuf;

use crate::controller::Controller;

/// The result of an operation on cgroups.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation on cgroups failed. Every message is one line that names the
/// operation, the file or field, and the system's own error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not a usable cgroup path.
    #[error("cgroup path {path:?}: {reason}")]
    InvalidPath {
        /// The path as given (shortened when very long).
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// A limit has a value that no back end can apply.
    #[error("{field}: {reason}")]
    InvalidLimit {
        /// The field in OCI's spelling, for example `memory.swap`.
        field: &'static str,
        /// What is wrong with the value, and which values are right.
        reason: String,
    },

    /// A limit needs something that this host's cgroups do not offer.
    #[error("{field}: {reason}")]
    Unsupported {
        /// The field in OCI's spelling.
        field: &'static str,
        /// What is missing, and what to do about it.
        reason: String,
    },

    /// A limit needs a controller that no visible hierarchy has.
    #[error(
        "{field}: cgroup controller {controller} is not available here \
         (mount its hierarchy, or enable it in the parent's cgroup.subtree_control; \
         a user's container has what is delegated to the user)"
    )]
    NoController {
        /// The field that needs it, in OCI's spelling.
        field: &'static str,
        /// The controller that is missing.
        controller: Controller,
    },

    /// The host shows no cgroup hierarchy at all, or not the one that is needed.
    #[error("no cgroup hierarchy is mounted (looked in /proc/self/mountinfo)")]
    NoHierarchy,

    /// A cgroup of that path exists and has processes in it.
    #[error(
        "container's cgroup is not empty: {count} process(es) found in {} \
         (end them, or choose another linux.cgroupsPath)",
        path.display()
    )]
    NotEmpty {
        /// The existing cgroup.
        path: PathBuf,
        /// How many processes are in it and below it.
        count: usize,
    },

    /// A cgroup of that path exists and is frozen, or one above it is, so that
    /// nothing could start in it.
    #[error("container's cgroup unexpectedly frozen: {} (thaw it first)", path.display())]
    Frozen {
        /// The frozen cgroup.
        path: PathBuf,
    },

    /// The memory limit asked for is below what is in use.
    #[error(
        "rejecting {what} limit {limit}: it is below the current usage of {usage} bytes \
         (free memory in the container first, or ask for more)"
    )]
    MemoryInUse {
        /// What is limited: `memory`, or `memory+swap`.
        what: &'static str,
        /// The limit asked for, in bytes.
        limit: u64,
        /// What the cgroup uses now, in bytes.
        usage: u64,
    },

    /// The cgroup did not reach the state asked for in time.
    #[error("{operation} {}: still {state} after {waited_ms} ms", path.display())]
    Timeout {
        /// What was being done.
        operation: &'static str,
        /// The cgroup.
        path: PathBuf,
        /// The state in which it stays.
        state: &'static str,
        /// For how long it was waited, in milliseconds.
        waited_ms: u64,
    },

    /// A system call on a cgroup file failed.
    #[error("{operation} {}: {source}{hint}", path.display())]
    Io {
        /// What was being done, for example `write "64" to`.
        operation: String,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
        /// What to do about it: empty, or text in brackets.
        hint: &'static str,
    },

    /// An update failed, and what it had changed by then could not be put back.
    #[error("{error}; and {} could not be set back to {value:?}", path.display())]
    NotRestored {
        /// Why the update failed.
        error: Box<Error>,
        /// The file that keeps a new value.
        path: PathBuf,
        /// Its value before.
        value: String,
    },

    /// systemd cannot be reached.
    #[cfg(feature = "systemd")]
    #[error("systemd: {what}: {source}")]
    NoSystemd {
        /// What was being done.
        what: String,
        /// What the system said.
        source: io::Error,
        /// Whether it is a user's, not the system's.
        of_user: bool,
    },

    /// systemd refuses.
    #[cfg(feature = "systemd")]
    #[error("systemd: {what}: {source}{hint}")]
    Systemd {
        /// What was being done, or the unit.
        what: String,
        /// What systemd, or the system, said.
        source: io::Error,
        /// What to do about it: empty, or text in brackets.
        hint: &'static str,
    },

    /// The kernel refused the device program of a v2 cgroup.
    #[error("device program for {}: {step}: {source}", path.display())]
    DeviceProgram {
        /// The cgroup.
        path: PathBuf,
        /// The step that failed.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io(
        operation: impl Into<String>,
        path: impl Into<PathBuf>,
        source: impl Into<io::Error>,
    ) -> Self {
        Self::hinted(operation, path, source, "")
    }

    pub(crate) fn hinted(
        operation: impl Into<String>,
        path: impl Into<PathBuf>,
        source: impl Into<io::Error>,
        hint: &'static str,
    ) -> Self {
        Self::Io {
            operation: operation.into(),
            path: path.into(),
            source: source.into(),
            hint,
        }
    }

    /// Whether somebody with more privileges would not have met it.
    #[must_use]
    pub fn is_lack_of_privilege(&self) -> bool {
        matches!(
            self.raw_os_error(),
            Some(libc::EACCES | libc::EPERM | libc::EROFS)
        )
    }

    /// The system's error number, where a system call was the cause.
    #[must_use]
    pub fn raw_os_error(&self) -> Option<i32> {
        match self {
            Self::Io { source, .. } | Self::DeviceProgram { source, .. } => source.raw_os_error(),
            Self::NotRestored { error, .. } => error.raw_os_error(),
            _ => None,
        }
    }
}
