//! Mounts out of the ordinary: with an id map, with a copy of what they cover, or changed in place.

use std::path::PathBuf;

use orlop_init::Op;
use orlop_init::wire::Slot;

use super::Compiler;
use super::mount_options::{IdMapDepth, MountOptions};
use crate::error::Result;
use crate::idmap;
use crate::plan::{IdMaps, MountIdMap, MountIds};
use crate::spec::{IdMapping, Mount};

impl Compiler<'_> {
    /// config.md, mounts: own mappings come before the container's; with neither there is nothing
    /// to map by.
    pub(super) fn mount_id_map(
        &mut self,
        mount: &Mount,
        options: &MountOptions,
    ) -> Result<Option<MountIdMap>> {
        let depth = options.id_map;
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
            self.checked_ids(mount.uid_mappings.clone(), mount.gid_mappings.clone())?
        } else if let Some(text) = &options.id_map_text {
            self.written_ids(text)?
        } else {
            self.container_ids()?
        };
        let recursive = depth == Some(IdMapDepth::Tree);
        Ok(Some(MountIdMap { ids, recursive }))
    }

    fn checked_ids(&self, uids: Vec<IdMapping>, gids: Vec<IdMapping>) -> Result<MountIds> {
        if uids.is_empty() || gids.is_empty() {
            return Err(self
                .build
                .error("uidMappings and gidMappings go together; one of them is missing"));
        }
        let field = self.build.field();
        idmap::validate(&format!("{field}.uidMappings"), &uids)?;
        idmap::validate(&format!("{field}.gidMappings"), &gids)?;
        Ok(MountIds::Maps(IdMaps { uids, gids }))
    }

    /// crun's `idmap=uids=0-1000-10#10-2000-1;gids=@0-1-1`: of the file system, of the host, how many.
    /// With `@` the second one is the container's, and all that it counts have to be.
    fn written_ids(&self, text: &str) -> Result<MountIds> {
        let (mut uids, mut gids) = (Vec::new(), Vec::new());
        for part in text.split(';').filter(|part| !part.is_empty()) {
            let parsed = match part.split_once('=') {
                Some(("uids", maps)) => {
                    written_map(maps, &self.linux.uid_mappings).map(|map| uids = map)
                }
                Some(("gids", maps)) => {
                    written_map(maps, &self.linux.gid_mappings).map(|map| gids = map)
                }
                _ => Err("not uids= or gids="),
            };
            parsed.map_err(|why| self.build.error(format!("options: idmap: {part:?}: {why}")))?;
        }
        self.checked_ids(uids, gids)
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

/// Triplets `FIRST-HOST-COUNT`, with `#` between them.
fn written_map(text: &str, container: &[IdMapping]) -> Result<Vec<IdMapping>, &'static str> {
    let mut map = Vec::new();
    for triplet in text.split('#').filter(|triplet| !triplet.is_empty()) {
        match triplet.strip_prefix('@') {
            Some(numbers) => relative(written_line(numbers)?, container, &mut map)?,
            None => map.push(written_line(triplet)?),
        }
    }
    Ok(map)
}

fn written_line(numbers: &str) -> Result<IdMapping, &'static str> {
    let number = |text: &str| text.parse().ok();
    let mut parts = numbers.split('-').map(number);
    let (Some(Some(first)), Some(Some(host)), Some(Some(size)), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("not three numbers with - between them");
    };
    Ok(IdMapping {
        container_id: first,
        host_id: host,
        size,
    })
}

/// Adds a line whose second number is the container's, as the host's: in as many parts as the
/// container's own map has there. An id that it lacks would be one of the host that is not its own.
fn relative(
    line: IdMapping,
    container: &[IdMapping],
    to: &mut Vec<IdMapping>,
) -> Result<(), &'static str> {
    let mut rest = line;
    loop {
        // Where the id is among those of a line, if it is.
        let held = container.iter().find_map(|map| {
            let at = rest.host_id.checked_sub(map.container_id)?;
            (at < map.size).then_some((map, at))
        });
        let Some((map, at)) = held else {
            return Err("relative to the container, whose user namespace does not map all of it");
        };
        let size = rest.size.min(map.size - at);
        let beyond = "it ends behind the last id";
        to.push(IdMapping {
            container_id: rest.container_id,
            host_id: map.host_id.checked_add(at).ok_or(beyond)?,
            size,
        });
        rest.size -= size;
        if rest.size == 0 {
            return Ok(());
        }
        rest.container_id = rest.container_id.checked_add(size).ok_or(beyond)?;
        rest.host_id = rest.host_id.checked_add(size).ok_or(beyond)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(container_id: u32, host_id: u32, size: u32) -> IdMapping {
        IdMapping {
            container_id,
            host_id,
            size,
        }
    }

    #[test]
    fn id_maps_as_crun_writes_them() {
        let container = [line(0, 0, 1), line(1, 2, 1000)];
        for (text, wanted) in [
            ("0-1-10#10-11-10", vec![line(0, 1, 10), line(10, 11, 10)]),
            // The example of crun(1).
            ("@1-3-10", vec![line(1, 4, 10)]),
            ("#0-0-1#@0-5-2", vec![line(0, 0, 1), line(0, 6, 2)]),
            // Not 0-0-3: the container's next ids are not the host's next ones.
            ("@7-0-3", vec![line(7, 0, 1), line(8, 2, 2)]),
            ("@0-1000-1", vec![line(0, 1001, 1)]),
        ] {
            assert_eq!(written_map(text, &container), Ok(wanted), "{text}");
        }
        for wrong in [
            "1-2",
            "1-2-3-4",
            "a-b-c",
            "1--2-3",
            "4294967296-0-1",
            "@0-5000-1",
            "@0-1000-2",
            "@0-1-1001",
            "@4294967295-0-2",
        ] {
            assert!(written_map(wrong, &container).is_err(), "{wrong}");
        }
    }
}
