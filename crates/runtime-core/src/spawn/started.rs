//! The wait for the program of an init that was let go.

use std::os::fd::BorrowedFd;

use orlop_init::{Kind, Record};
use rustix::event::{PollFd, PollFlags};

use super::channel::{receive, send_continue};
use super::out_of_turn;
use crate::error::{Context, Result};
use crate::poll::{poll_closely, poll_until};

/// What takes a filter's listener, by its number in the process.
pub(crate) type TakeListener<'a> = dyn FnMut(i32) -> Result<()> + 'a;

/// What became of an init that was let go.
#[derive(Debug)]
pub(crate) enum Started {
    /// It is the program now.
    Running,
    /// An operation failed.
    Failed(Record),
    /// It is gone, and said nothing.
    Died,
}

/// Waits for the end of the stream: it means a start only if init said that the program is next.
pub(crate) fn wait_started(
    control: BorrowedFd<'_>,
    mut listener: Option<&mut TakeListener<'_>>,
) -> Result<Started> {
    // Waking up for what comes before the end would only hold init up.
    let events = match listener {
        Some(_) => PollFlags::IN,
        None => PollFlags::empty(),
    };
    let mut polled = [PollFd::from_borrowed_fd(control, events)];
    poll_closely(&mut polled);
    poll_until(&mut polled, None).context(|| "wait for init".to_owned())?;
    let mut started = false;
    loop {
        match receive(control)?.map(|message| message.record) {
            None if started => return Ok(Started::Running),
            None => return Ok(Started::Died),
            Some(record) if record.kind == Kind::Failed => return Ok(Started::Failed(record)),
            Some(record) if record.kind == Kind::Starting => started = true,
            Some(record) if record.kind == Kind::Listener => match listener.take() {
                Some(take) => {
                    take(record.value)?;
                    send_continue(control, &[])?;
                }
                None => return Err(out_of_turn(record.kind)),
            },
            Some(record) => return Err(out_of_turn(record.kind)),
        }
    }
}
