//! What is run, as whom, with which streams: common to a sandbox's first program and to those that
//! enter it later.

use std::path::PathBuf;
use std::time::Duration;

use super::stdio::{Stdio, TerminalSize};
use super::{Capabilities, Resource, absolute};
use crate::error::{Error, Result};
use crate::spec;

/// Where programs are looked for, unless the environment is changed.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How much of each stream is kept, unless it is changed, in bytes.
const CAPTURE_LIMIT: usize = 64 << 20;

/// A program to run in a sandbox that is there already: see [`Child::exec`](super::Child::exec).
///
/// By default it runs as root of the sandbox without any capability, in `/`, with nothing but a
/// `PATH` in its environment, and can't gain privileges.
///
/// ```
/// use orlop::{Process, Stdio};
///
/// let process = Process::new("sh").args(["-c", "id -u"]).user(1000, 1000).stdin(Stdio::null());
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Process {
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) cwd: PathBuf,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
    pub(super) umask: Option<u32>,
    pub(super) capabilities: Capabilities,
    pub(super) rlimits: Vec<(Resource, u64, u64)>,
    pub(super) no_new_privs: bool,
    pub(super) oom_score_adj: Option<i32>,
    pub(super) streams: [Option<Stdio>; 3],
    pub(super) pty: Option<TerminalSize>,
    pub(super) timeout: Option<Duration>,
    pub(super) capture_limit: usize,
}

/// The methods of [`Process`], for every builder that holds one.
macro_rules! process_methods {
    ($($process:tt)*) => {
        /// Adds an argument.
        pub fn arg(mut self, arg: impl Into<String>) -> Self {
            self $($process)* .args.push(arg.into());
            self
        }

        /// Adds arguments.
        pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
            self $($process)* .args.extend(args.into_iter().map(Into::into));
            self
        }

        /// Sets a variable of the environment. Nothing of the caller's own environment is there.
        pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
            let (name, value) = (name.into(), value.into());
            let all = &mut self $($process)* .env;
            all.retain(|(known, _)| *known != name);
            all.push((name, value));
            self
        }

        /// Sets variables of the environment.
        pub fn envs<N: Into<String>, V: Into<String>>(
            mut self,
            variables: impl IntoIterator<Item = (N, V)>,
        ) -> Self {
            for (name, value) in variables {
                self = self.env(name, value);
            }
            self
        }

        /// Removes all variables, the default `PATH` too.
        pub fn env_clear(mut self) -> Self {
            self $($process)* .env.clear();
            self
        }

        /// The working directory: an absolute path in the sandbox, made when it is missing. Default: `/`.
        pub fn current_dir(mut self, path: impl Into<std::path::PathBuf>) -> Self {
            self $($process)* .cwd = path.into();
            self
        }

        /// User and group, as the sandbox counts them. Default: 0, its root.
        pub fn user(mut self, uid: u32, gid: u32) -> Self {
            (self $($process)* .uid, self $($process)* .gid) = (uid, gid);
            self
        }

        /// The supplementary groups. Default: none; the caller's own are given up.
        pub fn groups(mut self, groups: impl IntoIterator<Item = u32>) -> Self {
            self $($process)* .groups = groups.into_iter().collect();
            self
        }

        /// The file mode creation mask. Default: `0o022`.
        pub fn umask(mut self, mask: u32) -> Self {
            self $($process)* .umask = Some(mask);
            self
        }

        /// The capabilities that the program has, and the most that it can gain. Default: none.
        pub fn capabilities(mut self, all: impl Into<$crate::command::Capabilities>) -> Self {
            self $($process)* .capabilities = all.into();
            self
        }

        /// A resource limit (`setrlimit(2)`), in the resource's unit; `u64::MAX` means none. Default:
        /// the caller's limits.
        pub fn rlimit(mut self, resource: $crate::command::Resource, soft: u64, hard: u64) -> Self {
            let all = &mut self $($process)* .rlimits;
            all.retain(|(known, ..)| *known != resource);
            all.push((resource, soft, hard));
            self
        }

        /// Whether executing a file can never give privileges (`PR_SET_NO_NEW_PRIVS`). Default: true.
        pub fn no_new_privs(mut self, on: bool) -> Self {
            self $($process)* .no_new_privs = on;
            self
        }

        /// How readily the kernel kills the program when memory is out, from -1000 (never) to 1000.
        /// Default: as the caller.
        pub fn oom_score_adj(mut self, score: i32) -> Self {
            self $($process)* .oom_score_adj = Some(score);
            self
        }

        /// Standard input. Default: the caller's own; nothing when the output is captured.
        pub fn stdin(mut self, stdio: impl Into<$crate::command::Stdio>) -> Self {
            self $($process)* .streams[0] = Some(stdio.into());
            self
        }

        /// Standard output. Default: the caller's own; piped when the output is captured.
        pub fn stdout(mut self, stdio: impl Into<$crate::command::Stdio>) -> Self {
            self $($process)* .streams[1] = Some(stdio.into());
            self
        }

        /// Standard error. Default: the caller's own; piped when the output is captured.
        pub fn stderr(mut self, stdio: impl Into<$crate::command::Stdio>) -> Self {
            self $($process)* .streams[2] = Some(stdio.into());
            self
        }

        /// A terminal of the sandbox's own in place of the three streams. Needs a devpts at `/dev/pts`.
        /// Lines that are written to it end as they are written, without a carriage return.
        pub fn pty(mut self, size: $crate::command::TerminalSize) -> Self {
            self $($process)* .pty = Some(size);
            self
        }

        /// How long it may run, from its start. Whoever waits for it then kills it and all that it has
        /// started; see [`ExitStatus::timed_out`]($crate::command::ExitStatus::timed_out).
        pub fn timeout(mut self, limit: std::time::Duration) -> Self {
            self $($process)* .timeout = Some(limit);
            self
        }

        /// How many bytes of each captured stream are kept; what comes after is read and thrown away.
        /// Default: 64 MiB.
        pub fn capture_limit(mut self, bytes: usize) -> Self {
            self $($process)* .capture_limit = bytes;
            self
        }
    };
}
pub(super) use process_methods;

impl Process {
    /// A program: a path in the sandbox, or a name that is looked for in the directories of `PATH`.
    pub fn new(program: impl Into<String>) -> Self {
        Self {
            args: vec![program.into()],
            env: vec![("PATH".to_owned(), DEFAULT_PATH.to_owned())],
            cwd: PathBuf::from("/"),
            uid: 0,
            gid: 0,
            groups: Vec::new(),
            umask: None,
            capabilities: Capabilities::none(),
            rlimits: Vec::new(),
            no_new_privs: true,
            oom_score_adj: None,
            streams: [None, None, None],
            pty: None,
            timeout: None,
            capture_limit: CAPTURE_LIMIT,
        }
    }

    process_methods!();

    pub(super) fn to_spec(&self) -> Result<spec::Process> {
        self.check()?;
        let size = |size: TerminalSize| spec::ConsoleSize {
            height: size.rows.into(),
            width: size.columns.into(),
        };
        let rlimit = |&(resource, soft, hard): &(Resource, u64, u64)| spec::Rlimit {
            kind: resource.name().to_owned(),
            hard,
            soft,
        };
        Ok(spec::Process {
            terminal: self.pty.is_some(),
            console_size: self.pty.map(size),
            user: spec::User {
                uid: self.uid,
                gid: self.gid,
                umask: self.umask,
                additional_gids: self.groups.clone(),
                username: None,
            },
            args: self.args.clone(),
            env: self
                .env
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
            cwd: absolute("current_dir", &self.cwd)?,
            capabilities: Some(self.capability_sets()),
            rlimits: self.rlimits.iter().map(rlimit).collect(),
            no_new_privileges: self.no_new_privs,
            oom_score_adj: self.oom_score_adj,
            ..spec::Process::default()
        })
    }

    fn check(&self) -> Result<()> {
        if !self.cwd.is_absolute() {
            let message = format!("{:?} is not an absolute path in the sandbox", self.cwd);
            return Err(Error::invalid("current_dir", message));
        }
        let ids = [("user", self.uid), ("user", self.gid)];
        for (field, id) in ids
            .into_iter()
            .chain(self.groups.iter().map(|id| ("groups", *id)))
        {
            if id == u32::MAX {
                return Err(Error::invalid(
                    field,
                    format!("{id} is no valid user or group id"),
                ));
            }
        }
        if let Some((name, _)) = self
            .env
            .iter()
            .find(|(name, _)| name.is_empty() || name.contains('='))
        {
            return Err(Error::invalid(
                "env",
                format!("{name:?} is no name of a variable"),
            ));
        }
        const NAMES: [&str; 3] = ["stdin", "stdout", "stderr"];
        let chosen = NAMES
            .into_iter()
            .zip(&self.streams)
            .find(|(_, stream)| stream.is_some());
        match (self.pty, chosen) {
            (Some(_), Some((name, _))) => {
                let message = "the terminal is in its place; leave out one of the two";
                Err(Error::invalid(format!("pty, {name}"), message))
            }
            _ => Ok(()),
        }
    }

    /// Root has what is permitted when it executes a file; anybody else only what is ambient.
    fn capability_sets(&self) -> spec::Capabilities {
        let all: Vec<String> = self
            .capabilities
            .iter()
            .map(|one| one.name().to_owned())
            .collect();
        let kept = if self.uid == 0 {
            Vec::new()
        } else {
            all.clone()
        };
        spec::Capabilities {
            bounding: all.clone(),
            effective: all.clone(),
            permitted: all,
            inheritable: kept.clone(),
            ambient: kept,
        }
    }
}
