//! Signals as a file that can be polled.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd as _, OwnedFd};

use rustix::process::Signal;

/// What is left alone: what cannot be held back, faults of this program's own, job control, what
/// the C library uses itself, and SIGPIPE, which Rust programs ignore.
const NOT_HELD: [i32; 16] = [
    libc::SIGKILL,
    libc::SIGSTOP,
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGTRAP,
    libc::SIGABRT,
    libc::SIGSYS,
    libc::SIGPIPE,
    libc::SIGURG,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    32,
    33,
];

/// The highest signal number.
const LAST: i32 = 64;

/// The highest number that is not a real-time signal's.
const LAST_STANDARD: i32 = 31;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// A child is over.
    ChildChanged,
    /// The host's terminal has another size.
    WindowChanged,
    /// It is for the process in the foreground.
    PassOn(Signal),
}

/// Signals that wait to be read.
#[derive(Debug)]
pub(super) struct Signals(OwnedFd);

impl Signals {
    /// Holds signals back from now on, for this thread and those that it starts. Processes that the
    /// library starts have an empty mask again.
    ///
    /// None is ignored from now on: the container's programs would ignore it, too (a script's shell has SIGINT
    /// ignored by what it starts in the background), and without SIGCHLD nobody is told that they are over.
    pub(super) fn hold() -> io::Result<Self> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: initialises the set that it is given.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: initialised by the line before.
        let mut set = unsafe { set.assume_init() };
        for signal in (1..=LAST).filter(|signal| !NOT_HELD.contains(signal)) {
            // SAFETY: the set is initialised, and an unknown number is an error without effect.
            unsafe { libc::sigaddset(&mut set, signal) };
        }
        // SAFETY: the set is initialised, and the old mask is not asked for.
        let error = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) };
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        // Held back by now, they end nothing.
        for signal in (1..=LAST_STANDARD).filter(|signal| !NOT_HELD.contains(signal)) {
            // SAFETY: the default action is no handler.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        // SAFETY: the set is initialised; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: new, and nobody else's.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Takes the signals that have arrived.
    pub(super) fn take(&self) -> io::Result<Vec<Delivery>> {
        const SIZE: usize = size_of::<libc::signalfd_siginfo>();
        let mut buffer = [0_u8; 8 * SIZE];
        let mut deliveries = Vec::new();
        loop {
            let length = match rustix::io::read(&self.0, &mut buffer) {
                Ok(length) => length,
                Err(rustix::io::Errno::AGAIN) => return Ok(deliveries),
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            // The number is the record's first field.
            let numbers = buffer[..length]
                .chunks(SIZE)
                .filter_map(|record| record.first_chunk());
            deliveries.extend(numbers.filter_map(|number| delivery(i32::from_ne_bytes(*number))));
        }
    }
}

fn delivery(number: i32) -> Option<Delivery> {
    match number {
        libc::SIGCHLD => Some(Delivery::ChildChanged),
        libc::SIGWINCH => Some(Delivery::WindowChanged),
        libc::SIGCONT => None,
        number => signal(number).map(Delivery::PassOn),
    }
}

/// A signal by its number.
fn signal(number: i32) -> Option<Signal> {
    // SAFETY: only numbers that are held back arrive, and those are valid and not the C library's.
    (1..=LAST)
        .contains(&number)
        .then(|| unsafe { Signal::from_raw_unchecked(number) })
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
