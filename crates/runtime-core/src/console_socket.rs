//! The socket to which a terminal's master goes, or a pidfd.
//!
//! The protocol is that of runc, containerd and conmon: one message on a stream socket, the
//! descriptor as `SCM_RIGHTS` and the terminal's name, or `pidfd`, as its bytes.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, connect, sendmsg, socket_with,
};

use crate::error::{Context, Error, Result};

/// The longest path that fits a socket's address, in bytes.
const MAX_ADDRESS: usize = 107;

/// The option that names a terminal's socket.
pub(crate) const CONSOLE: &str = "console_socket";

/// The option that names a pidfd's socket.
pub(crate) const PIDFD: &str = "pidfd_socket";

/// A connection to whoever wants the terminal's master, or a pidfd.
#[derive(Debug)]
pub(crate) struct ConsoleSocket {
    socket: OwnedFd,
    /// What asked for it: an option, or an annotation.
    asked_by: &'static str,
    path: PathBuf,
}

impl ConsoleSocket {
    /// Connects to the listening stream socket at a path of any length.
    pub(crate) fn connect(asked_by: &'static str, path: &Path) -> Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let operation = || format!("{asked_by} {}", path.display());
        let socket =
            socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).context(operation)?;
        match connect_by_path(&socket, path) {
            Ok(()) => Ok(Self {
                socket,
                asked_by,
                path: path.to_owned(),
            }),
            Err(errno) => Err(refused(operation(), path, errno)),
        }
    }

    /// As [`connect`](Self::connect), where there is a path.
    pub(crate) fn connect_to(asked_by: &'static str, path: Option<&Path>) -> Result<Option<Self>> {
        path.map(|path| Self::connect(asked_by, path)).transpose()
    }

    /// Hands the descriptor over, with its name.
    pub(crate) fn send(&self, descriptor: BorrowedFd<'_>, name: &str) -> Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let fds = [descriptor];
        ancillary.push(SendAncillaryMessage::ScmRights(&fds));
        // A descriptor needs at least one byte to travel with.
        let name = if name.is_empty() { "/dev/ptmx" } else { name };
        let parts = [IoSlice::new(name.as_bytes())];
        retry_on_intr(|| sendmsg(&self.socket, &parts, &mut ancillary, SendFlags::NOSIGNAL))
            .context(|| {
                let (asked_by, path) = (self.asked_by, self.path.display());
                format!("{asked_by} {path}: send the descriptor")
            })?;
        Ok(())
    }
}

/// Connects to a listening socket at a path of any length.
pub(crate) fn connect_by_path(socket: &OwnedFd, path: &Path) -> rustix::io::Result<()> {
    if path.as_os_str().as_bytes().len() <= MAX_ADDRESS {
        let address = SocketAddrUnix::new(path)?;
        return retry_on_intr(|| connect(socket, &address));
    }
    let file = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    retry_on_intr(|| connect(socket, &address))
}

/// The kernel says the same of a file that is no socket and of a socket without a listener.
fn refused(field: String, path: &Path, errno: Errno) -> Error {
    let message = match errno {
        Errno::CONNREFUSED => match rustix::fs::stat(path) {
            Ok(stat) if is_socket(stat.st_mode) => "nobody listens on this socket".to_owned(),
            _ => "it is not a socket".to_owned(),
        },
        Errno::PROTOTYPE => "it is not a stream socket".to_owned(),
        errno => std::io::Error::from(errno).to_string(),
    };
    Error::invalid(field, message)
}

fn is_socket(mode: u32) -> bool {
    rustix::fs::FileType::from_raw_mode(mode).is_socket()
}

#[cfg(test)]
mod tests {
    use std::io::{IoSliceMut, Read, Write};
    use std::mem::MaybeUninit;
    use std::os::fd::AsFd;
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
    use std::path::Path;

    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

    use super::{CONSOLE, ConsoleSocket, PIDFD};
    use crate::state::testing::Scratch;

    fn receive(stream: &UnixStream) -> (String, std::fs::File) {
        let mut bytes = [0; 64];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let length = recvmsg(stream, &mut parts, &mut ancillary, flags)
            .unwrap()
            .bytes;
        let fd = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        (
            String::from_utf8_lossy(&bytes[..length]).into_owned(),
            fd.unwrap().into(),
        )
    }

    #[test]
    fn the_descriptor_and_its_name_arrive() {
        let scratch = Scratch::new();
        let path = scratch.path().join("console");
        let listener = UnixListener::bind(&path).unwrap();
        let socket = ConsoleSocket::connect(CONSOLE, &path).unwrap();
        let (stream, _) = listener.accept().unwrap();
        for (name, expected) in [("/dev/pts/3", "/dev/pts/3"), ("", "/dev/ptmx")] {
            let (mut near, far) = UnixStream::pair().unwrap();
            socket.send(far.as_fd(), name).unwrap();
            drop(far);
            let (payload, mut file) = receive(&stream);
            assert_eq!(payload, expected);
            near.write_all(b"x").unwrap();
            let mut byte = [0];
            file.read_exact(&mut byte).unwrap();
            assert_eq!(byte, *b"x");
        }
    }

    #[test]
    fn a_long_path_works() {
        let scratch = Scratch::with_name(&"long".repeat(40));
        // Bound through a short way to the same place.
        let short = Path::new("/proc/self/fd")
            .join(std::os::fd::AsRawFd::as_raw_fd(&scratch.fd()).to_string());
        let _listener = UnixListener::bind(short.join("console")).unwrap();
        ConsoleSocket::connect(CONSOLE, &scratch.path().join("console")).unwrap();
    }

    #[test]
    fn what_can_not_be_connected_to_is_named() {
        let scratch = Scratch::new();
        let file = scratch.path().join("file");
        std::fs::write(&file, "").unwrap();
        let left = scratch.path().join("left");
        drop(UnixListener::bind(&left).unwrap());
        let datagram = scratch.path().join("datagram");
        let _datagram = UnixDatagram::bind(&datagram).unwrap();
        let absent = scratch.path().join("absent");
        let far = scratch.path().join("x/".repeat(100));
        let cases = [
            (&file, "it is not a socket"),
            (&left, "nobody listens on this socket"),
            (&datagram, "it is not a stream socket"),
            (&absent, "No such file or directory"),
            (&far, "No such file or directory"),
        ];
        for (path, reason) in cases {
            for option in [CONSOLE, PIDFD] {
                let error = ConsoleSocket::connect(option, path).unwrap_err();
                let start = format!("{option} {}: {reason}", path.display());
                assert!(error.to_string().starts_with(&start), "{error}");
            }
        }
        assert!(ConsoleSocket::connect(CONSOLE, Path::new("")).is_err());
        assert!(ConsoleSocket::connect(CONSOLE, Path::new("a\0b")).is_err());
    }
}
