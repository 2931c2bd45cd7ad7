//! The id maps of a user namespace (`user_namespaces(7)`).

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use rustix::fs::{Access, Mode, OFlags};
use rustix::io::retry_on_intr;

use crate::error::{Context, Error, Result};
use crate::spec::IdMapping;
use crate::sys;
use crate::user_namespace::Settings;

/// See `capabilities(7)`.
const CAP_SETFCAP: u32 = 31;
/// The most lines that the kernel takes.
const MAX_LINES: usize = 340;
/// Where the set-user-id helpers may lie: `PATH` is the caller's, and not to be trusted with them.
const HELPER_DIRS: [&str; 5] = [
    "/usr/bin",
    "/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/run/wrappers/bin",
];

/// Checks one map: what the kernel would answer with no more than `EINVAL`.
///
/// `field` names the map in errors, for example `linux.uidMappings`.
pub(crate) fn validate(field: &str, map: &[IdMapping]) -> Result<()> {
    if map.is_empty() {
        return Err(Error::invalid(
            field,
            "it has no line: no id would be valid",
        ));
    }
    if map.len() > MAX_LINES {
        let message = format!("it has {} lines; the kernel takes {MAX_LINES}", map.len());
        return Err(Error::invalid(field, message));
    }
    let page = rustix::param::page_size();
    let length = text(map).len();
    if length >= page {
        let message = format!(
            "it has {length} bytes as text; the kernel takes {}",
            page - 1
        );
        return Err(Error::invalid(field, message));
    }
    for (index, line) in map.iter().enumerate() {
        check_line(&format!("{field}[{index}]"), line)?;
    }
    check_overlap(
        field,
        "containerID",
        map.iter().map(|line| (line.container_id, line.size)),
    )?;
    check_overlap(
        field,
        "hostID",
        map.iter().map(|line| (line.host_id, line.size)),
    )
}

fn check_line(field: &str, line: &IdMapping) -> Result<()> {
    if line.size == 0 {
        return Err(Error::invalid(
            format!("{field}.size"),
            "it must be greater than 0",
        ));
    }
    for (name, first) in [("containerID", line.container_id), ("hostID", line.host_id)] {
        // The highest number is no id: it stands for "unchanged" in system calls.
        if u64::from(first) + u64::from(line.size) > u64::from(u32::MAX) {
            let message = format!(
                "{first} and {} ids from there on pass the last id",
                line.size
            );
            return Err(Error::invalid(format!("{field}.{name}"), message));
        }
    }
    Ok(())
}

fn check_overlap(field: &str, name: &str, ranges: impl Iterator<Item = (u32, u32)>) -> Result<()> {
    let mut ranges: Vec<_> = ranges.collect();
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        let (first, size) = pair[0];
        if pair[1].0 - first < size {
            let message = format!("id {} is mapped twice ({name})", pair[1].0);
            return Err(Error::invalid(field, message));
        }
    }
    Ok(())
}

/// Writes the maps of the process's new user namespace. The process is the caller's child and not
/// reaped, so that its pid is its own.
pub(crate) fn write(pid: i32, uids: &[IdMapping], gids: &[IdMapping]) -> Result<()> {
    let writer = Writer {
        capabilities: sys::permitted_capabilities()?,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
    };
    writer.write(&UIDS, pid, uids, writer.uid)?;
    writer.write(&GIDS, pid, gids, writer.gid)
}

/// Who writes.
struct Writer {
    /// Bit n for capability n.
    capabilities: u64,
    uid: u32,
    gid: u32,
}

impl Writer {
    fn write(&self, kind: &Kind, pid: i32, map: &[IdMapping], own: u32) -> Result<()> {
        match Way::of(map, own, self.capabilities & 1 << kind.capability != 0) {
            Way::Direct => write_file(pid, kind.file, &text(map)).map_err(|error| {
                let lacks_setfcap = self.capabilities & 1 << CAP_SETFCAP == 0;
                let maps_root = map.iter().any(|line| line.host_id == 0);
                if !(lacks_setfcap && maps_root && kind.capability == UIDS.capability) {
                    return error;
                }
                let why = "mapping the caller's root takes CAP_SETFCAP, too (since Linux 5.12)";
                Error::WrongState {
                    message: format!("{error} ({why})"),
                }
            }),
            Way::OwnId => {
                if kind.denies_setgroups {
                    write_file(pid, "setgroups", "deny")?;
                }
                write_file(pid, kind.file, &text(map))
            }
            Way::Helper => run_helper(pid, kind, map, own),
        }
    }
}

/// How users and groups differ here.
struct Kind {
    file: &'static str,
    helper: &'static str,
    /// Where the helper looks up who may map what, and what `usermod(8)` calls that.
    grants: &'static str,
    option: &'static str,
    capability: u32,
    /// Without it, a group that takes rights away could be dropped.
    denies_setgroups: bool,
}

const UIDS: Kind = Kind {
    file: "uid_map",
    helper: "newuidmap",
    grants: "/etc/subuid",
    option: "--add-subuids",
    capability: 7,
    denies_setgroups: false,
};
const GIDS: Kind = Kind {
    file: "gid_map",
    helper: "newgidmap",
    grants: "/etc/subgid",
    option: "--add-subgids",
    capability: 6,
    denies_setgroups: true,
};

/// Who may write a map.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    /// The caller has the capability to.
    Direct,
    /// Anybody may map their own id alone.
    OwnId,
    /// A privileged program, which looks into `/etc/subuid` and `/etc/subgid`.
    Helper,
}

impl Way {
    fn of(map: &[IdMapping], own: u32, capable: bool) -> Self {
        match map {
            _ if capable => Self::Direct,
            [line] if line.size == 1 && line.host_id == own => Self::OwnId,
            _ => Self::Helper,
        }
    }
}

fn text(map: &[IdMapping]) -> String {
    let mut text = String::new();
    for line in map {
        let _ = writeln!(text, "{} {} {}", line.container_id, line.host_id, line.size);
    }
    text
}

/// The kernel takes a map in one write only.
fn write_file(pid: i32, name: &str, text: &str) -> Result<()> {
    let path = format!("/proc/{pid}/{name}");
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let written = rustix::fs::open(&path, flags, Mode::empty())
        .and_then(|file| retry_on_intr(|| rustix::io::write(&file, text.as_bytes())));
    let hint = |errno: rustix::io::Errno| Settings::now().without_privilege(errno.raw_os_error());
    let hint = written.err().and_then(hint);
    let written = written.context(|| format!("write {path}"));
    written.map_err(|error| error.hinted(hint)).map(drop)
}

fn run_helper(pid: i32, kind: &Kind, map: &[IdMapping], own: u32) -> Result<()> {
    let name = kind.helper;
    let Some(path) = find_helper(name) else {
        let message = format!(
            "mapping ids other than one's own needs {name}, which is in none of {} (install it: Debian has it in the package uidmap)",
            HELPER_DIRS.join(", ")
        );
        return Err(Error::WrongState { message });
    };
    let numbers = map
        .iter()
        .flat_map(|line| [line.container_id, line.host_id, line.size]);
    #[expect(
        clippy::disallowed_methods,
        reason = "newuidmap or newgidmap, in a directory of the system's"
    )]
    let output = Command::new(&path)
        .arg(pid.to_string())
        .args(numbers.map(|number| number.to_string()))
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .context(|| format!("run {path}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().next().unwrap_or("it gave no reason");
    let message = format!("{path}: {said} ({})", helper_advice(said, kind, map, own));
    Err(Error::WrongState { message })
}

/// What to do about a helper's refusal.
fn helper_advice(said: &str, kind: &Kind, map: &[IdMapping], own: u32) -> String {
    if said.contains("user name") {
        let uid = rustix::process::getuid().as_raw();
        return format!("uid {uid} has no line in /etc/passwd");
    }
    if said.contains("ermitted") {
        return "is it setuid root or does it have its capabilities, on a file system that is not \
                mounted nosuid?"
            .to_owned();
    }
    let lent = map
        .iter()
        .find(|line| line.host_id != own || line.size != 1);
    let range = lent.map_or_else(String::new, |line| {
        let last = line.host_id + (line.size - 1);
        format!(
            "; to have it all: usermod {} {}-{last} <user>",
            kind.option, line.host_id
        )
    });
    format!("{} says what a user may map{range}", kind.grants)
}

fn find_helper(name: &str) -> Option<String> {
    let paths = HELPER_DIRS.iter().map(|dir| format!("{dir}/{name}"));
    paths
        .into_iter()
        .find(|path| rustix::fs::access(path, Access::EXEC_OK).is_ok())
}

#[cfg(test)]
#[path = "idmap_tests.rs"]
mod tests;
