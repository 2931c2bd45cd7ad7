//! A container that comes back from its checkpoint.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::criu::{self, Belongings, Criu};
use super::host_options::HostOptions;
use super::protobuf::Message;
use super::rpc::{self, Kind, Response, option};
use super::streams::Streams;
use super::{CONFIG_ANNOTATION, CriuOptions, Directories, mounts};
use crate::console_socket::ConsoleSocket;
use crate::container::Container;
use crate::creation::{self, Cradle, Making, Revived, Sockets};
use crate::error::{Context, Error, Result};
use crate::host::Host;
use crate::names::{CLONE_NEWTIME, NAMESPACES};
use crate::plan::Plan;
use crate::runtime::{self, CreateOptions, Runtime};
use crate::spec::Spec;
use crate::state::State;
use crate::{spawn, sys, unit};

/// The file in which criu says what it does.
const LOG: &str = "restore.log";

/// From this version on (3.16) a security module's labels can be other ones than before.
const RELABELS: u32 = 31_600;

/// How a container is restored.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RestoreOptions {
    /// The new container. Of no use are descriptors and variables for its program: that runs
    /// already.
    pub create: CreateOptions,
    /// What the checkpoint has as well.
    pub criu: CriuOptions,
    /// Whether TCP connections that were open come back closed.
    pub tcp_close: bool,
    /// The security module's profile or label for its processes, as `apparmor:NAME` or
    /// `selinux:LABEL`.
    pub lsm_profile: Option<String>,
    /// SELinux's label for its mounts.
    pub lsm_mount_context: Option<String>,
}

impl RestoreOptions {
    /// The usual.
    #[must_use]
    pub fn new(create: CreateOptions, criu: CriuOptions) -> Self {
        Self {
            create,
            criu,
            tcp_close: false,
            lsm_profile: None,
            lsm_mount_context: None,
        }
    }
}

impl Runtime {
    /// Makes a container of images that [`Container::checkpoint`] wrote, or runc. It runs when this
    /// returns, and its first process is the caller's child.
    ///
    /// The bundle has to be the one that was checkpointed, or a copy. Standard streams that were
    /// pipes are the caller's now; so are those that were files, which criu takes for files of the
    /// same mode only. Whatever fails, nothing is left of the container.
    ///
    /// Feature `checkpoint`. Takes root, and the program criu.
    ///
    /// # Errors
    /// As [`Runtime::create`]; [`Error::Criu`] says what could not be restored.
    pub fn restore(&self, options: &RestoreOptions) -> Result<Container> {
        let create = &options.create;
        let bundle = create.open_bundle()?;
        let host = Host::probe_for(&bundle.spec)?;
        let plan = runtime::compile(&bundle, create, &host)?;
        if plan.host_root().is_some() {
            return Err(mounts::among_the_hosts());
        }
        spawn::check_rootfs(plan.rootfs.as_deref().unwrap_or(Path::new("/")))?;
        let sockets = Sockets::connect(create, &bundle.spec.annotations)?;
        let version = criu::version()?;
        if version < RELABELS {
            for (field, label) in [
                ("lsm_profile", &options.lsm_profile),
                ("lsm_mount_context", &options.lsm_mount_context),
            ] {
                if label.is_some() {
                    return Err(Error::invalid(field, "takes criu 3.16 or newer"));
                }
            }
        }
        let planned = plan.cgroup.as_ref();
        let planned = planned.and_then(|cgroup| cgroup.unit.as_ref());
        let unit = planned.map(unit::prepare).transpose()?;
        let claim = self.claim(&create.id)?;
        let making = Making {
            options: create,
            bundle: &bundle,
            plan: &plan,
            host: &host,
            filter: None,
        };
        let restoring = Restoring {
            options,
            plan: &plan,
            spec: &bundle.spec,
            host: &host,
        };
        creation::revive(&making, claim, unit, sockets, |cradle, console| {
            restoring.run(cradle, console)
        })
    }
}

/// A restore at work.
struct Restoring<'a> {
    options: &'a RestoreOptions,
    plan: &'a Plan,
    spec: &'a Spec,
    host: &'a Host,
}

impl Restoring<'_> {
    fn run(&self, cradle: &mut Cradle<'_>, console: Option<&ConsoleSocket>) -> Result<Revived> {
        mounts::make_points(self.spec, cradle.state)?;
        let namespaces = Namespaces::of(self.spec)?;
        let streams = Streams::read(&self.options.criu.image_path)?;
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .context(|| "open /dev/null".to_owned())?;
        let _kept = HostOptions::keep();
        let (directories, criu) = self.start(cradle, &namespaces, null.as_fd())?;
        let mut message = self.message(&directories, cradle.state)?;
        streams.replace(&mut message, null.as_raw_fd().unsigned_abs());
        message.text(option::ROOT, &cradle.directory.to_string_lossy());
        namespaces.describe(&mut message);
        if let Some(cgroup) = cradle.cgroup {
            // What criu makes is born where criu is.
            cgroup.add_process(criu.pid())?;
            name_cgroups(&mut message, criu.pid())?;
        }
        let mut terminal = None;
        let mut first = None;
        let notified = |response: &Response, fd: Option<OwnedFd>| {
            match (response.script.as_str(), fd) {
                ("setup-namespaces", _) => cradle.run_hooks(self.plan, response.pid)?,
                ("post-restore", _) => first = Some(Revived::of(response.pid)?),
                ("orphan-pts-master", Some(master)) => match console {
                    Some(socket) => socket.send(master.as_fd(), "/dev/ptmx")?,
                    None => terminal = Some(master),
                },
                _ => {}
            }
            Ok(())
        };
        let request = rpc::request(Kind::Restore, Some(&message));
        let (response, status) = criu.ask(&request, notified)?;
        if !response.success || !status.success() {
            return Err(criu::refusal("restore", &response, &directories.log));
        }
        let mut first = match first {
            Some(first) => first,
            None => Revived::of(response.pid)?,
        };
        first.terminal = terminal;
        note_time_namespace(cradle.state, response.pid);
        Ok(first)
    }

    /// Starts criu with the root file system where it wants it: the root of a mount, in reach.
    ///
    /// The state directory is a place that nobody else needs, and only criu sees what is mounted
    /// there: nothing is left of it, however this ends. The directories have to be criu's, too: it
    /// mounts file systems in them.
    fn start(
        &self,
        cradle: &Cradle<'_>,
        namespaces: &Namespaces,
        null: BorrowedFd<'_>,
    ) -> Result<(Directories, Criu)> {
        let start = || {
            let directories = Directories::open(&self.options.criu, LOG)?;
            let inherited = namespaces.inherited.iter();
            let criu = Criu::start(Belongings {
                keep: inherited.map(|(_, fd)| fd.as_fd()).chain([null]).collect(),
                streams: true,
            })?;
            Ok((directories, criu))
        };
        let (source, target) = (&cradle.state.rootfs, &cradle.directory);
        sys::with_bound(source, target, start)
            .context(|| format!("mount {} for criu", source.display()))?
    }

    fn message(&self, directories: &Directories, state: &State) -> Result<Message> {
        let options = self.options;
        let annotation = self.spec.annotations.get(CONFIG_ANNOTATION);
        let mut message = options.criu.message(directories, annotation);
        message.flag(option::EVASIVE_DEVICES, true);
        message.flag(option::RST_SIBLING, true);
        message.flag(option::TCP_CLOSE, options.tcp_close);
        if let Some(profile) = &options.lsm_profile {
            message.text(option::LSM_PROFILE, profile);
        }
        if let Some(context) = &options.lsm_mount_context {
            message.text(option::LSM_MOUNT_CONTEXT, context);
        }
        for mount in mounts::of_restored(self.spec, state, &self.host.cgroups)? {
            let mount = rpc::pair(&mount.key, &mount.source);
            message.message(option::EXT_MNT, &mount);
        }
        Ok(message)
    }
}

/// Namespaces that are there already.
#[derive(Debug, Default)]
struct Namespaces {
    /// Those that criu gets as descriptors, by its key.
    inherited: Vec<(&'static str, OwnedFd)>,
    /// Those that it joins: their kind, as it calls them, and file.
    joined: Vec<(&'static str, String)>,
}

impl Namespaces {
    fn of(spec: &Spec) -> Result<Self> {
        let mut all = Self::default();
        let linux = spec.linux.iter();
        let namespaces = linux.flat_map(|linux| &linux.namespaces).enumerate();
        for (index, namespace) in namespaces {
            let Some(path) = &namespace.path else {
                continue;
            };
            let kind = namespace.kind.as_str();
            let name = NAMESPACES.iter().find(|(_, name, _)| *name == kind);
            let name = name.map_or("", |(_, _, name)| *name);
            let field = format!("linux.namespaces[{index}].path");
            match name {
                "net" | "pid" => {
                    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
                    let fd = rustix::fs::open(path.as_str(), flags, Mode::empty())
                        .context(|| format!("{field}: open {path}"))?;
                    all.inherited.push((super::namespace_key(name), fd));
                }
                "cgroup" | "mnt" => {
                    let what = "criu can't restore into a namespace of this type";
                    return Err(Error::invalid(field, what));
                }
                _ => all.joined.push((name, path.clone())),
            }
        }
        Ok(all)
    }

    fn describe(&self, message: &mut Message) {
        for (key, fd) in &self.inherited {
            let number = fd.as_raw_fd().unsigned_abs();
            message.message(option::INHERIT_FD, &rpc::numbered(key, number));
        }
        for (name, path) in &self.joined {
            message.message(option::JOIN_NS, &rpc::pair(name, path));
        }
    }
}

/// criu's own cgroups are those that the images' are taken for.
fn name_cgroups(message: &mut Message, criu: u32) -> Result<()> {
    let path = format!("/proc/{criu}/cgroup");
    let table = std::fs::read_to_string(&path).context(|| format!("read {path}"))?;
    for line in table.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        for controller in controllers.split(',') {
            message.message(option::CG_ROOT, &rpc::pair(controller, path));
        }
    }
    Ok(())
}

/// criu gives what it restores clocks of its own, so that they go on as they were.
fn note_time_namespace(state: &mut State, pid: i32) {
    let inode = |pid: &str| rustix::fs::stat(format!("/proc/{pid}/ns/time")).ok();
    if let (Some(own), Some(its)) = (inode("self"), inode(&pid.to_string()))
        && own.st_ino != its.st_ino
        && state.joined_namespaces & CLONE_NEWTIME == 0
    {
        state.new_namespaces |= CLONE_NEWTIME;
    }
}

impl Revived {
    /// The caller's child of this pid, which nobody has waited for.
    fn of(pid: i32) -> Result<Self> {
        let operation = || format!("open the restored process {pid}");
        let id = Pid::from_raw(pid)
            .ok_or(rustix::io::Errno::SRCH)
            .context(operation)?;
        let pidfd = pidfd_open(id, PidfdFlags::empty()).context(operation)?;
        Ok(Self::new(pid, pidfd))
    }
}
