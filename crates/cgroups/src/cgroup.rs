//! A cgroup: one directory in each of the hierarchies.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::OFlags;

use crate::controller::{Controller, ControllerSet};
use crate::error::{Error, Result};
use crate::fs;
use crate::layout::{Layout, Mode, UNIFIED, Version};
use crate::path::CgroupPath;
use crate::tree;

/// A cgroup. Dropping it leaves the directories where they are.
#[derive(Debug)]
pub struct Cgroup {
    members: Vec<Member>,
}

/// The directory of a cgroup in one hierarchy.
#[derive(Debug)]
pub struct Member {
    hierarchy: String,
    version: Version,
    path: PathBuf,
    made: bool,
    dir: OnceLock<OwnedFd>,
}

/// Where a cgroup is, in a form to be written down.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RecordedPath {
    /// The name of the hierarchy: that of `/proc/self/cgroup`, or `unified`.
    pub hierarchy: String,
    /// The cgroup's directory, absolute.
    pub path: PathBuf,
}

impl Cgroup {
    /// Where [`Cgroup::create`] will make the directories of a cgroup. Pure.
    ///
    /// Written down first, this is all that a later process needs for cleaning up
    /// after a crash at any moment.
    #[must_use]
    pub fn plan_paths(layout: &Layout, path: &CgroupPath) -> Vec<RecordedPath> {
        let mode = layout.mode();
        let hierarchies = layout.hierarchies().iter();
        hierarchies
            .map(|hierarchy| RecordedPath {
                hierarchy: hierarchy.name().to_owned(),
                path: hierarchy.locate(path, mode),
            })
            .collect()
    }

    /// The cgroup that was written down. No system call: directories that have
    /// vanished show up, or do not matter, in what is done next.
    #[must_use]
    pub fn open(record: &[RecordedPath]) -> Self {
        let members = record
            .iter()
            .cloned()
            .map(|place| Member::new(place, false))
            .collect();
        Self { members }
    }

    pub(crate) fn from_members(members: Vec<Member>) -> Self {
        Self { members }
    }

    pub(crate) fn push_member(&mut self, member: Member) {
        self.members.push(member);
    }

    /// Its directories, one for each hierarchy.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Where it is, in a form to be written down.
    #[must_use]
    pub fn record(&self) -> Vec<RecordedPath> {
        self.members.iter().map(Member::record).collect()
    }

    /// Which versions it spans.
    #[must_use]
    pub fn mode(&self) -> Mode {
        let has = |version| self.members.iter().any(|member| member.version == version);
        match (has(Version::V1), has(Version::V2)) {
            (false, false) => Mode::None,
            (true, false) => Mode::V1,
            (true, true) => Mode::Hybrid,
            (false, true) => Mode::V2,
        }
    }

    /// The directory in the unified hierarchy, on pure v2 and on hybrid hosts,
    /// for `CLONE_INTO_CGROUP` of clone(2).
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be opened.
    pub fn v2_dir(&self) -> Result<Option<BorrowedFd<'_>>> {
        self.v2_member().map(Member::dir).transpose()
    }

    /// The `tasks` files of the v1 hierarchies, opened for writing and
    /// close-on-exec. A single-threaded process that writes `0` into each joins
    /// the cgroup without waiting. Empty on pure v2.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if one cannot be opened.
    pub fn tasks_fds(&self) -> Result<Vec<OwnedFd>> {
        let v1 = self
            .members
            .iter()
            .filter(|member| member.version == Version::V1);
        v1.map(|member| member.open_file("tasks", OFlags::WRONLY))
            .collect()
    }

    /// Moves a process into the cgroup, in every hierarchy. Each write may wait
    /// for an RCU grace period (some 10 ms): where it can, a process should be
    /// born in the cgroup or join by itself.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the kernel refuses one of the moves.
    pub fn add_process(&self, pid: u32) -> Result<()> {
        self.members
            .iter()
            .try_for_each(|member| member.write("cgroup.procs", &pid.to_string()))
    }

    /// The pids of all processes in the cgroup and below it, as the caller's PID
    /// namespace has them. A cgroup that has vanished has none.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a list cannot be read.
    pub fn processes(&self) -> Result<Vec<u32>> {
        for member in self.by_reach() {
            if let Some(dir) = member.existing_dir()? {
                return tree::processes(dir, &member.path);
            }
        }
        Ok(Vec::new())
    }

    /// Moves processes into those members in which they are not.
    #[cfg(feature = "systemd")]
    pub(crate) fn add_where_missing(&self, pids: &[u32]) -> Result<()> {
        for member in &self.members {
            let there = match member.existing_dir()? {
                Some(dir) => tree::processes(dir, &member.path)?,
                None => Vec::new(),
            };
            let missing = pids.iter().filter(|pid| !there.contains(pid));
            for pid in missing {
                member.write("cgroup.procs", &pid.to_string())?;
            }
        }
        Ok(())
    }

    pub(crate) fn v2_member(&self) -> Option<&Member> {
        self.members
            .iter()
            .find(|member| member.version == Version::V2)
    }

    /// The v1 member that has a controller.
    pub(crate) fn v1_member(&self, controller: Controller) -> Option<&Member> {
        self.members
            .iter()
            .find(|member| member.v1_controllers().contains(controller))
    }

    /// The members in the order in which they are asked for processes. All of
    /// them list the same, but a service manager inside the container may have
    /// taken those of the named hierarchy elsewhere.
    pub(crate) fn by_reach(&self) -> impl Iterator<Item = &Member> {
        let rank = |member: &Member| match member.version {
            Version::V1 if member.v1_controllers().contains(Controller::Freezer) => 0,
            Version::V1 if !member.v1_controllers().is_empty() => 1,
            Version::V2 => 2,
            Version::V1 => 3,
        };
        let mut members: Vec<_> = self.members.iter().collect();
        members.sort_by_key(|member| rank(member));
        members.into_iter()
    }

    /// The member of a controller: the v1 hierarchy that has it, or else the
    /// unified one.
    pub(crate) fn member_of(&self, controller: Controller) -> Option<&Member> {
        self.v1_member(controller).or_else(|| self.v2_member())
    }
}

impl Member {
    pub(crate) fn new(place: RecordedPath, made: bool) -> Self {
        let version = if place.hierarchy == UNIFIED {
            Version::V2
        } else {
            Version::V1
        };
        let RecordedPath { hierarchy, path } = place;
        Self {
            hierarchy,
            version,
            path,
            made,
            dir: OnceLock::new(),
        }
    }

    /// The name of its hierarchy: that of `/proc/self/cgroup`, or `unified`.
    #[must_use]
    pub fn hierarchy(&self) -> &str {
        &self.hierarchy
    }

    /// The version of its hierarchy.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether [`Cgroup::create`] has made it, rather than found it empty.
    #[must_use]
    pub fn made(&self) -> bool {
        self.made
    }

    /// The directory, opened on first use and kept.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be opened.
    pub fn dir(&self) -> Result<BorrowedFd<'_>> {
        if self.dir.get().is_none() {
            let dir = fs::open_dir(&self.path)
                .map_err(|errno| Error::io("open", &self.path, io::Error::from(errno)))?;
            // Another thread may have been faster; its descriptor serves as well.
            let _ = self.dir.set(dir);
        }
        match self.dir.get() {
            Some(dir) => Ok(dir.as_fd()),
            None => Err(Error::io("open", &self.path, io::Error::other("not kept"))),
        }
    }

    /// The directory, or `None` if it is not there any more.
    pub(crate) fn existing_dir(&self) -> Result<Option<OwnedFd>> {
        match fs::open_dir(&self.path) {
            Ok(dir) => Ok(Some(dir)),
            Err(errno) if fs::is_gone(errno) => Ok(None),
            Err(errno) => Err(Error::io("open", &self.path, io::Error::from(errno))),
        }
    }

    pub(crate) fn record(&self) -> RecordedPath {
        RecordedPath {
            hierarchy: self.hierarchy.clone(),
            path: self.path.clone(),
        }
    }

    pub(crate) fn v1_controllers(&self) -> ControllerSet {
        match self.version {
            Version::V1 => ControllerSet::parse(&self.hierarchy),
            Version::V2 => ControllerSet::EMPTY,
        }
    }

    pub(crate) fn try_open(&self, name: &str, flags: OFlags) -> Result<OwnedFd, rustix::io::Errno> {
        match self.dir.get() {
            Some(dir) => fs::open_at(dir, name, flags),
            None => fs::open(&self.path.join(name), flags),
        }
    }

    pub(crate) fn open_file(&self, name: &str, flags: OFlags) -> Result<OwnedFd> {
        self.try_open(name, flags)
            .map_err(|errno| Error::io("open", self.path.join(name), io::Error::from(errno)))
    }

    pub(crate) fn write(&self, name: &str, value: &str) -> Result<()> {
        self.try_open(name, OFlags::WRONLY)
            .and_then(|file| fs::write_value(file, value))
            .map_err(|errno| fs::write_error(&self.path, name, value, errno))
    }

    pub(crate) fn read(&self, name: &str) -> Result<String> {
        self.try_open(name, OFlags::RDONLY)
            .and_then(fs::read_record)
            .map_err(|errno| fs::read_error(&self.path, name, errno))
    }
}
