//! A private mount namespace in which a runtime sees one cgroup version only.
//!
//! A host with both versions mounted ("hybrid") is refused by some runtimes, and hides whether
//! ours needs the one or the other. So a test or benchmark enters a copy of the mount tree in
//! which only one of them is there; the host's own tree is not touched.

use crate::sys;
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, unmount,
};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

const CGROUP_ROOT: &str = "/sys/fs/cgroup";

#[cfg(target_arch = "x86_64")]
const LINKER: &str = "/lib64/ld-linux-x86-64.so.2";
#[cfg(target_arch = "aarch64")]
const LINKER: &str = "/lib/ld-linux-aarch64.so.1";

/// Which cgroup file systems are to be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cgroups {
    /// As the host has them.
    #[default]
    Host,
    /// Only the hierarchies of cgroup v1.
    V1,
    /// Only cgroup v2, mounted at `/sys/fs/cgroup`, with the controllers that no v1 hierarchy has
    /// taken: on a hybrid host few or none.
    V2,
}

impl FromStr for Cgroups {
    type Err = io::Error;

    fn from_str(text: &str) -> io::Result<Self> {
        match text {
            "host" => Ok(Self::Host),
            "v1" => Ok(Self::V1),
            "v2" => Ok(Self::V2),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("cgroup view `{text}` is none of host, v1, v2"),
            )),
        }
    }
}

impl Cgroups {
    /// The name that [`Cgroups::from_str`] reads.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

/// What the private mount namespace is to look like.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The cgroup file systems in it.
    pub cgroups: Cgroups,
    /// A folder of `tests/peers` whose dynamic linker and linker cache take the host's place, so
    /// that programs of a newer suite start as they do there: no wrapper, no search path.
    pub linker: Option<PathBuf>,
}

impl View {
    /// Unshares the mount namespace and changes it. To be called before any thread is started.
    ///
    /// # Errors
    /// `EPERM` without `CAP_SYS_ADMIN`, `NotFound` when the host has no cgroup v1 to show.
    pub fn enter(&self) -> io::Result<()> {
        sys::unshare_mounts()?;
        mount_change(
            "/",
            MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
        )?;
        match self.cgroups {
            Cgroups::Host => {}
            Cgroups::V1 => show_v1()?,
            Cgroups::V2 => show_v2()?,
        }
        if let Some(folder) = &self.linker {
            // With both or neither in place: one linker does not load the other's libraries.
            mount_bind(folder.join("ld.so.cache"), "/etc/ld.so.cache")?;
            mount_bind(folder.join("ld.so"), LINKER)?;
        }
        Ok(())
    }

    /// The arguments for the program `view` that make this one.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![self.cgroups.name().to_owned()];
        if let Some(folder) = &self.linker {
            arguments.push("--linker".to_owned());
            arguments.push(folder.display().to_string());
        }
        arguments.push("--".to_owned());
        arguments
    }
}

fn show_v1() -> io::Result<()> {
    let mounts = cgroup_mounts()?;
    if !mounts.iter().any(|(kind, _)| kind == "cgroup") {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "this host has no cgroup v1 hierarchy mounted",
        ));
    }
    for (_, point) in mounts.iter().rev().filter(|(kind, _)| kind == "cgroup2") {
        unmount(point, UnmountFlags::DETACH)?;
    }
    Ok(())
}

fn show_v2() -> io::Result<()> {
    if !has_v1() {
        // A new mount would set the options of the host's, too: see cgroups(7), nsdelegate.
        return Ok(());
    }
    // Whatever is stacked there: a tmpfs with hierarchies below it, or cgroup2 already.
    loop {
        match unmount(CGROUP_ROOT, UnmountFlags::DETACH) {
            Ok(()) => {}
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error.into()),
        }
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("cgroup2", CGROUP_ROOT, "cgroup2", flags, None)?;
    Ok(())
}

/// Type and mount point of every cgroup file system, in mount order.
fn cgroup_mounts() -> io::Result<Vec<(String, PathBuf)>> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(table.lines().filter_map(parse_cgroup_mount).collect())
}

/// See `proc_pid_mountinfo(5)`: the type follows a lone hyphen.
fn parse_cgroup_mount(line: &str) -> Option<(String, PathBuf)> {
    let (before, after) = line.split_once(" - ")?;
    let kind = after.split(' ').next()?;
    let point = before.split(' ').nth(4)?;
    matches!(kind, "cgroup" | "cgroup2").then(|| (kind.to_owned(), Path::new(point).to_path_buf()))
}

/// Where each cgroup hierarchy of the caller is mounted.
///
/// # Errors
/// When `/proc/self/mountinfo` can't be read.
pub fn cgroup_roots() -> io::Result<Vec<PathBuf>> {
    Ok(cgroup_mounts()?
        .into_iter()
        .map(|(_, point)| point)
        .collect())
}

/// Whether the caller sees a cgroup v1 hierarchy.
#[must_use]
pub fn has_v1() -> bool {
    cgroup_mounts().is_ok_and(|mounts| mounts.iter().any(|(kind, _)| kind == "cgroup"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_cgroup_mount_with_optional_fields() {
        let line =
            "38 31 0:35 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory";
        assert_eq!(
            parse_cgroup_mount(line),
            Some(("cgroup".to_owned(), "/sys/fs/cgroup/memory".into()))
        );
    }

    #[test]
    fn ignores_other_file_systems() {
        assert_eq!(
            parse_cgroup_mount("31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw"),
            None
        );
    }
}
