//! What the library leaves open in the program that uses it: nothing.
//!
//! One test alone in its program: another's descriptors would be counted, too.

use orlop::{CreateOptions, ExecOptions, Runtime, Signal};
use orlop_tests::census::open_descriptors;
use orlop_tests::{Bundle, Fixture, test_name};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// Both are the caller's children.
fn reap(pid: Pid) {
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED).expect("wait for a child");
}

/// A container's life, with a process that enters it; started by its maker, or by way of its gate.
fn live(runtime: &Runtime, bundle: &Bundle, id: &str, gate: bool) {
    let mut options = CreateOptions::new(id.parse().expect("an id"), bundle.path());
    options.gate = gate;
    let mut container = runtime.create(options).expect("create");
    container.start().expect("start");
    let mut process = container
        .spec()
        .expect("read the configuration")
        .process
        .clone()
        .expect("a process");
    process.args = vec!["true".to_owned()];
    let entered = container
        .exec(ExecOptions::new(process.clone()))
        .expect("exec");
    reap(entered.pid);
    process.args = vec!["nobody".to_owned()];
    container
        .exec(ExecOptions::new(process))
        .expect_err("there is no such program");
    container.kill(Signal::KILL, false).expect("kill");
    reap(container.pid().expect("its pid"));
    drop(container);
    runtime
        .delete_force(&id.parse().expect("an id"))
        .expect("delete");
}

/// One that can't be made, since its program is not there.
fn fail(runtime: &Runtime, bundle: &Bundle, id: &str) {
    let options = CreateOptions::new(id.parse().expect("an id"), bundle.path());
    runtime
        .create(options)
        .expect_err("there is no such program");
}

#[test]
fn no_descriptor_stays_open() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture.bundle().args(&["sleep", "60"]).written();
    let broken = fixture.bundle().args(&["nobody"]).written();
    let runtime = Runtime::open(fixture.file("state")).unwrap();
    let round = |number: u32| {
        for gate in [false, true] {
            let id = format!("{}-{number}-{gate}", fixture.tag());
            live(&runtime, &bundle, &id, gate);
        }
        fail(&runtime, &broken, &format!("{}-{number}", fixture.tag()));
    };
    // What is made once for the whole program stays.
    round(0);
    let before = open_descriptors().unwrap();
    (1..4).for_each(round);
    assert_eq!(open_descriptors().unwrap(), before);
    fixture.assert_clean();
}
