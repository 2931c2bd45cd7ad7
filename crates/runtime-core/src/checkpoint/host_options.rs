//! The options of the host's unified cgroup hierarchy, which criu mounts once more to look at it, and
//! so sets anew for all (`cgroups(7)`, "nsdelegate").

use std::path::PathBuf;

use rustix::fs::CWD;
use rustix::mount::{FsPickFlags, fsconfig_reconfigure, fsconfig_set_flag, fspick};

/// The options as they were; put back when this goes.
#[derive(Debug)]
pub(super) struct HostOptions {
    was: Option<Unified>,
}

/// The hierarchy, as this process sees it.
#[derive(Debug, PartialEq, Eq)]
struct Unified {
    mountpoint: PathBuf,
    options: Vec<String>,
}

impl HostOptions {
    pub(super) fn keep() -> Self {
        Self {
            was: Unified::find(),
        }
    }
}

impl Drop for HostOptions {
    fn drop(&mut self) {
        if let Some(was) = &self.was
            && Unified::find().is_some_and(|is| is != *was)
        {
            // Who may not set them can't have changed them.
            let _ = was.set();
        }
    }
}

impl Unified {
    fn find() -> Option<Self> {
        let table = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
        table.lines().find_map(Self::parse)
    }

    fn parse(line: &str) -> Option<Self> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut file_system = file_system.split(' ');
        if file_system.next() != Some("cgroup2") {
            return None;
        }
        let options = file_system.nth(1)?.split(',');
        let is_own = |option: &&str| !matches!(*option, "rw" | "ro");
        Some(Self {
            mountpoint: mount.split(' ').nth(4)?.into(),
            options: options.filter(is_own).map(str::to_owned).collect(),
        })
    }

    fn set(&self) -> rustix::io::Result<()> {
        let flags = FsPickFlags::FSPICK_CLOEXEC;
        let picked = fspick(CWD, &self.mountpoint, flags)?;
        for option in &self.options {
            fsconfig_set_flag(&picked, option.as_str())?;
        }
        fsconfig_reconfigure(&picked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hierarchy_is_found() {
        let line =
            "33 25 0:28 / /sys/fs/cgroup rw,nosuid shared:7 - cgroup2 cgroup2 rw,nsdelegate,x";
        let unified = Unified::parse(line).unwrap();
        assert_eq!(unified.mountpoint, PathBuf::from("/sys/fs/cgroup"));
        assert_eq!(unified.options, ["nsdelegate", "x"]);
        assert_eq!(Unified::parse("33 25 0:28 / /x rw - tmpfs tmpfs rw"), None);
    }
}
