//! `state`: what there is to know about a container.

use std::collections::BTreeMap;

use serde::Serialize;

use super::container;
use crate::cli::{Argument, Arity, Command, Matches};
use crate::context::Context;
use crate::failure::Failure;
use crate::time::rfc3339;

pub(super) const COMMAND: Command = Command {
    name: "state",
    summary: "show a container's state",
    arguments: "ID",
    first_argument: Argument::Container,
    description: "Prints the container's state as the OCI runtime specification has it, as JSON.",
    flags: &[],
    arity: Arity::Exactly(1),
    passes_on: false,
    run,
};

/// The state in runc's form: the specification's, and some more.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StateRecord {
    pub(super) oci_version: String,
    pub(super) id: String,
    /// 0 where there is no process.
    pub(super) pid: u32,
    pub(super) status: String,
    pub(super) bundle: String,
    pub(super) rootfs: String,
    pub(super) created: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
    /// A user's name in `list`, and empty in `state`.
    pub(super) owner: String,
}

impl StateRecord {
    pub(super) fn new(state: orlop::State, owner: String) -> Self {
        Self {
            oci_version: state.oci_version,
            id: state.id.to_string(),
            pid: state.pid.map_or(0, Into::into),
            status: state.status.to_string(),
            bundle: state.bundle.to_string_lossy().into_owned(),
            rootfs: state.rootfs.to_string_lossy().into_owned(),
            created: rfc3339(state.created),
            annotations: state.annotations,
            owner,
        }
    }
}

fn run(context: &Context, matches: &Matches) -> Result<u8, Failure> {
    let state = container::load(context, matches)?.state()?;
    let json = serde_json::to_vec_pretty(&StateRecord::new(state, String::new()))
        .map_err(|error| Failure::new(format!("render the state: {error}")))?;
    super::print(json)
}
