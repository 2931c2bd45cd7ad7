//! `state.json`: what it says and how it is read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Result};
use crate::id::ContainerId;
use crate::process_id::ProcessId;
use crate::resctrl::ResctrlPlace;
use crate::spec::OCI_VERSION;
use crate::time::rfc3339;
use crate::unit::UnitRecord;

/// The form of the record that this version writes, and the only one that it reads.
const VERSION: u32 = 1;

/// The largest `state.json`, in bytes.
pub(crate) const MAX_SIZE: usize = 1 << 20;

/// How far `create` came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// At work, or killed at work: what the record names may or may not be there.
    Creating,
    /// All is made. Whether the program waits, runs or is gone, the kernel knows.
    Created,
}

/// A file by its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileId {
    /// Device number, as `stat(2)` gives it.
    pub(crate) device: u64,
    /// Inode number.
    pub(crate) inode: u64,
}

/// The container's cgroup in one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CgroupPlace {
    /// The hierarchy's name.
    pub(crate) hierarchy: String,
    /// The directory, absolute.
    pub(crate) path: PathBuf,
}

/// What is known about a container. Whatever is made for it is named here first, so that
/// whoever finds the record can remove all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct State {
    version: u32,
    #[serde(with = "id_as_text")]
    pub(crate) id: ContainerId,
    /// The version of the specification that its state is told by.
    pub(crate) oci_version: String,
    pub(crate) bundle: PathBuf,
    pub(crate) rootfs: PathBuf,
    /// When the container was made, RFC 3339.
    pub(crate) created: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
    /// User id of who made the container.
    pub(crate) owner: u32,
    pub(crate) phase: Phase,
    /// The container's first process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) process: Option<ProcessId>,
    /// Tells this run of the machine from others, in which pids mean other processes.
    boot_id: String,
    /// The program that sets the container up: as long as the first process executes it, the
    /// container's own program has not started. So `start` has nothing to write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) init_file: Option<FileId>,
    /// Directories in cgroup file systems.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) cgroup: Vec<CgroupPlace>,
    /// Groups of the resctrl file system.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) resctrl: Vec<ResctrlPlace>,
    /// `CLONE_NEW*` of the namespaces that were made for the container.
    #[serde(default)]
    pub(crate) new_namespaces: u32,
    /// `CLONE_NEW*` of the namespaces that the container joined.
    #[serde(default)]
    pub(crate) joined_namespaces: u32,
    /// Whether the container has a session keyring of its own.
    #[serde(default)]
    pub(crate) session_keyring: bool,
    /// The mount that is its root, where that is one of the host's: what `statx(2)` numbers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) root_mount: Option<u64>,
    /// Whether its root was entered with `chroot(2)`.
    pub(crate) no_pivot: bool,
    /// Whether its configuration has hooks that run after its creation.
    pub(crate) late_hooks: bool,
    /// The unit of systemd that its cgroup is, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unit: Option<UnitRecord>,
    /// Whether it was paused before it was started: then `start` asks the kernel whether it still
    /// is, which costs every other container nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) paused_early: bool,
    /// Whether its filter asks an agent about system calls.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) seccomp_agent: bool,
}

impl State {
    /// The record of a container of which nothing is made yet.
    pub(crate) fn new(id: ContainerId, bundle: &Path, rootfs: &Path, owner: u32) -> Result<Self> {
        Ok(Self {
            version: VERSION,
            id,
            oci_version: OCI_VERSION.to_owned(),
            bundle: bundle.to_owned(),
            rootfs: rootfs.to_owned(),
            created: rfc3339(SystemTime::now()),
            annotations: BTreeMap::new(),
            owner,
            phase: Phase::Creating,
            process: None,
            boot_id: boot_id()?.to_owned(),
            init_file: None,
            cgroup: Vec::new(),
            resctrl: Vec::new(),
            new_namespaces: 0,
            joined_namespaces: 0,
            session_keyring: false,
            root_mount: None,
            no_pivot: false,
            late_hooks: false,
            unit: None,
            paused_early: false,
            seccomp_agent: false,
        })
    }

    /// Whether the machine still runs as it did when the record was made.
    pub(crate) fn is_of_this_boot(&self) -> Result<bool> {
        Ok(boot_id()? == self.boot_id)
    }

    /// The record as it is written; `path` is for errors.
    pub(crate) fn to_json(&self, path: &Path) -> Result<Vec<u8>> {
        let json = serde_json::to_vec(self).map_err(|error| state_error(path, error))?;
        if json.len() > MAX_SIZE {
            let message = format!(
                "it would have {} bytes; {MAX_SIZE} are allowed: shorten the annotations",
                json.len()
            );
            return Err(state_error(path, message));
        }
        Ok(json)
    }

    /// Reads a record, and checks that it is this container's; `path` is for errors.
    pub(crate) fn from_json(json: &[u8], id: &ContainerId, path: &Path) -> Result<Self> {
        if json.len() > MAX_SIZE {
            return Err(state_error(
                path,
                format!("it has more than {MAX_SIZE} bytes"),
            ));
        }
        let state: Self = match serde_json::from_slice(json) {
            Ok(state) => state,
            Err(error) => return Err(state_error(path, why_unreadable(json, &error))),
        };
        if state.version != VERSION {
            return Err(state_error(path, other_version(state.version.into())));
        }
        if state.id != *id {
            return Err(state_error(
                path,
                format!("it is the state of container {}", state.id),
            ));
        }
        if state.phase == Phase::Created && state.process.is_none() {
            return Err(state_error(path, "it says created, and names no process"));
        }
        let groups = state.resctrl.iter().map(|place| &place.path);
        let mut paths = state.cgroup.iter().map(|place| &place.path).chain(groups);
        if paths.any(|path| !is_plain(path)) {
            return Err(state_error(
                path,
                "cgroup: a path is not absolute, or has .. in it",
            ));
        }
        Ok(state)
    }
}

/// What the record names is removed by name: nothing may lead elsewhere.
pub(super) fn is_plain(path: &Path) -> bool {
    use std::path::Component;
    let plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
    path.is_absolute() && path.components().all(plain)
}

/// A record of another version may differ in any way but in that it says so.
fn why_unreadable(json: &[u8], error: &serde_json::Error) -> String {
    #[derive(Deserialize)]
    struct Version {
        version: u64,
    }
    match serde_json::from_slice::<Version>(json) {
        Ok(Version { version }) if version != u64::from(VERSION) => other_version(version),
        _ if json.is_empty() => "it is empty".to_owned(),
        _ => format!("it is not a container's state, or damaged: {error}"),
    }
}

fn other_version(version: u64) -> String {
    format!(
        "it has version {version}, written by another release; this one reads version {VERSION}"
    )
}

pub(super) fn state_error(path: &Path, message: impl ToString) -> Error {
    Error::State {
        path: path.to_owned(),
        message: message.to_string(),
    }
}

/// The kernel's name for this run of the machine.
pub(super) fn boot_id() -> Result<&'static str> {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    if let Some(known) = BOOT_ID.get() {
        return Ok(known);
    }
    const PATH: &str = "/proc/sys/kernel/random/boot_id";
    let mut buffer = [0; 64];
    let length = rustix::fs::open(PATH, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .and_then(|file| rustix::io::read(&file, &mut buffer))
        .context(|| format!("read {PATH}"))?;
    let text = String::from_utf8_lossy(&buffer[..length]);
    Ok(BOOT_ID.get_or_init(|| text.trim().to_owned()))
}

mod id_as_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::id::ContainerId;

    pub(super) fn serialize<S: Serializer>(id: &ContainerId, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(id.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<ContainerId, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}
