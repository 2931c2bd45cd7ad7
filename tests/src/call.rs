//! One command of a runtime: what it is given, and what it did.

use crate::patience::patient;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a command may take unless told otherwise.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

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
    pub(crate) fn new(command: Command, globals: Vec<OsString>, verb: Option<&str>) -> Self {
        Self {
            command,
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

    pub(crate) fn try_start(mut self) -> io::Result<Running> {
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
            limit: patient(self.limit),
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

    /// What it has written to its standard output by now.
    ///
    /// # Panics
    /// When that can't be read.
    #[must_use]
    pub fn written(&self) -> String {
        // At its place: the command writes where this descriptor's offset is.
        let length = self.stdout.metadata().expect("captured output").len();
        let mut bytes = vec![0; usize::try_from(length).expect("it fits into memory")];
        let read = self.stdout.read_exact_at(&mut bytes, 0);
        read.expect("captured output");
        String::from_utf8_lossy(&bytes).into_owned()
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

    pub(crate) fn try_finish(&mut self) -> io::Result<Output> {
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
    /// standard output, and one line on standard error that holds each of these words.
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
        for word in words {
            assert!(self.stderr.contains(word), "does not name `{word}`: {self}");
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
