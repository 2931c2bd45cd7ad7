//! The host's own settings below `/proc/sys`.

use super::Leak;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Those that a container may set of its own, if it has the namespace, and those by which it would get
/// at the host. Nothing else that runs beside a test sets them; of others, such as forwarding, that
/// can't be said.
const WATCHED: [&str; 17] = [
    "fs/mqueue/msg_max",
    "fs/mqueue/queues_max",
    "fs/suid_dumpable",
    "kernel/core_pattern",
    "kernel/domainname",
    "kernel/hostname",
    "kernel/modprobe",
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/sem",
    "kernel/shm_rmid_forced",
    "kernel/shmall",
    "kernel/shmmax",
    "kernel/shmmni",
    "net/ipv4/ip_unprivileged_port_start",
    "net/ipv4/ping_group_range",
];

/// What they were.
#[derive(Debug)]
pub(super) struct Settings(BTreeMap<&'static str, String>);

impl Settings {
    pub(super) fn read() -> Self {
        let value = |name: &'static str| {
            let path = Path::new("/proc/sys").join(name);
            // Not every kernel has each.
            fs::read_to_string(path).ok().map(|value| (name, value))
        };
        Self(WATCHED.into_iter().filter_map(value).collect())
    }

    /// Those that are something else now.
    pub(super) fn leaks(&self) -> Vec<Leak> {
        let now = Self::read().0;
        self.0
            .iter()
            .filter_map(|(name, before)| {
                let after = now.get(name).filter(|after| *after != before)?;
                let [before, after] = [before, after].map(|value| value.trim_end().to_owned());
                Some(Leak::Setting((*name).to_owned(), before, after))
            })
            .collect()
    }
}
