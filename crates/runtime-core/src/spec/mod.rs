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
mod merge;
mod mounts;
mod process;
mod reader;
mod resources;
mod seccomp;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
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

use reader::{Letters, Misspelt};

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
    /// Reads a `config.json`. Names of properties have to be written as the specification has them.
    ///
    /// # Errors
    /// Names the place in the document and what is wrong there.
    pub fn from_slice(json: &[u8]) -> Result<Self, SpecError> {
        parse(text_of(json)?)
    }

    /// Reads a `config.json`, and tells what is to be remarked on in it: properties that no version
    /// known here has, which mean nothing, or a mistake in writing; and those whose names are right but
    /// for the case of letters, which are read as what they mean, and as one where there are two.
    ///
    /// # Errors
    /// As [`Spec::from_slice`].
    pub fn from_slice_noting(json: &[u8]) -> Result<(Self, Vec<String>), SpecError> {
        Self::read(json).map(Noted::without_document)
    }

    /// As [`Spec::from_slice_noting`].
    pub(crate) fn read(json: &[u8]) -> Result<Noted<Self>, SpecError> {
        parse_noting(json)
    }
}

impl Process {
    /// Reads a `process` object alone, as a further process of a container has one, and tells what is to
    /// be remarked on in it, as [`Spec::from_slice_noting`].
    ///
    /// # Errors
    /// Names the place in the document and what is wrong there.
    pub fn from_slice_noting(json: &[u8]) -> Result<(Self, Vec<String>), SpecError> {
        parse_noting(json).map(Noted::without_document)
    }
}

impl Resources {
    /// Reads a `resources` object alone, as an update takes it, and tells what is to be remarked on in
    /// it, as [`Spec::from_slice_noting`].
    ///
    /// # Errors
    /// Names the place in the document and what is wrong there.
    pub fn from_slice_noting(json: &[u8]) -> Result<(Self, Vec<String>), SpecError> {
        parse_noting(json).map(Noted::without_document)
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

/// What was read, and what is to be said of it.
pub(crate) struct Noted<T> {
    pub value: T,
    /// Each with its place.
    pub remarks: Vec<String>,
    /// The document with its names put right, where some were not.
    pub put_right: Option<String>,
}

impl<T> Noted<T> {
    fn without_document(self) -> (T, Vec<String>) {
        (self.value, self.remarks)
    }
}

/// Parses, and remarks on what is in the document. Only where there is anything, or it can't be read,
/// names are looked at without regard to case.
fn parse_noting<T: DeserializeOwned>(json: &[u8]) -> Result<Noted<T>, SpecError> {
    let json = text_of(json)?;
    if let Ok((value, findings)) = reader::read(json, Letters::AsTheyAre)
        && findings.unknown.is_empty()
    {
        return Ok(Noted {
            value,
            remarks: Vec::new(),
            put_right: None,
        });
    }
    let mut document = Cow::Borrowed(json);
    let mut remarks = Vec::new();
    loop {
        let (value, findings) = reader::read(&document, Letters::InAnyCase)?;
        for Misspelt { place, name, .. } in &findings.misspelt {
            remarks.push(format!("{place}: read as {name}; write it so"));
        }
        if findings.again.is_empty() {
            // config.md, extensibility: they are to be ignored, and may be logged.
            let unknown = findings.unknown.iter();
            remarks.extend(unknown.map(|place| format!("{place}: unknown property; ignored")));
            if !findings.misspelt.is_empty() {
                document = findings.put_right(&document).into();
            }
            return Ok(Noted {
                value,
                remarks,
                put_right: match document {
                    Cow::Borrowed(_) => None,
                    Cow::Owned(document) => Some(document),
                },
            });
        }
        let again = findings.again.iter();
        remarks.extend(again.map(|place| {
            format!("{place}: the same property stands before it in other letters; both are read, and of two values the later")
        }));
        // What is in them is looked at once they are one.
        let merged = merge::merged(&findings.put_right(&document));
        document = merged
            .map_err(|error| SpecError {
                path: ".".to_owned(),
                message: error.to_string(),
            })?
            .into();
    }
}

/// Parses, and remarks on nothing.
fn parse<'de, T: Deserialize<'de>>(json: &'de str) -> Result<T, SpecError> {
    reader::read(json, Letters::AsTheyAre).map(|(value, _)| value)
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
