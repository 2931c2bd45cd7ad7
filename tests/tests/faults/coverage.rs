//! No operation is left out.

use crate::entering::OF_ENTERING;
use crate::fixture;
use crate::scenarios::{entangled, full, mapped, visiting};
use orlop_tests::{cgroup, test_name};
use std::collections::BTreeSet;

/// The declaration of all operations.
const OPS: &str = include_str!("../../../crates/init/src/ops.rs");

/// Those that no scenario has, and why.
const EXCEPTIONS: [(&str, &str); 5] = [
    ("Fail", "it is the fault"),
    ("Park", "it is the fault"),
    ("Dup", "only commands of the library are given files by it"),
    ("JoinResctrl", "takes a processor with resctrl"),
    ("SecurityLabel", "takes a host with SELinux"),
];

/// Those that are there for the hierarchies of cgroup v1 alone.
const OF_V1: [&str; 3] = ["AwaitCgroup", "BindAt", "JoinCgroup"];

/// The names in lines such as `    5 Dup {`.
fn declared() -> BTreeSet<&'static str> {
    let name = |line: &'static str| {
        let (code, rest) = line.strip_prefix("    ")?.split_once(' ')?;
        let is_code = !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_digit());
        is_code.then(|| rest.split(' ').next().unwrap_or_default())
    };
    OPS.lines().filter_map(name).collect()
}

#[test]
fn every_operation_is_in_some_scenario() {
    let declared = declared();
    assert!(declared.len() > 60, "{declared:?}");
    let fixture = fixture(test_name!());
    let scenarios = [
        full(&fixture),
        mapped(&fixture),
        visiting(&fixture),
        entangled(&fixture),
    ];
    let planned: Vec<String> = scenarios
        .iter()
        .flat_map(|scenario| scenario.steps(&fixture))
        .map(|step| step.op)
        .collect();
    let mut covered: BTreeSet<&str> = planned.iter().map(String::as_str).collect();
    covered.extend(OF_ENTERING.map(|(op, _)| op));
    for (op, why) in EXCEPTIONS {
        assert!(covered.insert(op), "{op} is there, and no exception: {why}");
    }
    if cgroup::hierarchies_of_v1() == 0 {
        covered.extend(OF_V1);
    }
    assert_eq!(covered, declared);
}
