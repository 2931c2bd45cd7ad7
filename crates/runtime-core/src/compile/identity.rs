//! User, groups and capabilities.

use orlop_init::Op;

use super::process::filter_needs_privilege;
use crate::error::Result;
use crate::host::Host;
use crate::names;
use crate::plan::PlanBuilder;
use crate::spec::{Capabilities, Process};

/// The five sets as bits; absent sets are empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sets {
    bounding: u64,
    effective: u64,
    inheritable: u64,
    permitted: u64,
    ambient: u64,
}

impl Sets {
    fn resolve(
        build: &mut PlanBuilder,
        wanted: &Capabilities,
        host: Option<&Host>,
    ) -> Result<Self> {
        let mut bits = |names: &[String], set: &str| {
            let mut all = 0;
            for name in names {
                match names::capability(name) {
                    Some(number) => all |= 1 << number,
                    // config.md: unknown values are reported, and do not widen anything.
                    None => build.warn(format!(
                        "process.capabilities.{set}: {name:?} is no known capability; left out"
                    )),
                }
            }
            all
        };
        let mut sets = Self {
            bounding: bits(&wanted.bounding, "bounding"),
            effective: bits(&wanted.effective, "effective"),
            inheritable: bits(&wanted.inheritable, "inheritable"),
            permitted: bits(&wanted.permitted, "permitted"),
            ambient: bits(&wanted.ambient, "ambient"),
        };
        if let Some(host) = host {
            sets.limit_to(build, host.capabilities);
        }
        build.at("process.capabilities.effective");
        if sets.effective & !sets.permitted != 0 {
            let extra = list(sets.effective & !sets.permitted);
            return Err(build.error(format!("{extra} is not in permitted")));
        }
        let raisable = sets.permitted & sets.inheritable;
        if sets.ambient & !raisable != 0 {
            let extra = list(sets.ambient & !raisable);
            build.warn(format!(
                "can't raise ambient capability {extra}: it is not both permitted and inheritable; left out"
            ));
            sets.ambient &= raisable;
        }
        Ok(sets)
    }

    /// What the caller does not have can't be given.
    fn limit_to(&mut self, build: &mut PlanBuilder, available: u64) {
        let missing = (self.effective | self.permitted | self.inheritable) & !available;
        if missing != 0 {
            build.warn(format!(
                "process.capabilities: the caller itself lacks {}; left out",
                list(missing)
            ));
        }
        for set in [
            &mut self.effective,
            &mut self.permitted,
            &mut self.inheritable,
        ] {
            *set &= available;
        }
    }

    fn op(self, extra: u64) -> Op {
        Op::Capabilities {
            effective: self.effective | extra,
            permitted: self.permitted | extra,
            inheritable: self.inheritable,
            ambient: self.ambient,
        }
    }
}

fn list(bits: u64) -> String {
    let names = names::CAPABILITIES.iter().enumerate();
    let set = names
        .filter(|(number, _)| bits & 1 << number != 0)
        .map(|(_, name)| *name);
    set.collect::<Vec<_>>().join(", ")
}

/// What becomes of the additional groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Groups {
    /// They are set.
    Set,
    /// They can't be set: who mapped one group without privilege has given up changing them.
    Denied,
    /// The program keeps its caller's.
    Kept,
}

/// Groups, ids, capabilities, no_new_privs: in the order in which each can still be set.
///
/// Returns what gives up the capability that was kept for loading the filter, if one was.
pub(super) fn push(
    build: &mut PlanBuilder,
    process: &Process,
    host: Option<&Host>,
    has_filter: bool,
    groups: Groups,
) -> Result<Option<Op>> {
    build.at("process.capabilities");
    let wanted = process.capabilities.clone().unwrap_or_default();
    let sets = Sets::resolve(build, &wanted, host)?;
    build.at("process.capabilities.bounding");
    build.push(Op::Bounding {
        keep: sets.bounding,
    });
    push_groups(build, process, groups)?;
    build.at("process.user");
    build.push(Op::SetIds {
        uid: process.user.uid,
        gid: process.user.gid,
    });
    if process.no_new_privileges {
        build.at("process.noNewPrivileges");
        build.push(Op::NoNewPrivs {});
    }
    build.at("process.capabilities");
    let extra = filter_needs_privilege(process, has_filter);
    build.push(sets.op(extra));
    build.at_none();
    Ok((extra != 0).then(|| sets.op(0)))
}

/// The primary group is listed too, so that a set-group-id program does not lose it.
fn push_groups(build: &mut PlanBuilder, process: &Process, groups: Groups) -> Result<()> {
    build.at("process.user.additionalGids");
    if groups == Groups::Kept {
        return Ok(());
    }
    if groups == Groups::Denied {
        if process.user.additional_gids.is_empty() {
            return Ok(());
        }
        return Err(build.error(
            "can't be set: who maps one group only, without privilege, gives up changing groups; \
             newgidmap (Debian: package uidmap) maps more",
        ));
    }
    let mut groups = vec![process.user.gid];
    for group in &process.user.additional_gids {
        if !groups.contains(group) {
            groups.push(*group);
        }
    }
    let bytes: Vec<u8> = groups
        .iter()
        .flat_map(|group| group.to_ne_bytes())
        .collect();
    let groups = build.blob(&bytes);
    build.push(Op::Groups { groups });
    Ok(())
}
