//! The terminal that the caller sits at.

use std::io::{self, stderr, stdin, stdout};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::termios::{OptionalActions, OutputModes, Termios};

/// The terminal behind one of the standard streams.
#[derive(Debug)]
pub(super) struct HostTerminal(OwnedFd);

impl HostTerminal {
    /// The first standard stream that is a terminal, if one is.
    pub(super) fn find() -> Option<Self> {
        let (input, output, errors) = (stdin(), stdout(), stderr());
        let streams = [input.as_fd(), output.as_fd(), errors.as_fd()];
        let terminal = streams
            .into_iter()
            .find(|stream| rustix::termios::isatty(stream))?;
        terminal.try_clone_to_owned().ok().map(Self)
    }

    /// Passes every key on as it is, until the result goes away.
    pub(super) fn raw(&self) -> io::Result<RawMode<'_>> {
        let before = rustix::termios::tcgetattr(&self.0)?;
        let mut raw = before.clone();
        raw.make_raw();
        // The container's terminal leaves line ends as they are, so this one has to make them whole.
        raw.output_modes |= OutputModes::OPOST;
        rustix::termios::tcsetattr(&self.0, OptionalActions::Now, &raw)?;
        Ok(RawMode {
            terminal: self,
            before,
        })
    }

    /// Gives another terminal this one's size.
    pub(super) fn copy_size_to(&self, other: BorrowedFd<'_>) -> io::Result<()> {
        let size = rustix::termios::tcgetwinsize(&self.0)?;
        Ok(rustix::termios::tcsetwinsize(other, size)?)
    }
}

/// A terminal in raw mode; it is as before when this goes away.
#[derive(Debug)]
pub(super) struct RawMode<'a> {
    terminal: &'a HostTerminal,
    before: Termios,
}

impl Drop for RawMode<'_> {
    fn drop(&mut self) {
        // A terminal that has gone away needs no mode.
        let _ = rustix::termios::tcsetattr(&self.terminal.0, OptionalActions::Now, &self.before);
    }
}
