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

/// Has the programs that are started from now on ignore no signal that the caller ignores, such as SIGINT,
/// which a script's shell has ignored by what it starts in the background. This process is not touched by
/// those any more than before.
pub(super) fn hold_ignored() -> io::Result<()> {
    // Until it is known which they are.
    let before = set_mask(libc::SIG_BLOCK, &held())?;
    let mut mask = before;
    for signal in ignore_none() {
        // SAFETY: the kernel has initialised the set.
        unsafe { libc::sigaddset(&mut mask, signal) };
    }
    set_mask(libc::SIG_SETMASK, &mask)?;
    Ok(())
}

/// All signals that may be held back.
fn held() -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: initialises the set that it is given.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: initialised by the line before.
    let mut set = unsafe { set.assume_init() };
    for signal in (1..=LAST).filter(|signal| !NOT_HELD.contains(signal)) {
        // SAFETY: the set is initialised, and an unknown number is an error without effect.
        unsafe { libc::sigaddset(&mut set, signal) };
    }
    set
}

/// Changes this thread's mask; what it was before.
fn set_mask(how: libc::c_int, set: &libc::sigset_t) -> io::Result<libc::sigset_t> {
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the first set is initialised; the second is written.
    match unsafe { libc::pthread_sigmask(how, set, before.as_mut_ptr()) } {
        // SAFETY: the call has written it.
        0 => Ok(unsafe { before.assume_init() }),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Gives signals that are held back, and so end nothing, their default action; those that were ignored.
/// Without SIGCHLD nobody is told that a child is over, and a container's programs would ignore them all, too.
fn ignore_none() -> Vec<i32> {
    (1..=LAST_STANDARD)
        .filter(|signal| !NOT_HELD.contains(signal))
        // SAFETY: the default action is no handler.
        .filter(|signal| unsafe { libc::signal(*signal, libc::SIG_DFL) } == libc::SIG_IGN)
        .collect()
}

/// Signals that wait to be read.
#[derive(Debug)]
pub(super) struct Signals(OwnedFd);

impl Signals {
    /// Holds signals back from now on, for this thread and those that it starts. Processes that the
    /// library starts have an empty mask again, and ignore none of these signals.
    pub(super) fn hold() -> io::Result<Self> {
        let set = held();
        set_mask(libc::SIG_BLOCK, &set)?;
        ignore_none();
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
