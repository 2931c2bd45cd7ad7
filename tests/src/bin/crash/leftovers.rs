//! What is left in the place, and its removal.

use crate::place::TEMPORARY;
use orlop_tests::view::cgroup_roots;
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// How long a process may take to end after `delete -f` has returned.
const GRACE: Duration = Duration::from_millis(500);

/// The place without anything in it.
pub(crate) struct Empty {
    processes: BTreeSet<i32>,
    mounts: BTreeSet<String>,
    files: BTreeSet<PathBuf>,
}

/// What a runtime has left.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    pub(crate) processes: Vec<i32>,
    pub(crate) cgroups: Vec<PathBuf>,
    pub(crate) mounts: Vec<String>,
    pub(crate) files: Vec<PathBuf>,
}

impl Empty {
    /// Looks at the place before the first trial.
    pub(crate) fn look() -> io::Result<Self> {
        Ok(Self {
            processes: processes()?,
            mounts: mounts()?,
            files: files()?,
        })
    }

    /// What is there now beyond that. Processes get a moment to end.
    pub(crate) fn leftovers(&self, root: &Path, id: &str) -> io::Result<Leftovers> {
        let end = Instant::now() + GRACE;
        let mut left = processes()?;
        while !left.is_subset(&self.processes) && Instant::now() < end {
            thread::sleep(Duration::from_millis(2));
            left = processes()?;
        }
        let mut found: Vec<PathBuf> = files()?.difference(&self.files).cloned().collect();
        found.extend(entries(root)?.into_iter().filter(|path| !allowed(path)));
        Ok(Leftovers {
            processes: left.difference(&self.processes).copied().collect(),
            cgroups: cgroups(id)?,
            mounts: mounts()?.difference(&self.mounts).cloned().collect(),
            files: found,
        })
    }
}

impl Leftovers {
    pub(crate) fn is_empty(&self) -> bool {
        self.processes.is_empty()
            && self.cgroups.is_empty()
            && self.mounts.is_empty()
            && self.files.is_empty()
    }

    /// Removes it all, so that the next trial begins in an empty place.
    pub(crate) fn remove(&self) {
        for pid in self.processes.iter().filter_map(|pid| Pid::from_raw(*pid)) {
            let _ = kill_process(pid, Signal::KILL);
        }
        for line in self.mounts.iter().rev() {
            if let Some(point) = line.split(' ').nth(4) {
                let _ = unmount(point, UnmountFlags::DETACH);
            }
        }
        let end = Instant::now() + GRACE;
        while self.cgroups.iter().any(|cgroup| cgroup.exists()) && Instant::now() < end {
            for cgroup in self.cgroups.iter().rev() {
                let _ = fs::remove_dir(cgroup);
            }
            thread::sleep(Duration::from_millis(2));
        }
        for path in &self.files {
            let _ = fs::remove_dir_all(path).or_else(|_| fs::remove_file(path));
        }
    }
}

/// Every process of the PID namespace but those that only wait to be reaped.
fn processes() -> io::Result<BTreeSet<i32>> {
    Ok(entries(Path::new("/proc"))?
        .iter()
        .filter(|path| !ended(path))
        .filter_map(|path| path.file_name()?.to_str()?.parse().ok())
        .collect())
}

fn ended(folder: &Path) -> bool {
    let stat = fs::read_to_string(folder.join("stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    matches!(state, Some('Z' | 'X') | None)
}

fn mounts() -> io::Result<BTreeSet<String>> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(table.lines().map(str::to_owned).collect())
}

fn files() -> io::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for folder in TEMPORARY {
        found.extend(entries(Path::new(folder))?);
    }
    Ok(found)
}

/// Cgroups with the id in their name, and all below them, parents first.
fn cgroups(id: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for root in cgroup_roots()? {
        walk(&root, id, &mut found);
    }
    Ok(found)
}

fn walk(folder: &Path, id: &str, found: &mut Vec<PathBuf>) {
    // Cgroups of others come and go meanwhile, so what can't be read is not there.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let path = entry.path();
            if path
                .components()
                .any(|part| part.as_os_str().to_string_lossy().contains(id))
            {
                found.push(path.clone());
            }
            walk(&path, id, found);
        }
    }
}

/// What is kept in a state root for all containers to come: crun's empty folder, our compiled
/// filters.
fn allowed(path: &Path) -> bool {
    path.ends_with(".empty-directory") || path.ends_with("@seccomp")
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(list) => list.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
