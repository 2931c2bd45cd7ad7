//! The cgroup of a process, read straight from the kernel's files.

use crate::view::cgroup_roots;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The directory of a process's cgroup in the hierarchy that has a controller: its own on v1, else
/// the unified one. `None` if no hierarchy has it.
#[must_use]
pub fn folder(pid: u32, controller: &str) -> Option<PathBuf> {
    let table = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let roots = cgroup_roots().ok()?;
    let mut unified = None;
    for line in table.lines() {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let below = path.trim_start_matches('/');
        if controllers.split(',').any(|name| name == controller) {
            let root = roots.iter().find(|root| root.ends_with(controller))?;
            return Some(root.join(below));
        }
        if controllers.is_empty() {
            let root = roots
                .iter()
                .find(|root| root.join("cgroup.controllers").exists());
            unified = root.map(|root| root.join(below));
        }
    }
    unified.filter(|folder| {
        fs::read_to_string(folder.join("cgroup.controllers"))
            .is_ok_and(|all| all.split_whitespace().any(|name| name == controller))
    })
}

/// How many hierarchies of version 1 this host has.
///
/// # Panics
/// When `/proc` can't be read.
#[must_use]
pub fn hierarchies_of_v1() -> usize {
    let own = fs::read_to_string("/proc/self/cgroup").expect("read the own cgroups");
    own.lines().filter(|line| !line.starts_with("0:")).count()
}

/// A file of a process's cgroup, without the newline at its end.
///
/// # Panics
/// When there is no such hierarchy or file.
#[must_use]
#[track_caller]
pub fn read(pid: u32, controller: &str, file: &str) -> String {
    let Some(folder) = folder(pid, controller) else {
        panic!("process {pid} is in no cgroup of {controller}");
    };
    let path = folder.join(file);
    match fs::read_to_string(&path) {
        Ok(text) => text.trim_end().to_owned(),
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

/// Removes the cgroup of that name below the root of every hierarchy, and those below it, which an
/// ended caller has left. What processes are still in after five seconds stays.
pub fn remove_named(name: &str) {
    let end = Instant::now() + Duration::from_secs(5);
    for root in cgroup_roots().unwrap_or_default() {
        let folder = root.join(name);
        while folder.exists() && Instant::now() < end {
            crate::census::remove_cgroup(&folder);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
