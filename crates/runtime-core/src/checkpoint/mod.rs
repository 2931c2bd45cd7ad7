//! Containers that are written to disk and come back from there, by criu (<https://criu.org>).
//!
//! criu is a program of its own: it stops the processes, reads all that the kernel knows of them,
//! and writes it into files, the images; or it makes processes from images. What it is told here,
//! and what is kept in the images beside its own files, is as runc has it, so either restores what
//! the other has written.

mod criu;
mod dump;
mod host_options;
mod mounts;
mod protobuf;
mod restore;
mod rpc;
mod streams;

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::error::{Context, Result};
use protobuf::Message;
use rpc::option;

pub use dump::{CheckpointOptions, PageServer};
pub use restore::RestoreOptions;

/// The file in the images that says what the first process's standard streams were.
const DESCRIPTORS: &str = "descriptors.json";

/// criu's own options for containers, where an annotation names no others. What it says there
/// holds against what it is told here.
const CONFIG_FILE: &str = "/etc/criu/runc.conf";

/// The annotation that names another such file, or, empty, none.
const CONFIG_ANNOTATION: &str = crate::features::CRIU_CONFIG;

/// What criu does about cgroups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CgroupsMode {
    /// criu's own choice, which is `Soft`.
    #[default]
    Usual,
    /// Nothing: what is restored stays in the new container's cgroup.
    Ignore,
    /// What was below the container's cgroup is made; its properties, where it had to be made.
    Soft,
    /// It is made, and its properties are set in any case.
    Full,
    /// Nothing may be there already.
    Strict,
}

impl CgroupsMode {
    fn number(self) -> u32 {
        match self {
            Self::Ignore => 0,
            Self::Soft => 3,
            Self::Full => 4,
            Self::Strict => 5,
            Self::Usual => 6,
        }
    }
}

/// How criu keeps the network still meanwhile, where there are open TCP connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetworkLock {
    /// By `iptables`.
    Iptables,
    /// By nftables.
    Nftables,
    /// Not at all.
    Skip,
}

impl NetworkLock {
    fn number(self) -> u32 {
        match self {
            Self::Iptables => 1,
            Self::Nftables => 2,
            Self::Skip => 3,
        }
    }
}

/// What checkpoint and restore have in common, each as criu's option of that name.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CriuOptions {
    /// The directory of the images. Where the container has a user namespace, its root has to be able to
    /// search it when it is restored.
    pub image_path: PathBuf,
    /// Where criu works and keeps its log, if not with the images.
    pub work_path: Option<PathBuf>,
    /// Whether open TCP connections may be among it.
    pub tcp_established: bool,
    /// Whether unix sockets may be connected to others outside.
    pub ext_unix_sk: bool,
    /// Whether its session leader or terminal may be outside, as with a shell's job.
    pub shell_job: bool,
    /// Whether file locks may be among it, which nobody outside must hold, too.
    pub file_locks: bool,
    /// Whether memory comes over when it is used first.
    pub lazy_pages: bool,
    /// Whether memory that a later image has as well goes from the earlier one.
    pub auto_dedup: bool,
    /// What is done about cgroups.
    pub cgroups_mode: CgroupsMode,
    /// How the network is kept still; otherwise as criu likes it.
    pub network_lock: Option<NetworkLock>,
}

impl CriuOptions {
    /// The usual, with images in this directory.
    pub fn new(image_path: impl Into<PathBuf>) -> Self {
        Self {
            image_path: image_path.into(),
            work_path: None,
            tcp_established: false,
            ext_unix_sk: false,
            shell_job: false,
            file_locks: false,
            lazy_pages: false,
            auto_dedup: false,
            cgroups_mode: CgroupsMode::default(),
            network_lock: None,
        }
    }

    /// criu's options so far.
    fn message(&self, directories: &Directories, annotation: Option<&String>) -> Message {
        let mut message = Message::default();
        message.number(option::IMAGES_DIR_FD, number_of(&directories.images));
        if let Some(work) = &directories.work {
            message.number(option::WORK_DIR_FD, number_of(work));
        }
        message.number(option::LOG_LEVEL, 4);
        message.text(option::LOG_FILE, directories.log_name);
        message.flag(option::NOTIFY_SCRIPTS, true);
        message.flag(option::TCP_ESTABLISHED, self.tcp_established);
        message.flag(option::EXT_UNIX_SK, self.ext_unix_sk);
        message.flag(option::SHELL_JOB, self.shell_job);
        message.flag(option::FILE_LOCKS, self.file_locks);
        message.flag(option::LAZY_PAGES, self.lazy_pages);
        message.flag(option::AUTO_DEDUP, self.auto_dedup);
        message.flag(option::MANAGE_CGROUPS, true);
        let mode = self.cgroups_mode.number();
        message.number(option::MANAGE_CGROUPS_MODE, mode);
        message.flag(option::ORPHAN_PTS_MASTER, true);
        // The network is others' business: they set it up anew around what is restored.
        message.number(option::EMPTY_NS, libc::CLONE_NEWNET as u32);
        if let Some(method) = self.network_lock {
            message.number(option::NETWORK_LOCK, method.number());
        }
        match annotation.map_or(CONFIG_FILE, String::as_str) {
            "" => {}
            file => message.text(option::CONFIG_FILE, file),
        }
        message
    }
}

/// Where criu writes or reads; it opens them by way of this process.
#[derive(Debug)]
struct Directories {
    images: OwnedFd,
    work: Option<OwnedFd>,
    log_name: &'static str,
    /// criu's log.
    log: PathBuf,
}

impl Directories {
    fn open(options: &CriuOptions, log_name: &'static str) -> Result<Self> {
        let work = options.work_path.as_deref();
        if let Some(work) = work {
            make_private(work)?;
        }
        Ok(Self {
            images: open_directory(&options.image_path)?,
            work: work.map(open_directory).transpose()?,
            log_name,
            log: work.unwrap_or(&options.image_path).join(log_name),
        })
    }
}

/// Descriptors are never negative.
fn number_of(fd: &OwnedFd) -> u32 {
    fd.as_raw_fd().unsigned_abs()
}

/// Images hold all of a container's memory.
#[expect(
    clippy::disallowed_methods,
    reason = "the caller's own directory for criu's images"
)]
fn make_private(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = std::fs::DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(path)
        .context(|| format!("make {}", path.display()))
}

fn open_directory(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).context(|| format!("open {}", path.display()))
}

/// The key by which criu knows a namespace that is not its business.
fn namespace_key(name: &str) -> &'static str {
    match name {
        "pid" => "extRootPidNS",
        _ => "extRootNetNS",
    }
}
