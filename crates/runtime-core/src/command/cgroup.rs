//! The cgroup of a sandbox: made for one, removed with it.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use orlop_cgroups::{Cgroup, CgroupPath, Layout, Limits, Member, Signal, Version};

use crate::error::Result;

/// What every sandbox's cgroup is to be like.
#[derive(Debug)]
pub(super) struct Choice {
    /// `None` for a new name each time.
    pub path: Option<CgroupPath>,
    pub limits: Limits,
}

impl Choice {
    pub(super) fn make(&self, layout: &Layout) -> Result<OwnCgroup> {
        let path = match &self.path {
            Some(path) => path.clone(),
            None => CgroupPath::new(&unique_name())?,
        };
        let cgroup = Cgroup::create(layout, &path, &self.limits)?;
        Ok(OwnCgroup {
            cgroup,
            kept: AtomicBool::new(false),
            paused: AtomicBool::new(false),
        })
    }
}

/// A name that no other sandbox has: not of this process, nor of another one with the same pid in
/// another PID namespace, nor of one that died and left its cgroup behind.
fn unique_name() -> String {
    static RANDOM: OnceLock<u64> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let random = *RANDOM.get_or_init(|| RandomState::new().hash_one(0));
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("orlop-{}-{random:016x}-{next}", std::process::id())
}

/// A cgroup that goes with this value, and with it all that runs there.
#[derive(Debug)]
pub(super) struct OwnCgroup {
    pub cgroup: Cgroup,
    kept: AtomicBool,
    /// Whether it was paused and not resumed.
    pub paused: AtomicBool,
}

impl OwnCgroup {
    /// Its directories in v1 hierarchies.
    pub(super) fn v1_directories(&self) -> impl Iterator<Item = &Path> + Clone {
        let v1 = self
            .cgroup
            .members()
            .iter()
            .filter(|member| member.version() == Version::V1);
        v1.map(Member::path)
    }

    /// From here on it stays.
    pub(super) fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }
}

impl Drop for OwnCgroup {
    fn drop(&mut self) {
        if !*self.kept.get_mut() {
            // Nobody could be told; what can't be removed now is empty and harmless.
            let _ = self.cgroup.kill_all(Signal::KILL);
            let _ = self.cgroup.destroy();
        }
    }
}
