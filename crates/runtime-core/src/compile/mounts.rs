//! The `mounts` of the specification, in its order.

use std::path::{Component, Path, PathBuf};

use orlop_cgroups::{Mode, Version};
use orlop_init::Op;
use orlop_init::wire::Slot;

use super::Compiler;
use super::mount_options::{Links, MountOptions};
use super::resources;
use crate::error::Result;
use crate::plan::{Attr, Tree};
use crate::spec::Mount;

/// An absolute path without `.`, `..` and doubled slashes, as written: links are not looked at.
pub(crate) fn clean(path: &str) -> PathBuf {
    if is_clean(path) {
        return PathBuf::from(path);
    }
    let mut clean = PathBuf::from("/");
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    clean
}

/// Nearly all are, and of those there is nothing to put together.
fn is_clean(path: &str) -> bool {
    let Some(names) = path.strip_prefix('/') else {
        return false;
    };
    let mut names = names.as_bytes().split(|byte| *byte == b'/');
    path == "/" || names.all(|name| !matches!(name, b"" | b"." | b".."))
}

const READ_ONLY: Attr = Attr {
    set: libc::MOUNT_ATTR_RDONLY,
    clear: 0,
};

impl Compiler<'_> {
    pub(super) fn mounts(&mut self) -> Result<()> {
        for (index, mount) in self.spec.mounts.iter().enumerate() {
            if mount.kind.as_deref() == Some("cgroup") {
                self.join_cgroup()?;
            }
            self.build.at(format!("mounts[{index}]"));
            let destination = self.destination(mount)?;
            self.mount(mount, &destination)?;
            self.mounted.push(destination);
        }
        self.build.at_none();
        Ok(())
    }

    /// A path in the root; one that was written as the host sees it is, too (runc).
    fn destination(&mut self, mount: &Mount) -> Result<PathBuf> {
        if mount.destination.is_empty() {
            return Err(self.build.error("destination: missing"));
        }
        let destination = clean(&mount.destination);
        if !mount.destination.starts_with('/') {
            let (field, written) = (self.build.field(), &mount.destination);
            let meant = destination.display();
            self.build.warn(format!(
                "{field}.destination: {written:?} is not absolute; taken as {meant}"
            ));
        }
        Ok(self.inside(&destination).unwrap_or(destination))
    }

    fn mount(&mut self, mount: &Mount, destination: &Path) -> Result<()> {
        let target = destination.to_string_lossy().into_owned();
        if target == "/" {
            return Err(self
                .build
                .error("destination: the root itself can't be covered"));
        }
        let options = MountOptions::parse(&mount.options);
        // Whoever unmounts it would unmount what is mounted on the host where it is from.
        if options.propagation == libc::MS_SHARED && !self.has_mount_namespace() {
            return Err(self.build.error(
                "options: a shared mount needs a mount namespace of its own in linux.namespaces",
            ));
        }
        let kind = mount.kind.as_deref().unwrap_or_default();
        let binds = options.bind || kind == "bind";
        if options.links != Links::default() && (options.remount || !binds) {
            return Err(self.build.error(
                "options: src-nofollow, dest-nofollow and copy-symlink are for bind mounts only",
            ));
        }
        if options.remount {
            return self.remount(mount, &options, &target);
        }
        if binds {
            return self.bind(mount, &options, &target);
        }
        self.has_no_id_map(mount, &options)?;
        match kind {
            "" => Err(self
                .build
                .error("type: missing, and no bind among the options")),
            "cgroup" | "cgroup2" => self.cgroup_mount(&options, &target),
            _ => self.filesystem(mount, kind, &options, &target),
        }
    }

    fn filesystem(
        &mut self,
        mount: &Mount,
        kind: &str,
        options: &MountOptions,
        target: &str,
    ) -> Result<()> {
        if target.starts_with("/proc/") || target == "/proc" && kind != "proc" {
            return Err(self
                .build
                .error(format!("a {kind} must not cover {target}")));
        }
        let mut data = options.data.join(",");
        if kind == "devpts" && self.drops_tty_group() {
            data = without_tty_group(&options.data);
        }
        // What else goes into an empty file system has to be made first.
        let deferred = kind == "tmpfs" && options.flags & libc::MS_RDONLY != 0;
        if deferred {
            self.read_only_later.push(target.to_owned());
        }
        let covered = self.copy_up(kind, options, target)?;
        let has_mode = options
            .data
            .iter()
            .any(|option| option.starts_with("mode="));
        let op = Op::MountFs {
            root: self.root,
            target: self.build.str(target)?,
            fstype: self.build.str(kind)?,
            source: self.build.str(mount.source.as_deref().unwrap_or(kind))?,
            flags: if deferred {
                options.flags & !libc::MS_RDONLY
            } else {
                options.flags
            },
            data: {
                let data = self.labelled(kind, data);
                self.build.str(&data)?
            },
            strict: matches!(kind, "proc" | "sysfs"),
            keep_mode: kind == "tmpfs" && !has_mode,
        };
        self.build.push(op);
        if let Some(from) = covered {
            let (root, target) = (self.root, self.build.str(target)?);
            self.build.push(Op::CopyUp { from, root, target });
        }
        self.label_mounted(kind, target)?;
        self.finish_mount(options, target)
    }

    /// What `mount(2)` does not take.
    pub(super) fn finish_mount(&mut self, options: &MountOptions, target: &str) -> Result<()> {
        let attr = options.recursive_attr;
        if options.propagation != 0 || !attr.is_empty() {
            let to = self.open_mounted(target)?;
            self.set_attr(to, attr, options.propagation, false);
        }
        Ok(())
    }

    /// Makes those mounts read-only that had to be writable until all was made.
    pub(super) fn finish_mounts(&mut self) -> Result<()> {
        self.build.at("mounts");
        for target in std::mem::take(&mut self.read_only_later) {
            let to = self.open_mounted(&target)?;
            let set = libc::MOUNT_ATTR_RDONLY;
            self.set_attr(to, Attr { set, clear: 0 }, 0, false);
        }
        self.build.at_none();
        Ok(())
    }

    /// Where the terminals' group is not mapped, asking for it would fail the mount.
    fn drops_tty_group(&self) -> bool {
        const TTY: u32 = 5;
        let Some(maps) = &self.namespaces.id_maps else {
            return false;
        };
        !maps.gids.iter().any(|map| {
            TTY >= map.container_id
                && u64::from(TTY) < u64::from(map.container_id) + u64::from(map.size)
        })
    }

    /// A descriptor of what was just mounted.
    fn open_mounted(&mut self, target: &str) -> Result<Slot> {
        let to = self.build.made()?;
        let path = self.build.str(target)?;
        self.build.push(Op::OpenDir {
            to,
            root: self.root,
            path,
        });
        Ok(to)
    }

    pub(super) fn set_attr(&mut self, mount: Slot, attr: Attr, propagation: u64, recursive: bool) {
        let Attr { set, clear } = attr;
        self.build.push(Op::SetAttr {
            mount,
            set,
            clear,
            propagation,
            recursive,
        });
    }

    fn cgroup_mount(&mut self, options: &MountOptions, target: &str) -> Result<()> {
        let private = self.namespaces.is_private(libc::CLONE_NEWCGROUP as u32);
        match self.host.cgroups.mode() {
            Mode::None => {
                self.build
                    .warn(format!("{target}: this host mounts no cgroups; left out"));
                Ok(())
            }
            // In the first cgroup namespace a mount sets the host's own mount options anew.
            Mode::V2 if private => self.cgroup2(options, target),
            Mode::V1 | Mode::Hybrid => match &self.build.plan.cgroup {
                Some(cgroup) => {
                    let directories = resources::v1_directories(self.host, &cgroup.path);
                    self.cgroup1(options, target, &directories)
                }
                None => self.host_cgroups(options, target, READ_ONLY),
            },
            Mode::V2 if self.namespaces.has_user() => self.host_cgroups(options, target, READ_ONLY),
            Mode::V2 => self.host_cgroups(options, target, Attr::default()),
        }
    }

    fn cgroup2(&mut self, options: &MountOptions, target: &str) -> Result<()> {
        let op = Op::MountFs {
            root: self.root,
            target: self.build.str(target)?,
            fstype: self.build.str("cgroup2")?,
            source: self.build.str("cgroup")?,
            flags: options.flags,
            data: self.build.str(&options.data.join(","))?,
            strict: true,
            keep_mode: false,
        };
        self.build.push(op);
        Ok(())
    }

    /// The container's own directory of every v1 hierarchy, in a small file system of their own.
    fn cgroup1(
        &mut self,
        options: &MountOptions,
        target: &str,
        directories: &[PathBuf],
    ) -> Result<()> {
        let op = Op::MountFs {
            root: self.root,
            target: self.build.str(target)?,
            fstype: self.build.str("tmpfs")?,
            source: self.build.str("tmpfs")?,
            flags: options.flags & !libc::MS_RDONLY,
            data: {
                let data = self.labelled("tmpfs", "mode=755".to_owned());
                self.build.str(&data)?
            },
            strict: true,
            keep_mode: false,
        };
        self.build.push(op);
        let dir = self.open_mounted(target)?;
        self.build.push(Op::EnterDir { dir });
        let host = self.host;
        let v1 = host
            .cgroups
            .hierarchies()
            .iter()
            .filter(|one| one.version() == Version::V1);
        for (hierarchy, directory) in v1.zip(directories) {
            let mount_name = hierarchy.mountpoint().file_name().unwrap_or_default();
            let mount_name = mount_name.to_string_lossy();
            let path = self.build.str(&directory.to_string_lossy())?;
            let name = self.build.str(&mount_name)?;
            self.build.push(Op::BindAt { path, name });
            for controller in mount_name.split(',').filter(|one| *one != mount_name) {
                let path = self.build.str(&format!("/{controller}"))?;
                let link = self.build.str(&mount_name)?;
                self.build.push(Op::Symlink {
                    root: dir,
                    path,
                    target: link,
                    replace: false,
                });
            }
        }
        // Nothing runs in the container yet that could use the moment before.
        self.set_attr(dir, options.attr, libc::MS_PRIVATE, true);
        Ok(())
    }

    /// Without a cgroup of its own the container may look at the host's, no more.
    fn host_cgroups(
        &mut self,
        options: &MountOptions,
        target: &str,
        recursive_attr: Attr,
    ) -> Result<()> {
        let slot = self.tree(Tree {
            path: PathBuf::from("/sys/fs/cgroup"),
            recursive: true,
            attr: options.attr,
            recursive_attr,
            apart: 0,
            propagation: libc::MS_PRIVATE,
            guarded: false,
            follow: true,
            procfs: false,
            id_map: None,
        })?;
        let target = self.build.str(target)?;
        self.build.push(Op::Attach {
            mount: slot,
            root: self.root,
            target,
            strict: true,
        });
        Ok(())
    }
}

fn without_tty_group(data: &[String]) -> String {
    let kept: Vec<&str> = data
        .iter()
        .map(String::as_str)
        .filter(|option| *option != "gid=5")
        .collect();
    kept.join(",")
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn destinations_stay_below_the_root() {
        for (written, meant) in [
            ("/a/b", "/a/b"),
            ("a//b/", "/a/b"),
            ("/x/../proc/sys", "/proc/sys"),
            ("../../etc", "/etc"),
            ("/..", "/"),
            ("/", "/"),
            ("", "/"),
            ("/a/", "/a"),
            ("/a/./b", "/a/b"),
            ("/.../..b/c.", "/.../..b/c."),
        ] {
            assert_eq!(clean(written).as_os_str(), meant, "{written}");
        }
    }
}
