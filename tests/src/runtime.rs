//! Drives a runtime through its `runc`-compatible command line.

use crate::bundle::Bundle;
use crate::census::TAG_VARIABLE;
use crate::locate;
use crate::view::View;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a command may take unless told otherwise.
const LIMIT: Duration = Duration::from_secs(10);

/// A runtime's program, and the state root that one test gives it.
#[derive(Clone, Debug)]
pub struct Runtime {
    program: PathBuf,
    prefix: Vec<OsString>,
    root: PathBuf,
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
        let globals = vec!["--root".into(), self.root.clone().into_os_string()];
        Call::new(self, globals, Some(verb))
    }

    /// A command line from scratch: `<program>` alone.
    #[must_use]
    pub fn bare(&self) -> Call {
        Call::new(self, Vec::new(), None)
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

/// One command line in the making.
#[derive(Debug)]
pub struct Call {
    command: Command,
    globals: Vec<OsString>,
    verb: Option<String>,
    args: Vec<OsString>,
    stdin: Option<Vec<u8>>,
    limit: Duration,
}

impl Call {
    fn new(runtime: &Runtime, globals: Vec<OsString>, verb: Option<&str>) -> Self {
        Self {
            command: runtime.command_line(),
            globals,
            verb: verb.map(str::to_owned),
            args: Vec::new(),
            stdin: None,
            limit: LIMIT,
        }
    }

    /// Adds an option before the verb.
    #[must_use]
    pub fn global(mut self, option: impl AsRef<OsStr>) -> Self {
        self.globals.push(option.as_ref().to_owned());
        self
    }

    /// Adds an argument after the verb.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.args.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments after the verb.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, arguments: I) -> Self {
        self.args
            .extend(arguments.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable of the command.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets the command's working directory.
    #[must_use]
    pub fn dir(mut self, path: &Path) -> Self {
        self.command.current_dir(path);
        self
    }

    /// Gives these bytes on standard input, which is `/dev/null` otherwise.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Sets how long it may take.
    #[must_use]
    pub const fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Starts it and returns at once.
    ///
    /// # Panics
    /// When the program can't be started.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> Running {
        self.try_start().expect("start the runtime")
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it can't be started, or takes longer than the limit.
    #[track_caller]
    pub fn run(self) -> Output {
        self.start().finish()
    }

    fn try_start(mut self) -> io::Result<Running> {
        // Files, not pipes: a container's process that keeps them open does not keep us waiting.
        let (stdout, stderr) = (scratch()?, scratch()?);
        let stdin = match self.stdin.take() {
            None => Stdio::null(),
            Some(bytes) => {
                let mut file = scratch()?;
                file.write_all(&bytes)?;
                file.rewind()?;
                file.into()
            }
        };
        self.command
            .args(&self.globals)
            .args(&self.verb)
            .args(&self.args)
            .stdin(stdin)
            .stdout(stdout.try_clone()?)
            .stderr(stderr.try_clone()?);
        let line = format!("{:?}", self.command);
        let started = Instant::now();
        let child = self
            .command
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{line}: {error}")))?;
        Ok(Running {
            child,
            stdout,
            stderr,
            started,
            limit: self.limit,
            line,
        })
    }
}

/// A command that runs. Killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: File,
    stderr: File,
    started: Instant,
    limit: Duration,
    line: String,
}

impl Running {
    /// The command's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills the command itself with `SIGKILL`, not what it has started.
    ///
    /// # Errors
    /// What `kill(2)` reports.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it takes longer than the limit; it is killed then.
    #[track_caller]
    pub fn finish(mut self) -> Output {
        match self.try_finish() {
            Ok(output) => output,
            Err(error) => panic!(
                "{}: {error}\nstdout: {}\nstderr: {}",
                self.line,
                text(&mut self.stdout),
                text(&mut self.stderr)
            ),
        }
    }

    fn try_finish(&mut self) -> io::Result<Output> {
        let status = wait(&mut self.child, self.limit)?;
        Ok(Output {
            status,
            elapsed: self.started.elapsed(),
            stdout: text(&mut self.stdout),
            stderr: text(&mut self.stderr),
            line: self.line.clone(),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a command did.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// From start to end.
    pub elapsed: Duration,
    /// All of its standard output, or what there was when it ended.
    pub stdout: String,
    /// All of its standard error, or what there was when it ended.
    pub stderr: String,
    line: String,
}

impl Output {
    /// The exit code as a shell reports it: 128 and the signal's number for a killed one.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }

    /// Fails the test unless the exit code is 0; returns the output.
    ///
    /// # Panics
    /// When the command failed.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.status.success(), "should have succeeded: {self}");
        self
    }

    /// Fails the test unless the command failed as a runtime should: exit code 1, nothing on
    /// standard output, and one line on standard error that holds each of these words, in upper or
    /// lower case.
    ///
    /// # Panics
    /// When it did otherwise.
    #[track_caller]
    pub fn fails_naming(self, words: &[&str]) -> Self {
        self.fails_with(1, words)
    }

    /// The same with another exit code.
    ///
    /// # Panics
    /// When it did otherwise.
    #[track_caller]
    pub fn fails_with(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code(), code, "wrong exit code: {self}");
        assert!(
            self.stdout.is_empty(),
            "an error belongs on standard error: {self}"
        );
        assert_eq!(
            self.stderr.lines().count(),
            1,
            "an error is one line: {self}"
        );
        let stderr = self.stderr.to_ascii_lowercase();
        for word in words {
            let word = word.to_ascii_lowercase();
            assert!(stderr.contains(&word), "does not name `{word}`: {self}");
        }
        for word in ["panicked", "RUST_BACKTRACE", "stack backtrace"] {
            assert!(
                !self.stderr.contains(word),
                "a panic is no error message: {self}"
            );
        }
        self
    }

    /// Fails the test unless standard error has exactly this text in it, which callers look for.
    ///
    /// # Panics
    /// When it hasn't.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text),
            "callers look for `{text}`: {self}"
        );
        self
    }

    /// Standard output as JSON.
    ///
    /// # Panics
    /// When it isn't.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(error) => panic!("not JSON ({error}): {self}"),
        }
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}\n{}\nstdout: {}\nstderr: {}",
            self.line, self.status, self.stdout, self.stderr
        )
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
            "create" | "run" => call.arg("--bundle").arg(&self.bundle),
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
        let end = Instant::now() + LIMIT;
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

fn wait(child: &mut Child, limit: Duration) -> io::Result<ExitStatus> {
    let pid = Pid::from_child(child);
    let pidfd: OwnedFd = pidfd_open(pid, PidfdFlags::empty())?;
    let timeout = Timespec::try_from(limit).map_err(io::Error::other)?;
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    if poll(&mut fds, Some(&timeout))? == 0 {
        child.kill()?;
        child.wait()?;
        return Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("has not ended within {limit:?}"),
        ));
    }
    child.wait()
}

fn scratch() -> io::Result<File> {
    Ok(memfd_create("captured", MemfdFlags::CLOEXEC)?.into())
}

fn text(file: &mut File) -> String {
    let mut bytes = Vec::new();
    let read = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
    match read {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => format!("<{error}>"),
    }
}
