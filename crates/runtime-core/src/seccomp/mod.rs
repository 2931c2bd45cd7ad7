//! System call filters: `linux.seccomp` compiled to a program for `seccomp(2)`.
//!
//! libseccomp turns the rules into BPF. In front of its program goes a short prelude that answers
//! `ENOSYS` to calls newer than the profile, so that a C library falls back to an older call instead
//! of failing on `EPERM`. The whole is then written anew as a search for the range in which the number
//! lies, a third as long, since the kernel compiles it again for each process. Compiling a profile of
//! the usual size takes milliseconds; a [`Cache`] makes that the cost of the first container with it.

#[cfg(feature = "seccomp")]
mod bpf;
mod cache;
#[cfg(feature = "seccomp")]
mod library;
#[cfg(feature = "seccomp")]
mod prelude;
mod profile;
#[cfg(feature = "seccomp")]
mod ranges;
#[cfg(test)]
#[cfg(feature = "seccomp")]
mod tests;

pub use cache::Cache;

use crate::spec::Seccomp;

/// Whether this build can compile filters (cargo feature `seccomp`).
pub const ENABLED: bool = cfg!(feature = "seccomp");

/// The longest program that the kernel takes, in instructions (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;

/// The size of one instruction, a `struct sock_filter`, in bytes.
pub const INSTRUCTION_SIZE: usize = 8;

/// A compiled filter, ready for `seccomp(SECCOMP_SET_MODE_FILTER)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// An array of `struct sock_filter` in this machine's byte order.
    pub instructions: Vec<u8>,
    /// `SECCOMP_FILTER_FLAG_*` for the call. `TSYNC` is never among them: the process that installs
    /// the filter has one thread.
    pub flags: u32,
}

/// Why a filter cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    /// The profile asks for what does not exist.
    #[error("{path}: {message}")]
    Invalid {
        /// The place in the configuration, such as `linux.seccomp.syscalls[3].action`.
        path: String,
        /// What is wrong there.
        message: String,
    },
    /// The profile asks for an action that there is not.
    #[error("{path}: unknown action {name:?}")]
    UnknownAction {
        /// The place in the configuration.
        path: String,
        /// What stands there.
        name: String,
    },
    /// libseccomp refuses.
    #[error("{path}: libseccomp refuses to {operation}: {reason}")]
    Library {
        /// The place in the configuration.
        path: String,
        /// What it was asked to do.
        operation: String,
        /// Its own words.
        reason: String,
    },
    /// The rules need more instructions than the kernel takes.
    #[error(
        "linux.seccomp: the rules need {0} instructions, but the kernel takes at most {MAX_INSTRUCTIONS}"
    )]
    TooLong(usize),
    /// The compiled program cannot be read back from libseccomp.
    #[error("linux.seccomp: export the compiled filter to a memfd: {0}")]
    Export(std::io::Error),
    /// The cache's directory cannot be used.
    #[error("{operation} seccomp cache {path}: {source}")]
    Cache {
        /// What failed.
        operation: &'static str,
        /// The directory.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// This build has no libseccomp.
    #[error("linux.seccomp: this build has no seccomp support (cargo feature `seccomp`)")]
    Disabled,
}

/// Whether the filter asks an agent about some system calls.
pub(crate) fn notifies(seccomp: &Seccomp) -> bool {
    let mut rules = seccomp.syscalls.iter();
    rules.any(|rule| rule.action == "SCMP_ACT_NOTIFY" && !rule.names.is_empty())
}

/// Compiles a filter.
///
/// System calls that libseccomp does not know are left out, as every runtime does: a profile is
/// written for more kernels than one. Any other unknown name is an error.
///
/// # Errors
/// Names the field of the profile that has no meaning, or what libseccomp refuses.
pub fn compile(seccomp: &Seccomp) -> Result<Filter, SeccompError> {
    compile_resolved(&profile::Profile::resolve(seccomp)?)
}

#[cfg(feature = "seccomp")]
fn compile_resolved(profile: &profile::Profile<'_>) -> Result<Filter, SeccompError> {
    let mut instructions = match prelude::answers_enosys(profile) {
        true => prelude::assemble(&library::newest_calls(profile)),
        false => Vec::new(),
    };
    instructions.extend(library::program(profile)?);
    if let Some(shorter) = ranges::by_ranges(&instructions) {
        instructions = shorter;
    }
    let count = instructions.len() / INSTRUCTION_SIZE;
    if count > MAX_INSTRUCTIONS {
        return Err(SeccompError::TooLong(count));
    }
    Ok(Filter {
        instructions,
        flags: profile.flags,
    })
}

#[cfg(not(feature = "seccomp"))]
fn compile_resolved(_profile: &profile::Profile<'_>) -> Result<Filter, SeccompError> {
    Err(SeccompError::Disabled)
}

/// The version of libseccomp in use, if there is one, such as `2.5.4`.
#[must_use]
pub fn library_version() -> Option<String> {
    #[cfg(feature = "seccomp")]
    return library::version();
    #[cfg(not(feature = "seccomp"))]
    None
}

/// The names of actions that a profile may use here.
#[must_use]
pub fn known_actions() -> Vec<&'static str> {
    profile::ACTIONS.iter().map(|(name, _)| *name).collect()
}

/// The names of comparisons that a profile may use.
#[must_use]
pub fn known_operators() -> Vec<&'static str> {
    profile::OPERATORS.iter().map(|(name, _)| *name).collect()
}

/// The names of architectures that a profile may use: those that the libseccomp in use has.
#[must_use]
pub fn known_architectures() -> Vec<&'static str> {
    #[cfg(feature = "seccomp")]
    let is_known = library::knows;
    #[cfg(not(feature = "seccomp"))]
    let is_known = |_: &str| false;
    let names = profile::ARCHITECTURES.iter().map(|one| one.name);
    names.filter(|name| is_known(name)).collect()
}

/// The names of flags that a profile may use.
#[must_use]
pub fn known_flags() -> Vec<&'static str> {
    profile::FLAGS.iter().map(|(name, _)| *name).collect()
}
