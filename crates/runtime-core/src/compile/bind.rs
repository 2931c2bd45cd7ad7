//! Bind mounts: whose mount is cloned, by whom, and what becomes of it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use orlop_init::Op;
use orlop_init::wire::Slot;

use super::Compiler;
use super::mount_options::{Links, MountOptions};
use super::mounts::clean;
use crate::error::Result;
use crate::plan::{Attr, Source, Tree};
use crate::spec::Mount;

/// What may cover a file of procfs: the list that system containers rely on.
const PROC_FILES: [&str; 10] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/sys/crypto/fips_enabled",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/uptime",
];

impl Compiler<'_> {
    pub(super) fn bind(
        &mut self,
        mount: &Mount,
        options: &MountOptions,
        target: &str,
    ) -> Result<()> {
        if let Some(option) = options.data.first() {
            let message = format!("options: {option:?} makes no sense for a bind mount");
            return Err(self.build.error(message));
        }
        if target.starts_with("/proc/") && !PROC_FILES.contains(&target) {
            return Err(self.build.error(format!("nothing may cover {target}")));
        }
        let source = mount.source.as_deref().unwrap_or_default();
        if source.is_empty() {
            return Err(self.build.error("source: missing"));
        }
        let guarded = self.namespaces.has_user();
        let (apart, propagation) = self.bind_propagation(options.propagation);
        let tree = Tree {
            path: self.options.bundle.join(source),
            recursive: options.recursive,
            attr: options.bind_attr(guarded || self.init_opens_mounts),
            guarded,
            recursive_attr: options.recursive_attr,
            apart,
            propagation,
            follow: !(options.links.source || options.links.copied),
            procfs: target == "/proc",
            id_map: self.mount_id_map(mount, options)?,
        };
        let slot = match self.mounted_source(&tree) {
            // It is the container's already.
            Some(inside) => {
                let (apart, propagation) = (0, options.propagation);
                let tree = Tree {
                    apart,
                    propagation,
                    ..tree
                };
                self.mounted_tree(tree, &inside)?
            }
            None => self.tree(tree)?,
        };
        let (root, target) = (self.root, self.build.str(target)?);
        self.build.push(if options.links == Links::default() {
            Op::Attach {
                mount: slot,
                root,
                target,
                strict: false,
            }
        } else {
            Op::AttachLink {
                mount: slot,
                root,
                target,
                follow: !options.links.destination,
                copy: options.links.copied,
            }
        });
        Ok(())
    }

    /// The path in the root of a clean path of the host, if it lies there.
    pub(super) fn inside(&self, path: &Path) -> Option<PathBuf> {
        let rootfs = self.build.plan.rootfs.as_deref()?;
        let rootfs = clean(&rootfs.to_string_lossy());
        // By bytes, which says the same of clean paths at a tenth of the cost.
        let rootfs = rootfs.as_os_str().as_bytes();
        let rootfs = rootfs.strip_suffix(b"/").unwrap_or(rootfs);
        match path.as_os_str().as_bytes().strip_prefix(rootfs)? {
            b"" => Some(PathBuf::from("/")),
            below if below.starts_with(b"/") => Some(Path::new(OsStr::from_bytes(below)).into()),
            _ => None,
        }
    }

    /// The path in the root of a source that earlier mounts have covered or are below of.
    fn mounted_source(&self, tree: &Tree) -> Option<PathBuf> {
        let inside = self.inside(&clean(&tree.path.to_string_lossy()))?;
        let concerns =
            |at: &PathBuf| inside.starts_with(at) || tree.recursive && at.starts_with(&inside);
        self.mounted.iter().any(concerns).then_some(inside)
    }

    /// A tree with what was mounted there before: only init sees it, and the caller has the rights.
    fn mounted_tree(&mut self, tree: Tree, inside: &Path) -> Result<Slot> {
        let to = self.build.made()?;
        let path = self.build.str(&inside.to_string_lossy())?;
        self.build.push(Op::CloneInside {
            to,
            root: self.root,
            path,
            recursive: tree.recursive,
            follow: tree.follow,
            procfs: tree.procfs,
        });
        if self.init_opens_mounts {
            self.tree_attributes(to, &tree);
        } else {
            self.build.push(Op::LendMount { mount: to });
            self.build.plan.lent.push((to, tree));
        }
        Ok(to)
    }

    /// What mounts of the host's are to the container's before anything is mounted, as runc has it: as
    /// the configuration says, or slaves, for what is mounted there later to come along.
    pub(super) fn host_propagation(&self) -> u64 {
        match self.linux.rootfs_propagation.as_deref().unwrap_or_default() {
            "" | "slave" | "rslave" => libc::MS_SLAVE,
            // The kernel lets no other user namespace mount for the host.
            "shared" | "rshared" if self.namespaces.has_user() => libc::MS_SLAVE,
            "shared" | "rshared" => libc::MS_SHARED,
            _ => libc::MS_PRIVATE,
        }
    }

    /// What a clone of a host's mount becomes first, 0 where that takes no step of its own, and then.
    fn bind_propagation(&self, asked: u64) -> (u64, u64) {
        if !self.has_mount_namespace() {
            return match asked {
                0 => (0, libc::MS_PRIVATE),
                asked => (0, asked),
            };
        }
        match (self.host_propagation(), asked) {
            // As the host's peer, which the clone is, it would cover the host's files where the container's are
            // masked.
            (libc::MS_SHARED, 0) => (0, libc::MS_SLAVE),
            (libc::MS_SHARED, asked) => (0, asked),
            (host, 0) => (0, host),
            // Shared with whom the container shares it, and not with the host.
            (host, libc::MS_SHARED) => (host, libc::MS_SHARED),
            (libc::MS_PRIVATE, libc::MS_SLAVE) => (0, libc::MS_PRIVATE),
            (_, asked) => (0, asked),
        }
    }

    fn tree_attributes(&mut self, to: Slot, tree: &Tree) {
        for propagation in [tree.apart, tree.propagation] {
            if propagation != 0 {
                self.set_attr(to, Attr::default(), propagation, true);
            }
        }
        for (attr, recursive) in [(tree.attr, false), (tree.recursive_attr, true)] {
            if !attr.is_empty() {
                self.set_attr(to, attr, 0, recursive);
            }
        }
    }

    /// A detached tree: opened by the caller, or by init where the caller has no right to.
    pub(super) fn tree(&mut self, tree: Tree) -> Result<Slot> {
        if !self.init_opens_mounts {
            return self.build.source(Source::Tree(tree));
        }
        let to = self.build.made()?;
        let path = self.build.str(&tree.path.to_string_lossy())?;
        self.build.push(Op::OpenTree {
            to,
            path,
            recursive: tree.recursive,
            follow: tree.follow,
            procfs: tree.procfs,
        });
        self.tree_attributes(to, &tree);
        Ok(to)
    }
}
