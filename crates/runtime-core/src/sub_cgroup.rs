//! Where in a container's cgroup a further process runs.

use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};
use crate::host::Host;
use crate::state::CgroupPlace;

/// Where in a container's cgroup a further process runs. What is named has to be there already:
/// the container, or somebody else, made it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubCgroup {
    /// In the container's own cgroup; on v2, if that has children and so takes no processes, in
    /// the one that the container's first process is in.
    #[default]
    Own,
    /// At this path below the container's cgroup, in every hierarchy.
    Below(PathBuf),
    /// At these paths, by controller (v1). In the other hierarchies the container's own.
    ByController(Vec<(String, PathBuf)>),
}

impl SubCgroup {
    /// The directories, given those of the container.
    pub(crate) fn places(&self, own: &[CgroupPlace]) -> Result<Vec<CgroupPlace>> {
        let mut places = own.to_vec();
        match self {
            Self::Own => {}
            Self::Below(path) => {
                for place in &mut places {
                    place.path = below(&place.path, path)?;
                }
            }
            Self::ByController(paths) => {
                for (controller, path) in paths {
                    let is_it = |place: &&CgroupPlace| has(&place.hierarchy, controller);
                    let Some(index) = own.iter().position(|place| is_it(&place)) else {
                        let message = format!("no hierarchy has the controller {controller:?}");
                        return Err(Error::invalid("cgroup", message));
                    };
                    places[index].path = below(&own[index].path, path)?;
                }
            }
        }
        Ok(places)
    }
}

/// Whether a hierarchy, by its name, has a controller, or is called like it.
fn has(hierarchy: &str, controller: &str) -> bool {
    hierarchy == controller || hierarchy.split(',').any(|one| one == controller)
}

fn below(own: &Path, path: &Path) -> Result<PathBuf> {
    let mut added = PathBuf::new();
    for component in path.components() {
        let inside = match component {
            Component::Normal(name) => {
                added.push(name);
                true
            }
            Component::ParentDir => added.pop(),
            _ => true,
        };
        if !inside {
            let message = format!("{} is not a sub cgroup path", path.display());
            return Err(Error::invalid("cgroup", message));
        }
    }
    // Joined with nothing, a path would end in a slash.
    Ok(own.iter().chain(added.iter()).collect())
}

/// The directory in the unified hierarchy of the cgroup that a process is in.
pub(crate) fn unified_of(pid: i32, host: &Host) -> Option<PathBuf> {
    let mut unified = host.cgroups.hierarchies().iter();
    let unified = unified.rfind(|hierarchy| hierarchy.name() == orlop_cgroups::UNIFIED)?;
    let table = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = table.lines().find_map(|line| line.strip_prefix("0::/"))?;
    // What lies above the caller's own view of the hierarchy can't be named.
    let named = !path.starts_with("..");
    named.then(|| unified.mountpoint().join(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Vec<CgroupPlace> {
        ["cpu,cpuacct", "memory", "unified"]
            .map(|hierarchy| CgroupPlace {
                hierarchy: hierarchy.to_owned(),
                path: Path::new("/cg").join(hierarchy).join("c"),
            })
            .to_vec()
    }

    fn shown(choice: &SubCgroup) -> Result<Vec<String>> {
        let places = choice.places(&own())?;
        Ok(places
            .iter()
            .map(|place| place.path.display().to_string())
            .collect())
    }

    #[test]
    fn paths_are_below_the_container_s() {
        let unchanged = ["/cg/cpu,cpuacct/c", "/cg/memory/c", "/cg/unified/c"];
        assert_eq!(shown(&SubCgroup::Own).unwrap(), unchanged);
        for same in ["", "/", ".", "a/..", "/./"] {
            assert_eq!(
                shown(&SubCgroup::Below(same.into())).unwrap(),
                unchanged,
                "{same}"
            );
        }
        for path in ["a/b", "/a/b", "a//b/", "x/../a/./b"] {
            let all = shown(&SubCgroup::Below(path.into())).unwrap();
            assert_eq!(all[1], "/cg/memory/c/a/b", "{path}");
        }
        for outside in ["..", "../x", "a/../../b", "/.."] {
            let error = shown(&SubCgroup::Below(outside.into()))
                .unwrap_err()
                .to_string();
            assert!(error.ends_with("is not a sub cgroup path"), "{error}");
        }
    }

    #[test]
    fn controllers_find_their_hierarchy() {
        let by = |controller: &str| {
            shown(&SubCgroup::ByController(vec![(
                controller.to_owned(),
                "s".into(),
            )]))
        };
        assert_eq!(by("cpuacct").unwrap()[0], "/cg/cpu,cpuacct/c/s");
        assert_eq!(by("memory").unwrap()[0], "/cg/cpu,cpuacct/c");
        assert_eq!(by("memory").unwrap()[1], "/cg/memory/c/s");
        for unknown in ["mem", "", "pids"] {
            assert!(by(unknown).is_err(), "{unknown}");
        }
    }
}
