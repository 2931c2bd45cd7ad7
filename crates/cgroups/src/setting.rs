//! Limits compiled to what is written where: the last step before the kernel.

use std::borrow::Cow;

use crate::controller::Controller;
use crate::device::DeviceList;
use crate::error::{Error, Result};
use crate::layout::Version;
use crate::limits::{HugepageLimit, Limits, RdmaLimit, controller_of_file};
use crate::units::Limit;
use crate::{v1, v2};

/// One value for one file of a cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Which hierarchy it goes to; none for files of v2's core.
    pub(crate) controller: Option<Controller>,
    /// The field it comes from, in OCI's spelling.
    pub(crate) field: &'static str,
    pub(crate) file: Cow<'static, str>,
    pub(crate) value: String,
    /// What to do where the kernel has no such file.
    pub(crate) absent: Absent,
}

/// What to do where a file is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// The limit cannot be had: an error.
    Refuse,
    /// The kernel cannot exceed the limit without what is missing: nothing to do.
    Ignore,
    /// The same limit in another file.
    Instead { file: &'static str, value: String },
}

impl Setting {
    pub(crate) fn new(
        controller: impl Into<Option<Controller>>,
        field: &'static str,
        file: impl Into<Cow<'static, str>>,
        value: impl ToString,
    ) -> Self {
        let (file, value) = (file.into(), value.to_string());
        Self {
            controller: controller.into(),
            field,
            file,
            value,
            absent: Absent::Refuse,
        }
    }

    pub(crate) fn or_instead(mut self, file: &'static str, value: impl ToString) -> Self {
        self.absent = Absent::Instead {
            file,
            value: value.to_string(),
        };
        self
    }

    pub(crate) fn or_ignore_if(mut self, moot: bool) -> Self {
        if moot {
            self.absent = Absent::Ignore;
        }
        self
    }
}

/// What these limits write where, in an order that a new cgroup accepts.
/// `version_of` tells in which version of hierarchy a controller is, if in any.
///
/// On v2, device rules are not among them: they are a program.
pub(crate) fn settings(
    limits: &Limits,
    version_of: impl Fn(Controller) -> Option<Version>,
) -> Result<Vec<Setting>> {
    limits.check()?;
    for controller in limits.requires().iter() {
        if version_of(controller).is_none() {
            return Err(Error::NoController {
                field: field_of(controller),
                controller,
            });
        }
    }
    let is_v2 = |controller| version_of(controller) == Some(Version::V2);
    let mut settings = if is_v2(Controller::Memory) {
        v2::memory(&limits.memory)?
    } else {
        v1::memory(&limits.memory)?
    };
    settings.extend(if is_v2(Controller::Cpu) {
        v2::cpu(&limits.cpu)?
    } else {
        v1::cpu(&limits.cpu)
    });
    settings.extend(placement(limits));
    settings.extend(pids(limits));
    settings.extend(if is_v2(Controller::Blkio) {
        v2::blkio(&limits.blkio)?
    } else {
        v1::blkio(&limits.blkio)
    });
    let huge = if is_v2(Controller::Hugetlb) {
        "max"
    } else {
        "limit_in_bytes"
    };
    settings.extend(
        limits
            .hugepages
            .iter()
            .flat_map(|limit| hugepages(limit, huge)),
    );
    settings.extend(limits.rdma.iter().map(rdma));
    settings.extend(v1::network(&limits.network));
    if let (Some(rules), Some(Version::V1)) = (&limits.devices, version_of(Controller::Devices)) {
        settings.extend(v1::devices(DeviceList::from_rules(rules)?.reset()));
    }
    settings.extend(unified(limits, version_of)?);
    Ok(settings)
}

/// The field by which a user knows a controller.
pub(crate) fn field_of(controller: Controller) -> &'static str {
    match controller {
        Controller::Memory => "memory",
        Controller::Cpu => "cpu",
        Controller::Cpuset => "cpu.cpus",
        Controller::Pids => "pids",
        Controller::Blkio => "blockIO",
        Controller::Hugetlb => "hugepageLimits",
        Controller::Rdma => "rdma",
        Controller::NetCls => "network.classID",
        Controller::NetPrio => "network.priorities",
        Controller::Devices => "devices",
        _ => "unified",
    }
}

/// The text of a bound, with the word for none.
pub(crate) fn bound(limit: Limit<impl ToString>, none: &str) -> String {
    limit
        .value()
        .map_or_else(|| none.to_owned(), |value| value.to_string())
}

fn placement(limits: &Limits) -> impl Iterator<Item = Setting> {
    let one = |field, file, list: &Option<String>| {
        list.as_ref()
            .map(|list| Setting::new(Controller::Cpuset, field, file, list))
    };
    let settings = [
        one("cpu.cpus", "cpuset.cpus", &limits.cpu.cpus),
        one("cpu.mems", "cpuset.mems", &limits.cpu.mems),
    ];
    settings.into_iter().flatten()
}

fn pids(limits: &Limits) -> Option<Setting> {
    let limit = bound(limits.pids?, "max");
    Some(Setting::new(
        Controller::Pids,
        "pids.limit",
        "pids.max",
        limit,
    ))
}

fn hugepages(limit: &HugepageLimit, file: &str) -> [Setting; 2] {
    let value = bound(limit.limit, if file == "max" { "max" } else { "-1" });
    let one = |file| Setting::new(Controller::Hugetlb, "hugepageLimits", file, &value);
    let size = limit.page_size;
    // Older kernels have no bound for reservations, and count them as use.
    [
        one(format!("hugetlb.{size}.{file}")),
        one(format!("hugetlb.{size}.rsvd.{file}")).or_ignore_if(true),
    ]
}

fn rdma(limit: &RdmaLimit) -> Setting {
    let mut value = limit.device.clone();
    for (key, limit) in [("hca_handle", limit.handles), ("hca_object", limit.objects)] {
        if let Some(limit) = limit {
            value.push_str(&format!(" {key}={}", bound(limit, "max")));
        }
    }
    Setting::new(Controller::Rdma, "rdma", "rdma.max", value)
}

fn unified(
    limits: &Limits,
    version_of: impl Fn(Controller) -> Option<Version>,
) -> Result<Vec<Setting>> {
    let mut settings = Vec::new();
    for (file, value) in &limits.unified {
        let controller = controller_of_file(file);
        if controller.is_some_and(|controller| version_of(controller) != Some(Version::V2)) {
            let reason = format!(
                "{file} is a file of cgroup v2, and its controller is on v1 here: \
                 an invalid configuration"
            );
            return Err(Error::Unsupported {
                field: "unified",
                reason,
            });
        }
        // A file takes one line at a time.
        let lines = value.lines().filter(|line| !line.is_empty());
        settings.extend(lines.map(|line| Setting::new(controller, "unified", file.clone(), line)));
    }
    Ok(settings)
}

#[cfg(test)]
#[path = "setting_tests.rs"]
mod tests;
