//! The host's mount tables before and after.

use super::Leak;
use crate::temp::PREFIX;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

/// The caller's mount table, and pid 1's where that is another.
#[derive(Debug)]
pub(super) struct Mounts {
    tables: BTreeMap<&'static str, Table>,
}

/// Lines of `mountinfo` by mount id.
type Table = BTreeMap<String, String>;

impl Mounts {
    pub(super) fn read() -> io::Result<Self> {
        let mut tables = BTreeMap::from([("self", table("self")?)]);
        let namespace = |pid| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
        if namespace("1").is_some() && namespace("1") != namespace("self") {
            tables.insert("1", table("1")?);
        }
        Ok(Self { tables })
    }

    /// Mounts with the tag or of a tracked namespace, mounts of the host that have changed, and new ones
    /// where nobody mounts.
    pub(super) fn leaks(&self, tag: &str, namespaces: &BTreeSet<String>) -> io::Result<Vec<Leak>> {
        let mut leaks = Vec::new();
        for (pid, before) in &self.tables {
            let after = table(pid)?;
            leaks.extend(
                after
                    .values()
                    .filter(|line| line.contains(tag) || pins(line, namespaces))
                    .map(|line| Leak::Mount(line.clone())),
            );
            leaks.extend(changes(before, &after));
            leaks.extend(arrivals(before, &after).map(Leak::NewMount));
        }
        Ok(leaks)
    }
}

/// Mounts that tests make have the prefix, and are their own affair.
fn changes(before: &Table, after: &Table) -> Vec<Leak> {
    let temporary = std::env::temp_dir();
    let temporary = temporary.to_string_lossy();
    before
        .iter()
        .filter(|(id, line)| after.get(*id) != Some(*line))
        .filter(|(_, line)| !line.contains(PREFIX))
        .filter(|(_, line)| {
            !line
                .split(' ')
                .nth(4)
                .is_some_and(|p| p.starts_with(&*temporary))
        })
        .map(|(id, line)| Leak::HostMount(line.clone(), after.get(id).cloned()))
        .collect()
}

/// The system's own folders: containers have mounts there, in their own tables. Other people's work goes
/// on beside the tests, and mounts elsewhere; so only here a new mount without the tag is a test's.
const SYSTEM: [&str; 8] = [
    "/bin", "/dev", "/etc", "/lib", "/proc", "/sbin", "/sys", "/usr",
];

/// What the kernel, or systemd, mounts there when somebody looks.
const AUTOMATIC: [&str; 2] = ["binfmt_misc", "tracefs"];

fn arrivals<'a>(before: &'a Table, after: &'a Table) -> impl Iterator<Item = String> + 'a {
    after
        .iter()
        .filter(|(id, _)| !before.contains_key(*id))
        .filter(|(_, line)| {
            let point = line.split(' ').nth(4).map(Path::new);
            let is_automatic = AUTOMATIC
                .iter()
                .any(|kind| line.contains(&format!(" - {kind} ")));
            point.is_some_and(|point| SYSTEM.iter().any(|folder| point.starts_with(folder)))
                && !is_automatic
        })
        .map(|(_, line)| line.clone())
}

/// Unmounts what a line of `mountinfo` tells of.
pub(super) fn unmount(line: &str) {
    if let Some(point) = line.split(' ').nth(4) {
        let _ = rustix::mount::unmount(point, rustix::mount::UnmountFlags::DETACH);
    }
}

/// Whether a line is of a namespace's file, mounted to keep the namespace.
fn pins(line: &str, namespaces: &BTreeSet<String>) -> bool {
    line.split(' ')
        .nth(3)
        .is_some_and(|root| namespaces.contains(root))
}

fn table(pid: &str) -> io::Result<Table> {
    Ok(parse(&fs::read_to_string(format!(
        "/proc/{pid}/mountinfo"
    ))?))
}

fn parse(mountinfo: &str) -> Table {
    mountinfo
        .lines()
        .filter_map(|line| Some((line.split(' ').next()?.to_owned(), line.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{arrivals, parse};

    #[test]
    fn only_where_nobody_mounts_a_new_mount_is_a_tests() {
        let before = "20 1 0:4 / /proc rw - proc proc rw\n";
        let ours = "31 20 0:9 / /proc rw - proc proc rw";
        let after = format!(
            "{before}{ours}\n\
             32 1 0:10 / /var/lib/docker/overlay2/x rw - overlay overlay rw\n\
             33 1 0:11 / /sys/kernel/debug/tracing rw - tracefs tracefs rw\n"
        );
        let (before, after) = (parse(before), parse(&after));
        assert_eq!(arrivals(&before, &after).collect::<Vec<_>>(), [ours]);
        assert_eq!(arrivals(&before, &before).count(), 0);
    }
}
