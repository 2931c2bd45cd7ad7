//! A criu process that serves one request: `criu swrk`.

use std::ffi::OsStr;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::fs::Access;
use rustix::io::retry_on_intr;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketFlags,
    SocketType, recvmsg, send, socketpair,
};

use super::protobuf::Message;
use super::rpc::{self, Feature, Kind, Response};
use crate::error::{Context, Error, Result};
use crate::sys;

/// The oldest version that is used: 3.15 (2020), which knows external PID namespaces and tells when
/// its lazy pages are ready.
const OLDEST: u32 = 31_500;

/// criu's largest answer, in bytes.
const MAX_ANSWER: usize = 40 * 1024;

/// What a criu process has of its caller.
#[derive(Debug, Default)]
pub(super) struct Belongings<'a> {
    /// Descriptors that it keeps under their numbers.
    pub keep: Vec<BorrowedFd<'a>>,
    /// Whether it has the caller's standard streams, for the processes that it restores.
    pub streams: bool,
}

/// A criu process. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Criu {
    child: Child,
    socket: OwnedFd,
    is_over: bool,
}

impl Criu {
    pub(super) fn start(belongings: Belongings<'_>) -> Result<Self> {
        let (family, flags) = (AddressFamily::UNIX, SocketFlags::CLOEXEC);
        let (ours, theirs) = socketpair(family, SocketType::SEQPACKET, flags, None)
            .context(|| "make a socket for criu".to_owned())?;
        let stream = || match belongings.streams {
            true => Stdio::inherit(),
            false => Stdio::null(),
        };
        let missing = || failure("criu is not installed, or not in $PATH");
        let program = std::env::var_os("PATH").and_then(|path| find(&path));
        #[expect(
            clippy::disallowed_methods,
            reason = "criu is found in the caller's PATH, before anything of the container's is entered"
        )]
        let mut command = Command::new(program.ok_or_else(missing)?);
        command
            .arg("swrk")
            .arg(theirs.as_raw_fd().to_string())
            .stdin(stream())
            .stdout(stream())
            .stderr(stream());
        let mut keep: Vec<_> = belongings.keep.iter().map(AsRawFd::as_raw_fd).collect();
        keep.push(theirs.as_raw_fd());
        sys::keep_open(&mut command, keep);
        let child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => missing(),
            _ => Error::system("run criu", error),
        })?;
        Ok(Self {
            child,
            socket: ours,
            is_over: false,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn send(&self, message: &Message) -> Result<()> {
        let bytes = message.as_bytes();
        retry_on_intr(|| send(&self.socket, bytes, SendFlags::NOSIGNAL))
            .context(|| "send criu a request".to_owned())?;
        Ok(())
    }

    fn receive(&self) -> Result<(Response, Option<OwnedFd>)> {
        let mut buffer = vec![0; MAX_ANSWER];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = retry_on_intr(|| {
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let flags = RecvFlags::CMSG_CLOEXEC;
            recvmsg(&self.socket, &mut parts, &mut ancillary, flags)
        })
        .context(|| "wait for criu's answer".to_owned())?;
        if received.bytes == 0 {
            return Err(failure("criu ended without an answer"));
        }
        let fd = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        let response = Response::parse(&buffer[..received.bytes])
            .map_err(|_| failure("criu's answer can't be read"))?;
        Ok((response, fd))
    }

    /// Sends the request, serves criu's notifications, and returns its answer and how it ended.
    ///
    /// When a notification can't be served, criu takes back what it has begun.
    pub(super) fn ask(
        mut self,
        request: &Message,
        mut notified: impl FnMut(&Response, Option<OwnedFd>) -> Result<()>,
    ) -> Result<(Response, ExitStatus)> {
        self.send(request)?;
        let mut refused = None;
        let response = loop {
            let (response, fd) = match self.receive() {
                Ok(received) => received,
                Err(error) => return Err(refused.unwrap_or(error)),
            };
            if response.kind != Kind::Notify as u32 {
                break response;
            }
            let served = notified(&response, fd);
            self.send(&rpc::acknowledgement(served.is_ok()))?;
            refused = refused.or(served.err());
        };
        // The end of the socket is what criu waits for.
        rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both)
            .context(|| "end the conversation with criu".to_owned())?;
        let status = self
            .child
            .wait()
            .context(|| "wait for criu to end".to_owned())?;
        self.is_over = true;
        match refused {
            Some(error) => Err(error),
            None => Ok((response, status)),
        }
    }
}

impl Drop for Criu {
    fn drop(&mut self) {
        if !self.is_over {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Asks something that has neither options nor notifications.
fn question(request: &Message) -> Result<Response> {
    let criu = Criu::start(Belongings::default())?;
    let (response, _) = criu.ask(request, |_, _| Ok(()))?;
    Ok(response)
}

/// criu by the caller's search path, as far as that is absolute: the working directory may be a bundle,
/// with files of the image's.
fn find(path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join("criu"))
        .find(|program| rustix::fs::access(program, Access::EXEC_OK).is_ok())
}

/// criu's version, as 31500 for 3.15, which is new enough.
///
/// # Errors
/// [`Error::Criu`] when there is no criu, or an old one.
pub(super) fn version() -> Result<u32> {
    let response = question(&rpc::request(Kind::Version, None))?;
    if !response.success || response.version < OLDEST {
        let (major, minor) = (response.version / 10_000, response.version / 100 % 100);
        let message = format!("criu {major}.{minor} is too old: 3.15 or newer is needed");
        return Err(failure(message));
    }
    Ok(response.version)
}

/// Makes sure that criu and the kernel have a feature.
pub(super) fn require(feature: Feature) -> Result<()> {
    let response = question(&rpc::feature_request(feature))?;
    let (is_there, name) = match feature {
        Feature::MemoryTracking => (
            response.memory_tracking,
            "memory tracking (the kernel's CONFIG_MEM_SOFT_DIRTY)",
        ),
        Feature::LazyPages => (
            response.lazy_pages,
            "lazy pages (the kernel's CONFIG_USERFAULTFD)",
        ),
    };
    match is_there {
        true => Ok(()),
        false => Err(failure(format!("criu can't do {name} on this host"))),
    }
}

/// criu could not do what was asked.
pub(super) fn failure(message: impl Into<String>) -> Error {
    Error::Criu {
        message: message.into(),
    }
}

/// What criu refused, with what its log says of it.
pub(super) fn refusal(verb: &str, response: &Response, log: &Path) -> Error {
    let mut message = format!("criu could not {verb} the container");
    if response.errno != 0 {
        message += &format!(": {}", io::Error::from_raw_os_error(response.errno));
    }
    match errors_in(log) {
        Some(errors) => message += &format!(": {errors} (all of it is in {})", log.display()),
        None if !response.message.is_empty() => message += &format!(": {}", response.message),
        None => message += &format!(": see {}", log.display()),
    }
    failure(message)
}

/// What errors begin with that criu goes on after: what it tries at first, to see what it can do.
const HARMLESS: [&str; 2] = ["rlimit: ", "tun: Unable to create tun"];

/// The first errors in a log of criu, without the places in its sources.
fn errors_in(log: &Path) -> Option<String> {
    const SHOWN: usize = 3;
    let log = std::fs::read(log).ok()?;
    let log = String::from_utf8_lossy(&log);
    let errors = log.lines().filter_map(|line| {
        let (_, error) = line.split_once("Error (")?;
        let (_, what) = error.split_once("): ")?;
        let is_cause = !HARMLESS.iter().any(|begin| what.starts_with(begin));
        is_cause.then_some(what.trim())
    });
    let errors: Vec<_> = errors.take(SHOWN).collect();
    (!errors.is_empty()).then(|| errors.join("; "))
}
