//! The same for `exec`: the container runs on, and has no process more.

use crate::fixture;
use crate::parked::{failing, parked, waiting};
use crate::scenarios::{Scenario, full, mapped};
use crate::terminal::Terminal;
use orlop_tests::patience::until;
use orlop_tests::runtime::Call;
use orlop_tests::{Container, Fixture, test_name};
use serde_json::json;
use std::fs;

/// What only a process that enters a container does, and how it is said.
pub(crate) const OF_ENTERING: [(&str, &str); 3] = [
    ("Affinity", "bind the process to CPUs"),
    ("OpenRoot", "open the container's root"),
    ("NeedScheduler", "wait for the scheduling policy"),
];

/// Past this the end is the program's.
const STARTING: &str = "report that the program is next";

/// The exit status of a process that could not be run.
const NOT_RUN: i32 = 255;

/// A container that runs, and a process that is to enter it.
struct Entered<'a> {
    fixture: &'a Fixture,
    container: Container,
    first: u32,
    terminal: Terminal,
    process: String,
}

impl<'a> Entered<'a> {
    #[track_caller]
    fn new(fixture: &'a Fixture, scenario: &Scenario) -> Self {
        let process = json!({
            "terminal": true,
            "user": { "uid": 0, "gid": 0 },
            "args": ["true"],
            "env": ["PATH=/bin"],
            "cwd": "/",
            "noNewPrivileges": true,
            "oomScoreAdj": 100,
            "ioPriority": { "class": "IOPRIO_CLASS_IDLE" },
            "scheduler": { "policy": "SCHED_BATCH", "nice": 10, "flags": ["SCHED_FLAG_RESET_ON_FORK"] },
            "execCPUAffinity": { "initial": "0", "final": "0" },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 32, "soft": 32 }]
        });
        let path = fixture.file("process.json");
        fs::write(&path, process.to_string()).expect("write a process");
        let container = fixture.container(&scenario.bundle);
        scenario.create(&container).run().ok();
        container.start().ok();
        fixture.track(&container);
        Self {
            fixture,
            first: container.pid(),
            container,
            terminal: Terminal::new(fixture, "exec.sock"),
            process: path.to_str().expect("an ASCII path").to_owned(),
        }
    }

    #[track_caller]
    fn exec(&self) -> Call {
        let socket = self.terminal.listen();
        let options = ["--detach", "--console-socket", socket, "--process"];
        let options = [&options[..], &[&self.process]].concat();
        self.container.call_with("exec", &options)
    }

    /// Fails the test unless the container runs, and has no process but its first one.
    #[track_caller]
    fn assert_alone(&self, what: &str) {
        let ps = || {
            let ps = self.container.call_with("ps", &["--format", "json"]);
            ps.run().ok().json()
        };
        let alone = json!([self.first]);
        assert!(until(|| ps() == alone), "{what}: {} and not {alone}", ps());
        assert_eq!(self.container.status(), "running", "{what}");
    }

    /// Every operation fails: what each does, in its error's words.
    #[track_caller]
    fn fail(&self) -> Vec<String> {
        let mut texts = Vec::new();
        loop {
            let output = failing(self.exec(), texts.len()).run();
            if output.status.success() {
                return texts;
            }
            let end = output.stderr.to_lowercase().find(": input/output error");
            let text =
                end.and_then(|end| output.stderr[..end].strip_prefix("orlop-runc: exec failed: "));
            let text = text.unwrap_or_else(|| panic!("names no operation: {output}"));
            self.assert_alone(&format!("`{text}` fails"));
            texts.push(text.to_owned());
            output.fails_with(NOT_RUN, &[]);
        }
    }

    /// Init is killed at the operation of this index.
    #[track_caller]
    fn kill_init(&self, index: usize, text: &str, started: bool) {
        let (running, init) = parked(waiting(self.exec(), index));
        init.kill();
        let output = running.finish();
        if started {
            output.ok();
        } else {
            let at = format!("killed by signal 9 at: {text}\n");
            output.fails_with(NOT_RUN, &[&at]);
        }
        self.assert_alone(&format!("init is killed at `{text}`"));
    }

    /// The command is killed while init is at the operation of this index.
    #[track_caller]
    fn kill_command(&self, index: usize, text: &str, started: bool) {
        let (mut running, init) = parked(waiting(self.exec(), index));
        running.kill().expect("kill the command");
        running.finish();
        let what = format!("the command is killed at `{text}`");
        if started {
            // It is the container's by then, and no more its command's.
            init.kill();
        }
        init.assert_gone(&what);
        self.assert_alone(&what);
    }

    #[track_caller]
    fn end(self) {
        self.container.delete_force().ok();
        self.fixture.assert_clean();
        drop(self.terminal);
        self.fixture.assert_no_keyring();
    }
}

fn every_operation_of_exec(fixture: &Fixture, scenario: &Scenario) {
    let entered = Entered::new(fixture, scenario);
    let texts = entered.fail();
    for (op, text) in OF_ENTERING {
        assert!(texts.iter().any(|one| one == text), "no {op}: {texts:?}");
    }
    let starting = texts.iter().position(|text| text == STARTING);
    let starting = starting.unwrap_or_else(|| panic!("never starts: {texts:?}"));
    for (index, text) in texts.iter().enumerate() {
        entered.kill_init(index, text, index > starting);
        entered.kill_command(index, text, index > starting);
    }
    entered.end();
}

#[test]
fn every_operation_of_exec_fails_and_is_killed() {
    let fixture = fixture(test_name!());
    every_operation_of_exec(&fixture, &full(&fixture));
}

#[test]
fn every_operation_of_exec_fails_and_is_killed_in_a_user_namespace() {
    let fixture = fixture(test_name!());
    every_operation_of_exec(&fixture, &mapped(&fixture));
}
