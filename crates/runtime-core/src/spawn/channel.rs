//! The control socket: one program with its descriptors goes out, 16-byte records come back.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use orlop_init::wire::{MAX_MESSAGE, MORE, OWN};
use orlop_init::{Kind, Part, Record};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use super::prepare::Opened;
use super::program::Supply;
use crate::error::{Context, Error, Result};

/// The most descriptors that the kernel lets one message carry (`SCM_MAX_FD`).
const MESSAGE_FDS: usize = 253;

/// Both ends, until init has its own.
#[derive(Debug)]
pub(super) struct Channel {
    pub ours: OwnedFd,
    pub theirs: OwnedFd,
}

impl Channel {
    pub(super) fn new() -> Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
            .context(|| "make the control socket".to_owned())?;
        Ok(Self { ours, theirs })
    }
}

/// Sends the program's descriptor and those that it names.
pub(super) fn send_program(
    socket: BorrowedFd<'_>,
    program: &Supply<'_>,
    sources: &[Opened<'_>],
) -> Result<()> {
    let mut all = Vec::with_capacity(1 + sources.len());
    let (file, len) = program.file();
    all.push(file);
    all.extend(sources.iter().map(AsFd::as_fd));
    let own = match program {
        Supply::Own(_) => OWN,
        Supply::Sealed(_) => 0,
    };
    let mut chunks = all.chunks(MESSAGE_FDS).peekable();
    while let Some(chunk) = chunks.next() {
        let more = if chunks.peek().is_some() { MORE } else { 0 };
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&len.to_ne_bytes());
        bytes[4..].copy_from_slice(&(own | more).to_ne_bytes());
        match send_fds(socket, &bytes, chunk) {
            // Init is gone; what it said, or how it ended, tells more than this.
            Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => return Ok(()),
            result => result.context(|| "send the program to init".to_owned())?,
        }
    }
    Ok(())
}

fn send_fds(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
) -> rustix::io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MESSAGE_FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(rustix::io::Errno::TOOMANYREFS);
    }
    let parts = [IoSlice::new(bytes)];
    rustix::io::retry_on_intr(|| sendmsg(socket, &parts, &mut ancillary, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// A record from init, and the descriptor that came with it.
#[derive(Debug)]
pub(crate) struct Message {
    pub record: Record,
    pub fd: Option<OwnedFd>,
}

/// Receives a record; `None` at the end of the stream.
pub(crate) fn receive(socket: BorrowedFd<'_>) -> Result<Option<Message>> {
    let mut bytes = [0; Record::SIZE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut once = || {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        recvmsg(socket, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC)
    };
    let received = match rustix::io::retry_on_intr(&mut once) {
        // Init ended before it had read all that was sent to it, which the kernel says first: its last
        // words come after that.
        Err(rustix::io::Errno::CONNRESET) => rustix::io::retry_on_intr(once),
        received => received,
    };
    let received = received.context(|| "hear from init".to_owned())?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let fd = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    match Record::from_bytes(&bytes[..received.bytes]) {
        Some(record) => Ok(Some(Message { record, fd })),
        None => Err(Error::WrongState {
            message: "init sent what is no record".to_owned(),
        }),
    }
}

/// Lets a waiting init go on; `state` goes to the hooks that it runs.
pub(crate) fn send_continue(socket: BorrowedFd<'_>, state: &[u8]) -> Result<()> {
    let mut bytes = Vec::with_capacity(Record::SIZE + state.len());
    bytes.extend_from_slice(&record(Kind::Continue));
    bytes.extend_from_slice(state);
    if bytes.len() > MAX_MESSAGE {
        let message = format!(
            "the container's state has {} bytes, too many for hooks",
            state.len()
        );
        return Err(Error::invalid("annotations", message));
    }
    answer(socket, &bytes, &[])
}

/// Sends the `tasks` files of the cgroup that init waits for.
pub(super) fn send_tasks(socket: BorrowedFd<'_>, tasks: &[OwnedFd]) -> Result<()> {
    let tasks: Vec<_> = tasks.iter().map(AsFd::as_fd).collect();
    answer(socket, &record(Kind::Tasks), &tasks)
}

/// Sends the start gate's listening socket.
pub(super) fn send_gate(socket: BorrowedFd<'_>, gate: BorrowedFd<'_>) -> Result<()> {
    answer(socket, &record(Kind::Gate), &[gate])
}

fn record(kind: Kind) -> [u8; Record::SIZE] {
    let record = Record {
        kind,
        op: 0,
        value: 0,
        part: Part::Call,
    };
    record.to_bytes()
}

fn answer(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<()> {
    match send_fds(socket, bytes, fds) {
        // Init is gone; what it said, or how it ended, tells more than this.
        Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => Ok(()),
        result => result.context(|| "talk to init".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use orlop_init::{Kind, Record};
    use rustix::net::{SendFlags, send};

    use super::{Channel, receive, record, send_continue};

    #[test]
    fn last_words_are_heard_of_one_who_did_not_listen() {
        let Channel { ours, theirs } = Channel::new().unwrap();
        send(&theirs, &record(Kind::Failed), SendFlags::empty()).unwrap();
        send_continue(ours.as_fd(), &[]).unwrap();
        drop(theirs);
        let message = receive(ours.as_fd()).unwrap().unwrap();
        assert_eq!(message.record.kind, Kind::Failed);
        assert!(receive(ours.as_fd()).unwrap().is_none());
        send_continue(ours.as_fd(), &[0; Record::SIZE]).unwrap();
    }
}
