//! Waiting for descriptors, with a limit in time.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, Timespec, poll};
use rustix::io::{Errno, Result};
use rustix::thread::sched_yield;

/// Longer than init needs from the gate to the program, or to enter a container.
const SOON: Duration = Duration::from_millis(1);

/// Waits until one of the descriptors is ready, or the moment has come; without one, for ever.
///
/// Returns how many are ready: 0 when the time ran out (`poll(2)`).
pub(crate) fn poll_until(fds: &mut [PollFd<'_>], deadline: Option<Instant>) -> Result<usize> {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        match poll(fds, left.map(timespec).as_ref()) {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

/// Waits for a moment for what is about to happen, without going to sleep: a virtual processor that
/// halted takes longer to wake up than most of what is waited for. Whoever else wants the processor
/// gets it. What did not happen meanwhile is to be waited for as usual.
pub(crate) fn poll_closely(fds: &mut [PollFd<'_>]) {
    let end = Instant::now() + SOON;
    while poll(fds, Some(&Timespec::default())) == Ok(0) && Instant::now() < end {
        sched_yield();
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: duration.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}
