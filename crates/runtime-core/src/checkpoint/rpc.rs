//! criu's requests and answers, by the numbers of its `rpc.proto`.

use super::protobuf::{Fields, Malformed, Message, Value};

/// What criu is asked to do, or answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Kind {
    Dump = 1,
    Restore = 2,
    PreDump = 4,
    Notify = 6,
    FeatureCheck = 9,
    Version = 10,
}

/// Fields of `criu_opts`.
pub(super) mod option {
    pub(crate) const IMAGES_DIR_FD: u32 = 1;
    pub(crate) const PID: u32 = 2;
    pub(crate) const LEAVE_RUNNING: u32 = 3;
    pub(crate) const EXT_UNIX_SK: u32 = 4;
    pub(crate) const TCP_ESTABLISHED: u32 = 5;
    pub(crate) const EVASIVE_DEVICES: u32 = 6;
    pub(crate) const SHELL_JOB: u32 = 7;
    pub(crate) const FILE_LOCKS: u32 = 8;
    pub(crate) const LOG_LEVEL: u32 = 9;
    pub(crate) const LOG_FILE: u32 = 10;
    pub(crate) const PAGE_SERVER: u32 = 11;
    pub(crate) const NOTIFY_SCRIPTS: u32 = 12;
    pub(crate) const ROOT: u32 = 13;
    pub(crate) const PARENT_IMG: u32 = 14;
    pub(crate) const TRACK_MEM: u32 = 15;
    pub(crate) const AUTO_DEDUP: u32 = 16;
    pub(crate) const WORK_DIR_FD: u32 = 17;
    pub(crate) const LINK_REMAP: u32 = 18;
    pub(crate) const EXT_MNT: u32 = 23;
    pub(crate) const MANAGE_CGROUPS: u32 = 24;
    pub(crate) const CG_ROOT: u32 = 25;
    pub(crate) const RST_SIBLING: u32 = 26;
    pub(crate) const INHERIT_FD: u32 = 27;
    pub(crate) const MANAGE_CGROUPS_MODE: u32 = 34;
    pub(crate) const EXTERNAL: u32 = 37;
    pub(crate) const EMPTY_NS: u32 = 38;
    pub(crate) const JOIN_NS: u32 = 39;
    pub(crate) const FREEZE_CGROUP: u32 = 44;
    pub(crate) const TCP_SKIP_IN_FLIGHT: u32 = 46;
    pub(crate) const LAZY_PAGES: u32 = 48;
    pub(crate) const ORPHAN_PTS_MASTER: u32 = 50;
    pub(crate) const CONFIG_FILE: u32 = 51;
    pub(crate) const TCP_CLOSE: u32 = 52;
    pub(crate) const LSM_PROFILE: u32 = 53;
    pub(crate) const LSM_MOUNT_CONTEXT: u32 = 63;
    pub(crate) const NETWORK_LOCK: u32 = 64;
}

/// What the kernel and criu have to be able to do together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Feature {
    /// Memory that was written since is known.
    MemoryTracking = 1,
    LazyPages = 2,
}

/// A request with options; those of `Restore` and dumps need some.
pub(super) fn request(kind: Kind, options: Option<&Message>) -> Message {
    let mut request = Message::default();
    request.number(1, kind as u32);
    if let Some(options) = options {
        request.message(2, options);
    }
    request
}

/// The question whether there is a feature.
pub(super) fn feature_request(feature: Feature) -> Message {
    let mut features = Message::default();
    features.flag(feature as u32, true);
    let mut request = request(Kind::FeatureCheck, None);
    request.message(5, &features);
    request
}

/// The answer to a notification.
pub(super) fn acknowledgement(success: bool) -> Message {
    let mut request = request(Kind::Notify, None);
    request.number(3, success.into());
    request
}

/// A pair of texts: a mount's key and source, a namespace and its file.
pub(super) fn pair(first: &str, second: &str) -> Message {
    let mut pair = Message::default();
    pair.text(1, first);
    pair.text(2, second);
    pair
}

/// A text and a number: an inherited descriptor, a page server.
pub(super) fn numbered(text: &str, number: u32) -> Message {
    let mut pair = Message::default();
    pair.text(1, text);
    pair.number(2, number);
    pair
}

/// criu's answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Response {
    pub kind: u32,
    pub success: bool,
    /// The first process, of a restored tree.
    pub pid: i32,
    /// What happens, of a notification.
    pub script: String,
    pub errno: i32,
    pub message: String,
    pub memory_tracking: bool,
    pub lazy_pages: bool,
    /// As 31500 for 3.15.
    pub version: u32,
}

impl Response {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut response = Self::default();
        for field in Fields::of(bytes) {
            match field? {
                (1, Value::Number(kind)) => response.kind = kind as u32,
                (2, Value::Number(success)) => response.success = success != 0,
                (4, Value::Bytes(restored)) => response.pid = number(restored, 1)? as i32,
                (5, Value::Bytes(notification)) => {
                    response.script = text(notification, 1)?;
                    response.pid = number(notification, 2)? as i32;
                }
                (7, Value::Number(errno)) => response.errno = errno as i32,
                (8, Value::Bytes(features)) => {
                    response.memory_tracking = number(features, 1)? != 0;
                    response.lazy_pages = number(features, 2)? != 0;
                }
                (9, Value::Bytes(message)) => response.message = lossy(message),
                (10, Value::Bytes(parts)) => response.version = version(parts)?,
                _ => {}
            }
        }
        Ok(response)
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn number(message: &[u8], wanted: u32) -> Result<u64, Malformed> {
    let mut found = 0;
    for field in Fields::of(message) {
        if let (number, Value::Number(value)) = field?
            && number == wanted
        {
            found = value;
        }
    }
    Ok(found)
}

fn text(message: &[u8], wanted: u32) -> Result<String, Malformed> {
    let mut found = String::new();
    for field in Fields::of(message) {
        if let (number, Value::Bytes(value)) = field?
            && number == wanted
        {
            found = lossy(value);
        }
    }
    Ok(found)
}

/// What was built between two releases counts as the later one.
fn version(parts: &[u8]) -> Result<u32, Malformed> {
    let part = |wanted| number(parts, wanted).map(|value| value.min(99) as u32);
    let (major, mut minor, mut patch) = (part(1)?, part(2)?, part(4)?);
    if !text(parts, 3)?.is_empty() {
        (minor, patch) = (minor + 1, 0);
    }
    Ok(major * 10_000 + minor * 100 + patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notifications_and_versions_are_read() {
        let mut notification = Message::default();
        notification.text(1, "post-restore");
        notification.number(2, 42);
        let mut message = request(Kind::Notify, None);
        message.number(2, 1);
        message.message(5, &notification);
        let response = Response::parse(message.as_bytes()).unwrap();
        assert!(response.success && response.kind == Kind::Notify as u32);
        assert_eq!(
            (response.script.as_str(), response.pid),
            ("post-restore", 42)
        );

        let mut parts = numbered("", 17);
        parts.number(1, 3);
        parts.number(4, 1);
        let mut message = Message::default();
        message.message(10, &parts);
        let response = Response::parse(message.as_bytes()).unwrap();
        assert_eq!(response.version, 31_701);
        parts.text(3, "v3.17.1-5");
        let mut message = Message::default();
        message.message(10, &parts);
        let response = Response::parse(message.as_bytes()).unwrap();
        assert_eq!(response.version, 31_800);
        assert!(Response::parse(&[0x2a, 2, 0x0a]).is_err());
    }
}
