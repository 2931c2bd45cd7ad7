//! The host's mount tables before and after.

use super::Leak;
use crate::temp::PREFIX;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

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

    /// Mounts with the tag or of a tracked namespace, and mounts of the host that have changed.
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
    Ok(fs::read_to_string(format!("/proc/{pid}/mountinfo"))?
        .lines()
        .filter_map(|line| Some((line.split(' ').next()?.to_owned(), line.to_owned())))
        .collect())
}
