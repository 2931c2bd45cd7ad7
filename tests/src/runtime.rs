//! Drives a runtime through its `runc`-compatible command line.

use crate::bundle::Bundle;
use crate::call::LIMIT;
use crate::census::TAG_VARIABLE;
use crate::locate;
use crate::patience::patient;
use crate::view::View;
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

pub use crate::call::{Call, Output, Running};

/// A runtime's program, and the state root that one test gives it.
#[derive(Clone, Debug)]
pub struct Runtime {
    program: PathBuf,
    prefix: Vec<OsString>,
    root: PathBuf,
    globals: Vec<OsString>,
    tag: String,
}

impl Runtime {
    /// Any runtime with runc's command line. `tag` goes into the environment of its processes, so
    /// that a census finds those that are left.
    #[must_use]
    pub fn new(program: &Path, root: &Path, tag: &str) -> Self {
        Self {
            program: program.to_path_buf(),
            prefix: Vec::new(),
            root: root.to_path_buf(),
            globals: Vec::new(),
            tag: tag.to_owned(),
        }
    }

    /// Runs every command in a private mount namespace with that view.
    ///
    /// # Errors
    /// `NotFound` if the program `view` is not built.
    pub fn with_view(mut self, view: &View) -> io::Result<Self> {
        self.prefix = vec![locate::sibling("view")?.into_os_string()];
        self.prefix
            .extend(view.arguments().into_iter().map(OsString::from));
        Ok(self)
    }

    /// Starts every command through another program, such as `setpriv(1)`.
    #[must_use]
    pub fn with_prefix(mut self, words: &[&str]) -> Self {
        self.prefix.extend(words.iter().map(OsString::from));
        self
    }

    /// Gives every command this global option too.
    #[must_use]
    pub fn with_global(mut self, option: &str) -> Self {
        self.globals.push(option.into());
        self
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The state root: `--root`.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A command: `<program> --root <root> <verb>`.
    #[must_use]
    pub fn command(&self, verb: &str) -> Call {
        let mut globals = vec!["--root".into(), self.root.clone().into_os_string()];
        globals.extend_from_slice(&self.globals);
        Call::new(self.command_line(), globals, Some(verb))
    }

    /// A command line from scratch: `<program>` alone.
    #[must_use]
    pub fn bare(&self) -> Call {
        Call::new(self.command_line(), Vec::new(), None)
    }

    fn command_line(&self) -> Command {
        let mut words = self
            .prefix
            .iter()
            .map(OsString::as_os_str)
            .chain([self.program.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or_else(|| OsStr::new("")));
        command.args(words).env(TAG_VARIABLE, &self.tag);
        command
    }
}

/// A container's id, and the verbs that take one. Deleted by force when dropped.
#[derive(Debug)]
pub struct Container {
    runtime: Runtime,
    id: String,
    bundle: PathBuf,
}

impl Container {
    /// Names a container; nothing is done yet.
    #[must_use]
    pub fn new(runtime: &Runtime, id: &str, bundle: &Bundle) -> Self {
        Self {
            runtime: runtime.clone(),
            id: id.to_owned(),
            bundle: bundle.path().to_path_buf(),
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `<verb> … <id>`: with the bundle for `create` and `run`. The id comes last, after what is
    /// added with [`Container::call_with`].
    #[must_use]
    pub fn call(&self, verb: &str) -> Call {
        self.call_with(verb, &[])
    }

    /// `<verb> <options> <id>`, to which further arguments may be added behind the id.
    #[must_use]
    pub fn call_with(&self, verb: &str, options: &[&str]) -> Call {
        let call = self.runtime.command(verb);
        let call = match verb {
            "create" | "run" | "restore" => call.arg("--bundle").arg(&self.bundle),
            _ => call,
        };
        call.args(options).arg(&self.id)
    }

    /// `create`.
    #[track_caller]
    pub fn create(&self) -> Output {
        self.call("create").run()
    }

    /// `start`.
    #[track_caller]
    pub fn start(&self) -> Output {
        self.call("start").run()
    }

    /// `run` in the foreground.
    #[track_caller]
    pub fn run(&self) -> Output {
        self.call("run").run()
    }

    /// `exec` of a program.
    #[track_caller]
    pub fn exec(&self, program: &[&str]) -> Output {
        self.call("exec").args(program).run()
    }

    /// `kill` with a signal.
    #[track_caller]
    pub fn kill(&self, signal: &str) -> Output {
        self.call("kill").arg(signal).run()
    }

    /// `delete`.
    #[track_caller]
    pub fn delete(&self) -> Output {
        self.call("delete").run()
    }

    /// `delete --force`.
    #[track_caller]
    pub fn delete_force(&self) -> Output {
        self.call_with("delete", &["--force"]).run()
    }

    /// `state`, which has to succeed.
    #[must_use]
    #[track_caller]
    pub fn state(&self) -> Value {
        self.call("state").run().ok().json()
    }

    /// The container's status: `created`, `running`, `paused` or `stopped`.
    #[must_use]
    #[track_caller]
    pub fn status(&self) -> String {
        self.state()["status"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The process id of the container's init.
    ///
    /// # Panics
    /// When `state` has none.
    #[must_use]
    #[track_caller]
    pub fn pid(&self) -> u32 {
        let pid = &self.state()["pid"];
        match pid.as_u64().and_then(|pid| u32::try_from(pid).ok()) {
            Some(pid) if pid > 0 => pid,
            _ => panic!("{}: state has pid {pid}", self.id),
        }
    }

    /// Waits until the status is that.
    ///
    /// # Panics
    /// When it isn't within the limit.
    #[track_caller]
    pub fn wait_for(&self, status: &str) {
        let end = Instant::now() + patient(LIMIT);
        loop {
            let now = self.status();
            if now == status {
                return;
            }
            assert!(Instant::now() < end, "{}: {now}, and not {status}", self.id);
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Only when a test failed on the way; otherwise the id is gone and this changes nothing.
        if std::thread::panicking() {
            let call = self.call_with("delete", &["--force"]);
            let _ = call
                .try_start()
                .and_then(|mut running| running.try_finish());
        }
    }
}
