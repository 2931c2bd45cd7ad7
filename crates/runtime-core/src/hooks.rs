//! Hooks that run on the host, with the caller's rights.
//!
//! A hook gets exactly the environment that the configuration lists, and stands in the bundle:
//! nothing of the container's process, whose environment may come from an image, reaches it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};

use crate::annotations::{self, HOOKS_STDERR, HOOKS_STDOUT};
use crate::error::{Error, Result};
use crate::poll::poll_until;
use crate::process_id::wait_exit;
use crate::signal;
use crate::spec::Hook;
use crate::state::State;

/// How much of a failed hook's last words the error repeats, in bytes.
const MAX_OUTPUT: usize = 4096;
/// How long a killed hook may take to be gone.
const KILL_LIMIT: Duration = Duration::from_millis(500);

/// What a container's hooks have around them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    bundle: &'a Path,
    /// The file to which they write instead of to nowhere.
    stdout: Option<&'a Path>,
    /// The file to which they write instead of to the error.
    stderr: Option<&'a Path>,
}

impl<'a> Place<'a> {
    /// That of this container.
    pub(crate) fn of(state: &'a State) -> Self {
        let file = |name| annotations::value(&state.annotations, name).map(Path::new);
        Self {
            bundle: &state.bundle,
            stdout: file(HOOKS_STDOUT),
            stderr: file(HOOKS_STDERR),
        }
    }
}

/// Runs hooks one after the other, up to the first that fails.
pub(crate) fn run_all(
    kind: &'static str,
    hooks: &[Hook],
    state: &[u8],
    place: Place<'_>,
) -> Result<()> {
    let mut each = hooks.iter().enumerate();
    each.try_for_each(|(index, hook)| run((kind, index), hook, state, place))
}

/// Runs one hook and waits for it. `state` is what it reads on its standard input.
///
/// # Errors
/// [`Error::Hook`] when it can't be run, does not exit with 0, or takes longer than its timeout:
/// then it is killed with its process group.
pub(crate) fn run(
    (kind, index): (&'static str, usize),
    hook: &Hook,
    state: &[u8],
    place: Place<'_>,
) -> Result<()> {
    let fail = |message: String| Error::Hook {
        kind,
        index,
        path: hook.path.clone().into(),
        message,
    };
    let limit = check(hook).map_err(&fail)?;
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    let input = filled_pipe(state).map_err(|error| fail(format!("pass the state: {error}")))?;
    let stdout = output(place.stdout).map_err(&fail)?;
    let stderr = output(place.stderr).map_err(&fail)?;
    let mut running = Running::spawn(hook, input, place.bundle, stdout, stderr)
        .map_err(|error| fail(format!("run it in {}: {error}", place.bundle.display())))?;
    let end = running
        .wait(deadline)
        .map_err(|error| fail(format!("wait for it: {error}")))?;
    match end {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(fail(running.describe(&describe_end(status)))),
        None => {
            let seconds = limit.unwrap_or_default().as_secs();
            Err(fail(running.describe(&format!(
                "took longer than {seconds} s and was killed"
            ))))
        }
    }
}

/// What the specification demands of a hook; its limit in time, if it has one.
fn check(hook: &Hook) -> Result<Option<Duration>, String> {
    if !hook.path.starts_with('/') {
        return Err("its path must be absolute".to_owned());
    }
    if let Some(variable) = hook.env.iter().find(|variable| !variable.contains('=')) {
        return Err(format!("env: {variable:?} is not NAME=VALUE"));
    }
    match hook.timeout {
        None => Ok(None),
        Some(seconds) => match u64::try_from(seconds) {
            Ok(seconds @ 1..) => Ok(Some(Duration::from_secs(seconds))),
            _ => Err("timeout must be greater than 0".to_owned()),
        },
    }
}

/// A pipe that holds all of the input before anybody reads it: a hook that never does can't block
/// the caller, nor end it with SIGPIPE.
fn filled_pipe(content: &[u8]) -> io::Result<OwnedFd> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&writer, OFlags::NONBLOCK)?;
    let mut rest = content;
    while !rest.is_empty() {
        match rustix::io::write(&writer, rest) {
            Ok(count) => rest = &rest[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let size = fcntl_setpipe_size(&writer, 2 * content.len())?;
                if size < content.len() {
                    return Err(Errno::FBIG.into());
                }
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(reader)
}

/// A file that what hooks say is added to.
fn output(path: Option<&Path>) -> Result<Option<File>, String> {
    let open = |path: &Path| {
        let mut options = OpenOptions::new();
        let opened = options.append(true).create(true).mode(0o600).open(path);
        opened.map_err(|error| format!("open {} for what it says: {error}", path.display()))
    };
    path.map(open).transpose()
}

/// A hook at work, in a process group of its own.
struct Running {
    child: Child,
    pidfd: OwnedFd,
    stderr: Option<ChildStderr>,
    said: Tail,
}

impl Running {
    fn spawn(
        hook: &Hook,
        input: OwnedFd,
        bundle: &Path,
        stdout: Option<File>,
        stderr: Option<File>,
    ) -> io::Result<Self> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the absolute path that the configuration names"
        )]
        let mut command = Command::new(&hook.path);
        if let Some((name, rest)) = hook.args.split_first() {
            command.arg0(name).args(rest);
        }
        let variables = hook
            .env
            .iter()
            .filter_map(|variable| variable.split_once('='));
        let mut child = command
            .env_clear()
            .envs(variables)
            .current_dir(bundle)
            .process_group(0)
            .stdin(input)
            .stdout(stdout.map_or_else(Stdio::null, Stdio::from))
            .stderr(stderr.map_or_else(Stdio::piped, Stdio::from))
            .spawn()?;
        let stderr = child.stderr.take();
        match Self::watch(&child, stderr.as_ref()) {
            Ok(pidfd) => Ok(Self {
                child,
                pidfd,
                stderr,
                said: Tail::default(),
            }),
            Err(errno) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(errno.into())
            }
        }
    }

    fn watch(child: &Child, stderr: Option<&ChildStderr>) -> rustix::io::Result<OwnedFd> {
        if let Some(stderr) = stderr {
            rustix::fs::fcntl_setfl(stderr, OFlags::NONBLOCK)?;
        }
        pidfd_open(Pid::from_child(child), PidfdFlags::empty())
    }

    /// Waits for the hook's own process alone: what it started in the background may go on, and
    /// keep its standard error open. `None` when the time ran out, and the group was killed.
    fn wait(&mut self, deadline: Option<Instant>) -> io::Result<Option<ExitStatus>> {
        loop {
            let mut fds = vec![PollFd::new(&self.pidfd, PollFlags::IN)];
            fds.extend(
                self.stderr
                    .as_ref()
                    .map(|stderr| PollFd::new(stderr, PollFlags::IN)),
            );
            if poll_until(&mut fds, deadline)? == 0 {
                self.kill();
                return Ok(None);
            }
            let ended = !fds[0].revents().is_empty();
            self.listen();
            if ended {
                return self.child.wait().map(Some);
            }
        }
    }

    /// Takes what the hook said, but no more than fits a pipe: somebody may never stop talking.
    fn listen(&mut self) {
        let mut buffer = [0; 16 * 1024];
        for _ in 0..4 {
            let Some(stderr) = &mut self.stderr else {
                return;
            };
            match stderr.read(&mut buffer) {
                Ok(0) => self.stderr = None,
                Ok(count) => self.said.push(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.stderr = None,
            }
        }
    }

    fn kill(&mut self) {
        // Not reaped yet, so that the number is still its own.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        self.listen();
        // One that can't be killed now, for a file server that is gone, is not waited for.
        if wait_exit(self.pidfd.as_fd(), KILL_LIMIT).unwrap_or(false) {
            let _ = self.child.wait();
        }
    }

    fn describe(&self, end: &str) -> String {
        match self.said.text().as_str() {
            "" => end.to_owned(),
            said => format!("{end}: {said}"),
        }
    }
}

fn describe_end(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => format!("was {}", signal::describe_end(signal)),
        (None, None) => "ended".to_owned(),
    }
}

/// The last part of a stream of bytes.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        let excess = self.0.len().saturating_sub(MAX_OUTPUT);
        self.0.drain(..excess);
    }

    /// On one line, and without what could steer a terminal.
    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.0);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let line = lines.collect::<Vec<_>>().join("; ");
        line.chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect()
    }
}

#[cfg(test)]
#[path = "hooks_tests.rs"]
mod tests;
