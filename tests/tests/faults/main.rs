//! Every operation of full Plans in turn: it fails, init is killed there, the command is killed there.
//! The error names the operation, and the machine is as before, at once or after one `delete --force`.
//!
//! Needs a build with the feature `failpoints`; see `locate::runtime_with_failpoints`.

mod coverage;
mod devices;
mod entering;
mod neighbour;
mod parked;
mod scenarios;
mod terminal;

use orlop_tests::host_mounts::HostMounts;
use orlop_tests::patience::patient;
use orlop_tests::runtime::Running;
use orlop_tests::security::container_by;
use orlop_tests::view::{Cgroups, View};
use orlop_tests::{Bundle, Container, Fixture, Output, cgroup, locate, skip, test_name};
use parked::{Init, failing, parked, parked_at, waiting};
use scenarios::{Scenario, Step, among_the_hosts_mounts, entangled, full, mapped, place, visiting};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

#[track_caller]
fn fixture(test: &str) -> Fixture {
    match locate::runtime_with_failpoints() {
        Ok(program) => Fixture::of(test, &program),
        Err(error) => panic!("{error}"),
    }
}

/// A fixture that sees no other cgroups than those of v1; none where the host has none.
#[track_caller]
fn fixture_on_v1(test: &str) -> Option<Fixture> {
    if cgroup::hierarchies_of_v1() == 0 {
        return None;
    }
    let view = View {
        cgroups: Cgroups::V1,
        linker: None,
    };
    Some(fixture(test).viewed(&view))
}

/// `create`, then `start`; the first that fails, or `None`. The fault may be on either side of the
/// gate at which a created container waits.
#[track_caller]
fn failure(scenario: &Scenario, container: &Container, index: usize) -> Option<Output> {
    let created = failing(scenario.create(container), index).run();
    if !created.status.success() {
        scenario.assert_returned();
        return Some(created);
    }
    let started = container.start();
    (!started.status.success()).then_some(started)
}

/// When nobody has the terminals any more.
#[track_caller]
fn end(fixture: &Fixture, scenario: Scenario) {
    drop(scenario);
    fixture.assert_no_keyring();
}

fn every_operation_fails(fixture: &Fixture, scenario: Scenario) {
    for (index, step) in scenario.steps(fixture).iter().enumerate() {
        let container = fixture.container(&scenario.bundle);
        match failure(&scenario, &container, index) {
            // `create` has gone by then, and `start` finds nobody to tell it.
            Some(output) if step.op == "Gate" => output.fails_naming(&["stopped"]),
            // In the kernel's words, or as the error of a mount has them.
            Some(output) => output.fails_naming(&[&step.failure(&container), "nput/output error"]),
            // Such as to mask what is not there.
            None if step.may_fail => container.delete_force().ok(),
            None => panic!("{index} {} failed, and nobody noticed", step.op),
        };
        container.delete_force().ok();
        fixture.assert_clean();
    }
    end(fixture, scenario);
}

#[test]
fn every_operation_fails_once() {
    let fixture = fixture(test_name!());
    every_operation_fails(&fixture, full(&fixture));
}

#[test]
fn every_operation_fails_once_in_a_user_namespace() {
    let fixture = fixture(test_name!());
    every_operation_fails(&fixture, mapped(&fixture));
}

#[test]
fn every_operation_fails_once_in_a_user_namespace_that_init_makes() {
    let fixture = fixture(test_name!());
    every_operation_fails(&fixture, visiting(&fixture));
}

#[test]
fn every_operation_fails_once_in_namespaces_of_others() {
    let fixture = fixture(test_name!());
    every_operation_fails(&fixture, entangled(&fixture));
}

/// Where v1 is all there is, init is born before its cgroup is made, and joins it from within its user
/// namespace.
#[test]
fn every_operation_fails_once_on_v1() {
    let Some(fixture) = fixture_on_v1(test_name!()) else {
        skip!("this host has no cgroup v1");
    };
    every_operation_fails(&fixture, mapped(&fixture));
}

#[test]
fn a_failed_create_needs_no_delete() {
    let fixture = fixture(test_name!());
    let scenario = full(&fixture);
    for index in 0..scenario.steps(&fixture).len() {
        let container = fixture.container(&scenario.bundle);
        let created = failing(scenario.create(&container), index).run();
        if created.status.success() {
            container.delete_force().ok();
        }
        fixture.assert_clean();
    }
}

#[test]
fn init_is_killed_at_every_operation() {
    let fixture = fixture(test_name!());
    init_is_killed(&fixture, full(&fixture));
}

#[test]
fn init_is_killed_at_every_operation_in_a_user_namespace() {
    let fixture = fixture(test_name!());
    init_is_killed(&fixture, mapped(&fixture));
}

#[test]
fn init_is_killed_at_every_operation_in_a_user_namespace_that_it_makes() {
    let fixture = fixture(test_name!());
    init_is_killed(&fixture, visiting(&fixture));
}

#[test]
fn init_is_killed_at_every_operation_in_namespaces_of_others() {
    let fixture = fixture(test_name!());
    init_is_killed(&fixture, entangled(&fixture));
}

fn init_is_killed(fixture: &Fixture, scenario: Scenario) {
    let steps = scenario.steps(fixture);
    let (gate, starting) = (place(&steps, "Gate"), place(&steps, "Starting"));
    for (index, step) in steps.iter().enumerate() {
        let container = fixture.container(&scenario.bundle);
        let create = waiting(scenario.create(&container), index);
        if index < gate {
            let (running, init) = parked(create);
            fixture.track_process(init.pid());
            init.kill();
            let at = format!("killed by signal 9 at: {}\n", step.text(&container));
            running.finish().fails_naming(&[&at]);
            scenario.assert_returned();
        } else {
            create.run().ok();
            let (running, init) = started(&container);
            fixture.track_process(init.pid());
            init.kill();
            let output = running.finish();
            // Past that the end is the program's: what kills it then would have killed it, too.
            if index <= starting {
                output.fails_naming(&["cannot start a container that has stopped"]);
            } else {
                output.ok();
            }
            assert_eq!(container.status(), "stopped", "{index} {}", step.op);
        }
        container.delete_force().ok();
        fixture.assert_clean();
    }
    end(fixture, scenario);
}

/// `start`, and the init that waits for it or behind the gate.
#[track_caller]
fn started(container: &Container) -> (Running, Init) {
    let pid = container.pid();
    let start = container.call("start").start();
    (start, parked_at(pid))
}

#[test]
fn the_command_is_killed_at_every_operation() {
    let fixture = fixture(test_name!());
    command_is_killed(&fixture, full(&fixture));
}

#[test]
fn the_command_is_killed_at_every_operation_in_namespaces_of_others() {
    let fixture = fixture(test_name!());
    command_is_killed(&fixture, entangled(&fixture));
}

#[test]
fn the_command_is_killed_at_every_operation_on_v1() {
    let Some(fixture) = fixture_on_v1(test_name!()) else {
        skip!("this host has no cgroup v1");
    };
    command_is_killed(&fixture, mapped(&fixture));
}

fn command_is_killed(fixture: &Fixture, scenario: Scenario) {
    let steps = scenario.steps(fixture);
    let gate = place(&steps, "Gate");
    for index in 0..steps.len() {
        let container = fixture.container(&scenario.bundle);
        let create = waiting(scenario.create(&container), index);
        let (mut running, init) = if index < gate {
            parked(create)
        } else {
            create.run().ok();
            started(&container)
        };
        fixture.track_process(init.pid());
        running.kill().expect("kill the command");
        running.finish();
        wait_for_hooks(&scenario.bundle);
        let state = container.call("state").run();
        assert!(
            state.status.success() || state.stderr.contains("does not exist"),
            "operation {index}: {state}"
        );
        container.delete_force().ok();
        init.assert_gone(&format!("the command is killed at operation {index}"));
        fixture.assert_clean();
    }
    end(fixture, scenario);
}

/// A container among the host's mounts: what `create` has attached there goes again, whoever is killed,
/// at once or with one `delete --force`.
#[test]
fn no_mount_is_left_among_the_hosts() {
    let fixture = fixture(test_name!());
    let scenario = among_the_hosts_mounts(&fixture);
    let bundle = &scenario.bundle;
    let host = HostMounts::new().expect("make a mount namespace");
    let runtime = host.runtime(fixture.runtime());
    let before = host.table().expect("read the table of mounts");
    // What was made keeps its mounts when it is deleted.
    let end_of = |container: &Container, what: &str| {
        let made = is_made(&fixture, container);
        container.delete_force().ok();
        if made {
            host.unmount(&bundle.rootfs()).expect("unmount");
        }
        assert_eq!(host.table().unwrap(), before, "{what}");
        fixture.assert_clean();
    };
    let steps: Vec<Step> = scenario.steps(&fixture);
    let gate = place(&steps, "Gate");
    for index in 0..steps.len() {
        let named = |name| container_by(&fixture, &runtime, bundle, &format!("{name}{index}"));
        let doomed = named("f");
        failing(scenario.create(&doomed), index).run();
        if !is_made(&fixture, &doomed) {
            assert_eq!(host.table().unwrap(), before, "operation {index} fails");
        }
        end_of(&doomed, &format!("operation {index} fails"));
        if index >= gate {
            continue;
        }
        let bereft = named("i");
        let (running, init) = parked(waiting(scenario.create(&bereft), index));
        init.kill();
        running.finish();
        end_of(&bereft, &format!("init is killed at operation {index}"));
        let orphan = named("c");
        let (mut running, init) = parked(waiting(scenario.create(&orphan), index));
        running.kill().expect("kill the command");
        running.finish();
        let what = format!("the command is killed at operation {index}");
        end_of(&orphan, &what);
        init.assert_gone(&what);
    }
}

/// Whether a container's record says that all of it was made.
fn is_made(fixture: &Fixture, container: &Container) -> bool {
    let record = fixture
        .file("state")
        .join(container.id())
        .join("state.json");
    fs::read_to_string(record).is_ok_and(|state| state.contains("\"phase\":\"created\""))
}

/// A hook outlives the command that was killed while it ran; it is the host's program, in the bundle's
/// folder. Before it executes it is still that command, by its environment.
fn wait_for_hooks(bundle: &Bundle) {
    let folder = bundle.path().parent().and_then(Path::file_name);
    let tag = folder.expect("the test's folder").as_encoded_bytes();
    let is_hook = |process: &Path| {
        fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == bundle.path())
            || fs::read(process.join("environ"))
                .is_ok_and(|environ| environ.windows(tag.len()).any(|part| part == tag))
    };
    let runs = || {
        let processes = fs::read_dir("/proc").expect("list the processes");
        processes
            .filter_map(Result::ok)
            .any(|process| is_hook(&process.path()))
    };
    let end = Instant::now() + patient(Duration::from_secs(5));
    while runs() {
        assert!(Instant::now() < end, "a hook runs for ever");
        std::thread::sleep(Duration::from_millis(1));
    }
}
