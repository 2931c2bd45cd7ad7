//! A mount namespace that takes the host's place: of what containers without one of their own mount,
//! nothing gets beyond it.

use crate::runtime::Runtime;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Says when it is ready, and ends with its standard input.
const HOLD: &str = "echo; read end";

/// A mount namespace in which every mount is shared, as where systemd is the host's init. It is gone
/// with this value, and all that is mounted in it.
#[derive(Debug)]
pub struct HostMounts {
    holder: Child,
    input: Option<ChildStdin>,
}

impl HostMounts {
    /// A copy of the caller's, of which nothing spreads to the caller's.
    ///
    /// # Errors
    /// What starting `unshare(1)` reports, and `UnexpectedEof` where it fails.
    pub fn new() -> io::Result<Self> {
        let script = format!("mount --make-rprivate / && mount --make-rshared / && {HOLD}");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
        Self::hold(&mut command)
    }

    /// Another one, to which spreads what is mounted in this one.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn peer(&self) -> io::Result<Self> {
        let mut command = self.command("unshare");
        command.args(["--mount", "--propagation", "unchanged", "sh", "-c", HOLD]);
        Self::hold(&mut command)
    }

    fn hold(command: &mut Command) -> io::Result<Self> {
        let mut holder = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = holder.stdin.take();
        let ready = holder.stdout.take();
        let held = Self { holder, input };
        let mut line = String::new();
        match ready.map(|ready| BufReader::new(ready).read_line(&mut line)) {
            Some(Ok(length)) if length > 0 => Ok(held),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args([&self.option(), "--", program]);
        command
    }

    fn option(&self) -> String {
        format!("--mount=/proc/{}/ns/mnt", self.holder.id())
    }

    /// The runtime, with every command run in it.
    #[must_use]
    pub fn runtime(&self, runtime: &Runtime) -> Runtime {
        runtime
            .clone()
            .with_prefix(&["nsenter", &self.option(), "--"])
    }

    /// Its table of mounts: the lines of `mountinfo`.
    ///
    /// # Errors
    /// What reading it reports.
    pub fn table(&self) -> io::Result<Vec<String>> {
        let table = std::fs::read_to_string(format!("/proc/{}/mountinfo", self.holder.id()))?;
        Ok(table.lines().map(str::to_owned).collect())
    }

    /// The lines of what is mounted at a path, and below.
    ///
    /// # Errors
    /// As [`table`](Self::table).
    pub fn at(&self, path: &Path) -> io::Result<Vec<String>> {
        let is_there = |line: &String| {
            let point = line.split(' ').nth(4).unwrap_or_default();
            Path::new(point).starts_with(path)
        };
        Ok(self.table()?.into_iter().filter(is_there).collect())
    }

    /// Unmounts what is mounted there, as a person would.
    ///
    /// # Errors
    /// When nothing is.
    pub fn unmount(&self, path: &Path) -> io::Result<()> {
        let mut command = self.command("umount");
        match command.args(["--recursive", "--lazy"]).arg(path).status()? {
            status if status.success() => Ok(()),
            status => Err(io::Error::other(format!("umount: {status}"))),
        }
    }
}

impl Drop for HostMounts {
    fn drop(&mut self) {
        if let Some(mut input) = self.input.take() {
            let _ = input.write_all(b"\n");
        }
        let _ = self.holder.wait();
    }
}
