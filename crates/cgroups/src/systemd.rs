//! The systemd back end: cgroups as transient units, made over D-Bus.
//!
//! On a host that systemd manages, a cgroup belongs to a unit, and only systemd
//! makes units. A scope needs a living process: the order is to clone the
//! process, hold it, [start the scope](Systemd::start_scope) with its pid, and
//! let it go. The scope is delegated: what systemd has no property for is
//! written into its cgroup directly.
//!
//! On v1 and hybrid hosts, which systemd supports up to version 257, it manages its own
//! named hierarchy and a few controllers; the cgroup is completed in the others.

mod bus;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod invocation;
mod names;
mod properties;
mod property;
mod start;
mod unified;
mod wire;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use invocation::InvocationId;
pub use names::{UnitName, UnitPath};
pub use property::Property;

use crate::cgroup::{Cgroup, RecordedPath};
use crate::error::{Error, Result};
use crate::layout::{Layout, Mode, Version};
use crate::limits::Limits;
use crate::path::CgroupPath;
use crate::units::Limit;
use bus::Bus;
use properties::Dialect;
use wire::Value;

const SERVICE: &str = "org.freedesktop.systemd1";
const OBJECT: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// For how long a job may take.
const JOB_DEADLINE: Duration = Duration::from_secs(30);

/// A connection to a systemd manager.
#[derive(Debug)]
pub struct Systemd {
    bus: Bus,
    version: u32,
    /// Whether it is a user's manager, not the system's.
    of_user: bool,
    /// The manager's own cgroup: `/`, or that of the user's service manager.
    root: PathBuf,
}

/// A running transient unit.
#[derive(Debug)]
pub struct Unit {
    /// Its name, for later calls.
    pub name: UnitName,
    /// Its cgroup.
    pub cgroup: Cgroup,
    /// Which run of the unit it is, if that is known.
    pub invocation: Option<InvocationId>,
}

impl Systemd {
    /// Connects to the system's manager.
    ///
    /// # Errors
    ///
    /// [`Error::NoSystemd`] if it cannot be reached.
    pub fn system() -> Result<Self> {
        Self::connect(&bus::system_sockets(), false)
    }

    /// Connects to the calling user's manager.
    ///
    /// # Errors
    ///
    /// [`Error::NoSystemd`] if it cannot be reached.
    pub fn user() -> Result<Self> {
        Self::connect(&bus::user_sockets(), true)
    }

    fn connect(sockets: &[bus::Socket], of_user: bool) -> Result<Self> {
        let mut bus = Bus::connect(sockets, of_user)?;
        let version = manager_property(&mut bus, "Version")?;
        let root = manager_property(&mut bus, "ControlGroup")?;
        Ok(Self {
            bus,
            version: parse_version(&version),
            of_user,
            root: PathBuf::from(root),
        })
    }

    /// The version of systemd, for example 252.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Where a unit's cgroup is, or will be: to be written down before it is made.
    ///
    /// # Errors
    ///
    /// [`Error::NoHierarchy`] without cgroups, [`Error::Unsupported`] for a user's
    /// manager on cgroup v1, [`Error::InvalidPath`] for a path that is too long.
    pub fn locate(&self, layout: &Layout, unit: &UnitPath) -> Result<Vec<RecordedPath>> {
        Ok(Cgroup::plan_paths(layout, &self.path_of(layout, unit)?))
    }

    fn path_of(&self, layout: &Layout, unit: &UnitPath) -> Result<CgroupPath> {
        match layout.mode() {
            Mode::None => return Err(Error::NoHierarchy),
            Mode::V1 | Mode::Hybrid if self.of_user => {
                return Err(Error::Unsupported {
                    field: "cgroupsPath",
                    reason: "a user's systemd has no controllers on cgroup v1 (boot the host with \
                             cgroup v2, or leave cgroupsPath out)"
                        .into(),
                });
            }
            _ => {}
        }
        let path = Path::new("/").join(&self.root).join(unit.directory());
        CgroupPath::new(&path.to_string_lossy())
    }

    fn dialect(&self, layout_or_cgroup: Mode) -> Dialect {
        Dialect {
            systemd: self.version,
            cgroups: match layout_or_cgroup {
                Mode::V2 => Version::V2,
                _ => Version::V1,
            },
        }
    }

    /// Changes the limits of a running unit: in its cgroup, and as unit properties. If
    /// the kernel or the manager refuses one of them, nothing has changed.
    ///
    /// # Errors
    ///
    /// As [`Cgroup::update`]; [`Error::Systemd`] if the manager refuses.
    pub fn update(&mut self, unit: &Unit, limits: &Limits) -> Result<()> {
        let dialect = self.dialect(unit.cgroup.mode());
        let mut limits = limits.clone();
        dialect.wake(&mut limits);
        // A property stands for a bound that is half there already, too.
        unit.cgroup.complete(&mut limits)?;
        let properties = dialect.properties(&limits)?;
        // The kernel knows best what can't be had; the manager takes all properties or none.
        unit.cgroup
            .update_then(&limits, || self.set_properties(&unit.name, &properties))?;
        // Where there is no quota, systemd has written its own period.
        if limits.cpu.quota == Some(Limit::Max) && limits.cpu.period.is_some() {
            let mut period = Limits::new();
            (period.cpu.quota, period.cpu.period) = (limits.cpu.quota, limits.cpu.period);
            unit.cgroup.update(&period)?;
        }
        Ok(())
    }

    fn set_properties(&mut self, name: &UnitName, properties: &[(&str, Value)]) -> Result<()> {
        let body = |body: &mut wire::Writer| {
            body.string(name.as_str());
            // Until the next boot, as the unit itself.
            body.boolean(true);
            body.properties(properties);
        };
        self.bus
            .call(
                SERVICE,
                OBJECT,
                MANAGER,
                "SetUnitProperties",
                "sba(sv)",
                body,
            )
            .map_err(|error| error.about(name))?;
        Ok(())
    }

    /// Stops a unit and waits until it is gone. One that is gone already is no error.
    /// Whatever has this name is stopped: see [`Systemd::stop_invocation`].
    ///
    /// # Errors
    ///
    /// [`Error::Systemd`] if the manager refuses or the job fails.
    pub fn stop(&mut self, name: &UnitName) -> Result<()> {
        let body = |body: &mut wire::Writer| {
            body.string(name.as_str());
            body.string("replace");
        };
        match self
            .bus
            .call(SERVICE, OBJECT, MANAGER, "StopUnit", "ss", body)
        {
            Ok(reply) => {
                let job = reply.object_path()?;
                self.wait_for(&job, name, "stop")?;
            }
            Err(error) if error.is_named("NoSuchUnit") => return Ok(()),
            Err(error) => return Err(error.about(name)),
        }
        self.reset_failed(name)
    }

    /// Forgets that a unit has failed, so that its name is free.
    fn reset_failed(&mut self, name: &UnitName) -> Result<()> {
        let body = |body: &mut wire::Writer| body.string(name.as_str());
        match self
            .bus
            .call(SERVICE, OBJECT, MANAGER, "ResetFailedUnit", "s", body)
        {
            Ok(_) => Ok(()),
            Err(error) if error.is_named("NoSuchUnit") => Ok(()),
            Err(error) => Err(error.about(name)),
        }
    }

    fn wait_for(&mut self, job: &str, name: &UnitName, verb: &'static str) -> Result<()> {
        let result = self
            .bus
            .wait_for_job(job, JOB_DEADLINE)
            .map_err(|error| error.about(name))?;
        match result.as_str() {
            "done" | "skipped" => Ok(()),
            other => Err(Error::Systemd {
                what: format!("{verb} {name}"),
                source: io::Error::other(format!("the job ended with \"{other}\"")),
                hint: " (`systemctl status` of it, and the journal, say why)",
            }),
        }
    }
}

fn manager_property(bus: &mut Bus, name: &str) -> Result<String> {
    let body = |body: &mut wire::Writer| {
        body.string(MANAGER);
        body.string(name);
    };
    bus.call(SERVICE, OBJECT, PROPERTIES, "Get", "ss", body)
        .map_err(|error| error.about(name))?
        .string_in_variant()
}

/// `252.39-1~deb12u1`, `v257`, `257.8`: the number that it begins with.
fn parse_version(text: &str) -> u32 {
    let digits = text.trim_start_matches('v');
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..end].parse().unwrap_or(0)
}

/// Whether systemd manages this host, and listens.
#[must_use]
pub fn is_running() -> bool {
    Path::new("/run/systemd/system").is_dir() && Path::new("/run/systemd/private").exists()
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn versions() {
        for (text, version) in [
            ("252.39-1~deb12u1", 252),
            ("v249", 249),
            ("257", 257),
            ("260~rc1", 260),
            ("", 0),
        ] {
            assert_eq!(parse_version(text), version, "{text:?}");
        }
    }
}
