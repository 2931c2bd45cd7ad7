//! The root file system and what is mounted in it (`root`, `mounts`).

use serde::{Deserialize, Serialize};

use super::{IdMapping, is_false, lenient};

/// The root file system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// A directory on the host, absolute or relative to the bundle.
    pub path: String,
    /// Whether the container sees it read-only.
    #[serde(default, skip_serializing_if = "is_false")]
    pub readonly: bool,
}

/// One mount, in the order of the list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    /// Where, in the container. Relative paths start at its root.
    pub destination: String,
    /// The file system's type, such as `tmpfs`; for bind mounts anything.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The device's name, or what to bind: on the host, absolute or relative to the bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Options as in `fstab(5)`.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient"
    )]
    pub options: Vec<String>,
    /// User ids of an id-mapped mount.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient"
    )]
    pub uid_mappings: Vec<IdMapping>,
    /// Group ids of an id-mapped mount.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient"
    )]
    pub gid_mappings: Vec<IdMapping>,
}
