//! Starting units.

use std::io;

use super::bus::Bus;
use super::names::{UnitName, UnitPath};
use super::property::Property;
use super::wire::{self, Value};
use super::{MANAGER, OBJECT, SERVICE, Systemd, Unit};
use crate::cgroup::Cgroup;
use crate::error::{Error, Result};
use crate::layout::{Layout, Mode};
use crate::limits::Limits;
use crate::path::CgroupPath;

impl Systemd {
    /// Starts a scope with these processes in it, and applies the limits: as unit
    /// properties where systemd has them, and in the cgroup itself.
    ///
    /// On v1 the processes are moved as well in those hierarchies that systemd
    /// leaves alone, which may take some 10 ms for each.
    ///
    /// # Errors
    ///
    /// [`Error::Systemd`] if the manager refuses or the job fails; otherwise as
    /// [`Cgroup::update`]. Of a scope that has failed nothing stays, and
    /// its processes are ended.
    pub fn start_scope(
        &mut self,
        layout: &Layout,
        unit: &UnitPath,
        pids: &[u32],
        limits: &Limits,
    ) -> Result<Unit> {
        self.start_scope_with(layout, unit, pids, limits, &[])
    }

    /// Starts a scope as [`Systemd::start_scope`] does, with further properties. One
    /// that a limit stands for as well is as given here.
    ///
    /// # Errors
    ///
    /// As [`Systemd::start_scope`]; systemd refuses properties that it does not know.
    pub fn start_scope_with(
        &mut self,
        layout: &Layout,
        unit: &UnitPath,
        pids: &[u32],
        limits: &Limits,
        further: &[Property],
    ) -> Result<Unit> {
        if unit.is_slice() {
            return Err(Error::InvalidPath {
                path: unit.name().to_string(),
                reason: "a slice holds no processes: a container's name must not end in .slice",
            });
        }
        let path = self.path_of(layout, unit)?;
        let dialect = self.dialect(layout.mode());
        let mut properties = vec![
            (
                "Description",
                Value::Str(format!("container {}", unit.name())),
            ),
            ("Slice", Value::Str(unit.slice().to_owned())),
            ("PIDs", Value::U32s(pids.to_vec())),
            ("Delegate", Value::Bool(true)),
            ("DefaultDependencies", Value::Bool(false)),
        ];
        properties.extend(dialect.accounting().map(|name| (name, Value::Bool(true))));
        properties.extend(dialect.properties(limits)?);
        properties.extend(
            further
                .iter()
                .map(|property| (property.name.as_str(), property.value.clone())),
        );
        // In a frozen one its process would stand still, and so would who waits for that.
        Cgroup::open(&Cgroup::plan_paths(layout, &path)).check_unused()?;
        self.start(unit.name(), &properties)?;
        fill(layout, &path, pids, limits)
            .and_then(|cgroup| self.started(unit, cgroup))
            .inspect_err(|_| {
                // The first error says more than one of undoing it.
                let _ = self.stop(unit.name());
                let _ = Cgroup::open(&Cgroup::plan_paths(layout, &path)).clear();
            })
    }

    /// Starts a slice: a cgroup with limits for all the units in it. One that is there
    /// already gets the limits. systemd makes the slices above it by itself.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidPath`] if the unit is no slice; otherwise as
    /// [`Systemd::start_scope`].
    pub fn start_slice(
        &mut self,
        layout: &Layout,
        unit: &UnitPath,
        limits: &Limits,
    ) -> Result<Unit> {
        if !unit.is_slice() {
            return Err(Error::InvalidPath {
                path: unit.name().to_string(),
                reason: "a slice's name has to end in .slice",
            });
        }
        let path = self.path_of(layout, unit)?;
        let dialect = self.dialect(layout.mode());
        let mut properties = vec![
            (
                "Description",
                Value::Str(format!("containers in {}", unit.name())),
            ),
            ("DefaultDependencies", Value::Bool(false)),
        ];
        properties.extend(dialect.accounting().map(|name| (name, Value::Bool(true))));
        let limited = dialect.properties(limits)?;
        properties.extend(limited.iter().cloned());
        match self.start(unit.name(), &properties) {
            Err(Error::Systemd { source, .. }) if is_existing(&source) => {
                self.set_properties(unit.name(), &limited)?;
            }
            other => other?,
        }
        self.started(unit, fill(layout, &path, &[], limits)?)
    }

    fn started(&mut self, unit: &UnitPath, cgroup: Cgroup) -> Result<Unit> {
        let name = unit.name().clone();
        let invocation = self.invocation(&name)?;
        Ok(Unit {
            name,
            cgroup,
            invocation,
        })
    }

    fn start(&mut self, name: &UnitName, properties: &[(&str, Value)]) -> Result<()> {
        let body = |body: &mut wire::Writer| {
            body.string(name.as_str());
            body.string("fail");
            body.properties(properties);
            // No auxiliary units.
            body.empty_array(8);
        };
        let call = |bus: &mut Bus| {
            bus.call(
                SERVICE,
                OBJECT,
                MANAGER,
                "StartTransientUnit",
                "ssa(sv)a(sa(sv))",
                body,
            )
        };
        let job = match call(&mut self.bus) {
            // A failed unit of that name is left of an earlier container.
            Err(error) if error.is_named("UnitExists") => {
                self.reset_failed(name)?;
                call(&mut self.bus)
            }
            other => other,
        };
        let job = job.map_err(|error| error.about(name))?.object_path()?;
        self.wait_for(&job, name, "start")
    }
}

/// What systemd has not done for the cgroup of a unit: on v1 it has no directory in
/// some hierarchies, and limits that are no properties are written on any version.
fn fill(layout: &Layout, path: &CgroupPath, pids: &[u32], limits: &Limits) -> Result<Cgroup> {
    let cgroup = if layout.mode() == Mode::V2 {
        let cgroup = Cgroup::open(&Cgroup::plan_paths(layout, path));
        cgroup.enable_offered(layout)?;
        cgroup
    } else {
        Cgroup::complete_in(layout, path, limits)?
    };
    if cgroup.members().len() > 1 {
        cgroup.add_where_missing(pids)?;
    }
    cgroup.update(limits)?;
    Ok(cgroup)
}

fn is_existing(error: &io::Error) -> bool {
    error.to_string().contains("UnitExists")
}
