//! Units that are not the one that is meant.

use orlop_cgroups::systemd::{Systemd, Unit};
use orlop_cgroups::{Access, Cgroup, DeviceKind, DeviceRule, Limits, Mode};

use crate::common::{Process, read};
use crate::{Held, manager, own_unit, show};

#[test]
fn what_the_manager_refuses_changes_no_cgroup() {
    let Some((mut systemd, layout)) = manager() else {
        return;
    };
    let held = Held::new(
        "cat /dev/null && echo null; head -c1 /dev/zero 2>&1 | grep -q permitted && echo refused",
    );
    let device = |minor| DeviceRule::allow(DeviceKind::Char, Some(1), Some(minor), Access::ALL);
    let limits = Limits::new().pids_limit(50).device_rules(vec![device(3)]);
    let unit = systemd
        .start_scope(&layout, &own_unit("kept"), &[held.0.id()], &limits)
        .unwrap();
    // The manager has no such unit, while the kernel would take the limits.
    let nobody = Unit {
        name: own_unit("nobody").name().clone(),
        cgroup: Cgroup::open(&unit.cgroup.record()),
        invocation: None,
    };
    let more = Limits::new()
        .pids_limit(70)
        .device_rules(vec![device(3), device(5)]);
    let error = systemd.update(&nobody, &more).unwrap_err().to_string();
    assert!(error.contains("nobody.scope"), "{error}");
    let hierarchy = match layout.mode() {
        Mode::V2 => "unified",
        _ => "pids",
    };
    assert_eq!(read(&unit.cgroup, hierarchy, "pids.max"), "50");
    assert_eq!(held.go().output(), "null\nrefused\n");
    systemd.stop(&unit.name).unwrap();
    unit.cgroup.clear().unwrap();
}

#[test]
fn one_run_of_a_unit_is_stopped_and_no_other() {
    let Some((mut systemd, layout)) = manager() else {
        return;
    };
    let path = own_unit("again");
    let start = |systemd: &mut Systemd| {
        let held = Held::new("true");
        let pids = [held.0.id()];
        let unit = systemd.start_scope(&layout, &path, &pids, &Limits::new());
        (unit.unwrap(), held)
    };
    let (first, held) = start(&mut systemd);
    let old = first.invocation.unwrap();
    assert_eq!(show(&first, "InvocationID"), old.to_string());
    held.go().output();
    systemd.stop(&first.name).unwrap();
    assert_eq!(systemd.invocation(&first.name).unwrap(), None);
    assert!(!systemd.stop_invocation(&first.name, old).unwrap());

    let (second, held) = start(&mut systemd);
    let new = second.invocation.unwrap();
    assert_ne!(old, new);
    assert!(!systemd.stop_invocation(&first.name, old).unwrap());
    assert_eq!(systemd.invocation(&second.name).unwrap(), Some(new));
    assert_eq!(show(&second, "ActiveState"), "active");
    assert!(systemd.stop_invocation(&second.name, new).unwrap());
    assert_ne!(show(&second, "ActiveState"), "active");
    drop(Process(held.0));
    second.cgroup.clear().unwrap();
}
