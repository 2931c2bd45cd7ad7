//! `doctor`: what it finds on this host, and what it says where something is missing.

use orlop_tests::view::{Cgroups, View, has_v1};
use orlop_tests::{Fixture, skip, test_name};
use serde_json::Value;

fn checks(report: &Value) -> Vec<(String, String)> {
    let findings = report["findings"].as_array().expect("findings");
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    findings
        .iter()
        .map(|one| (text(one, "check"), text(one, "level")))
        .collect()
}

#[test]
fn a_host_that_runs_containers_is_well() {
    let fixture = Fixture::new(test_name!());
    let report = fixture
        .runtime()
        .command("doctor")
        .args(["--format", "json"])
        .run()
        .ok()
        .json();
    assert_eq!(report["rootContainers"], true, "{report}");
    let found = checks(&report);
    for check in [
        "kernel.calls",
        "kernel.namespaces",
        "cgroup.layout",
        "cgroup.backend",
        "cgroup.controllers",
        "cgroup.delegation",
        "users.namespaces",
        "users.idmappers",
        "users.subids",
        "security.seccomp",
        "security.modules",
    ] {
        let level = found
            .iter()
            .find(|(name, _)| name == check)
            .map(|(_, level)| level.as_str());
        assert!(
            level.is_some_and(|level| level != "fail"),
            "{check}: {report}"
        );
    }
    let text = fixture.runtime().command("doctor").run().ok().stdout;
    for (check, level) in &found {
        let line = text.lines().find(|line| line.contains(check.as_str()));
        assert!(
            line.is_some_and(|line| line.starts_with(level.as_str())),
            "{text}"
        );
    }
    assert!(
        !fixture.runtime().root().exists(),
        "it made a state directory"
    );
    fixture.assert_clean();
}

#[test]
fn a_missing_controller_is_a_warning_with_advice() {
    if !has_v1() {
        skip!("the host itself has version 2 alone");
    }
    let view = View {
        cgroups: Cgroups::V2,
        linker: None,
    };
    let fixture = Fixture::new(test_name!()).viewed(&view);
    let report = fixture
        .runtime()
        .command("doctor")
        .args(["-f", "json"])
        .run()
        .ok()
        .json();
    let findings = report["findings"].as_array().unwrap();
    let layout = findings
        .iter()
        .find(|one| one["check"] == "cgroup.layout")
        .unwrap();
    assert!(
        layout["message"]
            .as_str()
            .unwrap()
            .starts_with("cgroup v2: "),
        "{layout}"
    );
    let controllers = findings
        .iter()
        .find(|one| one["check"] == "cgroup.controllers")
        .unwrap();
    if controllers["level"] != "ok" {
        assert!(
            controllers["advice"]
                .as_str()
                .is_some_and(|advice| !advice.is_empty())
        );
    }
    fixture.assert_clean();
}

#[test]
fn somebody_without_privilege_is_told_what_is_missing() {
    let fixture = Fixture::new(test_name!());
    let user = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    let runtime = fixture.runtime().clone().with_prefix(&user);
    let report = runtime
        .bare()
        .args(["doctor", "-f", "json"])
        .run()
        .ok()
        .json();
    let found = checks(&report);
    let level = |check: &str| {
        found
            .iter()
            .find(|(name, _)| name == check)
            .map(|(_, level)| level.clone())
    };
    assert_eq!(
        level("caller.privilege").as_deref(),
        Some("warn"),
        "{report}"
    );
    assert_eq!(
        level("cgroup.delegation").as_deref(),
        Some("warn"),
        "{report}"
    );
    assert_eq!(level("kernel.calls").as_deref(), Some("ok"), "{report}");
    fixture.assert_clean();
}

#[test]
fn it_takes_no_argument() {
    let fixture = Fixture::new(test_name!());
    assert_eq!(fixture.runtime().command("doctor").arg("x").run().code(), 1);
    assert_eq!(
        fixture
            .runtime()
            .command("doctor")
            .args(["--format", "xml"])
            .run()
            .code(),
        1
    );
    fixture.assert_clean();
}
