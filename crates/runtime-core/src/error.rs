//! What can go wrong, by what the caller can do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::hint::Hint;
use crate::id::ContainerId;
use crate::plan::{of_birth, os_error};
use crate::seccomp::SeccompError;
use crate::spec::SpecError;
use crate::state::Status;

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error: each names the operation, the object, and the operating system's error where there
/// is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration file is not what the OCI runtime specification says.
    #[error("{}: {error}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Where in it, and what is wrong.
        error: SpecError,
    },
    /// There is no configuration in the bundle.
    #[error("open bundle configuration {}: {}", path.display(), os_error(libc::ENOENT))]
    NoConfiguration {
        /// Where it would have to be.
        path: PathBuf,
    },
    /// A field has a value that makes no sense.
    #[error("{field}: {message}")]
    Invalid {
        /// The field, as a path into `config.json`, the builder's method or the option's name.
        field: String,
        /// What is wrong, and what to do.
        message: String,
    },
    /// A field of the specification that is not honoured yet.
    #[error("{field}: not supported yet; remove it to run the container without it")]
    Unsupported {
        /// The field, as a path into `config.json`.
        field: String,
    },
    /// A step of the Plan failed in the container.
    #[error(transparent)]
    Step(#[from] StepError),
    /// A mount of the specification failed: its source, or the mount itself.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// The caller's own part failed.
    #[error("{operation}: {}{}", words_of(error), InBrackets(*hint))]
    System {
        /// What was tried, and on what.
        operation: String,
        /// The operating system's answer.
        #[source]
        error: io::Error,
        /// What to do about it, where that is known.
        hint: Option<&'static str>,
    },
    /// The container's cgroup could not be made, changed or removed.
    #[error(transparent)]
    Cgroup(#[from] orlop_cgroups::Error),
    /// systemd is to make the cgroup, and does not run.
    #[error("systemd not running on this host, cannot use systemd cgroups manager")]
    NoSystemd,
    /// The system call filter could not be compiled.
    #[error(transparent)]
    Seccomp(#[from] SeccompError),
    /// A hook could not be run, failed, or took too long.
    #[error(
        "error running {kind} hook #{index}: {}: {message} \
         (run it by hand, or take hooks.{kind}[{index}] out of the configuration)",
        path.display()
    )]
    Hook {
        /// When it runs: the field's name below `hooks`.
        kind: &'static str,
        /// Its place in that field, from 0 on.
        index: usize,
        /// The hook's program.
        path: PathBuf,
        /// What happened.
        message: String,
    },
    /// There is no container with this id.
    #[error("container does not exist: {0}")]
    NotFound(ContainerId),
    /// The id is taken.
    #[error(
        "container with given ID already exists: {0} (choose another id, or delete that one first)"
    )]
    Exists(ContainerId),
    /// The operation needs a running container.
    #[error("container not running: {0} (once it has stopped, delete it and create it again)")]
    NotRunning(ContainerId),
    /// Only a stopped container can be removed, unless by force.
    #[error("cannot delete container {id} that is not stopped: {status}")]
    NotStopped {
        /// The container.
        id: ContainerId,
        /// Its present state.
        status: Status,
    },
    /// A further process would be frozen as soon as it is there.
    #[error("cannot exec in a paused container")]
    Paused,
    /// The operation makes no sense in the container's present state.
    #[error("{message}")]
    WrongState {
        /// What the state is and what it would have to be.
        message: String,
    },
    /// The directory of states belongs to a user who lets nobody else in.
    #[error("open the state directory {}: {}", path.display(), os_error(libc::EACCES))]
    ForeignRoot {
        /// The directory.
        path: PathBuf,
    },
    /// A state file can't be read as one.
    #[error("{}: {message}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// Its memory limit is too small for the container to be set up.
    #[error("container init was OOM-killed (memory limit too low?){}", HowMuch(*limit))]
    OutOfMemory {
        /// The cgroup's limit in bytes, if it has one of its own.
        limit: Option<u64>,
    },
    /// The container's first process ended before it was set up.
    #[error("the container's init {how} {}", place(operation.as_deref()))]
    InitDied {
        /// How it ended, for example `was killed by signal 9`.
        how: String,
        /// What it did then, for example `mount proc at /proc`, where that is known: not of a process
        /// that shares its steps with others of its kind, nor of one that had not begun.
        operation: Option<String>,
    },
    /// criu is missing, too old, or could not do what was asked of it.
    #[error("{message}")]
    Criu {
        /// What criu says of it.
        message: String,
    },
    /// A time limit ran out.
    #[error("{operation}: gave up after {seconds} s")]
    TimedOut {
        /// What was waited for.
        operation: String,
        /// How long, in seconds.
        seconds: u64,
    },
}

impl Error {
    /// An error for a field's value.
    pub(crate) fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid {
            field: field.into(),
            message: message.into(),
        }
    }

    /// Names what was tried when the operating system refused.
    pub(crate) fn system(operation: impl Into<String>, error: impl Into<io::Error>) -> Self {
        Self::System {
            operation: operation.into(),
            error: error.into(),
            hint: None,
        }
    }

    /// Adds what to do, where the operating system refused; what was said before stays without it.
    pub(crate) fn hinted(self, advice: Option<&'static str>) -> Self {
        match self {
            Self::System {
                operation,
                error,
                hint,
            } => Self::System {
                operation,
                error,
                hint: advice.or(hint),
            },
            other => other,
        }
    }
}

/// An operating system's error as callers know it, without its number.
fn words_of(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(errno) => os_error(errno),
        None => error.to_string(),
    }
}

/// Where init was when it died.
fn place(operation: Option<&str>) -> String {
    match operation {
        Some(operation) => format!("at: {operation}"),
        None => "before it was ready".to_owned(),
    }
}

/// A hint as it follows what failed.
struct InBrackets<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for InBrackets<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// What was too little memory.
struct HowMuch(Option<u64>);

impl fmt::Display for HowMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(limit) => write!(
                f,
                ": it is {limit} bytes: raise linux.resources.memory.limit"
            ),
            None => f.write_str(": raise the limit of the cgroup that the container's is in"),
        }
    }
}

/// Says what was tried, where a call of the operating system fails.
pub(crate) trait Context<T> {
    /// The operation and its object, as a person would say it: `open /dev/null`.
    fn context(self, operation: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, operation: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::system(operation(), error))
    }
}

/// A step of a Plan that failed in the container's init.
#[derive(Debug, Clone)]
pub struct StepError {
    /// The step's place in the Plan; `usize::MAX` for what comes before the first.
    pub index: usize,
    /// The field of the specification that asked for it, if one did.
    pub field: Option<String>,
    /// What was tried, for example `mount proc at /proc`.
    pub operation: String,
    /// What failed about it.
    pub reason: String,
    /// The kernel's error number, or 0 where a program's own failure is the reason.
    pub errno: i32,
    /// What usually causes this, where it is known.
    pub hint: Option<Hint>,
}

impl StepError {
    /// The process could not be born, or its namespaces could not be made.
    pub(crate) fn of_birth(operation: String, errno: i32) -> Self {
        Self {
            index: usize::MAX,
            field: None,
            operation,
            reason: os_error(errno),
            errno,
            hint: of_birth(errno),
        }
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hint = InBrackets(self.hint);
        write!(f, "{}: {}{hint}", self.operation, self.reason)
    }
}

impl std::error::Error for StepError {}

/// A mount that failed.
#[derive(Debug, Clone)]
pub struct MountError {
    /// The field of the specification that asked for it, for example `mounts[3]`.
    pub field: String,
    /// What was to be mounted: a path of the host, or the source of a file system.
    pub source: String,
    /// Where, as a path in the container.
    pub target: String,
    /// What failed about it, with the operating system's words in small letters.
    pub reason: String,
    /// The kernel's error number.
    pub errno: i32,
    /// What usually causes this, where it is known.
    pub hint: Option<&'static str>,
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            field,
            source,
            target,
            reason,
            ..
        } = self;
        let hint = InBrackets(self.hint);
        write!(
            f,
            "error mounting {source:?} to rootfs at {target:?}: {field}: {reason}{hint}"
        )
    }
}

impl std::error::Error for MountError {}
