//! Mounts out of the ordinary: with an id map, with a copy of what they cover, or changed in place.

use std::path::PathBuf;

use orlop_init::Op;
use orlop_init::wire::Slot;

use super::Compiler;
use super::mount_options::{IdMapDepth, MountOptions};
use crate::error::Result;
use crate::idmap;
use crate::plan::{IdMaps, MountIdMap, MountIds};
use crate::spec::Mount;

impl Compiler<'_> {
    /// config.md, mounts: own mappings come before the container's; with neither there is nothing
    /// to map by.
    pub(super) fn mount_id_map(
        &mut self,
        mount: &Mount,
        depth: Option<IdMapDepth>,
    ) -> Result<Option<MountIdMap>> {
        let own = !(mount.uid_mappings.is_empty() && mount.gid_mappings.is_empty());
        if depth.is_none() && !own {
            return Ok(None);
        }
        if self.init_opens_mounts {
            return Err(self
                .build
                .error("an id map of a mount takes a caller with CAP_SYS_ADMIN"));
        }
        let ids = if own {
            self.own_ids(mount)?
        } else {
            self.container_ids()?
        };
        let recursive = depth == Some(IdMapDepth::Tree);
        Ok(Some(MountIdMap { ids, recursive }))
    }

    fn own_ids(&mut self, mount: &Mount) -> Result<MountIds> {
        if mount.uid_mappings.is_empty() || mount.gid_mappings.is_empty() {
            return Err(self
                .build
                .error("uidMappings and gidMappings go together; one of them is missing"));
        }
        let (uids, gids) = (mount.uid_mappings.clone(), mount.gid_mappings.clone());
        let field = self.build.field();
        idmap::validate(&format!("{field}.uidMappings"), &uids)?;
        idmap::validate(&format!("{field}.gidMappings"), &gids)?;
        Ok(MountIds::Maps(IdMaps { uids, gids }))
    }

    fn container_ids(&self) -> Result<MountIds> {
        if let Some(maps) = &self.namespaces.id_maps {
            return Ok(MountIds::Maps(maps.clone()));
        }
        match self.namespaces.path_of(libc::CLONE_NEWUSER as u32) {
            Some(path) => Ok(MountIds::Namespace(PathBuf::from(path))),
            None => Err(self.build.error(
                "options: idmap needs mappings of the mount, or a container with a user namespace",
            )),
        }
    }

    pub(super) fn has_no_id_map(&self, mount: &Mount, options: &MountOptions) -> Result<()> {
        let own = !(mount.uid_mappings.is_empty() && mount.gid_mappings.is_empty());
        if own || options.id_map.is_some() {
            return Err(self
                .build
                .error("only bind mounts can have an id map (idmap, uidMappings, gidMappings)"));
        }
        Ok(())
    }

    /// Opens what a tmpfs is going to cover. What is copied takes memory, which is the container's.
    pub(super) fn copy_up(
        &mut self,
        kind: &str,
        options: &MountOptions,
        target: &str,
    ) -> Result<Option<Slot>> {
        if !options.copy_up {
            return Ok(None);
        }
        if kind != "tmpfs" {
            return Err(self.build.error("options: tmpcopyup is for tmpfs only"));
        }
        let field = self.build.field();
        self.join_cgroup()?;
        self.build.at(field);
        let (to, root) = (self.build.made()?, self.root);
        let target = self.build.str(target)?;
        self.build.push(Op::OpenCovered { to, root, target });
        Ok(Some(to))
    }

    /// Changes what is mounted: with `bind` the mount alone, otherwise its file system, too.
    pub(super) fn remount(
        &mut self,
        mount: &Mount,
        options: &MountOptions,
        target: &str,
    ) -> Result<()> {
        self.has_no_id_map(mount, options)?;
        let kind = mount.kind.as_deref().unwrap_or_default();
        let bind = options.bind || kind == "bind";
        let flags = options.flags | libc::MS_REMOUNT | if bind { libc::MS_BIND } else { 0 };
        let op = Op::MountFs {
            root: self.root,
            target: self.build.str(target)?,
            fstype: self.build.str(kind)?,
            source: self.build.str(mount.source.as_deref().unwrap_or(kind))?,
            flags,
            data: self.build.str(&options.data.join(","))?,
            strict: true,
            keep_mode: false,
        };
        self.build.push(op);
        self.finish_mount(options, target)
    }
}
