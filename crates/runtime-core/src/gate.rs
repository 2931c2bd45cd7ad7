//! The start gate: a socket in the container's directory at which a created container waits.
//!
//! A connection says `Continue`; while it stays open, the container's program does not run yet. Its
//! end is that of the control socket: closed by the exec that worked, or `Failed` before that.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::Mode;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect as connect_to,
    listen as listen_on, socket_with,
};

use crate::error::{Context, Error, Result};

/// The socket's name in the container's directory.
pub(crate) const NAME: &str = "gate";

/// Makes the gate in a directory that only its owner can enter, and listens.
pub(crate) fn listen(dir: BorrowedFd<'_>) -> Result<OwnedFd> {
    let make = || -> rustix::io::Result<OwnedFd> {
        let socket = new_socket(SocketFlags::CLOEXEC)?;
        // The mode that the socket's file gets, less the caller's umask.
        rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        bind(&socket, &address(dir)?)?;
        listen_on(&socket, 1)?;
        Ok(socket)
    };
    make().context(|| "make the start gate".to_owned())
}

/// Connects to the container that waits at the gate; `None` when none does: it is past the gate,
/// or gone.
pub(crate) fn connect(dir: BorrowedFd<'_>) -> Result<Option<OwnedFd>> {
    match connection(dir, SocketFlags::CLOEXEC) {
        Ok(socket) => Ok(Some(socket)),
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(None),
        Err(errno) => Err(Error::system("connect to the start gate", errno)),
    }
}

/// Whether a gate was made in this directory.
pub(crate) fn is_there(dir: BorrowedFd<'_>) -> bool {
    rustix::fs::statat(dir, NAME, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

/// Whether a container waits at the gate. It takes the short connection for a `start` that died
/// before it said anything.
pub(crate) fn is_waited_at(dir: BorrowedFd<'_>) -> Result<bool> {
    match connection(dir, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
        Ok(_) | Err(Errno::AGAIN) => Ok(true),
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(false),
        Err(errno) => Err(Error::system("look at the start gate", errno)),
    }
}

fn connection(dir: BorrowedFd<'_>, flags: SocketFlags) -> rustix::io::Result<OwnedFd> {
    let socket = new_socket(flags)?;
    let address = address(dir)?;
    retry_on_intr(|| connect_to(&socket, &address))?;
    Ok(socket)
}

fn new_socket(flags: SocketFlags) -> rustix::io::Result<OwnedFd> {
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

/// Through the directory's descriptor: a socket's address has room for 108 bytes only.
fn address(dir: BorrowedFd<'_>) -> rustix::io::Result<SocketAddrUnix> {
    SocketAddrUnix::new(format!("/proc/self/fd/{}/{NAME}", dir.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::net::{RecvFlags, SendFlags, accept, recv, send};

    use super::{connect, is_waited_at, listen};
    use crate::state::testing::Scratch;

    #[test]
    fn a_connection_carries_messages_both_ways() {
        // The path alone is longer than a socket's address.
        let scratch = Scratch::with_name(&"long".repeat(40));
        let gate = listen(scratch.fd()).unwrap();
        let ours = connect(scratch.fd()).unwrap().unwrap();
        let theirs = accept(&gate).unwrap();
        send(&ours, b"go", SendFlags::NOSIGNAL).unwrap();
        let mut buffer = [0; 8];
        let (_, length) = recv(&theirs, &mut buffer[..], RecvFlags::empty()).unwrap();
        assert_eq!(&buffer[..length], b"go");
        drop(theirs);
        assert_eq!(
            recv(&ours, &mut buffer[..], RecvFlags::empty()).unwrap().1,
            0
        );
    }

    #[test]
    fn nobody_waits_at_a_gate_that_is_not_there_or_was_left() {
        let scratch = Scratch::new();
        assert!(connect(scratch.fd()).unwrap().is_none());
        assert!(!is_waited_at(scratch.fd()).unwrap());
        let gate = listen(scratch.fd()).unwrap();
        assert!(is_waited_at(scratch.fd()).unwrap());
        drop(gate);
        assert!(connect(scratch.fd()).unwrap().is_none());
        assert!(!is_waited_at(scratch.fd()).unwrap());
    }

    #[test]
    fn looking_does_not_wait_for_a_gate_with_a_queue() {
        let scratch = Scratch::new();
        let gate = listen(scratch.fd()).unwrap();
        for _ in 0..8 {
            assert!(is_waited_at(scratch.fd()).unwrap());
        }
        drop(gate);
    }

    #[test]
    fn the_gate_is_not_inherited_and_only_made_once() {
        let scratch = Scratch::new();
        let gate = listen(scratch.fd()).unwrap();
        let flags = rustix::io::fcntl_getfd(gate.as_fd()).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        let error = listen(scratch.fd()).unwrap_err().to_string();
        assert!(error.starts_with("make the start gate: "), "{error}");
    }
}
