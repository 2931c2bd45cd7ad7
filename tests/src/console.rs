//! The other end of `--console-socket`: receives a container's terminal.

use crate::Container;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use std::fs::File;
use std::io::{self, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// A listening console socket; its file goes away when dropped.
#[derive(Debug)]
pub struct ConsoleSocket {
    listener: UnixListener,
    path: PathBuf,
}

/// A container's terminal: the master's side of a pseudo terminal.
#[derive(Debug)]
pub struct Console {
    /// The master.
    pub master: File,
    /// What the runtime sent along: the name of the other side.
    pub name: String,
}

impl ConsoleSocket {
    /// Listens at a path, which may be 107 bytes long: `unix(7)`.
    ///
    /// # Errors
    /// What `bind(2)` reports.
    pub fn listen(path: &Path) -> io::Result<Self> {
        Ok(Self {
            listener: UnixListener::bind(path)?,
            path: path.to_path_buf(),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Creates a container with a terminal, and takes that.
    ///
    /// # Panics
    /// When either fails.
    #[track_caller]
    pub fn created(container: &Container, path: &Path) -> Console {
        let socket = Self::listen(path).expect("listen for the terminal");
        let path = path.to_str().expect("an ASCII path");
        let create = container.call_with("create", &["--console-socket", path]);
        create.run().ok();
        socket.receive().expect("receive the terminal")
    }

    /// Takes the terminal that a runtime has sent. Waits for the runtime to connect.
    ///
    /// # Errors
    /// `InvalidData` unless the message carries exactly one descriptor.
    pub fn receive(&self) -> io::Result<Console> {
        let (stream, _) = self.listener.accept()?;
        let mut payload = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let message = recvmsg(
            &stream,
            &mut [IoSliceMut::new(&mut payload)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        let mut fds: Vec<OwnedFd> = Vec::new();
        for part in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = part {
                fds.extend(rights);
            }
        }
        let (Some(master), true) = (fds.pop(), fds.is_empty()) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the runtime sent not exactly one descriptor",
            ));
        };
        let name = String::from_utf8_lossy(&payload[..message.bytes]).into_owned();
        Ok(Console {
            master: master.into(),
            name,
        })
    }
}

impl Drop for ConsoleSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Console {
    /// Everything the container wrote until the last of its side was closed.
    ///
    /// # Errors
    /// What `read(2)` reports, but `EIO`, which is how a terminal says that.
    pub fn read_to_end(&mut self) -> io::Result<String> {
        let mut all = Vec::new();
        match self.master.read_to_end(&mut all) {
            Err(error) if error.raw_os_error() != Some(libc::EIO) => return Err(error),
            _ => {}
        }
        Ok(String::from_utf8_lossy(&all).into_owned())
    }
}
