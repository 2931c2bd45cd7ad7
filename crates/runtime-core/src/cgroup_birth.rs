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
    /// What could not be had, in sentences for a log.
    pub left_out: Vec<String>,
}

/// Makes the cgroup that is planned, as a unit of systemd where one is prepared.
pub(crate) fn make(
    planned: &CgroupPlan,
    layout: &Layout,
    unit: Option<&mut Prepared>,
    policy: CgroupPolicy,
) -> Result<MadeCgroup> {
    let made = match (unit, policy) {
        (Some(unit), _) => {
            let (cgroup, holder) = unit.start(layout, &planned.limits)?;
            MadeCgroup {
                cgroup,
                holder: Some(holder),
                left_out: Vec::new(),
            }
        }
        (None, CgroupPolicy::Require | CgroupPolicy::None) => MadeCgroup {
            cgroup: Cgroup::create(layout, &planned.path, &planned.limits)?,
            holder: None,
            left_out: Vec::new(),
        },
        (None, CgroupPolicy::BestEffort) => {
            let (cgroup, errors) =
                Cgroup::create_best_effort(layout, &planned.path, &planned.limits)?;
            let left_out = errors.iter().map(|error| format!("left out: {error}"));
            MadeCgroup {
                cgroup,
                holder: None,
                left_out: left_out.collect(),
            }
        }
    };
    if let Some((uid, gid)) = planned.owner
        && let Err(error) = made.cgroup.delegate(uid, gid)
    {
        // What was made is the caller's to remove, who does not have it yet.
        let _ = made.cgroup.destroy();
        return Err(error.into());
    }
    Ok(made)
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
