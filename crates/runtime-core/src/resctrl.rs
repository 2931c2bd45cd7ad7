//! Intel's cache and memory bandwidth allocation: groups of the resctrl file system
//! (`Documentation/filesystems/resctrl.rst`).

mod change;
mod stats;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) use change::Allocation;
pub(crate) use stats::read as read_stats;
pub use stats::{Allocated, BandwidthInfo, CacheInfo, MemoryTraffic, ResctrlStats};

use crate::error::{Context, Error, Result};
use crate::mountinfo;

/// A group that processes of the container are in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ResctrlPlace {
    /// Its directory.
    pub path: PathBuf,
    /// Whether it goes with the container. One with a name of its own is somebody else's.
    pub own: bool,
}

/// What the container gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resctrl {
    /// The directory of its class of service.
    pub group: PathBuf,
    /// Whether that goes with the container.
    pub own: bool,
    /// Whether it has to be there already: nothing says what else it should allow.
    pub must_exist: bool,
    /// Lines for `schemata`, each with its end.
    pub schemata: String,
    /// The directory of a group of its own, to be monitored by.
    pub monitor: Option<PathBuf>,
}

impl Resctrl {
    /// The groups, the outer one first.
    pub(crate) fn places(&self) -> Vec<ResctrlPlace> {
        let group = ResctrlPlace {
            path: self.group.clone(),
            own: self.own,
        };
        let monitor = self
            .monitor
            .clone()
            .map(|path| ResctrlPlace { path, own: true });
        std::iter::once(group).chain(monitor).collect()
    }

    /// Makes the groups and writes what they allow.
    ///
    /// # Errors
    /// With the kernel's own sentence (`info/last_cmd_status`) where it has one.
    pub(crate) fn make(&self) -> Result<()> {
        if self.must_exist {
            if self.group.is_dir() {
                return self.make_monitor();
            }
            let message = format!(
                "{} is not there, and no schemata say what to make it with",
                self.group.display()
            );
            return Err(Error::invalid("linux.intelRdt.closID", message));
        }
        make_directory(&self.group)
            .context(|| format!("linux.intelRdt: make {}", self.group.display()))?;
        if !self.schemata.is_empty() {
            write_schemata(&self.group, &self.schemata)?;
        }
        self.make_monitor()
    }

    fn make_monitor(&self) -> Result<()> {
        let Some(monitor) = &self.monitor else {
            return Ok(());
        };
        make_directory(monitor).context(|| {
            format!(
                "linux.intelRdt.enableMonitoring: make {}",
                monitor.display()
            )
        })?;
        Ok(())
    }
}

/// One write: the kernel takes all lines or none.
#[expect(
    clippy::disallowed_methods,
    reason = "resctrl is the kernel's: it has no links"
)]
fn write_schemata(group: &Path, lines: &str) -> Result<()> {
    let file = group.join("schemata");
    fs::write(&file, lines).map_err(|error| {
        let why = last_status(group).unwrap_or_default();
        let lines = lines.trim_end().replace('\n', ", ");
        Error::system(
            format!("linux.intelRdt: write {lines:?} to {}{why}", file.display()),
            error,
        )
    })
}

/// What the kernel says of the last request.
fn last_status(group: &Path) -> Option<String> {
    let text = fs::read_to_string(group.parent()?.join("info/last_cmd_status")).ok()?;
    let text = text.trim();
    (!text.is_empty() && text != "ok").then(|| format!(" ({text})"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "resctrl is the kernel's: it has no links"
)]
fn make_directory(path: &Path) -> io::Result<Made> {
    match fs::create_dir(path) {
        Ok(()) => Ok(Made::Now),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Made::Before),
        Err(error) => Err(error),
    }
}

/// When a directory was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    Now,
    Before,
}

/// Removes those that go with a container, the inner one first. That one is gone is no error.
#[expect(
    clippy::disallowed_methods,
    reason = "resctrl is the kernel's: it has no links"
)]
pub(crate) fn remove(places: &[ResctrlPlace]) -> Result<()> {
    for place in places.iter().rev().filter(|place| place.own) {
        match fs::remove_dir(&place.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result.context(|| format!("remove {}", place.path.display()))?,
        }
    }
    Ok(())
}

/// Where the file system is mounted.
pub(crate) fn mount_point() -> Option<PathBuf> {
    of_table(&fs::read("/proc/self/mountinfo").ok()?)
}

fn of_table(table: &[u8]) -> Option<PathBuf> {
    let mut mounts = mountinfo::mounts(table);
    mounts
        .find(|mount| mount.kind == "resctrl" && mount.is_whole())
        .map(|mount| mount.point)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) struct Tree(pub(super) PathBuf);

    impl Tree {
        pub(super) fn new(name: &str) -> Self {
            let name = format!("orlop-resctrl-{name}-{}", std::process::id());
            let root = std::env::temp_dir().join(name);
            fs::create_dir_all(root.join("info")).unwrap();
            fs::create_dir_all(root.join("class/mon_groups")).unwrap();
            Self(root)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn wanted(tree: &Tree, group: &str) -> Resctrl {
        Resctrl {
            group: tree.0.join(group),
            own: true,
            must_exist: false,
            schemata: "L3:0=f\nMB:0=50\n".to_owned(),
            monitor: None,
        }
    }

    #[test]
    fn a_group_is_made_written_and_removed() {
        let tree = Tree::new("made");
        let resctrl = wanted(&tree, "id");
        resctrl.make().unwrap();
        let schemata = tree.0.join("id/schemata");
        assert_eq!(fs::read_to_string(&schemata).unwrap(), "L3:0=f\nMB:0=50\n");
        // A file system of the kernel's removes its files with the directory.
        fs::remove_file(schemata).unwrap();
        remove(&resctrl.places()).unwrap();
        assert!(!tree.0.join("id").exists());
        remove(&resctrl.places()).unwrap();
    }

    #[test]
    fn a_named_group_stays_and_its_monitor_goes() {
        let tree = Tree::new("named");
        let monitor = tree.0.join("class/mon_groups/id");
        let resctrl = Resctrl {
            own: false,
            must_exist: true,
            schemata: String::new(),
            monitor: Some(monitor.clone()),
            ..wanted(&tree, "class")
        };
        resctrl.make().unwrap();
        assert!(monitor.is_dir());
        remove(&resctrl.places()).unwrap();
        assert!(!monitor.exists() && tree.0.join("class").is_dir());
    }

    #[test]
    fn what_is_missing_or_refused_is_named() {
        let tree = Tree::new("missing");
        let absent = Resctrl {
            must_exist: true,
            ..wanted(&tree, "absent")
        };
        let error = absent.make().unwrap_err().to_string();
        assert!(
            error.contains("closID") && error.contains("absent"),
            "{error}"
        );
        fs::create_dir_all(tree.0.join("class/schemata")).unwrap();
        fs::write(tree.0.join("info/last_cmd_status"), "bad mask\n").unwrap();
        let error = wanted(&tree, "class").make().unwrap_err().to_string();
        assert!(
            error.contains("(bad mask)") && error.contains("L3:0=f, MB:0=50"),
            "{error}"
        );
    }

    #[test]
    fn the_mount_point_is_found() {
        let root = b"1 0 0:1 / /\xff rw - ext4 resctrl rw\n";
        let whole = b"3 1 0:2 / /sys/fs/res\\040ctrl rw - resctrl resctrl rw\n";
        let part = b"2 1 0:2 /group /mnt rw - resctrl resctrl rw\n";
        let table = [&root[..], part, whole].concat();
        assert_eq!(of_table(&table), Some("/sys/fs/res ctrl".into()));
        assert_eq!(of_table(root), None);
    }
}
