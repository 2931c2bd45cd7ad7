//! A criu that does nothing but tell what it was asked: `criu swrk FD`, as orlop-runc calls it.
//!
//! It appends to the file that `FAKE_CRIU_RECORD` names: a line for the request, then one for each option,
//! by the names of criu's `rpc.proto`. `FAKE_CRIU_VERSION` is what it says it is, and `FAKE_CRIU_LACKS` a
//! feature that it says it has not. It says that a dump was written, and refuses a restore.

use orlop_tests::sys::inherited;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::env;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::parent_id;
use std::process::ExitCode;

/// Fields of `criu_opts`, and what their values are.
const OPTIONS: [(u64, &str, Kind); 38] = [
    (1, "images_dir_fd", Kind::Descriptor),
    (2, "pid", Kind::Number),
    (3, "leave_running", Kind::Number),
    (4, "ext_unix_sk", Kind::Number),
    (5, "tcp_established", Kind::Number),
    (6, "evasive_devices", Kind::Number),
    (7, "shell_job", Kind::Number),
    (8, "file_locks", Kind::Number),
    (9, "log_level", Kind::Number),
    (10, "log_file", Kind::Text),
    (11, "ps", Kind::Pair),
    (12, "notify_scripts", Kind::Number),
    (13, "root", Kind::Text),
    (14, "parent_img", Kind::Text),
    (15, "track_mem", Kind::Number),
    (16, "auto_dedup", Kind::Number),
    (17, "work_dir_fd", Kind::Descriptor),
    (18, "link_remap", Kind::Number),
    (23, "ext_mnt", Kind::Pair),
    (24, "manage_cgroups", Kind::Number),
    (25, "cg_root", Kind::Pair),
    (26, "rst_sibling", Kind::Number),
    (27, "inherit_fd", Kind::First),
    (34, "manage_cgroups_mode", Kind::Number),
    (37, "external", Kind::Text),
    (38, "empty_ns", Kind::Number),
    (39, "join_ns", Kind::Pair),
    (44, "freeze_cgroup", Kind::Text),
    (45, "timeout", Kind::Number),
    (46, "tcp_skip_in_flight", Kind::Number),
    (48, "lazy_pages", Kind::Number),
    (49, "status_fd", Kind::Number),
    (50, "orphan_pts_master", Kind::Number),
    (51, "config_file", Kind::Text),
    (52, "tcp_close", Kind::Number),
    (53, "lsm_profile", Kind::Text),
    (63, "lsm_mount_context", Kind::Text),
    (64, "network_lock", Kind::Number),
];

#[derive(Clone, Copy)]
enum Kind {
    Number,
    Text,
    /// A directory, which criu opens by way of its caller.
    Descriptor,
    /// A message of two fields.
    Pair,
    /// One of which only the first is of interest.
    First,
}

/// `criu_req_type`.
const REQUESTS: [(u64, &str); 5] = [
    (DUMP, "DUMP"),
    (RESTORE, "RESTORE"),
    (PRE_DUMP, "PRE_DUMP"),
    (FEATURE_CHECK, "FEATURE_CHECK"),
    (VERSION, "VERSION"),
];
const DUMP: u64 = 1;
const RESTORE: u64 = 2;
const PRE_DUMP: u64 = 4;
const NOTIFY: u64 = 6;
const FEATURE_CHECK: u64 = 9;
const VERSION: u64 = 10;

/// `criu_features`.
const FEATURES: [(u64, &str); 2] = [(1, "mem_track"), (2, "lazy_pages")];

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fake-criu: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [verb, number] = arguments.as_slice() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    assert_eq!(verb, "swrk");
    let socket = inherited(number.parse().map_err(io::Error::other)?);
    let request = receive(&socket)?;
    let request = fields(&request);
    let kind = number_of(&request, 1);
    record(kind, &request)?;
    let mut answer = Vec::new();
    put_number(&mut answer, 1, kind);
    put_number(&mut answer, 2, u64::from(kind != RESTORE));
    match kind {
        VERSION => put_bytes(&mut answer, 10, &version()),
        FEATURE_CHECK => put_bytes(&mut answer, 8, &features()),
        DUMP => notify(&socket, "status-ready")?,
        RESTORE => put_bytes(&mut answer, 9, b"nothing is restored here"),
        _ => {}
    }
    send(&socket, &answer, SendFlags::empty())?;
    // The caller's end of the conversation.
    receive(&socket).map(drop)
}

fn version() -> Vec<u8> {
    let version = env::var("FAKE_CRIU_VERSION").unwrap_or_else(|_| "4.2".to_owned());
    let (major, minor) = version.split_once('.').expect("MAJOR.MINOR");
    let mut message = Vec::new();
    put_number(&mut message, 1, major.parse().expect("a number"));
    put_number(&mut message, 2, minor.parse().expect("a number"));
    message
}

fn features() -> Vec<u8> {
    let lacks = env::var("FAKE_CRIU_LACKS").unwrap_or_default();
    let mut message = Vec::new();
    for (number, name) in FEATURES {
        put_number(&mut message, number, u64::from(name != lacks));
    }
    message
}

/// Tells the caller what happens, and hears that it knows.
fn notify(socket: &OwnedFd, script: &str) -> io::Result<()> {
    let (mut inner, mut message) = (Vec::new(), Vec::new());
    put_bytes(&mut inner, 1, script.as_bytes());
    put_number(&mut message, 1, NOTIFY);
    put_number(&mut message, 2, 1);
    put_bytes(&mut message, 5, &inner);
    send(socket, &message, SendFlags::empty())?;
    let heard = receive(socket)?;
    let heard = fields(&heard);
    assert_eq!((number_of(&heard, 1), number_of(&heard, 3)), (NOTIFY, 1));
    Ok(())
}

fn receive(socket: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; 64 << 10];
    let (length, _) = recv(socket, &mut buffer[..], RecvFlags::empty())?;
    buffer.truncate(length);
    Ok(buffer)
}

fn record(kind: u64, request: &[(u64, Value<'_>)]) -> io::Result<()> {
    let named = REQUESTS.iter().find(|(number, _)| *number == kind);
    let mut text = format!("request={}\n", named.expect("a known request").1);
    for (number, value) in request {
        match (number, value) {
            (2, Value::Bytes(options)) => {
                for (number, value) in fields(options) {
                    let _ = writeln!(text, "{}", option(number, &value));
                }
            }
            (5, Value::Bytes(wanted)) => {
                for (number, name) in FEATURES {
                    if number_of(&fields(wanted), number) != 0 {
                        let _ = writeln!(text, "feature={name}");
                    }
                }
            }
            _ => {}
        }
    }
    let path = env::var_os("FAKE_CRIU_RECORD").expect("FAKE_CRIU_RECORD");
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(text.as_bytes())
}

fn option(number: u64, value: &Value<'_>) -> String {
    let Some((_, name, kind)) = OPTIONS.iter().find(|(known, ..)| *known == number) else {
        return format!("{number}=?");
    };
    let value = match (kind, value) {
        (Kind::Number, Value::Number(value)) => value.to_string(),
        (Kind::Descriptor, Value::Number(fd)) => {
            let link = fs::read_link(format!("/proc/{}/fd/{fd}", parent_id()));
            link.expect("a descriptor of the caller")
                .display()
                .to_string()
        }
        (Kind::Text, Value::Bytes(text)) => String::from_utf8_lossy(text).into_owned(),
        (Kind::Pair, Value::Bytes(pair)) => {
            let both: Vec<_> = fields(pair)
                .iter()
                .map(|(_, value)| value.plain())
                .collect();
            both.join(" ")
        }
        (Kind::First, Value::Bytes(pair)) => fields(pair)
            .first()
            .map(|(_, value)| value.plain())
            .unwrap_or_default(),
        _ => panic!("{name} has a value of another type"),
    };
    format!("{name}={value}")
}

/// A field's value: the two wire types that `rpc.proto` makes use of.
#[derive(Debug)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl Value<'_> {
    fn plain(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        }
    }
}

fn fields(mut message: &[u8]) -> Vec<(u64, Value<'_>)> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut message)),
            2 => {
                let length = usize::try_from(varint(&mut message)).expect("a length");
                let (bytes, rest) = message.split_at(length);
                message = rest;
                Value::Bytes(bytes)
            }
            other => panic!("wire type {other}"),
        };
        fields.push((tag >> 3, value));
    }
    fields
}

fn varint(message: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = message.split_first().expect("a whole number");
        *message = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            break;
        }
    }
    value
}

fn number_of(fields: &[(u64, Value<'_>)], wanted: u64) -> u64 {
    let found = fields.iter().find_map(|(number, value)| match value {
        Value::Number(value) if *number == wanted => Some(*value),
        _ => None,
    });
    found.unwrap_or_default()
}

fn put_varint(message: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

fn put_number(message: &mut Vec<u8>, field: u64, value: u64) {
    put_varint(message, field << 3);
    put_varint(message, value);
}

fn put_bytes(message: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(message, field << 3 | 2);
    put_varint(message, bytes.len() as u64);
    message.extend(bytes);
}
