//! A connection to a message bus, or straight to the manager.

use std::env;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::wire::{self, FIXED_HEADER, Kind, Message, Target, Writer};
use crate::error::Error;

/// For how long a call may take to be answered.
const CALL_DEADLINE: Duration = Duration::from_secs(30);

/// Signals kept for later while waiting for something else.
const MAX_PENDING: usize = 1000;

/// Where a manager can be reached.
#[derive(Debug)]
pub(super) struct Socket {
    path: PathBuf,
    /// A bus wants to be greeted; the manager's own socket has no bus behind it.
    is_bus: bool,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Bus {
    stream: UnixStream,
    serial: u32,
    pending: Vec<Message>,
}

/// Why a call failed.
#[derive(Debug)]
pub(super) enum CallError {
    /// The other side has answered with an error: its name, and its text.
    Refused { name: String, text: String },
    /// There was no answer.
    Io(io::Error),
}

/// The answer to a call.
#[derive(Debug)]
pub(super) struct Reply(Message);

/// The system's sockets, best first.
pub(super) fn system_sockets() -> Vec<Socket> {
    let bus = address_of("DBUS_SYSTEM_BUS_ADDRESS");
    let bus = bus.unwrap_or_else(|| PathBuf::from("/run/dbus/system_bus_socket"));
    vec![
        Socket {
            path: bus,
            is_bus: true,
        },
        Socket {
            path: PathBuf::from("/run/systemd/private"),
            is_bus: false,
        },
    ]
}

/// The calling user's sockets, best first.
pub(super) fn user_sockets() -> Vec<Socket> {
    let runtime = env::var_os("XDG_RUNTIME_DIR").map_or_else(
        || PathBuf::from(format!("/run/user/{}", rustix::process::getuid().as_raw())),
        PathBuf::from,
    );
    let bus = address_of("DBUS_SESSION_BUS_ADDRESS").unwrap_or_else(|| runtime.join("bus"));
    vec![
        Socket {
            path: bus,
            is_bus: true,
        },
        Socket {
            path: runtime.join("systemd/private"),
            is_bus: false,
        },
    ]
}

/// The path in an address of the form `unix:path=/run/user/1000/bus,guid=…`.
fn address_of(variable: &str) -> Option<PathBuf> {
    socket_path(&env::var(variable).ok()?)
}

fn socket_path(addresses: &str) -> Option<PathBuf> {
    addresses
        .split(';')
        .filter_map(|address| address.strip_prefix("unix:"))
        .flat_map(|options| options.split(','))
        .find_map(|option| option.strip_prefix("path="))
        .map(PathBuf::from)
}

impl Bus {
    /// Connects to the first socket that is there.
    pub(super) fn connect(sockets: &[Socket], of_user: bool) -> Result<Self, Error> {
        let mut first_error = None;
        for socket in sockets {
            match Self::open(socket) {
                Ok(bus) => return Ok(bus),
                Err(error) => {
                    let what = format!("connect to {}", socket.path.display());
                    first_error.get_or_insert(Error::NoSystemd {
                        what,
                        source: error,
                        of_user,
                    });
                }
            }
        }
        Err(first_error.unwrap_or_else(|| Error::NoSystemd {
            what: "connect".into(),
            source: io::Error::from(io::ErrorKind::NotFound),
            of_user,
        }))
    }

    fn open(socket: &Socket) -> io::Result<Self> {
        let stream = UnixStream::connect(&socket.path)?;
        stream.set_read_timeout(Some(CALL_DEADLINE))?;
        stream.set_write_timeout(Some(CALL_DEADLINE))?;
        let mut bus = Self {
            stream,
            serial: 0,
            pending: Vec::new(),
        };
        bus.authenticate()?;
        if socket.is_bus {
            let dbus = "org.freedesktop.DBus";
            let object = "/org/freedesktop/DBus";
            bus.call(dbus, object, dbus, "Hello", "", |_| {})
                .map_err(CallError::into_io)?;
            let rule = "type='signal',sender='org.freedesktop.systemd1',\
                        interface='org.freedesktop.systemd1.Manager',member='JobRemoved'";
            bus.call(dbus, object, dbus, "AddMatch", "s", |body| {
                body.string(rule)
            })
            .map_err(CallError::into_io)?;
            // The manager tells a bus of its jobs only while somebody wants to hear.
            bus.call(
                super::SERVICE,
                super::OBJECT,
                super::MANAGER,
                "Subscribe",
                "",
                |_| {},
            )
            .map_err(CallError::into_io)?;
        }
        Ok(bus)
    }

    /// The kernel tells the other side who we are; we only claim it.
    fn authenticate(&mut self) -> io::Result<()> {
        let uid = rustix::process::getuid().as_raw().to_string();
        let hex: String = uid.bytes().map(|byte| format!("{byte:02x}")).collect();
        self.stream
            .write_all(format!("\0AUTH EXTERNAL {hex}\r\n").as_bytes())?;
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte)?;
            line.push(byte[0]);
            if line.len() > 512 {
                return Err(io::Error::from(io::ErrorKind::InvalidData));
            }
        }
        if !line.starts_with(b"OK ") {
            return Err(io::Error::from(io::ErrorKind::PermissionDenied));
        }
        self.stream.write_all(b"BEGIN\r\n")
    }

    /// Calls a method and waits for the answer.
    pub(super) fn call(
        &mut self,
        destination: &str,
        object: &str,
        interface: &str,
        method: &str,
        signature: &str,
        body: impl FnOnce(&mut Writer),
    ) -> Result<Reply, CallError> {
        let mut writer = Writer::default();
        body(&mut writer);
        self.serial = self.serial.checked_add(1).unwrap_or(1);
        let target = Target {
            destination,
            object,
            interface,
            method,
        };
        let message = wire::call(self.serial, target, signature, &writer);
        if message.len() > wire::MAX_MESSAGE {
            return Err(CallError::Io(io::Error::from(io::ErrorKind::InvalidInput)));
        }
        self.stream.write_all(&message).map_err(CallError::Io)?;
        let deadline = Instant::now() + CALL_DEADLINE;
        loop {
            let message = self.receive(deadline).map_err(CallError::Io)?;
            match message.kind {
                Kind::Reply if message.reply_to == Some(self.serial) => return Ok(Reply(message)),
                Kind::Error if message.reply_to == Some(self.serial) => {
                    let text = message.body().string().unwrap_or_default().to_owned();
                    return Err(CallError::Refused {
                        name: message.error,
                        text,
                    });
                }
                Kind::Signal
                    if message.member == "JobRemoved" && self.pending.len() < MAX_PENDING =>
                {
                    self.pending.push(message);
                }
                _ => {}
            }
        }
    }

    /// Waits for the end of a job; its result in one word.
    pub(super) fn wait_for_job(&mut self, job: &str, limit: Duration) -> Result<String, CallError> {
        let deadline = Instant::now() + limit;
        let mut result = self
            .pending
            .iter()
            .find_map(|message| job_result(message, job));
        while result.is_none() {
            let message = self.receive(deadline).map_err(CallError::Io)?;
            result = job_result(&message, job);
        }
        self.pending.clear();
        Ok(result.unwrap_or_default())
    }

    fn receive(&mut self, deadline: Instant) -> io::Result<Message> {
        let mut fixed = [0; FIXED_HEADER];
        self.read_exact(&mut fixed, deadline)?;
        let bad = || io::Error::new(io::ErrorKind::InvalidData, "a message of unknown form");
        let mut bytes = vec![0; wire::message_length(&fixed).ok_or_else(bad)?];
        bytes[..FIXED_HEADER].copy_from_slice(&fixed);
        self.read_exact(&mut bytes[FIXED_HEADER..], deadline)?;
        Message::parse(&bytes).ok_or_else(bad)
    }

    fn read_exact(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        // A timeout of zero would mean none at all.
        self.stream
            .set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        self.stream
            .read_exact(buffer)
            .map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => io::Error::from(io::ErrorKind::TimedOut),
                _ => error,
            })
    }
}

/// The result in a `JobRemoved(u id, o job, s unit, s result)` of this job.
fn job_result(message: &Message, job: &str) -> Option<String> {
    if message.kind != Kind::Signal || message.member != "JobRemoved" || message.signature != "uoss"
    {
        return None;
    }
    let mut body = message.body();
    let _id = body.u32()?;
    let is_it = body.string()? == job;
    let _unit = body.string()?;
    let result = body.string()?;
    is_it.then(|| result.to_owned())
}

impl Reply {
    /// The object path that is the whole answer.
    pub(super) fn object_path(&self) -> Result<String, Error> {
        let path = (self.0.signature == "o").then(|| self.0.body().string().map(str::to_owned));
        path.flatten().ok_or_else(|| self.unexpected())
    }

    /// The text in the variant that is the whole answer.
    pub(super) fn string_in_variant(&self) -> Result<String, Error> {
        let mut body = self.0.body();
        match (self.0.signature.as_str(), body.signature()) {
            ("v", Some("s")) => body.string().map(str::to_owned),
            _ => None,
        }
        .ok_or_else(|| self.unexpected())
    }

    /// The bytes in the variant that is the whole answer.
    pub(super) fn bytes_in_variant(&self) -> Result<Vec<u8>, Error> {
        let mut body = self.0.body();
        match (self.0.signature.as_str(), body.signature()) {
            ("v", Some("ay")) => body.bytes().map(<[u8]>::to_vec),
            _ => None,
        }
        .ok_or_else(|| self.unexpected())
    }

    fn unexpected(&self) -> Error {
        Error::Systemd {
            what: format!("read an answer of type {:?}", self.0.signature),
            source: io::Error::from(io::ErrorKind::InvalidData),
            hint: "",
        }
    }
}

impl CallError {
    /// Whether it is this one of systemd's errors, named without the prefix.
    pub(super) fn is_named(&self, short: &str) -> bool {
        matches!(self, Self::Refused { name, .. } if name.rsplit('.').next() == Some(short))
    }

    pub(super) fn about(self, what: impl ToString) -> Error {
        let hint = if self.is_named("UnitExists") {
            " (choose another name by linux.cgroupsPath, or stop that unit by systemctl)"
        } else {
            ""
        };
        Error::Systemd {
            what: what.to_string(),
            source: self.into_io(),
            hint,
        }
    }

    fn into_io(self) -> io::Error {
        match self {
            Self::Refused { name, text } => io::Error::other(format!("{text} ({name})")),
            Self::Io(error) => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, path) in [
            ("unix:path=/run/user/1000/bus", Some("/run/user/1000/bus")),
            ("unix:guid=1,path=/a/b,x=y", Some("/a/b")),
            ("tcp:host=x;unix:path=/c", Some("/c")),
            ("unix:abstract=/x", None),
            ("", None),
        ] {
            assert_eq!(socket_path(text), path.map(PathBuf::from), "{text}");
        }
    }
}
