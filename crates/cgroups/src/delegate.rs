//! Handing a cgroup to a user, and making do with what has been handed to us.

use std::io;

use rustix::fs::{AtFlags, Gid, OFlags, Uid, chownat};
use rustix::io::Errno;

use crate::cgroup::Cgroup;
use crate::create::Making;
use crate::error::{Error, Result};
use crate::fs;
use crate::layout::{Hierarchy, Layout, Mode, Version};
use crate::limits::Limits;
use crate::path::CgroupPath;

/// What a new owner gets where the kernel does not say.
const FILES: [&str; 3] = ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"];

impl Cgroup {
    /// Makes a user the owner of the v2 cgroup: of its directory and of the files
    /// that the kernel lists in `/sys/kernel/cgroup/delegate`, so that the user
    /// can make cgroups below, but not change its limits.
    ///
    /// v1 hierarchies keep their owner: there the owner of a directory can take
    /// limits away.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] without the unified hierarchy, [`Error::Io`] if the
    /// owner cannot be changed.
    pub fn delegate(&self, uid: u32, gid: u32) -> Result<()> {
        let member = self.v2_member().ok_or_else(|| Error::Unsupported {
            field: "owner",
            reason: "only cgroups of v2 can be handed to a user, and it is not mounted".into(),
        })?;
        let dir = member.dir()?;
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        chownat(dir, "", uid, gid, AtFlags::EMPTY_PATH)
            .map_err(|errno| Error::io("change owner of", member.path(), io::Error::from(errno)))?;
        for name in delegated_files() {
            match chownat(dir, &name, uid, gid, AtFlags::SYMLINK_NOFOLLOW) {
                // The list is of all that any kernel configuration has.
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => {
                    return Err(Error::io(
                        "change owner of",
                        member.path().join(&name),
                        errno,
                    ));
                }
            }
        }
        Ok(())
    }

    /// Makes a cgroup as [`Cgroup::create`] does, with all of the limits, for callers without
    /// privileges: of the hierarchies only those that a limit needs, or that are delegated to them.
    /// Without limits it may have no directory at all.
    ///
    /// # Errors
    ///
    /// As [`Cgroup::create`].
    pub fn create_delegated(layout: &Layout, path: &CgroupPath, limits: &Limits) -> Result<Self> {
        if layout.mode() == Mode::None {
            return Err(Error::NoHierarchy);
        }
        let mut making = Making::new(layout, path);
        for hierarchy in layout.hierarchies() {
            if limits.need(hierarchy)? {
                making.add(hierarchy, limits)?;
            } else {
                making.add_if_allowed(hierarchy, limits)?;
            }
        }
        making.limit(limits)?;
        Ok(making.finish())
    }

    /// Makes a cgroup as [`Cgroup::create`] does, in those hierarchies and with
    /// those limits that can be had, for callers without privileges.
    ///
    /// Hierarchies in which the caller may not make directories are left out; limits
    /// that are not available are not set. Every one of these is among the
    /// errors returned. With none it is as if nothing was left out.
    ///
    /// # Errors
    ///
    /// What has nothing to do with privileges or with what the host offers:
    /// [`Error::NotEmpty`], [`Error::Frozen`], [`Error::InvalidLimit`].
    pub fn create_best_effort(
        layout: &Layout,
        path: &CgroupPath,
        limits: &Limits,
    ) -> Result<(Self, Vec<Error>)> {
        limits.check()?;
        let mut making = Making::new(layout, path);
        let mut left_out = Vec::new();
        for hierarchy in layout.hierarchies() {
            match making.add(hierarchy, limits) {
                Ok(()) => {}
                Err(error) if error.is_lack_of_privilege() => left_out.push(error),
                Err(error) => return Err(error),
            }
        }
        for part in limits.parts() {
            match making.limit(&part) {
                Ok(()) => {}
                Err(error @ (Error::NotEmpty { .. } | Error::InvalidLimit { .. })) => {
                    return Err(error);
                }
                Err(error) => left_out.push(error),
            }
        }
        Ok((making.finish(), left_out))
    }
}

impl Limits {
    /// Whether one of them is set in that hierarchy.
    fn need(&self, hierarchy: &Hierarchy) -> Result<bool> {
        let controllers = hierarchy.controllers()?;
        let of_controller = self.requires().iter().any(|one| controllers.contains(one));
        Ok(of_controller || hierarchy.version() == Version::V2 && !self.unified.is_empty())
    }
}

fn delegated_files() -> Vec<String> {
    let list = fs::open(
        std::path::Path::new("/sys/kernel/cgroup/delegate"),
        OFlags::RDONLY,
    )
    .and_then(fs::read_record);
    match list {
        Ok(list) => list
            .lines()
            .filter(|name| !name.contains('/'))
            .map(str::to_owned)
            .collect(),
        Err(_) => FILES.map(str::to_owned).into(),
    }
}
