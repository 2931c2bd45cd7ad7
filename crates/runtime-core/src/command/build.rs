//! From the builder to a Spec, its Options and the compiled Plan.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use orlop_cgroups::Limits;

use super::cgroup::Choice;
use super::namespace::{self, Isolation, Namespace};
use super::prepared::{Inner, Prepared, Tree};
use super::{Capability, Command, Root, absolute, fields};
use crate::error::{Context, Error, Result};
use crate::host::Host;
use crate::idmap;
use crate::options::Options;
use crate::plan::Plan;
use crate::seccomp;
use crate::spawn::Program;
use crate::spec::{self, IdMapping, Linux, Spec};

/// What the Plan calls a cgroup that gets its name when it is made.
const UNNAMED_CGROUP: &str = "orlop";

pub(super) fn build(command: &Command) -> Result<Prepared> {
    let host = Host::probe()?;
    let resolved = Resolved::new(command)?;
    resolved.check(&host)?;
    let mut cgroup = resolved.cgroup();
    let spec = resolved.spec(cgroup.is_some())?;
    let first_mount = spec.mounts.len() - command.mounts.len();
    let options = resolved.options(cgroup.as_ref());
    let plan = Plan::compile(&spec, &options, &host)
        .map_err(|error| fields::rename(error, first_mount))?;
    if let Some(choice) = &mut cgroup {
        choice.limits = limits_of(&plan)?;
    }
    let filter = command.seccomp.as_ref().map(seccomp::compile).transpose()?;
    let program = Program::new(&plan, filter.as_ref())?.seal()?;
    let tree = if resolved.is_new(Namespace::Pid) {
        Tree::PidNamespace
    } else {
        Tree::Cgroup
    };
    let enterable = resolved.is_private(Namespace::Mount);
    Ok(Prepared(Arc::new(Inner {
        joined: resolved.joined.into_iter().map(|(_, fd)| fd).collect(),
        process: command.process.clone(),
        seccomp: command.seccomp.clone(),
        plan,
        program,
        filter,
        host,
        cgroup,
        tree,
        enterable,
        first_mount,
    })))
}

/// What the cgroup gets: the limits that were asked for, and the devices that may be used.
fn limits_of(plan: &Plan) -> Result<Limits> {
    let cgroup = plan.cgroup.as_ref().ok_or_else(|| {
        let message = "a sandbox without a PID namespace or with limits needs a cgroup, and this host mounts none";
        Error::invalid("cgroup", message)
    })?;
    Ok(cgroup.limits.clone())
}

/// A command with every choice made.
struct Resolved<'a> {
    command: &'a Command,
    root: &'a Root,
    new: u32,
    joined: Vec<(Namespace, Arc<OwnedFd>)>,
}

impl<'a> Resolved<'a> {
    fn new(command: &'a Command) -> Result<Self> {
        let Some(root) = &command.root else {
            return Err(Error::invalid(
                "root",
                "missing; say which directory becomes the root",
            ));
        };
        let mut resolved = Self {
            command,
            root,
            new: 0,
            joined: Vec::new(),
        };
        for namespace in Namespace::ALL {
            resolved.resolve(namespace)?;
        }
        Ok(resolved)
    }

    fn resolve(&mut self, namespace: Namespace) -> Result<()> {
        let mapped = !self.command.uid_map.is_empty() || !self.command.gid_map.is_empty();
        let chosen = match &self.command.namespaces[namespace as usize] {
            Some(chosen) => chosen,
            None if namespace == Namespace::User && !mapped => &Isolation::Host,
            None => &Isolation::New,
        };
        match chosen {
            Isolation::New => self.new |= namespace.flag(),
            Isolation::Host => {}
            Isolation::Join(path) => self
                .joined
                .push((namespace, namespace::open(namespace, path)?)),
            Isolation::JoinFd(fd) => {
                namespace::check(namespace, fd.as_fd(), &"the descriptor")?;
                self.joined.push((namespace, Arc::clone(fd)));
            }
        }
        Ok(())
    }

    fn is_new(&self, namespace: Namespace) -> bool {
        self.new & namespace.flag() != 0
    }

    fn is_private(&self, namespace: Namespace) -> bool {
        self.is_new(namespace) || self.joined.iter().any(|(joined, _)| *joined == namespace)
    }

    /// What only makes sense together, and for this caller.
    fn check(&self, host: &Host) -> Result<()> {
        self.check_privilege(host)?;
        self.check_root()?;
        self.check_mounts()?;
        if self.command.hostname.is_some() && !self.is_private(Namespace::Uts) {
            let message = "needs a UTS namespace of the sandbox's own: namespace(uts)";
            return Err(Error::invalid("hostname", message));
        }
        self.check_terminal()?;
        self.check_ids()
    }

    /// Any user may make a user namespace, and then the others in it.
    fn check_privilege(&self, host: &Host) -> Result<()> {
        let user = self.is_private(Namespace::User);
        let first = Namespace::ALL.into_iter().find(|one| self.is_private(*one));
        match first {
            Some(namespace) if !user && !host.is_privileged() => {
                let message =
                    "an unprivileged caller needs a user namespace first: map_self_to_root";
                Err(Error::invalid(format!("namespace({namespace})"), message))
            }
            _ => Ok(()),
        }
    }

    /// A link could be made to lead elsewhere until the sandbox is spawned.
    fn check_root(&self) -> Result<()> {
        let path = &self.root.path;
        let found = path
            .symlink_metadata()
            .context(|| format!("root: look at {}", path.display()))?;
        if found.is_dir() {
            return Ok(());
        }
        let message = format!("{} is a symbolic link or no directory", path.display());
        Err(Error::invalid("root", message))
    }

    fn check_mounts(&self) -> Result<()> {
        let needs = |what: &str| {
            let message = "needs a mount namespace of the sandbox's own: namespace(mount)";
            Err(Error::invalid(what, message))
        };
        let command = self.command;
        match self.is_private(Namespace::Mount) {
            true => Ok(()),
            false if !self.root.chroot => needs("root: pivot_root"),
            false if self.root.read_only => needs("root: read_only"),
            false if command.default_mounts => needs("default_mounts"),
            false if !command.mounts.is_empty() => needs("mount"),
            false => Ok(()),
        }
    }

    fn check_terminal(&self) -> Result<()> {
        let command = self.command;
        let has_devpts = command.default_mounts
            || command.mounts.iter().any(|mount| {
                mount.is_devpts()
                    || ["/dev", "/dev/pts"]
                        .iter()
                        .any(|dir| mount.target() == *dir)
            });
        if command.process.pty.is_some() && !has_devpts {
            let message = "needs terminals: default_mounts, or Mount::devpts(\"/dev/pts\")";
            return Err(Error::invalid("pty", message));
        }
        Ok(())
    }

    fn check_ids(&self) -> Result<()> {
        let command = self.command;
        let process = &command.process;
        let maps = [("uid_map", &command.uid_map), ("gid_map", &command.gid_map)];
        for (field, map) in maps {
            if self.is_new(Namespace::User) && map.is_empty() {
                let message = "missing; a new user namespace needs to know who its users are";
                return Err(Error::invalid(field, message));
            }
            if !self.is_new(Namespace::User) && !map.is_empty() {
                let message = "makes no sense without a new user namespace: namespace(user)";
                return Err(Error::invalid(field, message));
            }
            if !map.is_empty() {
                idmap::validate(field, map)?;
            }
        }
        if !self.is_new(Namespace::User) {
            return Ok(());
        }
        mapped("user", process.uid, &command.uid_map, "uid_map")?;
        mapped("user", process.gid, &command.gid_map, "gid_map")?;
        let mut groups = process.groups.iter();
        groups.try_for_each(|group| mapped("groups", *group, &command.gid_map, "gid_map"))
    }

    /// A cgroup where something needs one: limits, killing, or a list of devices.
    fn cgroup(&self) -> Option<Choice> {
        let command = self.command;
        let device_makers = [Capability::Mknod, Capability::SysAdmin];
        let guards_devices = !self.is_private(Namespace::User)
            && device_makers
                .iter()
                .any(|one| command.process.capabilities.contains(*one));
        let needed = command.limits.is_some()
            || command.cgroup.is_some()
            || !self.is_new(Namespace::Pid)
            || guards_devices;
        needed.then(|| Choice {
            path: command.cgroup.clone(),
            limits: command.limits.clone().unwrap_or_default(),
        })
    }

    fn spec(&self, has_cgroup: bool) -> Result<Spec> {
        let command = self.command;
        let namespaces = Namespace::ALL.into_iter().filter(|one| self.is_new(*one));
        let hides = command.hidden_paths && self.is_private(Namespace::Mount);
        let usual = spec::default_spec().linux.unwrap_or_default();
        let hidden = |paths: Vec<String>| if hides { paths } else { Vec::new() };
        let path = command.cgroup.as_ref().map(ToString::to_string);
        let linux = Linux {
            uid_mappings: command.uid_map.clone(),
            gid_mappings: command.gid_map.clone(),
            cgroups_path: has_cgroup.then(|| path.unwrap_or_else(|| UNNAMED_CGROUP.to_owned())),
            namespaces: namespaces
                .map(|one| spec::Namespace::new(one.kind()))
                .collect(),
            seccomp: command.seccomp.clone(),
            masked_paths: hidden(usual.masked_paths),
            readonly_paths: hidden(usual.readonly_paths),
            ..Linux::default()
        };
        Ok(Spec {
            oci_version: spec::OCI_VERSION.to_owned(),
            process: Some(command.process.to_spec()?),
            root: Some(spec::Root {
                path: absolute("root", &self.root.path)?,
                readonly: self.root.read_only,
            }),
            hostname: command.hostname.clone(),
            mounts: self.mounts(has_cgroup)?,
            linux: Some(linux),
            ..Spec::default()
        })
    }

    fn mounts(&self, has_cgroup: bool) -> Result<Vec<spec::Mount>> {
        let command = self.command;
        let mut mounts = if command.default_mounts {
            self.usual_mounts(has_cgroup)
        } else {
            Vec::new()
        };
        for (index, mount) in command.mounts.iter().enumerate() {
            mounts.push(mount.to_spec(index)?);
        }
        Ok(mounts)
    }

    fn usual_mounts(&self, has_cgroup: bool) -> Vec<spec::Mount> {
        // A new sysfs belongs to a network namespace, and takes the right to it.
        let borrows_sysfs = self.is_private(Namespace::User) && !self.is_new(Namespace::Network);
        let from = if borrows_sysfs {
            spec::rootless_spec(0, 0)
        } else {
            spec::default_spec()
        };
        let mut mounts = from.mounts;
        mounts.retain(|mount| has_cgroup || mount.destination != "/sys/fs/cgroup");
        mounts
    }

    fn options(&self, cgroup: Option<&Choice>) -> Options {
        let mut options = Options::new("/").gate(false);
        let joined = self.joined.iter().enumerate();
        options.given_namespaces = joined
            .map(|(given, (one, _))| (one.flag(), given))
            .collect();
        if self.command.process.pty.is_none() {
            let first = self.joined.len();
            options.stdio = [0, 1, 2].map(|number| Some(first + number));
        }
        options.ready = false;
        options.chroot = self.root.chroot;
        options.no_cgroup = cgroup.is_none();
        options.limits = cgroup.map(|choice| choice.limits.clone());
        options.unnamed_keyring = true;
        // As any child of its.
        options.keep_affinity = true;
        // Device nodes would be made in the caller's own directory.
        options.no_devices = !self.command.default_mounts
            && !self
                .command
                .mounts
                .iter()
                .any(|mount| mount.target() == "/dev");
        if self.is_private(Namespace::Mount) {
            options.root_attr = libc::MOUNT_ATTR_NODEV;
            if self.command.process.no_new_privs {
                options.root_attr |= libc::MOUNT_ATTR_NOSUID;
            }
        }
        options
    }
}

fn mapped(field: &str, id: u32, map: &[IdMapping], method: &str) -> Result<()> {
    let holds = |line: &IdMapping| {
        id >= line.container_id
            && u64::from(id) < u64::from(line.container_id) + u64::from(line.size)
    };
    if map.iter().any(holds) {
        return Ok(());
    }
    Err(Error::invalid(
        field,
        format!("{id} is not there: {method} does not map it"),
    ))
}
