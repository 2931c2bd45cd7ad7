//! Copies between the standard streams and a container's terminal, in both directions at once.
//!
//! Neither direction waits for the other: a program that does not read its input while it writes
//! would block both for ever.

use std::io::{self, stdin, stdout};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use rustix::io::Errno;

/// No more than a pipe takes without blocking once it is writable (`PIPE_BUF`).
const CHUNK: usize = 4096;

/// What is waited for.
#[derive(Debug, Clone, Copy)]
enum Side {
    Master,
    Input,
    Output,
    Other,
}

/// One direction: what was read and is not yet written.
#[derive(Debug)]
struct Direction {
    pending: Vec<u8>,
    open: bool,
}

/// A container's terminal and the standard streams.
#[derive(Debug)]
pub(super) struct Relay {
    master: OwnedFd,
    input: Direction,
    output: Direction,
}

impl Relay {
    /// Connects the master side of a pseudo terminal.
    pub(super) fn new(master: OwnedFd) -> io::Result<Self> {
        let flags = rustix::fs::fcntl_getfl(&master)?;
        rustix::fs::fcntl_setfl(&master, flags | OFlags::NONBLOCK)?;
        let direction = || Direction {
            pending: Vec::with_capacity(CHUNK),
            open: true,
        };
        Ok(Self {
            master,
            input: direction(),
            output: direction(),
        })
    }

    /// The master side.
    pub(super) fn master(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }

    /// Whether more output may come.
    pub(super) fn output_is_open(&self) -> bool {
        self.output.open || !self.output.pending.is_empty()
    }

    /// Waits for something to copy, and copies it. Tells whether there is something to read from
    /// `other`, which is waited for as well.
    pub(super) fn turn(
        &mut self,
        other: Option<BorrowedFd<'_>>,
        timeout: Option<&Timespec>,
    ) -> io::Result<bool> {
        let mut other_is_readable = false;
        for (side, events) in self.poll(other, timeout)? {
            let readable = events.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
            let writable = events.intersects(PollFlags::OUT | PollFlags::HUP | PollFlags::ERR);
            match side {
                Side::Master => {
                    if readable && self.output.reads() {
                        self.output.read(self.master.as_fd())?;
                    }
                    if writable && self.input.writes() {
                        self.input.write(self.master.as_fd())?;
                    }
                }
                Side::Input if readable => self.input.read(stdin().as_fd())?,
                Side::Output if writable => self.output.write(stdout().as_fd())?,
                Side::Other => other_is_readable = readable,
                Side::Input | Side::Output => {}
            }
        }
        Ok(other_is_readable)
    }

    /// Waits for those sides that something is wanted from: the others would report a hang-up again
    /// and again.
    fn poll(
        &self,
        other: Option<BorrowedFd<'_>>,
        timeout: Option<&Timespec>,
    ) -> io::Result<Vec<(Side, PollFlags)>> {
        let (input, output) = (stdin(), stdout());
        let wanted = |wanted: bool, events| if wanted { events } else { PollFlags::empty() };
        let master = wanted(self.output.reads(), PollFlags::IN)
            | wanted(self.input.writes(), PollFlags::OUT);
        let mut sides = vec![
            (Side::Master, self.master.as_fd(), master),
            (
                Side::Input,
                input.as_fd(),
                wanted(self.input.reads(), PollFlags::IN),
            ),
            (
                Side::Output,
                output.as_fd(),
                wanted(self.output.writes(), PollFlags::OUT),
            ),
        ];
        sides.extend(other.map(|other| (Side::Other, other, PollFlags::IN)));
        sides.retain(|(.., events)| !events.is_empty());
        let mut polled: Vec<PollFd<'_>> = sides
            .iter()
            .map(|(_, fd, events)| PollFd::from_borrowed_fd(*fd, *events))
            .collect();
        super::retry(|| rustix::event::poll(&mut polled, timeout))?;
        let happened = polled.iter().map(PollFd::revents);
        Ok(sides.iter().map(|(side, ..)| *side).zip(happened).collect())
    }

    /// Copies output only, for as long as `timeout` does not pass without any. Tells whether there
    /// may be more.
    pub(super) fn drain(&mut self, timeout: &Timespec) -> io::Result<bool> {
        self.input.open = false;
        self.input.pending.clear();
        let before = self.output.pending.len();
        self.turn(None, Some(timeout))?;
        Ok(self.output.pending.len() != before)
    }
}

impl Direction {
    fn reads(&self) -> bool {
        self.open && self.pending.is_empty()
    }

    fn writes(&self) -> bool {
        !self.pending.is_empty()
    }

    fn read(&mut self, from: BorrowedFd<'_>) -> io::Result<()> {
        match rustix::io::read(from, rustix::buffer::spare_capacity(&mut self.pending)) {
            Ok(0) => self.open = false,
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
            // So a pseudo terminal says that nobody has its other side open.
            Err(Errno::IO) => self.open = false,
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }

    fn write(&mut self, to: BorrowedFd<'_>) -> io::Result<()> {
        match rustix::io::write(to, &self.pending) {
            Ok(written) => drop(self.pending.drain(..written)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Nobody reads what is written here any more; the process goes on without.
            Err(Errno::PIPE | Errno::IO) => self.pending.clear(),
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }
}
