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
    /// Which run of the unit it is, once it runs: its name may be another's later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation: Option<String>,
}

#[cfg(feature = "systemd")]
pub(crate) use crate::spawn::Holder;
#[cfg(feature = "systemd")]
pub(crate) use orlop_cgroups::systemd::Property;
#[cfg(feature = "systemd")]
pub(crate) use with_systemd::{Prepared, end, is_anothers, named, prepare, update, usual};
#[cfg(not(feature = "systemd"))]
pub(crate) use without::{
    Holder, Prepared, Property, end, is_anothers, named, prepare, update, usual,
};

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
    use std::time::{Duration, Instant};

    use orlop_cgroups::systemd::{
        InvocationId, Property, Systemd, Unit, UnitName, UnitPath, is_running,
    };
    use orlop_cgroups::{Cgroup, Layout, Limits, RecordedPath};

    use super::UnitRecord;
    use crate::compile;
    use crate::error::{Error, Result};
    use crate::id::ContainerId;
    use crate::plan::UnitPlan;
    use crate::spawn::Holder;

    /// How long systemd may take to see that a scope is empty.
    const FADING: Duration = Duration::from_secs(2);

    /// Whose a unit is that has a container's name for it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Standing {
        /// The container's.
        Own,
        /// There is none.
        Gone,
        /// Another one's, and its cgroup with it.
        Another,
    }

    /// A unit that is not made yet, and the manager that will make it.
    #[derive(Debug)]
    pub(crate) struct Prepared {
        manager: Systemd,
        unit: UnitPath,
        of_user: bool,
        properties: Vec<Property>,
        invocation: Option<InvocationId>,
    }

    fn connect(of_user: bool) -> Result<Systemd> {
        if of_user {
            return Ok(Systemd::user()?);
        }
        if !is_running() {
            return Err(Error::NoSystemd);
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
            invocation: None,
        })
    }

    impl Prepared {
        /// What is written down before the unit is made, and again once it runs.
        pub(crate) fn record(&self) -> UnitRecord {
            UnitRecord {
                name: self.unit.name().to_string(),
                of_user: self.of_user,
                invocation: self.invocation.map(|id| id.to_string()),
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
            self.invocation = unit.invocation;
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

    /// Whether another one's unit has this name by now, as far as can be told.
    pub(crate) fn is_anothers(record: &UnitRecord) -> bool {
        let standing = connect(record.of_user).and_then(|mut manager| look(&mut manager, record));
        matches!(standing, Ok((Standing::Another, _)))
    }

    fn look(
        manager: &mut Systemd,
        record: &UnitRecord,
    ) -> Result<(Standing, Option<InvocationId>)> {
        let name = UnitName::new(&record.name)?;
        let own = match &record.invocation {
            Some(id) => Some(id.parse::<InvocationId>()?),
            None => None,
        };
        let end = Instant::now() + FADING;
        loop {
            let standing = match manager.invocation(&name)? {
                None => Standing::Gone,
                now if now == own => Standing::Own,
                // Its maker was killed before it could say which it is; what holds it goes too.
                Some(_) if own.is_none() && Instant::now() < end => {
                    std::thread::sleep(FADING / 50);
                    continue;
                }
                Some(_) => Standing::Another,
            };
            return Ok((standing, own));
        }
    }

    /// Ends the unit and removes its cgroup, with all that is in it, unless it is another's by now.
    /// With `kill` its processes are killed first: systemd asks them kindly.
    ///
    /// # Errors
    /// Why the manager can't say whose the unit is by now, when processes are in its cgroup.
    pub(crate) fn end(record: &UnitRecord, cgroup: &Cgroup, kill: bool) -> Result<()> {
        let asked = connect(record.of_user).and_then(|mut manager| {
            let (standing, own) = look(&mut manager, record)?;
            Ok((manager, standing, own))
        });
        match &asked {
            Ok((_, Standing::Another, _)) => return Ok(()),
            // What ran is known, what runs is not: it may be another's.
            Err(_) if record.invocation.is_some() && !cgroup.processes()?.is_empty() => {
                return asked.map(drop);
            }
            // Of an empty one the manager, where there is one, finds out by itself.
            _ => {}
        }
        if kill {
            cgroup.kill_all(orlop_cgroups::Signal::KILL)?;
        }
        if let Ok((mut manager, Standing::Own, Some(id))) = asked {
            let _ = manager.stop_invocation(&UnitName::new(&record.name)?, id);
        }
        // On v1 systemd leaves most hierarchies alone.
        Ok(cgroup.clear()?)
    }

    /// The unit that a container of this id has where its configuration names none, if it runs.
    pub(crate) fn usual(id: &ContainerId, layout: &Layout) -> Option<(UnitRecord, Cgroup)> {
        named(&compile::usual_unit(id), layout)
    }

    /// The unit of a `cgroupsPath`, if it runs.
    pub(crate) fn named(path: &str, layout: &Layout) -> Option<(UnitRecord, Cgroup)> {
        let of_user = !rustix::process::geteuid().is_root();
        let unit = UnitPath::parse(path, of_user).ok()?;
        let mut manager = connect(of_user).ok()?;
        let invocation = manager.invocation(unit.name()).ok()??;
        let record = UnitRecord {
            name: unit.name().to_string(),
            of_user,
            invocation: Some(invocation.to_string()),
        };
        Some((record, Cgroup::open(&manager.locate(layout, &unit).ok()?)))
    }

    #[cfg(test)]
    mod tests {
        use orlop_cgroups::{CgroupPath, Signal};

        use super::*;
        use crate::host::Host;

        #[test]
        fn processes_of_which_the_manager_can_t_say_whose_they_are_stay() {
            if !rustix::process::geteuid().is_root() {
                return;
            }
            let host = Host::probe().unwrap();
            let path = format!("/orlop-test-unit-{}", std::process::id());
            let path = CgroupPath::new(&path).unwrap();
            let cgroup = Cgroup::create(&host.cgroups, &path, &Limits::default()).unwrap();
            let holder = Holder::new().unwrap();
            cgroup.add_process(holder.pid()).unwrap();
            let lost = |invocation: Option<&str>| UnitRecord {
                // Of this name no manager knows anything.
                name: String::new(),
                of_user: false,
                invocation: invocation.map(str::to_owned),
            };
            let known = lost(Some("0123456789abcdef0123456789abcdef"));
            let refused = end(&known, &cgroup, true);
            let left = cgroup.processes();
            // Killed before it could say which it is, its maker has left what it made.
            let ended = end(&lost(None), &cgroup, true);
            let _ = cgroup.kill_all(Signal::KILL);
            drop(holder);
            assert!(refused.is_err());
            assert_eq!(left.unwrap().len(), 1);
            ended.unwrap();
            let empty = Cgroup::create(&host.cgroups, &path, &Limits::default()).unwrap();
            end(&known, &empty, true).unwrap();
            assert!(empty.record().iter().all(|place| !place.path.exists()));
        }
    }
}

#[cfg(not(feature = "systemd"))]
mod without {
    use std::convert::Infallible;

    use orlop_cgroups::{Cgroup, Layout, Limits, RecordedPath};

    use super::UnitRecord;
    use crate::error::{Error, Result};
    use crate::id::ContainerId;
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

    pub(crate) fn is_anothers(_: &UnitRecord) -> bool {
        false
    }

    pub(crate) fn end(_: &UnitRecord, cgroup: &Cgroup, kill: bool) -> Result<()> {
        if kill {
            cgroup.kill_all(orlop_cgroups::Signal::KILL)?;
        }
        Ok(cgroup.clear()?)
    }

    pub(crate) fn usual(_: &ContainerId, _: &Layout) -> Option<(UnitRecord, Cgroup)> {
        None
    }

    pub(crate) fn named(_: &str, _: &Layout) -> Option<(UnitRecord, Cgroup)> {
        None
    }
}
