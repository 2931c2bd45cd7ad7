//! What the options before the command decide.

use std::fs;
use std::path::PathBuf;

use orlop::CgroupPolicy;

use crate::cli::Matches;
use crate::failure::Failure;
use crate::log::{Format, Level, Log};

/// Where state is kept without `--root`, below `/run` or `$XDG_RUNTIME_DIR`.
const STATE_DIRECTORY: &str = "orlop";

/// What `--rootless` may say. The library sees for itself what the caller may do.
const ROOTLESS: [&str; 13] = [
    "auto", "true", "false", "1", "0", "t", "f", "T", "F", "TRUE", "FALSE", "True", "False",
];

/// What `--cgroup-manager` may say.
pub(crate) const CGROUP_MANAGERS: [&str; 3] = ["cgroupfs", "systemd", "disabled"];

/// What of it means yes.
const YES: [&str; 6] = ["true", "1", "t", "T", "TRUE", "True"];

/// What every command needs to know.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where records go.
    pub(crate) log: Log,
    /// Where the state of containers is.
    pub(crate) root: PathBuf,
    /// Whether that place was named by the caller.
    pub(crate) root_is_given: bool,
    /// Whether systemd makes the cgroups.
    pub(crate) systemd_cgroup: bool,
    /// What becomes of containers whose cgroup can't be had, or is not wanted.
    pub(crate) cgroup_policy: CgroupPolicy,
}

impl Context {
    /// Makes sense of the options before the command.
    pub(crate) fn new(globals: &Matches) -> Result<Self, (Failure, Log)> {
        let log = open_log(globals).map_err(|failure| (failure, Log::standard_error()))?;
        let given = globals.path("root");
        if let Some(other) = globals
            .text("rootless")
            .filter(|when| !ROOTLESS.contains(&when.as_str()))
        {
            let message = format!("invalid value {other:?} for --rootless: true, false or auto");
            return Err((Failure::new(message), log));
        }
        if given.as_ref().is_some_and(|root| root.as_os_str() == "/") {
            return Err((
                Failure::new("--root must not be /: state would lie among all files"),
                log,
            ));
        }
        let manager = globals.text("cgroup-manager");
        if let Some(other) = manager
            .as_deref()
            .filter(|manager| !CGROUP_MANAGERS.contains(manager))
        {
            let message = format!(
                "invalid value {other:?} for --cgroup-manager: {}",
                CGROUP_MANAGERS.join(", ")
            );
            return Err((Failure::new(message), log));
        }
        Ok(Self {
            log,
            root_is_given: given.is_some(),
            root: given.unwrap_or_else(default_root),
            systemd_cgroup: globals.is_set("systemd-cgroup")
                || manager.as_deref() == Some("systemd"),
            cgroup_policy: match globals.text("rootless") {
                _ if manager.as_deref() == Some("disabled") => CgroupPolicy::None,
                Some(when) if YES.contains(&when.as_str()) => CgroupPolicy::BestEffort,
                _ => CgroupPolicy::Require,
            },
        })
    }
}

/// Opens the log that the options ask for.
pub(crate) fn open_log(globals: &Matches) -> Result<Log, Failure> {
    let format = match globals.text("log-format").as_deref() {
        None | Some("text") => Format::Text,
        Some("json") => Format::Json,
        Some(other) => return Err(Failure::new(format!("invalid log-format: {other}"))),
    };
    let level = match globals.text("log-level") {
        _ if globals.is_set("debug") => Level::Debug,
        None => Level::Warning,
        Some(name) => Level::named(&name).ok_or_else(|| {
            let names = Level::NAMES.join(", ");
            Failure::new(format!("invalid value {name:?} for --log-level: {names}"))
        })?,
    };
    let path = globals.path("log").map(log_file).transpose()?;
    Log::open(path.as_deref(), format, level).map_err(|error| {
        let path = path.unwrap_or_default();
        Failure::io(format_args!("open log file {}", path.display()), error)
    })
}

/// The file that `--log` means. crun takes other places than files, too, and tells them by a scheme.
fn log_file(path: PathBuf) -> Result<PathBuf, Failure> {
    let Some(text) = path.to_str() else {
        return Ok(path);
    };
    if let Some(other) = ["journald:", "syslog:"]
        .iter()
        .find(|scheme| text.starts_with(**scheme))
    {
        return Err(Failure::new(format!(
            "--log {text}: {other} is not supported; name a file, or leave --log out and take standard error"
        )));
    }
    let file = text.strip_prefix("file:").map(PathBuf::from);
    Ok(file.unwrap_or(path))
}

fn default_root() -> PathBuf {
    let runtime_directory = std::env::var_os("XDG_RUNTIME_DIR").filter(|path| !path.is_empty());
    let base = match runtime_directory {
        Some(directory) if is_rootless() => PathBuf::from(directory),
        _ => PathBuf::from("/run"),
    };
    base.join(STATE_DIRECTORY)
}

/// Whether the caller is not root, or root only in a user namespace of a user who is not.
pub(crate) fn is_rootless() -> bool {
    if !rustix::process::geteuid().is_root() {
        return true;
    }
    let in_user_namespace = || {
        // The first user namespace maps all ids to themselves.
        let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        map.split_whitespace().ne(["0", "0", "4294967295"])
    };
    in_user_namespace() && std::env::var_os("USER").is_none_or(|user| user != "root")
}
