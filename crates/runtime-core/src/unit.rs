//! Containers whose cgroup is a unit of systemd.
//!
//! Only systemd makes units, and a scope needs a process that lives. So a process that does
//! nothing holds the new scope, init is born in it or joins it as it does any other cgroup, and the
//! holder goes.

use orlop_cgroups::{Cgroup, Hierarchy, Layout, Version};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::plan::Plan;

/// A unit, as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UnitRecord {
    /// The unit's name.
    pub name: String,
    /// Whether it is one of a user's manager.
    pub of_user: bool,
}

#[cfg(feature = "systemd")]
pub(crate) use crate::spawn::Holder;
#[cfg(feature = "systemd")]
pub(crate) use orlop_cgroups::systemd::Property;
#[cfg(feature = "systemd")]
pub(crate) use with_systemd::{Prepared, prepare, stop, update};
#[cfg(not(feature = "systemd"))]
pub(crate) use without::{Holder, Prepared, Property, prepare, stop, update};

impl Prepared {
    /// The Plan for a process that joins the unit's directories, which only its manager knows.
    pub(crate) fn plan_within(&self, plan: Plan, layout: &Layout) -> Result<Plan> {
        let Some(planned) = &plan.cgroup else {
            return Ok(plan);
        };
        let there = self.locate(layout)?;
        if there == Cgroup::plan_paths(layout, &planned.path) {
            return Ok(plan);
        }
        let is_v1 = |hierarchy: &&Hierarchy| hierarchy.version() == Version::V1;
        let v1: Vec<_> = layout.hierarchies().iter().filter(is_v1).collect();
        let directories = there.iter().filter(|place| {
            v1.iter()
                .any(|hierarchy| hierarchy.name() == place.hierarchy)
        });
        Ok(plan.in_cgroup(directories.map(|place| place.path.as_path())))
    }
}

#[cfg(feature = "systemd")]
mod with_systemd {
    use orlop_cgroups::systemd::{Property, Systemd, Unit, UnitName, UnitPath, is_running};
    use orlop_cgroups::{Cgroup, Layout, Limits, RecordedPath};

    use super::UnitRecord;
    use crate::error::{Error, Result};
    use crate::plan::UnitPlan;
    use crate::spawn::Holder;

    /// What runc says, and its callers know.
    const NOT_RUNNING: &str =
        "systemd not running on this host, cannot use systemd cgroups manager";

    /// A unit that is not made yet, and the manager that will make it.
    #[derive(Debug)]
    pub(crate) struct Prepared {
        manager: Systemd,
        unit: UnitPath,
        of_user: bool,
        properties: Vec<Property>,
    }

    fn connect(of_user: bool) -> Result<Systemd> {
        if of_user {
            return Ok(Systemd::user()?);
        }
        if !is_running() {
            let message = NOT_RUNNING.to_owned();
            return Err(Error::WrongState { message });
        }
        Ok(Systemd::system()?)
    }

    /// Asks the manager that the unit will belong to.
    pub(crate) fn prepare(planned: &UnitPlan) -> Result<Prepared> {
        let of_user = planned.of_user;
        Ok(Prepared {
            unit: UnitPath::parse(&planned.text, of_user)?,
            manager: connect(of_user)?,
            of_user,
            properties: planned.properties.clone(),
        })
    }

    impl Prepared {
        /// What is written down before the unit is made.
        pub(crate) fn record(&self) -> UnitRecord {
            UnitRecord {
                name: self.unit.name().to_string(),
                of_user: self.of_user,
            }
        }

        /// Where the unit's cgroup will be.
        pub(crate) fn locate(&self, layout: &Layout) -> Result<Vec<RecordedPath>> {
            Ok(self.manager.locate(layout, &self.unit)?)
        }

        /// Starts the unit; it stays as long as the holder, or another process, is in it.
        pub(crate) fn start(
            &mut self,
            layout: &Layout,
            limits: &Limits,
        ) -> Result<(Cgroup, Holder)> {
            let holder = Holder::new()?;
            let pids = [holder.pid()];
            let properties = &self.properties;
            let unit = self
                .manager
                .start_scope_with(layout, &self.unit, &pids, limits, properties)?;
            Ok((unit.cgroup, holder))
        }
    }

    /// Changes the limits of a unit that runs.
    pub(crate) fn update(record: &UnitRecord, cgroup: Cgroup, limits: &Limits) -> Result<()> {
        let name = UnitName::new(&record.name)?;
        let invocation = None;
        let unit = Unit {
            name,
            cgroup,
            invocation,
        };
        Ok(connect(record.of_user)?.update(&unit, limits)?)
    }

    /// Stops a unit that has no processes any more.
    pub(crate) fn stop(record: &UnitRecord) -> Result<()> {
        let name = UnitName::new(&record.name)?;
        Ok(connect(record.of_user)?.stop(&name)?)
    }
}

#[cfg(not(feature = "systemd"))]
mod without {
    use std::convert::Infallible;

    use orlop_cgroups::{Cgroup, Layout, Limits, RecordedPath};

    use super::UnitRecord;
    use crate::error::{Error, Result};
    use crate::plan::UnitPlan;

    /// There is none.
    #[derive(Debug)]
    pub(crate) struct Prepared(Infallible);

    /// Nor is there one of these.
    #[derive(Debug, Clone, PartialEq)]
    pub(crate) enum Property {}

    /// Nor is this one.
    #[derive(Debug)]
    pub(crate) enum Holder {}

    impl Drop for Holder {
        fn drop(&mut self) {
            match *self {}
        }
    }

    fn missing<T>() -> Result<T> {
        let message = "the container is a unit of systemd, and this build has not the feature \
                       `systemd` of the library"
            .to_owned();
        Err(Error::WrongState { message })
    }

    pub(crate) fn prepare(_: &UnitPlan) -> Result<Prepared> {
        missing()
    }

    impl Prepared {
        pub(crate) fn record(&self) -> UnitRecord {
            match self.0 {}
        }

        pub(crate) fn locate(&self, _: &Layout) -> Result<Vec<RecordedPath>> {
            match self.0 {}
        }

        pub(crate) fn start(&mut self, _: &Layout, _: &Limits) -> Result<(Cgroup, Holder)> {
            match self.0 {}
        }
    }

    pub(crate) fn update(_: &UnitRecord, _: Cgroup, _: &Limits) -> Result<()> {
        missing()
    }

    pub(crate) fn stop(_: &UnitRecord) -> Result<()> {
        missing()
    }
}
