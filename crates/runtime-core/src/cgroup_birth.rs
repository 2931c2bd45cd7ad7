//! The cgroup of a container that is being made.

use orlop_cgroups::{Cgroup, Layout, RecordedPath};

use crate::error::Result;
use crate::options::CgroupPolicy;
use crate::plan::{CgroupPlan, Plan};
use crate::state::CgroupPlace;
use crate::unit::{Holder, Prepared};

/// A cgroup, and what was left out of it.
#[derive(Debug)]
pub(crate) struct MadeCgroup {
    pub cgroup: Cgroup,
    /// What keeps a unit alive until the container is in it.
    pub holder: Option<Holder>,
    /// Whether it lacks some of the hierarchies.
    pub is_partial: bool,
    /// What could not be had, in sentences for a log.
    pub left_out: Vec<String>,
}

/// Of a user's container whose configuration names a cgroup that no hierarchy has for it.
const NOWHERE: &str = "linux.cgroupsPath: no hierarchy is delegated to this user there; the container has no cgroup of its own";

/// Makes the cgroup that is planned, as a unit of systemd where one is prepared.
pub(crate) fn make(
    planned: &CgroupPlan,
    layout: &Layout,
    unit: Option<&mut Prepared>,
    policy: CgroupPolicy,
) -> Result<MadeCgroup> {
    let (cgroup, holder, left_out) = match (unit, policy) {
        (Some(unit), _) => {
            let (cgroup, holder) = unit.start(layout, &planned.limits)?;
            (cgroup, Some(holder), Vec::new())
        }
        (None, CgroupPolicy::Require | CgroupPolicy::None) => {
            let create = match planned.delegated_only {
                true => Cgroup::create_delegated,
                false => Cgroup::create,
            };
            let cgroup = create(layout, &planned.path, &planned.limits)?;
            let nowhere = cgroup.members().is_empty().then(|| NOWHERE.to_owned());
            (cgroup, None, nowhere.into_iter().collect())
        }
        (None, CgroupPolicy::BestEffort) => {
            let (cgroup, errors) =
                Cgroup::create_best_effort(layout, &planned.path, &planned.limits)?;
            let left_out = errors.iter().map(|error| format!("left out: {error}"));
            (cgroup, None, left_out.collect())
        }
    };
    if let Some((uid, gid)) = planned.owner
        && !cgroup.members().is_empty()
        && let Err(error) = cgroup.delegate(uid, gid)
    {
        // What was made is the caller's to remove, who does not have it yet.
        let _ = cgroup.destroy();
        return Err(error.into());
    }
    Ok(MadeCgroup {
        is_partial: cgroup.members().len() < layout.hierarchies().len(),
        cgroup,
        holder,
        left_out,
    })
}

/// The Plan for a container in this cgroup, where it lacks hierarchies that were planned.
pub(crate) fn plan_within(
    plan: &Plan,
    planned: &CgroupPlan,
    layout: &Layout,
    cgroup: &Cgroup,
) -> Option<Plan> {
    let there = cgroup.record();
    let missing: Vec<_> = Cgroup::plan_paths(layout, &planned.path)
        .into_iter()
        .filter(|place| !there.contains(place))
        .map(|place| place.path)
        .collect();
    (!missing.is_empty()).then(|| plan.without_cgroups(&missing))
}

/// Directories as they are written down.
pub(crate) fn places(paths: Vec<RecordedPath>) -> Vec<CgroupPlace> {
    let places = paths.into_iter().map(|place| CgroupPlace {
        hierarchy: place.hierarchy,
        path: place.path,
    });
    places.collect()
}
