//! Readiness as `sd_notify(3)` tells it: a socket in the container, and what comes there passed on.
//!
//! As with runc, a directory of the container's is bind mounted at `/run/notify`. Who starts the
//! container binds the socket there, and tells the service manager that the program is ready and
//! which process it is, which only the runtime knows. Nothing else of the container gets through.

use std::ffi::OsStr;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, chmodat, fstat, mkdirat, openat, unlinkat};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, bind, connect, recv, send, sendmsg, socket_with,
};
use rustix::pipe::{PipeFlags, pipe_with};
use serde_json::Value;

use crate::bundle::Bundle;
use crate::console_socket::connect_by_path;
use crate::emptying;
use crate::error::{Context, Error, Result};
use crate::poll::poll_until;
use crate::spec::{Mount, NamespaceKind};

/// The directory's name, in the container's own.
pub(crate) const DIRECTORY: &str = "notify";
/// The socket's name in it.
const SOCKET: &str = "notify.sock";
/// Where the container sees the directory.
const INSIDE: &str = "/run/notify";

/// How long the service manager may take to say that it has read everything.
const BARRIER: Duration = Duration::from_secs(30);

/// The longest message that is read, in bytes.
const MESSAGE: usize = 4096;

/// Gives the container the directory, whose path on the host this is, and its program
/// `NOTIFY_SOCKET`.
pub(crate) fn add_to(bundle: &mut Bundle, directory: &Path) -> Result<()> {
    let linux = bundle.spec.linux.as_ref();
    let own_mounts = linux.is_some_and(|linux| {
        let kinds = linux.namespaces.iter().map(|one| &one.kind);
        kinds.into_iter().any(|kind| *kind == NamespaceKind::Mount)
    });
    if !own_mounts {
        let warning = "NOTIFY_SOCKET: the container has no mount namespace, and gets no socket";
        bundle.warnings.push(warning.to_owned());
        return Ok(());
    }
    let source = std::path::absolute(directory)
        .context(|| format!("find the directory {}", directory.display()))?;
    let mount = Mount {
        destination: INSIDE.to_owned(),
        source: Some(source.to_string_lossy().into_owned()),
        options: ["bind", "nosuid", "noexec", "nodev", "ro"]
            .map(str::to_owned)
            .to_vec(),
        ..Mount::default()
    };
    // Whoever compiles the container again, or checkpoints it, reads the copy of this.
    bundle.config = with_mount(&bundle.config, &mount)?;
    bundle.spec.mounts.push(mount);
    if let Some(process) = &mut bundle.spec.process {
        process.env.push(format!("NOTIFY_SOCKET={INSIDE}/{SOCKET}"));
    }
    Ok(())
}

fn with_mount(config: &[u8], mount: &Mount) -> Result<Vec<u8>> {
    let failed = |error: serde_json::Error| Error::invalid("mounts", error.to_string());
    let mut config: Value = serde_json::from_slice(config).map_err(failed)?;
    let mount = serde_json::to_value(mount).map_err(failed)?;
    match &mut config["mounts"] {
        Value::Array(mounts) => mounts.push(mount),
        none => *none = Value::Array(vec![mount]),
    }
    serde_json::to_vec(&config).map_err(failed)
}

/// Makes the directory, in the container's own.
pub(crate) fn make_directory(container: BorrowedFd<'_>) -> Result<()> {
    let mode = Mode::from_raw_mode(0o755);
    mkdirat(container, DIRECTORY, mode)
        // Whatever the caller's umask: the container's user enters it.
        .and_then(|()| chmodat(container, DIRECTORY, mode, AtFlags::empty()))
        .context(|| "make the directory for NOTIFY_SOCKET".to_owned())
}

/// Removes the directory and what is in it; nothing, if it is not there. The container sees it
/// read-only, but one that may mount can change that.
pub(crate) fn remove_directory(container: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(container, DIRECTORY, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        directory => emptying::empty(directory?.as_fd())?,
    }
    unlinkat(container, DIRECTORY, AtFlags::REMOVEDIR)
}

/// Whoever waits for word that a container's program is ready.
///
/// ```no_run
/// # let runtime = orlop::Runtime::open("/run/demo")?;
/// let mut container = runtime.load(&"web".parse()?)?;
/// let notifications = container.notifications("/run/systemd/notify")?;
/// container.start()?;
/// if let Some(notifications) = notifications {
///     notifications.pass_on()?;
/// }
/// # Ok::<(), orlop::Error>(())
/// ```
#[derive(Debug)]
pub struct Notifications {
    /// The container's.
    socket: OwnedFd,
    /// The service manager's.
    host: OwnedFd,
    pid: i32,
    pidfd: OwnedFd,
}

impl Notifications {
    /// Binds the container's socket; `None` if it was made without.
    pub(crate) fn listen(
        container: BorrowedFd<'_>,
        host: &OsStr,
        (pid, pidfd): (i32, OwnedFd),
    ) -> Result<Option<Self>> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = match openat(container, DIRECTORY, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            directory => directory.context(|| "open the directory for NOTIFY_SOCKET".to_owned())?,
        };
        let operation = || format!("NOTIFY_SOCKET {}: connect", Path::new(host).display());
        let manager = new_socket().context(operation)?;
        connect_to(&manager, host).context(operation)?;
        let socket = bind_in(directory.as_fd())
            .context(|| "bind the container's notify socket".to_owned())?;
        Ok(Some(Self {
            socket,
            host: manager,
            pid,
            pidfd,
        }))
    }

    /// Waits until the program says that it is ready, and passes that on with its pid; then until
    /// the service manager has read it (`sd_notify_barrier(3)`), for at most 30 seconds. Returns,
    /// too, when the container ends.
    ///
    /// # Errors
    /// When the service manager does not take it.
    pub fn pass_on(self) -> Result<()> {
        loop {
            let mut polled = [
                PollFd::new(&self.socket, PollFlags::IN),
                PollFd::new(&self.pidfd, PollFlags::IN),
            ];
            poll_until(&mut polled, None).context(|| "wait for notifications".to_owned())?;
            let ended = !polled[1].revents().is_empty();
            if let Some(ready) = self.take_ready()? {
                return self
                    .tell(&ready)
                    .context(|| "pass on that the container is ready".to_owned());
            }
            if ended {
                return Ok(());
            }
        }
    }

    /// The first line of all that has arrived that says so.
    fn take_ready(&self) -> Result<Option<Vec<u8>>> {
        let mut message = [0; MESSAGE];
        loop {
            let length = match recv(&self.socket, &mut message[..], RecvFlags::DONTWAIT) {
                Ok((length, _)) => length,
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(Error::system("read a notification", errno)),
            };
            let mut lines = message[..length].split(|byte| *byte == b'\n');
            if let Some(ready) = lines.find(|line| line.starts_with(b"READY=")) {
                return Ok(Some(ready.to_vec()));
            }
        }
    }

    fn tell(&self, ready: &[u8]) -> rustix::io::Result<()> {
        let mut message = ready.to_vec();
        message.extend_from_slice(format!("\nMAINPID={}\n", self.pid).as_bytes());
        retry_on_intr(|| send(&self.host, &message, SendFlags::NOSIGNAL))?;
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let fds = [write.as_fd()];
        ancillary.push(SendAncillaryMessage::ScmRights(&fds));
        let parts = [IoSlice::new(b"BARRIER=1")];
        retry_on_intr(|| sendmsg(&self.host, &parts, &mut ancillary, SendFlags::NOSIGNAL))?;
        drop(write);
        // An old manager keeps the descriptor, and one of a container that is over is past caring.
        let mut polled = [
            PollFd::new(&read, PollFlags::empty()),
            PollFd::new(&self.pidfd, PollFlags::IN),
        ];
        poll_until(&mut polled, Some(Instant::now() + BARRIER))?;
        Ok(())
    }
}

fn new_socket() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)
}

/// Connects to a socket at a path, or, after an `@`, of an abstract name (`sd_notify(3)`).
fn connect_to(socket: &OwnedFd, host: &OsStr) -> rustix::io::Result<()> {
    match host.as_bytes().strip_prefix(b"@") {
        Some(name) => {
            let address = SocketAddrUnix::new_abstract_name(name)?;
            retry_on_intr(|| connect(socket, &address))
        }
        None => connect_by_path(socket, Path::new(host)),
    }
}

/// Binds the container's socket, in place of one that a killed start has left.
fn bind_in(directory: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    match unlinkat(directory, SOCKET, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno),
    }
    // Through the descriptor: an address has room for 108 bytes only.
    let path = format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd());
    let socket = new_socket()?;
    bind(&socket, &SocketAddrUnix::new(path.as_str())?)?;
    // The program may be any user. What has the name by now may be another's link.
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let bound = openat(directory, SOCKET, flags, Mode::empty())?;
    if FileType::from_raw_mode(fstat(&bound)?.st_mode) != FileType::Socket {
        return Err(Errno::NOTSOCK);
    }
    let path = format!("/proc/self/fd/{}", bound.as_raw_fd());
    let mode = Mode::from_raw_mode(0o777);
    chmodat(CWD, path.as_str(), mode, AtFlags::empty())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::with_mount;
    use crate::spec::Mount;

    #[test]
    fn a_configuration_gets_the_mount_and_keeps_what_it_has() {
        let mount = Mount {
            destination: "/run/notify".to_owned(),
            ..Mount::default()
        };
        let added = r#"{"destination":"/run/notify"}"#;
        for (before, after) in [
            ("{}", format!(r#"{{"mounts":[{added}]}}"#)),
            (r#"{"mounts":null}"#, format!(r#"{{"mounts":[{added}]}}"#)),
            (
                r#"{"mounts":[{"destination":"/x"}],"unknown":18446744073709551615}"#,
                format!(
                    r#"{{"mounts":[{{"destination":"/x"}},{added}],"unknown":18446744073709551615}}"#
                ),
            ),
        ] {
            let with = with_mount(before.as_bytes(), &mount).unwrap();
            assert_eq!(String::from_utf8(with).unwrap(), after);
        }
    }
}
