//! Processes and namespaces of a test.

use super::{Leak, TAG_VARIABLE};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

/// Processes that carry the tag, and namespaces of `tracked` that a process still has.
pub(super) fn leaks(tag: &str, tracked: &BTreeSet<String>) -> io::Result<Vec<Leak>> {
    let mut leaks = Vec::new();
    let me = std::process::id();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if pid == me {
            continue;
        }
        let folder = Path::new("/proc").join(&name);
        let zombie = match Life::of(&folder) {
            Life::Gone => continue,
            Life::Zombie => true,
            Life::Alive => false,
        };
        let mut add = |why: String, alive: Leak| {
            leaks.push(if zombie {
                Leak::Zombie(pid, why)
            } else {
                alive
            });
        };
        if let Some(why) = belongs(&folder, tag) {
            add(why.clone(), Leak::Process(pid, why));
        }
        if !tracked.is_empty() {
            for name in namespaces(&pid.to_string()).intersection(tracked) {
                let holder = format!("process {pid}");
                add(
                    format!("in namespace {name}"),
                    Leak::Namespace(name.clone(), holder),
                );
            }
        }
    }
    Ok(leaks)
}

/// The names of a process's namespaces, such as `net:[4026531840]`; none if it is gone.
pub(super) fn namespaces(pid: &str) -> BTreeSet<String> {
    let Ok(list) = fs::read_dir(Path::new("/proc").join(pid).join("ns")) else {
        return BTreeSet::new();
    };
    list.filter_map(Result::ok)
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .map(|target| target.to_string_lossy().into_owned())
        .collect()
}

/// Why a process is taken for the test's. A process that ends meanwhile reads as nothing.
fn belongs(folder: &Path, tag: &str) -> Option<String> {
    let read = |name: &str| fs::read(folder.join(name)).unwrap_or_default();
    let link = |name: &str| fs::read_link(folder.join(name)).unwrap_or_default();
    let cmdline = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
    if cmdline.contains(tag) {
        return Some(format!("command line `{}`", cmdline.trim_end()));
    }
    let comm = String::from_utf8_lossy(&read("comm")).trim_end().to_owned();
    let marker = format!("{TAG_VARIABLE}={tag}");
    if read("environ")
        .split(|byte| *byte == 0)
        .any(|text| text == marker.as_bytes())
    {
        return Some(format!("environment of `{comm}`"));
    }
    if let Some(line) = String::from_utf8_lossy(&read("cgroup"))
        .lines()
        .find(|line| line.contains(tag))
    {
        return Some(format!("`{comm}` in cgroup {line}"));
    }
    ["root", "cwd", "exe"]
        .into_iter()
        .find(|name| link(name).to_string_lossy().contains(tag))
        .map(|name| format!("`{comm}`, {name} is {}", link(name).display()))
}

/// Kills a process that carries a test's tag.
pub(super) fn kill(pid: u32) {
    use rustix::process::{Pid, Signal, kill_process};
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended by itself meanwhile.
        let _ = kill_process(pid, Signal::KILL);
    }
}

enum Life {
    Alive,
    /// Ended, and not reaped by its parent.
    Zombie,
    /// Reaped, or left to the machine's first process, which reaps when it gets to it.
    Gone,
}

impl Life {
    fn of(folder: &Path) -> Self {
        let stat = fs::read_to_string(folder.join("stat")).unwrap_or_default();
        // The name in parentheses may hold anything, so look behind the last one.
        let mut fields = stat
            .rsplit_once(") ")
            .map_or("", |(_, fields)| fields)
            .split(' ');
        match (fields.next(), fields.next()) {
            (None | Some("" | "X"), _) | (Some("Z"), Some("1")) => Self::Gone,
            (Some("Z"), _) => Self::Zombie,
            _ => Self::Alive,
        }
    }
}
