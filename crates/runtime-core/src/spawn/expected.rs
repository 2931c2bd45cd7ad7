//! What init may still say: each only where the Plan has it, and once.

use orlop_init::Op;

use crate::plan::Plan;
use crate::seccomp;

#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "one for each record")]
pub(super) struct Expected {
    pub child: bool,
    pub console: bool,
    pub devices: bool,
    pub hook_point: bool,
    pub listener: bool,
    pub maps: bool,
    pub scheduler: bool,
    /// Whether the end of the stream is the program's start.
    pub started: bool,
    /// The slots of mounts that get their attributes from the caller.
    lent: Vec<u32>,
}

impl Expected {
    pub(super) fn of(plan: &Plan) -> Self {
        Self {
            child: plan.forks(),
            console: plan.has(|op| matches!(op, Op::Console { .. })),
            devices: !plan.net_devices.is_empty(),
            hook_point: plan.has(|op| matches!(op, Op::HookPoint {})),
            listener: plan.seccomp.as_ref().is_some_and(seccomp::notifies),
            maps: plan.has(|op| matches!(op, Op::NeedMaps {})),
            scheduler: plan.has(|op| matches!(op, Op::NeedScheduler {})),
            started: false,
            lent: plan.lent.iter().map(|(slot, _)| slot.0).collect(),
        }
    }

    /// Whether the mount of this slot was still to come.
    pub(super) fn take_lent(&mut self, slot: i32) -> bool {
        let place = self.lent.iter().position(|lent| *lent as i32 == slot);
        place.map(|place| self.lent.swap_remove(place)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use orlop_cgroups::Layout;
    use serde_json::json;

    use super::*;
    use crate::{Host, Options, spec::Spec};

    fn expected(mounts: serde_json::Value) -> (Expected, Vec<i32>) {
        let config = json!({
            "ociVersion": "1.3.0",
            "process": { "cwd": "/", "args": ["true"] },
            "root": { "path": "rootfs" },
            "mounts": mounts,
            "linux": { "namespaces": [{ "type": "mount" }] },
        });
        let spec = Spec::from_slice(config.to_string().as_bytes()).unwrap();
        let host = Host::root_with(Layout::parse("", "0::/\n"));
        let options = Options::new("/bundle").id("x".parse().unwrap());
        let plan = Plan::compile(&spec, &options, &host).unwrap();
        let slots = plan.lent.iter().map(|(slot, _)| slot.0 as i32).collect();
        (Expected::of(&plan), slots)
    }

    #[test]
    fn a_mount_is_lent_once() {
        let bind = |to: &str| json!({ "destination": to, "type": "bind", "source": "rootfs/a" });
        let tmpfs = json!({ "destination": "/a", "type": "tmpfs" });
        let (mut expected, slots) = expected(json!([tmpfs, bind("/b"), bind("/c")]));
        assert_eq!(slots.len(), 2);
        for slot in slots {
            assert!(expected.take_lent(slot));
            assert!(!expected.take_lent(slot));
        }
    }

    #[test]
    fn a_plain_container_asks_for_nothing() {
        let (mut expected, slots) = expected(json!([]));
        assert!(slots.is_empty() && !expected.take_lent(0));
        assert!(!expected.maps && !expected.scheduler && !expected.hook_point);
    }
}
