//! Programs that run at fixed points of a container's life (`hooks`).

use serde::{Deserialize, Serialize};

use super::lenient;

/// The hooks, by the moment at which they run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hooks {
    /// In the runtime's namespaces, before the root is entered. Deprecated by the specification.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient"
    )]
    pub prestart: Vec<Hook>,
    /// In the runtime's namespaces, after the container's exist and before its root is entered.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient"
    )]
    pub create_runtime: Vec<Hook>,
    /// In the container's namespaces, before its root is entered.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient"
    )]
    pub create_container: Vec<Hook>,
    /// In the container, on `start`, before the program runs.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient"
    )]
    pub start_container: Vec<Hook>,
    /// In the runtime's namespaces, after the program runs.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient"
    )]
    pub poststart: Vec<Hook>,
    /// In the runtime's namespaces, after the container is gone.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient"
    )]
    pub poststop: Vec<Hook>,
}

impl Hooks {
    /// The fields' names in a configuration, in the order in which they run.
    pub const NAMES: [&str; 6] = [
        "prestart",
        "createRuntime",
        "createContainer",
        "startContainer",
        "poststart",
        "poststop",
    ];

    /// Whether there is no hook at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        [
            &self.prestart,
            &self.create_runtime,
            &self.create_container,
            &self.start_container,
            &self.poststart,
            &self.poststop,
        ]
        .iter()
        .all(|hooks| hooks.is_empty())
    }
}

/// One program to run. It gets the container's state on its standard input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// The program: an absolute path.
    pub path: String,
    /// Its arguments, the first being its own name. Empty means the path alone.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient"
    )]
    pub args: Vec<String>,
    /// Its whole environment.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient"
    )]
    pub env: Vec<String>,
    /// How long it may take, in seconds. Absent means for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
}
