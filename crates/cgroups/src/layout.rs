//! What the host mounts: which hierarchies there are, and where the caller is in them.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use rustix::io::Errno;

use crate::controller::{Controller, ControllerSet};
use crate::error::{Error, Result};
use crate::fs;
use crate::mountinfo::{Lines, Mount, is_visible, lines, unescape};
use crate::path::CgroupPath;

/// The version of a hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// One of the v1 hierarchies.
    V1,
    /// The unified hierarchy.
    V2,
}

/// Which hierarchies are visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// None at all.
    None,
    /// Only v1 hierarchies.
    V1,
    /// v1 hierarchies and the unified one beside them.
    Hybrid,
    /// Only the unified hierarchy.
    V2,
}

/// The visible cgroup hierarchies. Cheap to keep, and to share between threads;
/// a long-lived program probes once.
#[derive(Clone, Debug)]
pub struct Layout {
    hierarchies: Vec<Hierarchy>,
}

/// One hierarchy and its mount.
#[derive(Clone, Debug)]
pub struct Hierarchy {
    name: String,
    version: Version,
    mountpoint: PathBuf,
    /// The caller's own cgroup, relative to the mount point.
    own: PathBuf,
    v1_controllers: ControllerSet,
    v2_controllers: OnceLock<ControllerSet>,
    /// v2: a cgroup whose new children had all of these controllers.
    full: Arc<Mutex<Option<PathBuf>>>,
}

/// The name of the v2 hierarchy in this crate's types.
pub const UNIFIED: &str = "unified";

impl Layout {
    /// Reads `/proc/self/cgroup`, and `/proc/self/mountinfo` as far as needed to
    /// find all of its hierarchies.
    ///
    /// A hierarchy counts only if a lookup of its mount point leads to it: one
    /// that is covered by another mount does not exist for the caller.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a file cannot be read. No hierarchy at all is not an
    /// error here: the mode is [`Mode::None`].
    pub fn probe() -> Result<Self> {
        let failed = |name: &str| {
            let path = Path::new("/proc/self").join(name);
            move |errno| Error::io("read", path, io::Error::from(errno))
        };
        let cgroup = fs::open_proc_self("cgroup").and_then(fs::read_record);
        let cgroup = cgroup.map_err(failed("cgroup"))?;
        let mountinfo = fs::open_proc_self("mountinfo").map_err(failed("mountinfo"))?;
        Self::find(&cgroup, &mut Lines::new(&mountinfo)).map_err(failed("mountinfo"))
    }

    fn find(cgroup: &str, table: &mut Lines<impl AsFd>) -> Result<Self, Errno> {
        table.fill()?;
        let mut finder = Finder::new(cgroup);
        // One more read, where that makes a lookup of each mount point unnecessary: the
        // table of a small host is one page.
        if finder.wanted.len() > WORTH_A_READ {
            table.fill()?;
        }
        if table.at_end() {
            return Ok(finder.of_table(table.bytes()));
        }
        table.each(|line| {
            if let Some(mount) = Mount::parse(line) {
                finder.offer(&mount, is_topmost);
            }
            finder.is_complete()
        })?;
        Ok(finder.finish())
    }

    /// The layout that those two files describe. Pure; visibility follows from
    /// the tree of mounts.
    #[must_use]
    pub fn parse(mountinfo: &str, proc_self_cgroup: &str) -> Self {
        Finder::new(proc_self_cgroup).of_table(mountinfo.as_bytes())
    }

    /// Which versions are visible.
    #[must_use]
    pub fn mode(&self) -> Mode {
        let has = |version| self.hierarchies.iter().any(|h| h.version == version);
        match (has(Version::V1), has(Version::V2)) {
            (false, false) => Mode::None,
            (true, false) => Mode::V1,
            (true, true) => Mode::Hybrid,
            (false, true) => Mode::V2,
        }
    }

    /// The visible hierarchies: v1 in the order of `/proc/self/cgroup`, the
    /// unified one last.
    #[must_use]
    pub fn hierarchies(&self) -> &[Hierarchy] {
        &self.hierarchies
    }

    /// The hierarchy that has this controller.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the controllers of the unified hierarchy cannot be read.
    pub fn hierarchy_of(&self, controller: Controller) -> Result<Option<&Hierarchy>> {
        for hierarchy in &self.hierarchies {
            if hierarchy.controllers()?.contains(controller) {
                return Ok(Some(hierarchy));
            }
        }
        Ok(None)
    }
}

impl Hierarchy {
    /// Its name as `/proc/self/cgroup` has it (`memory`, `cpu,cpuacct`,
    /// `name=systemd`), or `unified` for v2.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Where it is mounted.
    #[must_use]
    pub fn mountpoint(&self) -> &Path {
        &self.mountpoint
    }

    /// The caller's own cgroup in it.
    #[must_use]
    pub fn own_path(&self) -> PathBuf {
        self.mountpoint.join(&self.own)
    }

    /// Its controllers. On v2 they are read from the mount's
    /// `cgroup.controllers` on first use.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if that file cannot be read.
    pub fn controllers(&self) -> Result<ControllerSet> {
        if self.version == Version::V1 {
            return Ok(self.v1_controllers);
        }
        if let Some(known) = self.v2_controllers.get() {
            return Ok(*known);
        }
        let text = fs::read_file(&self.mountpoint, "cgroup.controllers")
            .map_err(|errno| fs::read_error(&self.mountpoint, "cgroup.controllers", errno))?;
        Ok(*self
            .v2_controllers
            .get_or_init(|| ControllerSet::parse(&text)))
    }

    /// Whether new children of that cgroup were seen to have every controller.
    pub(crate) fn is_full(&self, parent: &Path) -> bool {
        self.full
            .lock()
            .is_ok_and(|full| full.as_deref() == Some(parent))
    }

    /// Remembers that for a cgroup, or forgets it.
    pub(crate) fn set_full(&self, parent: Option<&Path>) {
        if let Ok(mut full) = self.full.lock() {
            *full = parent.map(Path::to_owned);
        }
    }

    pub(crate) fn v1_controllers(&self) -> ControllerSet {
        self.v1_controllers
    }

    /// Where a cgroup of that path lies in it.
    pub(crate) fn locate(&self, path: &CgroupPath, mode: Mode) -> PathBuf {
        if path.is_absolute() {
            return self.mountpoint.join(path.relative());
        }
        let own = match mode {
            // The caller's own cgroup has processes, so that its children cannot have
            // controllers; its parent's children can.
            Mode::V2 => self.own.parent().unwrap_or(Path::new("")),
            _ => &self.own,
        };
        self.mountpoint.join(own).join(path.relative())
    }
}

/// Matches mounts to the lines of `/proc/self/cgroup`.
struct Finder {
    wanted: Vec<Wanted>,
}

struct Wanted {
    name: String,
    version: Version,
    own: String,
    found: Option<(PathBuf, PathBuf)>,
}

impl Finder {
    fn new(proc_self_cgroup: &str) -> Self {
        let mut wanted: Vec<_> = proc_self_cgroup.lines().filter_map(Wanted::parse).collect();
        wanted.sort_by_key(|w| w.version == Version::V2);
        Self { wanted }
    }

    /// What a whole table has.
    fn of_table(mut self, table: &[u8]) -> Layout {
        let all: Vec<_> = lines(table).filter_map(Mount::parse).collect();
        for mount in &all {
            self.offer(mount, |mount| is_visible(mount, &all));
        }
        self.finish()
    }

    fn offer(&mut self, mount: &Mount<'_>, visible: impl Fn(&Mount<'_>) -> bool) {
        if !mount.is_cgroup() {
            return;
        }
        let Some(wanted) = self.wanted.iter_mut().find(|wanted| wanted.matches(mount)) else {
            return;
        };
        // The whole tree is better than a part of it that is mounted elsewhere too.
        let better = match &wanted.found {
            None => true,
            Some((_, root)) => root != Path::new("/") && mount.root == b"/",
        };
        if better && visible(mount) {
            wanted.found = Some((unescape(mount.mountpoint), unescape(mount.root)));
        }
    }

    fn is_complete(&self) -> bool {
        self.wanted.iter().all(|w| {
            w.found
                .as_ref()
                .is_some_and(|(_, root)| root == Path::new("/"))
        })
    }

    fn finish(self) -> Layout {
        let hierarchies = self.wanted.into_iter().filter_map(|wanted| {
            let (mountpoint, root) = wanted.found?;
            let v1_controllers = match wanted.version {
                Version::V1 => ControllerSet::parse(&wanted.name),
                Version::V2 => ControllerSet::EMPTY,
            };
            Some(Hierarchy {
                own: below(&root, Path::new(&wanted.own)),
                name: wanted.name,
                version: wanted.version,
                mountpoint,
                v1_controllers,
                v2_controllers: OnceLock::new(),
                full: Arc::default(),
            })
        });
        Layout {
            hierarchies: hierarchies.collect(),
        }
    }
}

impl Wanted {
    /// A line `id:controllers:path`; v2 has id 0 and no controllers.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.splitn(3, ':');
        let id = fields.next()?;
        let name = fields.next()?;
        let own = fields.next()?.to_owned();
        let (name, version) = match (id, name) {
            ("0", "") => (UNIFIED, Version::V2),
            (_, "") => return None,
            (_, name) => (name, Version::V1),
        };
        Some(Self {
            name: name.to_owned(),
            version,
            own,
            found: None,
        })
    }

    fn matches(&self, mount: &Mount<'_>) -> bool {
        match self.version {
            Version::V2 => mount.fstype == b"cgroup2",
            // The kernel may list the controllers of a co-mounted hierarchy in another
            // order here, but any one of them identifies it.
            Version::V1 => {
                mount.fstype == b"cgroup"
                    && parts(self.name.as_bytes())
                        .all(|name| parts(mount.super_options).any(|option| option == name))
            }
        }
    }
}

fn parts(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',')
}

/// The caller's cgroup relative to a mount whose root is `root`. Where the
/// caller is outside of what is mounted, the mount itself has to do.
fn below(root: &Path, own: &Path) -> PathBuf {
    let is_plain = |path: &&Path| {
        path.components()
            .all(|c| matches!(c, std::path::Component::Normal(_)))
    };
    let inside = own.strip_prefix(root).ok().filter(is_plain);
    inside.map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Whether a lookup of the mount point ends in that mount.
fn is_topmost(mount: &Mount<'_>) -> bool {
    statx(
        CWD,
        unescape(mount.mountpoint),
        AtFlags::SYMLINK_NOFOLLOW,
        StatxFlags::MNT_ID,
    )
    .is_ok_and(|found| found.stx_mnt_id == mount.id)
}

/// From how many hierarchies on one more read is cheaper than looking each up.
const WORTH_A_READ: usize = 2;

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
