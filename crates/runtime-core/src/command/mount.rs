//! What is mounted in a sandbox. Each kind has its own type, so that options of one can't be given
//! to another.

use std::path::{Path, PathBuf};

use orlop_cgroups::Bytes;

use super::absolute;
use crate::error::{Error, Result};
use crate::spec;

/// Something mounted in a sandbox. The target is made when it is missing; links in it stay inside
/// the sandbox's root.
///
/// ```
/// use orlop::{Mount, cgroups::Bytes};
///
/// let mounts = [
///     Mount::proc("/proc"),
///     Mount::tmpfs("/tmp").size(Bytes::mib(16)).into(),
///     Mount::bind("/srv/data", "/data").read_only().into(),
/// ];
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Mount {
    kind: Kind,
    target: PathBuf,
    options: Vec<String>,
}

#[derive(Debug, Clone)]
enum Kind {
    FileSystem { kind: String, source: String },
    Bind { source: PathBuf },
}

impl Mount {
    fn new(kind: &str, target: PathBuf, options: &[&str]) -> Self {
        Self {
            kind: Kind::FileSystem {
                kind: kind.to_owned(),
                source: kind.to_owned(),
            },
            target,
            options: options.iter().map(|&option| option.to_owned()).collect(),
        }
    }

    /// The processes of the sandbox's PID namespace (`proc(5)`).
    pub fn proc(target: impl Into<PathBuf>) -> Self {
        Self::new("proc", target.into(), &["nosuid", "noexec", "nodev"])
    }

    /// The kernel's view of devices, read-only (`sysfs(5)`). In a user namespace it needs a network
    /// namespace of its own.
    pub fn sysfs(target: impl Into<PathBuf>) -> Self {
        Self::new("sysfs", target.into(), &["nosuid", "noexec", "nodev", "ro"])
    }

    /// Terminals of the sandbox's own (`pts(4)`).
    pub fn devpts(target: impl Into<PathBuf>) -> Self {
        let options = [
            "nosuid",
            "noexec",
            "newinstance",
            "ptmxmode=0666",
            "mode=0620",
            "gid=5",
        ];
        Self::new("devpts", target.into(), &options)
    }

    /// POSIX message queues of the sandbox's IPC namespace (`mq_overview(7)`).
    pub fn mqueue(target: impl Into<PathBuf>) -> Self {
        Self::new("mqueue", target.into(), &["nosuid", "noexec", "nodev"])
    }

    /// The sandbox's own cgroup, read-only (`cgroups(7)`). Without one of its own, what the caller
    /// sees.
    pub fn cgroup(target: impl Into<PathBuf>) -> Self {
        Self::new(
            "cgroup",
            target.into(),
            &["nosuid", "noexec", "nodev", "relatime", "ro"],
        )
    }

    /// An empty file system in memory (`tmpfs(5)`).
    pub fn tmpfs(target: impl Into<PathBuf>) -> Tmpfs {
        Tmpfs {
            mount: Self::new("tmpfs", target.into(), &["nosuid", "nodev"]),
        }
    }

    /// A file or directory of the caller's. A relative source counts from the caller's working
    /// directory at [`build`](super::Command::build).
    pub fn bind(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Bind {
        Bind {
            source: source.into(),
            target: target.into(),
            read_only: false,
            recursive: false,
            suid: false,
            devices: false,
            exec: true,
        }
    }

    /// Any other file system, by the name of `filesystems(5)`.
    pub fn file_system(
        kind: impl Into<String>,
        source: impl Into<String>,
        target: impl Into<PathBuf>,
    ) -> FileSystem {
        let kind = Kind::FileSystem {
            kind: kind.into(),
            source: source.into(),
        };
        let options = ["nosuid", "nodev"].map(str::to_owned).into();
        FileSystem {
            mount: Self {
                kind,
                target: target.into(),
                options,
            },
        }
    }

    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    pub(super) fn is_devpts(&self) -> bool {
        matches!(&self.kind, Kind::FileSystem { kind, .. } if kind == "devpts")
    }

    pub(super) fn to_spec(&self, index: usize) -> Result<spec::Mount> {
        let field = || format!("mount[{index}]");
        if !self.target.is_absolute() {
            let message = format!("the target {:?} is not an absolute path", self.target);
            return Err(Error::invalid(field(), message));
        }
        let (kind, source) = match &self.kind {
            Kind::FileSystem { kind, source } => (kind.clone(), source.clone()),
            Kind::Bind { source } => ("bind".to_owned(), absolute(&field(), source)?),
        };
        Ok(spec::Mount {
            destination: absolute(&field(), &self.target)?,
            kind: Some(kind),
            source: Some(source),
            options: self.options.clone(),
            ..spec::Mount::default()
        })
    }
}

/// A file system in memory, from [`Mount::tmpfs`].
#[derive(Debug, Clone)]
#[must_use]
pub struct Tmpfs {
    mount: Mount,
}

impl Tmpfs {
    /// At most so much memory; without it, half of the host's.
    pub fn size(self, size: Bytes) -> Self {
        self.option(format!("size={size}"))
    }

    /// Permissions of its root directory, such as `0o1777`; without it, those of the directory that
    /// it covers.
    pub fn mode(self, mode: u32) -> Self {
        self.option(format!("mode={mode:o}"))
    }

    /// Owner of its root directory, in the sandbox.
    pub fn owner(self, uid: u32, gid: u32) -> Self {
        self.option(format!("uid={uid}"))
            .option(format!("gid={gid}"))
    }

    /// Lets no program in it be executed.
    pub fn no_exec(self) -> Self {
        self.option("noexec".to_owned())
    }

    fn option(mut self, option: String) -> Self {
        self.mount.options.push(option);
        self
    }
}

impl From<Tmpfs> for Mount {
    fn from(tmpfs: Tmpfs) -> Self {
        tmpfs.mount
    }
}

/// A file or directory of the caller's, from [`Mount::bind`]. Set-id bits and device files in it
/// have no effect unless they are allowed. What the caller mounts below it later stays outside.
#[derive(Debug, Clone)]
#[must_use]
pub struct Bind {
    source: PathBuf,
    target: PathBuf,
    read_only: bool,
    recursive: bool,
    suid: bool,
    devices: bool,
    exec: bool,
}

impl Bind {
    /// Lets nobody in the sandbox write to it, nor to what is mounted below.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Takes along what is mounted below the source.
    pub fn recursive(mut self) -> Self {
        self.recursive = true;
        self
    }

    /// Gives set-id bits their effect, where [`no_new_privs`](super::Command::no_new_privs) is off.
    pub fn allow_suid(mut self) -> Self {
        self.suid = true;
        self
    }

    /// Lets device files in it be opened, such as a single one that is bound: `/dev/fuse`. A sandbox
    /// with a cgroup of its own needs a [rule](orlop_cgroups::Limits::device_rules) for it, too.
    pub fn allow_devices(mut self) -> Self {
        self.devices = true;
        self
    }

    /// Lets no program in it be executed.
    pub fn no_exec(mut self) -> Self {
        self.exec = false;
        self
    }
}

impl From<Bind> for Mount {
    fn from(bind: Bind) -> Self {
        // The form with an `r` holds for what is mounted below, too.
        let attributes = [
            (bind.read_only, "ro", "rro"),
            (!bind.suid, "nosuid", "rnosuid"),
            (!bind.devices, "nodev", "rnodev"),
            (!bind.exec, "noexec", "rnoexec"),
        ];
        let chosen = attributes.into_iter().filter(|(chosen, ..)| *chosen);
        let mut options: Vec<_> = chosen
            .map(|(_, one, all)| if bind.recursive { all } else { one }.to_owned())
            .collect();
        options.push(if bind.recursive { "rbind" } else { "bind" }.to_owned());
        options.push("rprivate".to_owned());
        Self {
            kind: Kind::Bind {
                source: bind.source,
            },
            target: bind.target,
            options,
        }
    }
}

/// A file system by name, from [`Mount::file_system`]. Set-id bits and device files in it have no
/// effect.
#[derive(Debug, Clone)]
#[must_use]
pub struct FileSystem {
    mount: Mount,
}

impl FileSystem {
    /// An option as `mount(8)` takes it, such as `ro` or `lowerdir=/a:/b`.
    pub fn option(mut self, option: impl Into<String>) -> Self {
        self.mount.options.push(option.into());
        self
    }
}

impl From<FileSystem> for Mount {
    fn from(file_system: FileSystem) -> Self {
        file_system.mount
    }
}
