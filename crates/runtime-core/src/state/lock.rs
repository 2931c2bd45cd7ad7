//! Locks on directories (`flock(2)`), with a limit in time.

use std::os::fd::BorrowedFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, Result, retry_on_intr};

/// Takes the lock if it is free. `false` when somebody else holds it.
pub(super) fn try_lock(dir: BorrowedFd<'_>) -> Result<bool> {
    attempt(dir, FlockOperation::NonBlockingLockExclusive)
}

fn attempt(dir: BorrowedFd<'_>, operation: FlockOperation) -> Result<bool> {
    match retry_on_intr(|| flock(dir, operation)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Takes the lock, waiting at most for so long. `false` when somebody else still holds it.
///
/// Asks again and again: the blocking call can be ended in time by a signal only, and signals
/// are the caller's.
pub(super) fn lock_within(dir: BorrowedFd<'_>, limit: Duration) -> Result<bool> {
    let deadline = Instant::now().checked_add(limit);
    let mut pause = Duration::from_millis(1);
    loop {
        if try_lock(dir)? {
            return Ok(true);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok(false);
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Whether somebody else, through another descriptor of their own, holds the lock.
pub(super) fn is_held(dir: BorrowedFd<'_>) -> Result<bool> {
    let free = attempt(dir, FlockOperation::NonBlockingLockShared)?;
    if free {
        flock(dir, FlockOperation::Unlock)?;
    }
    Ok(!free)
}
