//! Runs a program to its end and keeps what it writes, without a thread and without a deadlock.

use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use orlop_cgroups::Stats;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, retry_on_intr};

use super::child::reap_ended;
use super::{Child, ExitStatus};
use crate::error::{Context, Result};
use crate::poll::poll_until;

/// As much as a pipe holds, unless the program makes it larger.
const CHUNK: usize = 64 << 10;

/// What a program did, from its start to its end.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output, or to its terminal.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
    /// Whether it wrote more than is [kept](super::Command::capture_limit).
    pub truncated: bool,
    /// What all of the sandbox has used, where it has a cgroup of its own.
    pub stats: Option<Stats>,
}

/// The caller's end of a stream, read until its end.
struct Reader {
    fd: Option<OwnedFd>,
    bytes: Vec<u8>,
    limit: usize,
    truncated: bool,
}

/// The caller's end of standard input, and what is left to write.
struct Writer<'a> {
    fd: Option<OwnedFd>,
    rest: &'a [u8],
}

/// Reads and writes until the program ends.
pub(super) fn collect(child: &mut Child, input: &[u8]) -> Result<Output> {
    let output = child
        .stdout
        .take()
        .map(OwnedFd::from)
        .or_else(|| child.terminal.take());
    let mut readers = [
        Reader::new(output, child.capture_limit())?,
        Reader::new(
            child.stderr.take().map(OwnedFd::from),
            child.capture_limit(),
        )?,
    ];
    let mut writer = Writer::new(child.stdin.take().map(OwnedFd::from), input)?;
    while !wait(child, &mut readers, &mut writer)? {
        child.expire()?;
    }
    let status = child.reap()?;
    child.kill()?;
    let stats = child.stats()?;
    for reader in &mut readers {
        reader.drain()?;
    }
    let truncated = readers.iter().any(|reader| reader.truncated);
    let [stdout, stderr] = readers.map(|reader| reader.bytes);
    Ok(Output {
        status,
        stdout,
        stderr,
        truncated,
        stats,
    })
}

/// As [`collect`], of a child that nobody else has.
pub(super) fn run(mut child: Child, input: &[u8]) -> Result<Output> {
    collect(&mut child, input)
}

/// Serves the streams once; `true` when the program has ended.
fn wait(child: &Child, readers: &mut [Reader; 2], writer: &mut Writer<'_>) -> Result<bool> {
    let [stdout, stderr] = readers;
    let wanted = [
        (Some(child.as_fd()), PollFlags::IN),
        (stdout.fd(), PollFlags::IN),
        (stderr.fd(), PollFlags::IN),
        (writer.fd.as_ref().map(AsFd::as_fd), PollFlags::OUT),
    ];
    let others = child.others();
    let mut fds = Vec::with_capacity(wanted.len() + others.len());
    fds.extend(
        wanted
            .iter()
            .filter_map(|&(fd, flags)| Some(PollFd::from_borrowed_fd(fd?, flags))),
    );
    let own = fds.len();
    fds.extend(
        others
            .iter()
            .map(|other| PollFd::new(&**other, PollFlags::IN)),
    );
    poll_until(&mut fds, child.next_deadline())
        .context(|| "wait for a program's output".to_owned())?;
    reap_ended(&others, &fds[own..])?;
    let mut answers = fds.iter().map(|fd| !fd.revents().is_empty());
    let ready = wanted.map(|(fd, _)| fd.is_some() && answers.next().unwrap_or(false));
    let [ended, output, error, input] = ready;
    if output {
        stdout.read(CHUNK)?;
    }
    if error {
        stderr.read(CHUNK)?;
    }
    if input {
        writer.write()?;
    }
    Ok(ended)
}

impl Reader {
    fn new(fd: Option<OwnedFd>, limit: usize) -> Result<Self> {
        if let Some(fd) = &fd {
            do_not_block(fd.as_fd())?;
        }
        Ok(Self {
            fd,
            bytes: Vec::new(),
            limit,
            truncated: false,
        })
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd)
    }

    /// Reads once, at most so much; returns how much it was.
    fn read(&mut self, most: usize) -> Result<usize> {
        let Some(fd) = &self.fd else { return Ok(0) };
        let mut buffer = [0; CHUNK];
        let most = most.min(CHUNK);
        match retry_on_intr(|| rustix::io::read(fd, &mut buffer[..most])) {
            // A terminal that nobody has open any more answers EIO.
            Ok(0) | Err(Errno::IO) => {
                self.fd = None;
                Ok(0)
            }
            Ok(length) => {
                self.keep(&buffer[..length]);
                Ok(length)
            }
            Err(errno) if errno.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(errno) => Err(errno).context(|| "read a program's output".to_owned()),
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.limit - self.bytes.len();
        self.truncated |= bytes.len() > room;
        self.bytes
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Reads what is there now. Whoever still has the other end may go on writing for ever.
    fn drain(&mut self) -> Result<()> {
        let Some(fd) = &self.fd else { return Ok(()) };
        let there =
            rustix::io::ioctl_fionread(fd).context(|| "look at a program's output".to_owned())?;
        let mut left = usize::try_from(there).unwrap_or(usize::MAX);
        while left > 0 {
            match self.read(left)? {
                0 => break,
                length => left -= length,
            }
        }
        Ok(())
    }
}

impl<'a> Writer<'a> {
    fn new(fd: Option<OwnedFd>, input: &'a [u8]) -> Result<Self> {
        let fd = fd.filter(|_| !input.is_empty());
        if let Some(fd) = &fd {
            do_not_block(fd.as_fd())?;
        }
        Ok(Self { fd, rest: input })
    }

    fn write(&mut self) -> Result<()> {
        let Some(fd) = &self.fd else { return Ok(()) };
        match retry_on_intr(|| rustix::io::write(fd, self.rest)) {
            Ok(length) => self.rest = &self.rest[length..],
            Err(errno) if errno.kind() == ErrorKind::WouldBlock => {}
            // A program need not read what it is given.
            Err(Errno::PIPE) => self.rest = &[],
            Err(errno) => return Err(errno).context(|| "write a program's input".to_owned()),
        }
        if self.rest.is_empty() {
            self.fd = None;
        }
        Ok(())
    }
}

/// The other end has an open file of its own, which goes on blocking.
fn do_not_block(fd: BorrowedFd<'_>) -> Result<()> {
    fcntl_getfl(fd)
        .and_then(|flags| fcntl_setfl(fd, flags | OFlags::NONBLOCK))
        .context(|| "make a pipe non-blocking".to_owned())
}
