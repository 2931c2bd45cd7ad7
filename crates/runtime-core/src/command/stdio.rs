//! Standard input, output and error, or a terminal in their place.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::error::{Context, Result};

/// What one of a program's standard streams is connected to.
///
/// ```
/// use orlop::Stdio;
///
/// let log = Stdio::from(std::fs::File::create("/dev/null")?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Stdio(Stream);

#[derive(Debug, Clone)]
enum Stream {
    Inherit,
    Null,
    Piped,
    Fd(Arc<OwnedFd>),
}

impl Stdio {
    /// The caller's own stream.
    pub const fn inherit() -> Self {
        Self(Stream::Inherit)
    }

    /// `/dev/null`: nothing to read, and what is written is gone.
    pub const fn null() -> Self {
        Self(Stream::Null)
    }

    /// A pipe, whose other end the [`Child`](super::Child) has.
    pub const fn piped() -> Self {
        Self(Stream::Piped)
    }
}

impl From<OwnedFd> for Stdio {
    fn from(fd: OwnedFd) -> Self {
        Self(Stream::Fd(Arc::new(fd)))
    }
}

impl From<File> for Stdio {
    fn from(file: File) -> Self {
        OwnedFd::from(file).into()
    }
}

/// A terminal's size, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

impl Default for TerminalSize {
    /// 24 lines of 80 characters.
    fn default() -> Self {
        Self {
            rows: 24,
            columns: 80,
        }
    }
}

/// The streams of a program.
#[derive(Debug, Clone)]
pub(super) enum Streams {
    /// Input, output, error.
    Separate([Stdio; 3]),
    Terminal,
}

impl Streams {
    /// Output and error piped, and nothing to read: for capturing.
    pub(super) fn captured(chosen: &[Option<Stdio>; 3], input: bool) -> Self {
        let [stdin, stdout, stderr] = chosen.clone();
        let default_input = if input { Stdio::piped() } else { Stdio::null() };
        Self::Separate([
            stdin.unwrap_or(default_input),
            stdout.unwrap_or(Stdio::piped()),
            stderr.unwrap_or(Stdio::piped()),
        ])
    }
}

/// The program's end of a stream.
#[derive(Debug)]
enum Theirs {
    Own(OwnedFd),
    Shared(Arc<OwnedFd>),
    /// The caller's stream of this number.
    Inherited(usize),
}

/// Both ends of a program's streams.
#[derive(Debug, Default)]
pub(super) struct Ends {
    theirs: Vec<Theirs>,
    /// The caller's ends of those that are pipes.
    pub ours: [Option<OwnedFd>; 3],
}

impl Ends {
    pub(super) fn open(streams: &Streams) -> Result<Self> {
        let mut ends = Self::default();
        let Streams::Separate(streams) = streams else {
            return Ok(ends);
        };
        for (number, Stdio(stream)) in streams.iter().enumerate() {
            let theirs = match stream {
                Stream::Inherit => Theirs::Inherited(number),
                Stream::Null => Theirs::Own(null()?),
                Stream::Fd(fd) => Theirs::Shared(Arc::clone(fd)),
                Stream::Piped => {
                    let (read, write) =
                        pipe_with(PipeFlags::CLOEXEC).context(|| "make a pipe".to_owned())?;
                    let (theirs, ours) = if number == 0 {
                        (read, write)
                    } else {
                        (write, read)
                    };
                    ends.ours[number] = Some(ours);
                    Theirs::Own(theirs)
                }
            };
            ends.theirs.push(theirs);
        }
        Ok(ends)
    }

    /// The program's ends, in the order of their numbers.
    pub(super) fn theirs(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.theirs.iter().map(|end| match end {
            Theirs::Own(fd) => fd.as_fd(),
            Theirs::Shared(fd) => fd.as_fd(),
            Theirs::Inherited(0) => rustix::stdio::stdin(),
            Theirs::Inherited(1) => rustix::stdio::stdout(),
            Theirs::Inherited(_) => rustix::stdio::stderr(),
        })
    }
}

fn null() -> Result<OwnedFd> {
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .context(|| "open /dev/null".to_owned())
}
