//! Cache and memory bandwidth allocation (`linux.intelRdt`).

use orlop_init::Op;

use super::Compiler;
use crate::error::{Error, Result};
use crate::plan::PlanBuilder;
use crate::resctrl::{Resctrl, ResctrlPlace};
use crate::spec::IntelRdt;

/// The group of everything that is in no other: the file system's root.
const DEFAULT_GROUP: &str = "/";

fn set(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

/// As the `schemata` file takes them. `l3CacheSchema` must not set bandwidth: `memBwSchema` is for
/// that.
pub(crate) fn schemata(rdt: &IntelRdt) -> String {
    let cache = set(rdt.l3_cache_schema.as_ref()).unwrap_or_default();
    let cache = cache.lines().filter(|line| !line.trim().starts_with("MB:"));
    let lines = cache
        .chain(set(rdt.mem_bw_schema.as_ref()))
        .chain(rdt.schemata.iter().map(String::as_str))
        .map(str::trim)
        .filter(|line| !line.is_empty());
    lines.map(|line| format!("{line}\n")).collect()
}

/// Joins groups before anything hides their files.
pub(super) fn push_joins(build: &mut PlanBuilder, places: &[ResctrlPlace]) -> Result<()> {
    for place in places {
        build.at("linux.intelRdt");
        let path = build.str(&place.path.join("tasks").to_string_lossy())?;
        build.push(Op::JoinResctrl { path });
    }
    build.at_none();
    Ok(())
}

impl Compiler<'_> {
    pub(super) fn intel_rdt(&mut self) -> Result<()> {
        let Some(rdt) = &self.linux.intel_rdt else {
            return Ok(());
        };
        let Some(root) = &self.host.resctrl else {
            let message = "no resctrl file system is mounted on this host (mount -t resctrl resctrl /sys/fs/resctrl; the CPU has to have it)";
            return Err(Error::invalid("linux.intelRdt", message));
        };
        let id = self.options.id.as_ref().map(ToString::to_string);
        let class = set(rdt.clos_id.as_ref());
        let Some(name) = class.map(str::to_owned).or_else(|| id.clone()) else {
            return Err(Error::invalid("linux.intelRdt.closID", "missing"));
        };
        if name != DEFAULT_GROUP && (name.contains('/') || name == "." || name == "..") {
            let message = format!("{name:?} is no name of a directory");
            return Err(Error::invalid("linux.intelRdt.closID", message));
        }
        let group = root.join(name.trim_start_matches('/'));
        let schemata = schemata(rdt);
        let monitor = id.filter(|_| rdt.enable_monitoring);
        let resctrl = Resctrl {
            own: class.is_none(),
            must_exist: class.is_some() && schemata.is_empty(),
            monitor: monitor.map(|id| group.join("mon_groups").join(id)),
            schemata,
            group,
        };
        push_joins(&mut self.build, &resctrl.places())?;
        self.build.plan.resctrl = Some(resctrl);
        Ok(())
    }
}
