//! What init says, in the order of its operations.
//!
//! When init forks, two processes write to the control socket: the first its last record, which names
//! the second, and the second whatever comes next. On a busy machine the second may be quicker.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};

use orlop_init::{Kind, Op};
use rustix::event::{PollFd, PollFlags};

use super::channel::{Message, receive};
use crate::error::{Context, Result};
use crate::plan::Plan;
use crate::poll::poll_until;

/// More than the second process says without waiting for an answer.
const MOST_HELD: usize = 8;

/// The records of one birth.
#[derive(Debug, Default)]
pub(super) struct InOrder {
    /// The fork's operation, until the first process has said what came of it.
    fork: Option<u32>,
    /// What the second process said before that.
    held: VecDeque<Message>,
}

impl InOrder {
    pub(super) fn of(plan: &Plan) -> Self {
        let fork = plan.position(|op| matches!(op, Op::Fork {}));
        Self {
            fork: fork.map(|index| index as u32),
            held: VecDeque::new(),
        }
    }

    /// The next record, or `None` at the end: of the stream, or of a first process that was killed
    /// before it named the second.
    pub(super) fn next(
        &mut self,
        control: BorrowedFd<'_>,
        first: BorrowedFd<'_>,
    ) -> Result<Option<Message>> {
        loop {
            let Some(fork) = self.fork else {
                return match self.held.pop_front() {
                    Some(message) => Ok(Some(message)),
                    None => receive(control),
                };
            };
            if !self.held.is_empty() && is_over(first, control)? {
                return Ok(None);
            }
            match receive(control)? {
                Some(message) if message.record.op > fork && self.held.len() < MOST_HELD => {
                    self.held.push_back(message);
                }
                Some(message) => {
                    if message.record.kind == Kind::Child {
                        self.fork = None;
                    }
                    return Ok(Some(message));
                }
                None => return Ok(None),
            }
        }
    }
}

/// Whether the process is gone, and nothing that it said is left: waits for the one or the other.
fn is_over(process: BorrowedFd<'_>, control: BorrowedFd<'_>) -> Result<bool> {
    let mut polled = [
        PollFd::from_borrowed_fd(control.as_fd(), PollFlags::IN),
        PollFd::from_borrowed_fd(process, PollFlags::IN),
    ];
    poll_until(&mut polled, None).context(|| "wait for init".to_owned())?;
    Ok(polled[0].revents().is_empty())
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, OwnedFd};

    use orlop_init::{Kind, Part, Record};
    use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};
    use rustix::pipe::pipe;

    use super::InOrder;

    const FORK: u32 = 6;

    fn sockets() -> (OwnedFd, OwnedFd) {
        let flags = SocketFlags::CLOEXEC;
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap()
    }

    fn say(socket: &OwnedFd, kind: Kind, op: u32) {
        let (value, part) = (0, Part::Call);
        let record = Record {
            kind,
            op,
            value,
            part,
        };
        send(socket, &record.to_bytes(), SendFlags::empty()).unwrap();
    }

    fn all(said: &[(Kind, u32)], fork: Option<u32>) -> Vec<Kind> {
        let (ours, theirs) = sockets();
        for (kind, op) in said {
            say(&theirs, *kind, *op);
        }
        drop(theirs);
        // A process that never ends.
        let (process, _open) = pipe().unwrap();
        let mut records = InOrder {
            fork,
            ..InOrder::default()
        };
        let mut heard = Vec::new();
        while let Some(message) = records.next(ours.as_fd(), process.as_fd()).unwrap() {
            heard.push(message.record.kind);
        }
        heard
    }

    #[test]
    fn the_second_process_is_named_before_it_is_heard() {
        let expected = [Kind::NeedMaps, Kind::Child, Kind::Console, Kind::Ready];
        for said in [
            [
                (Kind::NeedMaps, 2),
                (Kind::Child, FORK),
                (Kind::Console, 20),
                (Kind::Ready, 40),
            ],
            [
                (Kind::NeedMaps, 2),
                (Kind::Console, 20),
                (Kind::Child, FORK),
                (Kind::Ready, 40),
            ],
            [
                (Kind::NeedMaps, 2),
                (Kind::Console, 20),
                (Kind::Ready, 40),
                (Kind::Child, FORK),
            ],
        ] {
            assert_eq!(all(&said, Some(FORK)), expected);
        }
        let failed = [(Kind::Failed, 9), (Kind::Child, FORK)];
        assert_eq!(all(&failed, Some(FORK)), [Kind::Child, Kind::Failed]);
    }

    #[test]
    fn what_comes_before_a_fork_or_without_one_waits_for_nothing() {
        assert_eq!(all(&[(Kind::Failed, FORK)], Some(FORK)), [Kind::Failed]);
        let plain = [(Kind::Console, 20), (Kind::Ready, 40)];
        assert_eq!(all(&plain, None), [Kind::Console, Kind::Ready]);
    }

    #[test]
    fn a_first_process_that_was_killed_is_not_waited_for() {
        let (ours, theirs) = sockets();
        say(&theirs, Kind::Ready, 40);
        let (process, open) = pipe().unwrap();
        drop(open);
        let mut records = InOrder {
            fork: Some(FORK),
            ..InOrder::default()
        };
        // The second process keeps the socket open, and waits for an answer.
        let heard = records.next(ours.as_fd(), process.as_fd()).unwrap();
        assert!(heard.is_none());
    }
}
