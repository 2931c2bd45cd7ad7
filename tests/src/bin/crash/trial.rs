//! One `create`, killed; and what can be told and removed afterwards.

use crate::leftovers::{Empty, Leftovers};
use orlop_tests::{Bundle, Container, Output, Runtime};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// What came of a trial.
#[derive(Debug)]
pub(crate) struct Trial {
    /// `create` was killed before it ended by itself.
    pub(crate) killed: bool,
    pub(crate) state: State,
    /// `delete -f` succeeded.
    pub(crate) deleted: bool,
    pub(crate) left: Leftovers,
    /// The same id could be created and deleted afterwards.
    pub(crate) usable: bool,
    /// What the commands said when something was wrong.
    pub(crate) said: Vec<String>,
}

/// What `state` answered after the kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// A state of the specification.
    Valid,
    /// That there is no such container, and nothing of it is in the state root.
    Absent,
    /// That there is no such container, but its folder is in the state root.
    Denied,
    /// Anything else.
    Unreadable,
}

/// Kills `create` after a delay, and looks.
pub(crate) fn kill_create(
    runtime: &Runtime,
    bundle: &Bundle,
    empty: &Empty,
    id: &str,
    delay: Duration,
) -> io::Result<Trial> {
    let container = Container::new(runtime, id, bundle);
    let killed = create_and_kill(&container, delay)?;
    let mut said = Vec::new();
    let output = container.call("state").run();
    let state = judge(&output, runtime, id);
    if state == State::Unreadable {
        said.push(format!("state: {}", output.stderr.trim_end()));
    }
    let output = container.delete_force();
    let deleted = output.status.success();
    if !deleted {
        said.push(format!("delete -f: {}", output.stderr.trim_end()));
    }
    let left = empty.leftovers(runtime.root(), id)?;
    left.remove();
    let output = container.create();
    let usable = output.status.success() && container.delete_force().status.success();
    if !usable {
        said.push(format!("again: {}", output.stderr.trim_end()));
    }
    empty.leftovers(runtime.root(), id)?.remove();
    Ok(Trial {
        killed,
        state,
        deleted,
        left,
        usable,
        said,
    })
}

/// How long `create` takes when it is left alone: the median of a few.
pub(crate) fn duration_of_create(runtime: &Runtime, bundle: &Bundle) -> Result<Duration, String> {
    let mut times = Vec::new();
    for number in 0..11 {
        let container = Container::new(runtime, &format!("orlop-t-crash-time{number}"), bundle);
        let output = container.create();
        let deleted = container.delete_force();
        if !output.status.success() || !deleted.status.success() {
            return Err(format!("{}{}", output.stderr, deleted.stderr));
        }
        times.push(output.elapsed);
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

fn create_and_kill(container: &Container, delay: Duration) -> io::Result<bool> {
    let begin = Instant::now();
    let mut running = container.call("create").start();
    // A sleep wakes up late by the kernel's timer slack; the last bit is waited out.
    if let Some(long) = delay.checked_sub(begin.elapsed() + Duration::from_micros(200)) {
        thread::sleep(long);
    }
    while begin.elapsed() < delay {
        std::hint::spin_loop();
    }
    running.kill()?;
    Ok(running.finish().status.code().is_none())
}

fn judge(output: &Output, runtime: &Runtime, id: &str) -> State {
    if output.status.success() {
        let answer: Option<serde_json::Value> = serde_json::from_str(&output.stdout).ok();
        let valid = answer.is_some_and(|state| {
            let statuses = ["creating", "created", "running", "stopped", "paused"];
            state["id"] == *id && statuses.iter().any(|status| state["status"] == **status)
        });
        if valid {
            State::Valid
        } else {
            State::Unreadable
        }
    } else if output.stderr.contains("does not exist") && output.stderr.lines().count() == 1 {
        if runtime.root().join(id).exists() {
            State::Denied
        } else {
            State::Absent
        }
    } else {
        State::Unreadable
    }
}
