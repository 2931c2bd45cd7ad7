//! The root file system: attached, furnished with devices, entered, and closed off.

use std::path::{Path, PathBuf};

use orlop_init::Op;
use orlop_init::wire::{OnError, Slot};

use super::Compiler;
use super::mounts::clean;
use crate::error::{Error, Result};
use crate::plan::{Attr, Source, Tree};
use crate::spec;

const MOUNT: u32 = libc::CLONE_NEWNS as u32;

/// Devices that every container has (`config-linux.md`, default devices): path, major, minor.
const DEVICES: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// Links that every container has: path, target, whether another file there gives way.
const LINKS: [(&str, &str, bool); 6] = [
    ("/dev/fd", "/proc/self/fd", false),
    ("/dev/stdin", "/proc/self/fd/0", false),
    ("/dev/stdout", "/proc/self/fd/1", false),
    ("/dev/stderr", "/proc/self/fd/2", false),
    ("/dev/core", "/proc/kcore", false),
    ("/dev/ptmx", "pts/ptmx", true),
];

/// A device node to make.
struct Node {
    path: String,
    kind: u32,
    number: (u32, u32),
    permissions: u32,
    owner: (u32, u32),
}

impl Compiler<'_> {
    pub(super) fn has_mount_namespace(&self) -> bool {
        self.namespaces.is_private(MOUNT)
    }

    /// Without a mount namespace of its own a container mounts among the host's, if it has to.
    fn mounts_on_host(&self) -> bool {
        let is_readonly = self.spec.root.as_ref().is_some_and(|root| root.readonly);
        !self.has_mount_namespace() && (is_readonly || !self.spec.mounts.is_empty())
    }

    /// Whether the root is a mount of the container's own, in which others can be made.
    pub(super) fn has_root_mount(&self) -> bool {
        self.has_mount_namespace() || self.mounts_on_host()
    }

    pub(super) fn root_filesystem(&mut self) -> Result<()> {
        self.build.at("root.path");
        let root = self
            .spec
            .root
            .as_ref()
            .ok_or_else(|| self.build.error("missing"))?;
        if root.path.is_empty() {
            return Err(self.build.error("missing"));
        }
        let path = self.options.bundle.join(&root.path);
        self.build.plan.rootfs = Some(path.clone());
        let propagation = self.root_propagation()?;
        if self.mounts_on_host() {
            return self.host_root(path);
        }
        if !self.has_mount_namespace() {
            self.root = self.build.source(Source::RootDir { path })?;
            return Ok(());
        }
        let everything = self.all_mounts(propagation);
        if self.namespaces.is_new(MOUNT) {
            let path = self.build.str("/")?;
            self.build.push(Op::Propagation {
                path,
                propagation: everything,
            });
        }
        // The kernel pivots into no shared mount: it becomes one when it is the root.
        let before = match propagation {
            libc::MS_SHARED => libc::MS_PRIVATE,
            libc::MS_SLAVE => everything,
            other => other,
        };
        self.root_is_shared = propagation == libc::MS_SHARED;
        self.root = self.root_tree(&path, before, everything)?;
        // Hooks look for the container's files at the bundle's path; all others need no path.
        let at = if self.has_create_hooks() {
            path.to_string_lossy().into_owned()
        } else {
            "/".into()
        };
        let at = self.build.str(&at)?;
        self.build.push(Op::AttachRoot {
            root: self.root,
            at,
        });
        Ok(())
    }

    /// What all of the host's mounts become in a mount namespace that is new.
    fn all_mounts(&mut self, of_root: u64) -> u64 {
        // A slave has to be one of the host's mount, not of a private copy; and so has what init binds.
        let slaves = of_root == libc::MS_SLAVE
            || self.init_opens_mounts && self.host_propagation() == libc::MS_SLAVE;
        if !slaves {
            return libc::MS_PRIVATE;
        }
        if !self.options.no_pivot {
            return libc::MS_SLAVE;
        }
        // They stay below the container's root: a procfs that the host mounts there later would have nothing masked.
        if of_root == libc::MS_SLAVE {
            self.build.warn(
                "linux.rootfsPropagation: without a pivot the host's mounts stay in reach; taken as private",
            );
        }
        libc::MS_PRIVATE
    }

    fn host_root(&mut self, path: PathBuf) -> Result<()> {
        if self.namespaces.has_user() || self.init_opens_mounts {
            let field = match self.spec.mounts.is_empty() {
                true => "root.readonly",
                false => "mounts",
            };
            let message = "without a mount namespace of its own in linux.namespaces a container mounts in the host's, which takes the host's CAP_SYS_ADMIN";
            return Err(Error::invalid(field, message));
        }
        let at = path.display();
        self.build.warn(format!(
            "the container has no mount namespace of its own: what is mounted at {at} and below is the \
             host's, and stays until `umount --recursive {at}`"
        ));
        self.root = self.build.source(Source::HostRoot { path })?;
        Ok(())
    }

    /// Init opens the root where that needs no more rights than it has: in a user namespace a
    /// privileged caller reaches more.
    fn root_tree(&mut self, path: &Path, propagation: u64, everything: u64) -> Result<Slot> {
        let init_may = self.init_opens_mounts || !self.namespaces.has_user();
        if !init_may || !self.namespaces.is_new(MOUNT) {
            return self.build.source(Source::Root {
                path: path.to_owned(),
                propagation,
            });
        }
        let to = self.build.made()?;
        let text = self.build.str(&path.to_string_lossy())?;
        self.build.push(Op::OpenTree {
            to,
            path: text,
            recursive: true,
            follow: false,
            procfs: false,
        });
        // As all mounts were made, so are their clones.
        if propagation != everything {
            let (set, clear) = (0, 0);
            self.build.push(Op::SetAttr {
                mount: to,
                set,
                clear,
                propagation,
                recursive: true,
            });
        }
        Ok(to)
    }

    fn root_propagation(&mut self) -> Result<u64> {
        self.build.at("linux.rootfsPropagation");
        let asked = self.linux.rootfs_propagation.as_deref().unwrap_or_default();
        let propagation = match asked {
            "" | "private" | "rprivate" => libc::MS_PRIVATE,
            "slave" | "rslave" => libc::MS_SLAVE,
            "shared" | "rshared" => libc::MS_SHARED,
            "unbindable" | "runbindable" => libc::MS_UNBINDABLE,
            _ => {
                return Err(self
                    .build
                    .error(format!("{asked:?} is no propagation type")));
            }
        };
        if propagation != libc::MS_PRIVATE && !self.has_mount_namespace() {
            return Err(self.build.error(format!(
                "{asked:?} needs a mount namespace of its own in linux.namespaces; in the host's a \
                 container's root is private"
            )));
        }
        self.build.at("root.path");
        Ok(propagation)
    }

    /// A `/dev` that is the host's has its devices already.
    fn has_own_dev(&self) -> bool {
        !self.spec.mounts.iter().any(|mount| {
            let bind = mount.kind.as_deref() == Some("bind")
                || mount
                    .options
                    .iter()
                    .any(|option| option == "bind" || option == "rbind");
            let remount = mount.options.iter().any(|option| option == "remount");
            bind && !remount && clean(&mount.destination).as_os_str() == "/dev"
        })
    }

    pub(super) fn devices(&mut self) -> Result<()> {
        if self.options.no_devices || !self.has_own_dev() || !self.has_root_mount() {
            return Ok(());
        }
        let mut nodes = Vec::new();
        for (index, device) in self.linux.devices.iter().enumerate() {
            self.build.at(format!("linux.devices[{index}]"));
            let node = self.node(device)?;
            // A node would give way to the link; the mount that stands for one could not.
            let gives_way = |(path, _, replace): &(&str, _, bool)| *replace && *path == node.path;
            if !LINKS.iter().any(gives_way) {
                nodes.push((node, format!("linux.devices[{index}]")));
            }
        }
        for (path, major, minor) in DEVICES {
            if nodes.iter().all(|(node, _)| node.path != path) {
                let node = Node {
                    path: path.to_owned(),
                    kind: libc::S_IFCHR,
                    number: (major, minor),
                    permissions: 0o666,
                    owner: (0, 0),
                };
                nodes.push((node, "linux".to_owned()));
            }
        }
        for (node, field) in nodes {
            self.build.at(field);
            self.device(&node)?;
        }
        self.build.at_none();
        for (path, target, replace) in LINKS {
            let (path, target) = (self.build.str(path)?, self.build.str(target)?);
            self.build.push(Op::Symlink {
                root: self.root,
                path,
                target,
                replace,
            });
        }
        Ok(())
    }

    fn node(&self, device: &spec::Device) -> Result<Node> {
        let kind = match device.kind.as_str() {
            "c" | "u" => libc::S_IFCHR,
            "b" => libc::S_IFBLK,
            "p" => libc::S_IFIFO,
            other => {
                return Err(self
                    .build
                    .error(format!("type: {other:?} is none of c, u, b, p")));
            }
        };
        if !device.path.starts_with('/') {
            return Err(self
                .build
                .error(format!("path: {:?} is not absolute", device.path)));
        }
        let number = |value: i64, name: &str| {
            u32::try_from(value).map_err(|_| {
                self.build
                    .error(format!("{name}: {value} is no device number"))
            })
        };
        Ok(Node {
            path: clean(&device.path).to_string_lossy().into_owned(),
            kind,
            number: (
                number(device.major, "major")?,
                number(device.minor, "minor")?,
            ),
            permissions: device.file_mode.unwrap_or(0o666) & 0o7777,
            owner: (device.uid.unwrap_or(0), device.gid.unwrap_or(0)),
        })
    }

    /// In a user namespace nodes can't be made: the host's node is bound in its place.
    fn device(&mut self, node: &Node) -> Result<()> {
        let bound = self.namespaces.has_user() || self.host.in_user_namespace;
        if bound && node.kind != libc::S_IFIFO {
            let slot = self.tree(Tree {
                path: node.path.clone().into(),
                recursive: false,
                attr: Attr::default(),
                recursive_attr: Attr::default(),
                apart: 0,
                propagation: libc::MS_PRIVATE,
                guarded: false,
                follow: true,
                procfs: false,
                id_map: None,
            })?;
            let target = self.build.str(&node.path)?;
            self.build.push(Op::Attach {
                mount: slot,
                root: self.root,
                target,
                strict: false,
            });
            return Ok(());
        }
        let op = Op::Device {
            root: self.root,
            path: self.build.str(&node.path)?,
            mode: node.kind | node.permissions,
            major: node.number.0,
            minor: node.number.1,
            uid: node.owner.0,
            gid: node.owner.1,
        };
        self.build.push(op);
        Ok(())
    }

    pub(super) fn enter_root(&mut self) -> Result<()> {
        let root = self.root;
        let pivots = self.has_mount_namespace() && !self.options.no_pivot && !self.options.chroot;
        if !pivots && self.has_mount_namespace() && self.has_create_hooks() {
            // Hooks saw it at its own path; over `/` there is nothing to climb out to.
            let at = self.build.str("/")?;
            self.build.push(Op::AttachRoot { root, at });
        }
        if self.has_mount_namespace() && self.options.no_pivot {
            // Below the new root the host's tree goes on. Who sees a whole procfs or sysfs anywhere
            // may mount another (mount_namespaces(7)), without what is masked of the container's.
            for path in self.host.kernel_mounts.iter().rev() {
                let Some(path) = path.to_str() else {
                    let path = path.display();
                    let message = format!("{path}, where procfs or sysfs is mounted, is no UTF-8");
                    return Err(Error::invalid("no_pivot", message));
                };
                let path = self.build.str(path)?;
                self.build.push(Op::Conceal { path });
            }
        }
        self.build.push(if pivots {
            Op::Pivot { root }
        } else {
            Op::Chroot { root }
        });
        if self.root_is_shared {
            self.build.at("linux.rootfsPropagation");
            let recursive = self.linux.rootfs_propagation.as_deref() == Some("rshared");
            self.build.push(Op::SetAttr {
                mount: root,
                set: 0,
                clear: 0,
                propagation: libc::MS_SHARED,
                recursive,
            });
            self.build.at_none();
        }
        Ok(())
    }

    pub(super) fn hidden_paths(&mut self) -> Result<()> {
        let hidden = !self.linux.masked_paths.is_empty() || !self.linux.readonly_paths.is_empty();
        if hidden && !self.has_mount_namespace() {
            let message = "needs a mount namespace of its own in linux.namespaces";
            return Err(Error::invalid("linux.maskedPaths", message));
        }
        for (index, path) in self.linux.readonly_paths.iter().enumerate() {
            self.build.at(format!("linux.readonlyPaths[{index}]"));
            let path = self.absolute(path)?;
            let on_error = OnError::SkipMissing;
            self.build.push(Op::ReadOnly {
                root: self.root,
                path,
                on_error,
            });
        }
        if !self.linux.masked_paths.is_empty() {
            self.build.at("linux.maskedPaths");
            let null = self.null_device()?;
            for (index, path) in self.linux.masked_paths.iter().enumerate() {
                self.build.at(format!("linux.maskedPaths[{index}]"));
                let path = self.absolute(path)?;
                let on_error = OnError::SkipMissing;
                self.build.push(Op::Mask {
                    root: self.root,
                    path,
                    null,
                    on_error,
                });
            }
        }
        self.build.at_none();
        Ok(())
    }

    pub(super) fn root_attributes(&mut self) {
        let mut set = self.options.root_attr;
        if self.spec.root.as_ref().is_some_and(|root| root.readonly) {
            set |= libc::MOUNT_ATTR_RDONLY;
        }
        if set != 0 {
            self.build.at("root.readonly");
            let (mount, clear, propagation) = (self.root, 0, 0);
            self.build.push(Op::SetAttr {
                mount,
                set,
                clear,
                propagation,
                recursive: false,
            });
            self.build.at_none();
        }
    }

    fn absolute(&mut self, path: &str) -> Result<orlop_init::wire::Str> {
        if !path.starts_with('/') {
            return Err(self.build.error(format!("{path:?} is not absolute")));
        }
        self.build.str(path)
    }

    /// After the root is entered the host's device is out of reach, so it is opened before.
    fn null_device(&mut self) -> Result<Slot> {
        let to = self.build.made()?;
        let steps = &mut self.build.plan.steps;
        let entry = steps
            .iter()
            .position(|step| matches!(step.op, Op::AttachRoot { .. }));
        let field = Some("linux.maskedPaths".to_owned());
        steps.insert(
            entry.unwrap_or(0),
            crate::plan::Step {
                op: Op::OpenNull { to },
                field,
            },
        );
        Ok(to)
    }
}
