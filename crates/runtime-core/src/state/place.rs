//! `cgroup.json`: where the container's cgroup is.
//!
//! `state.json` says the same. This one is for whoever has to remove a container of which that file
//! can't be read. It is written before the cgroup is made: where it is not whole, there is none.

use serde::{Deserialize, Serialize};

use super::container::{ContainerDir, LockedDir};
use super::record::{CgroupPlace, MAX_SIZE, State, boot_id, is_plain, state_error};
use crate::error::Result;
use crate::id::ContainerId;
use crate::unit::UnitRecord;

pub(super) const PLACE: &str = "cgroup.json";

const VERSION: u32 = 1;

/// The container's cgroup, and the unit of systemd that it is, if it is one.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Place {
    version: u32,
    id: String,
    /// In another run of the machine its cgroup is gone, and what has its path is another's.
    boot_id: String,
    pub(crate) cgroup: Vec<CgroupPlace>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unit: Option<UnitRecord>,
}

impl Place {
    fn of(state: &State) -> Result<Self> {
        Ok(Self {
            version: VERSION,
            id: state.id.to_string(),
            boot_id: boot_id()?.to_owned(),
            cgroup: state.cgroup.clone(),
            unit: state.unit.clone(),
        })
    }

    /// `None` for what can't be relied on.
    pub(crate) fn from_json(json: &[u8], id: &ContainerId) -> Option<Self> {
        let place: Self = serde_json::from_slice(json).ok()?;
        let is_ours = place.version == VERSION && place.id == id.as_str();
        let is_plain = place.cgroup.iter().all(|place| is_plain(&place.path));
        (is_ours && is_plain).then_some(place)
    }

    /// Whether the machine still runs as it did when this was written.
    pub(crate) fn is_of_this_boot(&self) -> Result<bool> {
        Ok(boot_id()? == self.boot_id)
    }
}

impl ContainerDir {
    /// Reads `cgroup.json`; `None` when it is not there, or damaged too.
    pub(crate) fn place(&self) -> Option<Place> {
        Place::from_json(&self.read(PLACE, MAX_SIZE).ok()?, self.id())
    }
}

impl LockedDir {
    /// Writes `cgroup.json` for a new container, if it will have a cgroup.
    pub(super) fn write_first_place(&self, state: &State) -> Result<()> {
        if state.cgroup.is_empty() {
            return Ok(());
        }
        self.write_file(PLACE, &self.place_of(state)?)
            .map_err(|errno| self.not_written(PLACE, errno))
    }

    /// Replaces `cgroup.json`, and then `state.json`: the cgroup is not quite what was planned.
    pub(crate) fn write_place(&self, state: &State) -> Result<()> {
        self.replace(PLACE, &self.place_of(state)?)?;
        self.write_state(state)
    }

    fn place_of(&self, state: &State) -> Result<Vec<u8>> {
        let error = |error| state_error(&self.path_of(PLACE), error);
        serde_json::to_vec(&Place::of(state)?).map_err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    const PLACE: &str = r#"{"version":1,"id":"x","bootId":"b","cgroup":[{"hierarchy":"unified",
        "path":"/a/b"}],"unit":{"name":"u.scope","ofUser":false}}"#;

    #[test]
    fn what_can_not_be_relied_on_is_none() {
        let id = "x".parse().unwrap();
        let place = Place::from_json(PLACE.as_bytes(), &id).unwrap();
        assert_eq!(place.unit.unwrap().name, "u.scope");
        assert_eq!(place.cgroup[0].path.to_str(), Some("/a/b"));
        for (from, to) in [
            ("\"x\"", "\"y\""),
            ("version\":1", "version\":2"),
            ("/a/b", "/a/../b"),
            ("/a/b", "a/b"),
            ("\"unit\"", ""),
        ] {
            let text = PLACE.replace(from, to);
            assert_eq!(Place::from_json(text.as_bytes(), &id), None, "{text}");
        }
    }
}
