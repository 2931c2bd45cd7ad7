//! A command that was compiled once, for any number of sandboxes.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::capture::{self, Output};
use super::cgroup::{Choice, OwnCgroup};
use super::child::{Child, Reach, Sandbox};
use super::process::Process;
use super::stdio::{Ends, Stdio, Streams};
use super::{ExitStatus, fields};
use crate::birth::Entering;
use crate::compile::JoinOptions;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::plan::Plan;
use crate::seccomp::Filter;
use crate::spawn::{self, Inputs, Nature, SealedProgram, Supply};
use crate::spec::Seccomp;

/// A checked and compiled [`Command`](super::Command). Cheap to clone, and to share between threads.
///
/// ```
/// use orlop::{Command, Root};
///
/// let upper = Command::new("tr")
///     .args(["a-z", "A-Z"])
///     .root(Root::pivot("/").read_only())
///     .map_self_to_root()
///     .build()?;
/// for word in ["one", "two"] {
///     assert_eq!(upper.output_with(word.as_bytes())?.stdout, word.to_uppercase().as_bytes());
/// }
/// # Ok::<(), orlop::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Prepared(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub process: Process,
    pub plan: Plan,
    pub program: SealedProgram,
    pub seccomp: Option<Seccomp>,
    pub filter: Option<Filter>,
    pub host: Host,
    /// Namespaces to join, in the order in which the Plan counts them.
    pub joined: Vec<Arc<OwnedFd>>,
    pub cgroup: Option<Choice>,
    pub tree: Tree,
    /// Whether a further process can get at the sandbox's root.
    pub enterable: bool,
    /// How many mounts of the Plan come before those that the builder was given.
    pub first_mount: usize,
}

/// What holds all processes of a sandbox together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tree {
    /// All end with the first process of their PID namespace.
    PidNamespace,
    /// They are in one cgroup.
    Cgroup,
}

impl Prepared {
    /// What was narrowed or passed over, in sentences for a log.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        self.0.plan.warnings()
    }

    /// The steps that make a sandbox, for people.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.0.plan
    }

    /// Starts a sandbox; returns once its program runs.
    ///
    /// # Errors
    /// [`Error::Step`] says what failed inside, [`Error::System`] and [`Error::Cgroup`] what failed
    /// before. Nothing is left of the sandbox then.
    pub fn spawn(&self) -> Result<Child> {
        let inherit = |stream: &Option<Stdio>| stream.clone().unwrap_or(Stdio::inherit());
        let process = &self.0.process;
        self.start(&streams(process, || {
            Streams::Separate(process.streams.each_ref().map(inherit))
        }))
    }

    /// Runs a sandbox until its program ends.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn) and [`Child::wait`].
    pub fn status(&self) -> Result<ExitStatus> {
        self.spawn()?.wait()
    }

    /// Runs a sandbox until its program ends, with an empty standard input, and captures what it
    /// writes. What it has started and left behind is killed then.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn) and [`Child::wait`].
    pub fn output(&self) -> Result<Output> {
        let process = &self.0.process;
        let captured = || Streams::captured(&process.streams, false);
        capture::run(self.start(&streams(process, captured))?, &[])
    }

    /// As [`output`](Self::output), with this as standard input.
    ///
    /// # Errors
    /// As [`output`](Self::output).
    pub fn output_with(&self, input: &[u8]) -> Result<Output> {
        let process = &self.0.process;
        let captured = || Streams::captured(&process.streams, true);
        capture::run(self.start(&streams(process, captured))?, input)
    }

    fn start(&self, streams: &Streams) -> Result<Child> {
        let Inner {
            plan,
            program,
            filter,
            host,
            joined,
            cgroup,
            tree,
            process,
            ..
        } = &*self.0;
        let cgroup = match cgroup {
            Some(choice) => Some(Arc::new(choice.make(&host.cgroups)?)),
            None => None,
        };
        let mut ends = Ends::open(streams)?;
        let inputs = Inputs {
            given: joined
                .iter()
                .map(|fd| fd.as_fd())
                .chain(ends.theirs())
                .collect(),
            filter: filter.as_ref(),
            ..Inputs::default()
        };
        let nature = born_in(cgroup.as_deref());
        let mut caller = Entering::default();
        let born = match &cgroup {
            None => {
                let program = Supply::Sealed(program);
                spawn::spawn_program(plan, program, nature, &inputs, &mut caller)
            }
            // Every sandbox has a cgroup of its own, and so steps of its own.
            Some(own) => {
                let plan = plan.in_cgroup(own.v1_directories());
                spawn::spawn(&plan, nature, &inputs, &mut caller)
            }
        };
        let born = born.map_err(|error| fields::rename(error, self.0.first_mount))?;
        drop(inputs);
        let reach = match tree {
            Tree::PidNamespace => Reach::PidNamespace,
            Tree::Cgroup => Reach::Cgroup,
        };
        let sandbox = Sandbox {
            prepared: self.clone(),
            cgroup,
            entered: Arc::default(),
        };
        Child::new(born, sandbox, reach, process, &mut ends, caller.terminal)
    }

    /// Starts a further process in a sandbox of this kind.
    pub(super) fn enter(
        &self,
        sandbox: &Sandbox,
        target: &OwnedFd,
        process: &Process,
    ) -> Result<Child> {
        let Inner {
            plan,
            seccomp,
            filter,
            host,
            ..
        } = &*self.0;
        if !self.0.enterable {
            let message = "can't enter a sandbox without a mount namespace of its own: its root is out of reach";
            return Err(Error::WrongState {
                message: message.to_owned(),
            });
        }
        let inherit = |stream: &Option<Stdio>| stream.clone().unwrap_or(Stdio::inherit());
        let streams = streams(process, || {
            Streams::Separate(process.streams.each_ref().map(inherit))
        });
        let separate = matches!(streams, Streams::Separate(_));
        let directories = sandbox
            .cgroup
            .as_deref()
            .map(|own| own.v1_directories().map(Path::to_owned).collect());
        let join = JoinOptions {
            namespaces: plan.new_namespaces | plan.joined_namespaces,
            seccomp: seccomp.clone(),
            unnamed_keyring: true,
            keep_affinity: true,
            stdio: [0, 1, 2].map(|number| separate.then_some(number)),
            cgroup: directories.unwrap_or_default(),
            ..JoinOptions::default()
        };
        let entry = Plan::compile_exec(&process.to_spec()?, &join, host)
            .map_err(|error| fields::rename(error, 0))?;
        let mut ends = Ends::open(&streams)?;
        let inputs = Inputs {
            given: ends.theirs().collect(),
            target: Some(target.as_fd()),
            filter: filter.as_ref(),
            ..Inputs::default()
        };
        let nature = born_in(sandbox.cgroup.as_deref());
        let mut caller = Entering::default();
        let born = spawn::spawn(&entry, nature, &inputs, &mut caller)
            .map_err(|error| fields::rename(error, 0))?;
        drop(inputs);
        Child::new(
            born,
            sandbox.clone(),
            Reach::Alone,
            process,
            &mut ends,
            caller.terminal,
        )
    }
}

fn born_in(cgroup: Option<&OwnCgroup>) -> Nature<'_> {
    Nature {
        cgroup: cgroup.map(|own| &own.cgroup),
        ..Nature::default()
    }
}

fn streams(process: &Process, separate: impl FnOnce() -> Streams) -> Streams {
    match process.pty {
        Some(_) => Streams::Terminal,
        None => separate(),
    }
}

/// The moment when a process's time is over.
pub(super) fn deadline(process: &Process) -> Option<Instant> {
    Instant::now().checked_add(process.timeout?)
}
