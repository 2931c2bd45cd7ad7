//! A container's state as the OCI runtime specification has it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::record::State;
use super::status::Status;

/// A container's state: what `state` prints and what hooks read on their standard input.
///
/// Fields serialise in runc's order; `rootfs`, `created` and `owner` are runc's additions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct OciState {
    /// Version of the specification that this state is written by, whatever the configuration names.
    pub oci_version: String,
    /// The container's id.
    pub id: String,
    /// Its first process, in the caller's PID namespace; 0 when there is none.
    pub pid: i32,
    /// In which part of its life it is.
    pub status: Status,
    /// Absolute path of its bundle.
    pub bundle: PathBuf,
    /// Absolute path of its root file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rootfs: Option<PathBuf>,
    /// When it was made, RFC 3339 in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Its annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Who made it: the user's name where the caller filled it in, else empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// User id of who made it.
    #[serde(skip)]
    pub owner_uid: u32,
}

impl OciState {
    /// What `state` and `list` print.
    pub(crate) fn new(state: &State, status: Status) -> Self {
        Self {
            rootfs: Some(state.rootfs.clone()),
            created: Some(state.created.clone()),
            owner: Some(String::new()),
            ..Self::for_hooks(state, status)
        }
    }

    /// What hooks get: only what the specification has.
    pub(crate) fn for_hooks(state: &State, status: Status) -> Self {
        let pid = match status {
            Status::Stopped => 0,
            _ => state.process.map_or(0, |process| process.pid()),
        };
        Self {
            oci_version: state.oci_version.clone(),
            id: state.id.to_string(),
            pid,
            status,
            bundle: state.bundle.clone(),
            rootfs: None,
            created: None,
            annotations: state.annotations.clone(),
            owner: None,
            owner_uid: state.owner,
        }
    }

    /// The state as hooks read it.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        // Paths come from JSON, and maps have text as keys: nothing here can be refused.
        serde_json::to_vec(self).unwrap_or_default()
    }
}
