//! The cgroup of a container that is being made.

use orlop_cgroups::{Cgroup, Layout, RecordedPath};

use crate::error::{Error, Result};
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

/// Of a user's container whose configuration names a cgroup that no hierarchy has for it. Its beginning is
/// runc's.
const NOWHERE: &str = "unable to apply cgroup configuration: permission denied: no hierarchy is delegated to this user there \
    (leave the path out, or name one below a delegated cgroup, as \"systemd-run --user --scope -p Delegate=yes\" makes)";

/// Makes the cgroup that is planned, as a unit of systemd where one is prepared. One that the configuration
/// has a path for is not just left out.
pub(crate) fn make(
    planned: &CgroupPlan,
    layout: &Layout,
    unit: Option<&mut Prepared>,
    policy: CgroupPolicy,
    is_named: bool,
) -> Result<MadeCgroup> {
    let (cgroup, holder, left_out) = match (unit, policy) {
        (Some(unit), _) => {
            let (cgroup, holder) = unit.start(layout, &planned.limits)?;
            (cgroup, Some(holder), Vec::new())
        }
        (None, CgroupPolicy::Require | CgroupPolicy::None) => {
            let cgroup = match planned.delegated_only {
                true => delegated(planned, layout, is_named)?,
                false => Cgroup::create(layout, &planned.path, &planned.limits)?,
            };
            (cgroup, None, Vec::new())
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

/// A user's cgroup, of the hierarchies that it may have.
fn delegated(planned: &CgroupPlan, layout: &Layout, is_named: bool) -> Result<Cgroup> {
    let cgroup = Cgroup::create_delegated(layout, &planned.path, &planned.limits);
    let cgroup = cgroup.map_err(|error| {
        let controllers = planned.limits.requires();
        if !error.is_lack_of_privilege() || controllers.is_empty() {
            return error.into();
        }
        let names: Vec<_> = controllers.iter().map(|one| one.to_string()).collect();
        let names = names.join(", ");
        // As runc tells it; the rest says where.
        let message =
            format!("cannot set {names} limit: container could not join or create cgroup: {error}");
        Error::invalid("linux.resources", message)
    })?;
    if is_named && cgroup.members().is_empty() {
        return Err(Error::invalid("linux.cgroupsPath", NOWHERE));
    }
    Ok(cgroup)
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
