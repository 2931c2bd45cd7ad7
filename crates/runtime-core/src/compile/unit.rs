//! The cgroup of a container as a unit of systemd.

use std::collections::BTreeMap;

use orlop_cgroups::CgroupPath;

use crate::error::Result;
use crate::id::ContainerId;
use crate::plan::UnitPlan;

/// What runc and all of its callers call the scope of a container that asks for no name.
#[cfg(feature = "systemd")]
const DEFAULT_PREFIX: &str = "runc";

/// The `cgroupsPath` of a container that asks for none.
#[cfg(feature = "systemd")]
pub(crate) fn usual_unit(id: &ContainerId) -> String {
    format!(":{DEFAULT_PREFIX}:{id}")
}

/// The unit that `linux.cgroupsPath` names, `slice:prefix:name`, or the default one for this id, with
/// the properties that annotations give it.
///
/// Its path is below the system's manager; where a user's manager keeps it, only that one knows.
#[cfg(feature = "systemd")]
pub(super) fn unit(
    path: &str,
    id: Option<&ContainerId>,
    of_user: bool,
    annotations: &BTreeMap<String, String>,
) -> Result<(CgroupPath, UnitPlan)> {
    use crate::error::Error;

    let text = match (path, id) {
        ("", Some(id)) => usual_unit(id),
        ("", None) => {
            return Err(Error::invalid(
                "linux.cgroupsPath",
                "missing; a unit of systemd needs a name",
            ));
        }
        (path, _) => path.to_owned(),
    };
    if text.split(':').count() != 3 {
        let message = format!(
            "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, \
             got {text:?} instead"
        );
        return Err(Error::invalid("linux.cgroupsPath", message));
    }
    let invalid =
        |error: orlop_cgroups::Error| Error::invalid("linux.cgroupsPath", error.to_string());
    let unit = orlop_cgroups::systemd::UnitPath::parse(&text, of_user).map_err(invalid)?;
    let path = CgroupPath::new(&directory(unit.slice(), unit.name().as_str())).map_err(invalid)?;
    let unit = UnitPlan {
        text,
        of_user,
        properties: properties(annotations)?,
    };
    Ok((path, unit))
}

/// What an annotation may set, sorted: how the scope ends, is accounted, described and ordered. All
/// else would lift limits, or reach beyond it: start and stop other units, take in others' processes,
/// turn the machine off. Annotations often come from who may do none of that.
#[cfg(feature = "systemd")]
const PROPERTIES: [&str; 24] = [
    "After",
    "Before",
    "BlockIOAccounting",
    "CPUAccounting",
    "CollectMode",
    "DefaultDependencies",
    "Description",
    "Documentation",
    "FinalKillSignal",
    "IOAccounting",
    "IPAccounting",
    "KillMode",
    "KillSignal",
    "MemoryAccounting",
    "OOMPolicy",
    "RestartKillSignal",
    "RuntimeMaxUSec",
    "RuntimeRandomizedExtraUSec",
    "SendSIGHUP",
    "SendSIGKILL",
    "SurviveFinalKillSignal",
    "TasksAccounting",
    "TimeoutStopUSec",
    "WatchdogSignal",
];

/// `org.systemd.property.NAME=VALUE`, with values in GVariant's text format.
#[cfg(feature = "systemd")]
fn properties(annotations: &BTreeMap<String, String>) -> Result<Vec<crate::unit::Property>> {
    use crate::error::Error;
    use crate::features::UNIT_PROPERTY;

    let given = annotations
        .iter()
        .filter_map(|(key, value)| Some((key, key.strip_prefix(UNIT_PROPERTY)?, value)));
    given
        .map(|(key, name, value)| {
            let invalid = |message| Error::invalid(format!("annotations.{key}"), message);
            let property = orlop_cgroups::systemd::Property::parse(name, value)
                .map_err(|error| invalid(error.to_string()))?;
            if PROPERTIES.contains(&property.name()) {
                return Ok(property);
            }
            Err(invalid(format!(
                "no annotation may set this property (limits belong to linux.resources); those that \
                 may be set are {}",
                PROPERTIES.join(", ")
            )))
        })
        .collect()
}

/// `a-b.slice` lies in `a.slice`; the root slice, `-.slice`, in nothing.
#[cfg(feature = "systemd")]
fn directory(slice: &str, name: &str) -> String {
    let stem = slice.strip_suffix(".slice").unwrap_or_default();
    let mut path = String::from("/");
    if stem != "-" {
        for (at, _) in stem.match_indices('-') {
            path.push_str(&format!("{}.slice/", &stem[..at]));
        }
        path.push_str(&format!("{slice}/"));
    }
    path + name
}

/// As with the feature `systemd`, without which there are no units.
#[cfg(not(feature = "systemd"))]
pub(super) fn unit(
    _: &str,
    _: Option<&ContainerId>,
    _: bool,
    _: &BTreeMap<String, String>,
) -> Result<(CgroupPath, UnitPlan)> {
    Err(crate::error::Error::invalid(
        "linux.cgroupsPath",
        "this build makes no systemd units: build the library with its feature `systemd`",
    ))
}

#[cfg(all(test, feature = "systemd"))]
mod tests {
    use super::*;

    fn path(text: &str) -> Result<String> {
        let id: ContainerId = "c1".parse()?;
        unit(text, Some(&id), false, &BTreeMap::new()).map(|(path, _)| path.to_string())
    }

    #[test]
    fn annotations_are_properties() {
        let given = |key: &str, value: &str| {
            let annotations = BTreeMap::from([(key.to_owned(), value.to_owned())]);
            unit("::x", None, false, &annotations).map(|(_, unit)| unit.properties)
        };
        let expected = orlop_cgroups::systemd::Property::parse("TimeoutStopSec", "5").unwrap();
        let properties = given("org.systemd.property.TimeoutStopSec", "5").unwrap();
        assert_eq!(properties, [expected]);
        assert!(given("org.example", "5").unwrap().is_empty());
        let error = given("org.systemd.property.KillMode", "many")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("annotations.org.systemd.property.KillMode"),
            "{error}"
        );
        for (name, value) in [("CPUWeight", "uint64 1"), ("Slice", "'x.slice'")] {
            let key = format!("org.systemd.property.{name}");
            let error = given(&key, value).unwrap_err().to_string();
            let wanted = format!("annotations.{key}: no annotation may set this property");
            assert!(error.starts_with(&wanted), "{error}");
        }
        assert!(PROPERTIES.is_sorted());
    }

    #[test]
    fn the_properties_are_in_the_handbook() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/annotations.md");
        let page = std::fs::read_to_string(page).unwrap();
        let (_, section) = page.split_once("## Properties of a scope").unwrap();
        let listed: Vec<_> = section.split('`').skip(1).step_by(2).collect();
        for name in PROPERTIES {
            assert!(listed.contains(&name), "{name}");
        }
        let known = |name: &&str| PROPERTIES.contains(name) || name.contains('.');
        assert!(listed.iter().all(known), "{listed:?}");
    }

    #[test]
    fn units_lie_in_their_slices() {
        for (text, expected) in [
            ("", "/system.slice/runc-c1.scope"),
            ("::x", "/system.slice/x.scope"),
            ("a-b.slice:cri:x", "/a.slice/a-b.slice/cri-x.scope"),
            ("-.slice:p:x", "/p-x.scope"),
        ] {
            assert_eq!(path(text).unwrap(), expected, "{text}");
        }
        for bad in ["/a/b", "a", "a:b", "a:b:c:d"] {
            let error = path(bad).unwrap_err().to_string();
            assert!(error.contains("of format \"slice:prefix:name\""), "{error}");
        }
        assert!(path("x:y:z").is_err());
    }
}
