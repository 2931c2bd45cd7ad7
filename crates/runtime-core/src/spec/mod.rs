//! The OCI runtime specification's configuration (`config.json`), version 1.3, as plain Rust data.
//!
//! Fields follow `config.md` and `config-linux.md` one for one. What the specification leaves open
//! is open here: unknown properties are skipped, and names of capabilities, flags, actions and
//! the like stay text until something gives them a meaning. What it fixes is fixed: a wrong JSON
//! type, or a user id that the kernel would take for "none", is an error that names its place.
//!
//! `Option` means that absent differs from every value; an empty list and an absent one are the
//! same, and `null` in place of a list is an empty one, as producers written in Go have it.

mod defaults;
mod hooks;
mod linux;
mod mounts;
mod process;
mod resources;
mod seccomp;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

pub use defaults::{default_spec, rootless_spec};
pub use hooks::{Hook, Hooks};
pub use linux::{
    Device, IdMapping, IntelRdt, Linux, MemoryPolicy, Namespace, NamespaceKind, NetDevice,
    Personality, TimeOffset,
};
pub use mounts::{Mount, Root};
pub use process::{
    Capabilities, ConsoleSize, CpuAffinity, IoPriority, Process, Rlimit, Scheduler, User,
};
pub use resources::{
    BlockIo, Cpu, DeviceRule, HugepageLimit, InterfacePriority, Memory, Network, Pids, Rdma,
    Resources, ThrottleDevice, WeightDevice,
};
pub use seccomp::{ArgCondition, Seccomp, SyscallRule};

/// The newest version of the specification that these types follow.
pub const OCI_VERSION: &str = "1.3.0";

/// What a container shall be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The version of the specification that the configuration follows.
    pub oci_version: String,
    /// The program to run. A container can be created without, but not started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// The root file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<Root>,
    /// The host name that the container sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The NIS domain name that the container sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domainname: Option<String>,
    /// Mounts, made in this order.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient"
    )]
    pub mounts: Vec<Mount>,
    /// Programs that run at fixed points of the container's life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Hooks>,
    /// Free-form metadata.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "lenient"
    )]
    pub annotations: BTreeMap<String, String>,
    /// What only Linux has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linux: Option<Linux>,
}

impl Spec {
    /// Reads a `config.json`.
    ///
    /// # Errors
    /// Names the place in the document and what is wrong there.
    pub fn from_slice(json: &[u8]) -> Result<Self, SpecError> {
        parse(json)
    }

    /// Reads a `config.json`, and tells the places in it that no version known here has: they mean
    /// nothing, or a mistake in writing.
    ///
    /// # Errors
    /// As [`Spec::from_slice`].
    pub fn from_slice_noting(json: &[u8]) -> Result<(Self, Vec<String>), SpecError> {
        parse_noting(json)
    }
}

impl Process {
    /// Reads a `process` object alone, as a further process of a container has one, and tells the places
    /// in it that no version known here has.
    ///
    /// # Errors
    /// Names the place in the document and what is wrong there.
    pub fn from_slice_noting(json: &[u8]) -> Result<(Self, Vec<String>), SpecError> {
        parse_noting(json)
    }
}

impl Resources {
    /// Reads a `resources` object alone, as an update takes it, and tells the places in it that no
    /// version known here has.
    ///
    /// # Errors
    /// Names the place in the document and what is wrong there.
    pub fn from_slice_noting(json: &[u8]) -> Result<(Self, Vec<String>), SpecError> {
        parse_noting(json)
    }
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecError {
    /// The place in the document, such as `linux.namespaces[2].type`; `.` is the whole.
    pub path: String,
    /// What is wrong there, with line and column.
    pub message: String,
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "." => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

impl std::error::Error for SpecError {}

/// Parses, and tells the places that the type does not have.
fn parse_noting<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Result<(T, Vec<String>), SpecError> {
    let mut unknown = Vec::new();
    let mut document = serde_json::Deserializer::from_str(text_of(json)?);
    // An `Option` on the way is no part of the document.
    let read = serde_ignored::deserialize(&mut document, |path| {
        unknown.push(path.to_string().replace(".?", ""));
    });
    match (read, document.end()) {
        (Ok(read), Ok(())) => Ok((read, unknown)),
        // It fails again, and says where.
        _ => parse(json).map(|read| (read, unknown)),
    }
}

/// Parses without bookkeeping, and once more with it only to say where an error is.
fn parse<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Result<T, SpecError> {
    let json = text_of(json)?;
    serde_json::from_str(json).map_err(|first| {
        let traced: Result<T, _> =
            serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(json));
        match traced {
            Err(error) => SpecError {
                path: error.path().to_string(),
                message: error.into_inner().to_string(),
            },
            // Only the first pass looks for what comes after the document.
            Ok(_) => SpecError {
                path: ".".to_owned(),
                message: first.to_string(),
            },
        }
    })
}

/// Checked as a whole, which takes less than string by string.
fn text_of(json: &[u8]) -> Result<&str, SpecError> {
    str::from_utf8(json).map_err(|error| {
        let before = &json[..error.valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        SpecError {
            path: ".".to_owned(),
            message: format!("it is not UTF-8 text at line {line}"),
        }
    })
}

/// Takes `null` for the type's default.
fn lenient<'de, T, D>(from: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(from).map(Option::unwrap_or_default)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_zero(value: &u64) -> bool {
    *value == 0
}
