//! The typed builder: something isolated, as easily as with [`std::process::Command`], without a
//! bundle on disk.
//!
//! [`Command`] says what is wanted, [`Command::build`] checks it and compiles it once, and
//! [`Prepared::spawn`] runs it as often as wanted. A [`Child`] is a sandbox that runs.

mod build;
mod capability;
mod capture;
mod cgroup;
mod child;
mod control;
mod fields;
mod handle;
mod mount;
mod namespace;
mod prepared;
mod process;
mod resource;
mod root;
mod status;
mod stdio;

use std::path::Path;

use orlop_cgroups::{CgroupPath, Limits};

use crate::error::{Error, Result};
use crate::spec::{IdMapping, Seccomp};
use process::process_methods;

pub use capability::{Capabilities, Capability};
pub use capture::Output;
pub use child::{Child, Detached};
pub use mount::{Bind, FileSystem, Mount, Tmpfs};
pub use namespace::{Isolation, Namespace};
pub use prepared::Prepared;
pub use process::Process;
pub use resource::Resource;
pub use root::Root;
pub use status::ExitStatus;
pub use stdio::{Stdio, TerminalSize};

/// A program to run in a sandbox of its own.
///
/// What is not said is safe: all namespaces are new but the user namespace, the program has no
/// capability and can't gain any, nothing of the caller's environment or groups is there, device files
/// in the root have no effect, and what tells about the host below `/proc` and `/sys` is hidden. A
/// network namespace has nothing but an interface of its own, `lo`. What is not said of its *use* is
/// as open as for any program: set [`limits`](Self::limits) and a [`timeout`](Self::timeout) for
/// programs that can't be trusted, and for the strongest isolation run as another
/// [`user`](Self::user) or in a [user namespace](Self::uid_map).
///
/// The caller may have any number of threads. Nothing of its own changes: working directory, umask,
/// limits, environment, signal mask, descriptors.
///
/// Any user can run something in a user namespace, here in a read-only view of the host's own files:
///
/// ```
/// use orlop::{Command, Root};
///
/// let output = Command::new("/bin/sh")
///     .args(["-c", "echo pid $$"])
///     .root(Root::pivot("/").read_only())
///     .map_self_to_root()
///     .output()?;
/// assert_eq!(output.stdout, b"pid 1\n");
/// # Ok::<(), orlop::Error>(())
/// ```
///
/// A privileged caller can set more apart:
///
/// ```no_run
/// use orlop::{Command, Mount, Root, cgroups::{Bytes, Limits}};
/// use std::time::Duration;
///
/// let output = Command::new("/bin/sh")
///     .args(["-c", "hostname; id -u; touch /root || echo read-only"])
///     .root(Root::pivot("/srv/images/alpine").read_only())
///     .default_mounts()
///     .mount(Mount::tmpfs("/tmp").size(Bytes::mib(16)))
///     .hostname("sandbox")
///     .user(1000, 1000)
///     .limits(Limits::new().memory_limit(Bytes::mib(64)).pids_limit(32u64))
///     .timeout(Duration::from_secs(2))
///     .output()?;
/// assert!(output.status.success());
/// # Ok::<(), orlop::Error>(())
/// ```
///
/// What makes no sense does not compile. A kind of mount has its own options alone:
///
/// ```compile_fail,E0599
/// # use orlop::{Command, Mount, Root, cgroups::Bytes};
/// Command::new("sh").root(Root::pivot("/srv")).mount(Mount::proc("/proc").size(Bytes::mib(16)));
/// ```
///
/// ```compile_fail,E0599
/// # use orlop::{Command, Mount, Root};
/// Command::new("sh").root(Root::pivot("/srv")).mount(Mount::tmpfs("/tmp").recursive());
/// ```
///
/// Memory and time have units:
///
/// ```compile_fail,E0277
/// # use orlop::{Command, Root, cgroups::Limits};
/// Command::new("sh").root(Root::pivot("/srv")).limits(Limits::new().memory_limit(64));
/// ```
///
/// ```compile_fail,E0308
/// # use orlop::{Command, Root};
/// Command::new("sh").root(Root::pivot("/srv")).timeout(2);
/// ```
///
/// What enters a sandbox has no root, mounts or limits of its own:
///
/// ```compile_fail,E0599
/// # use orlop::{Process, Root};
/// Process::new("sh").root(Root::pivot("/srv"));
/// ```
///
/// What is checked can't be changed any more:
///
/// ```compile_fail,E0599
/// # use orlop::{Command, Root};
/// Command::new("sh").root(Root::pivot("/srv")).build()?.no_new_privs(false);
/// # Ok::<(), orlop::Error>(())
/// ```
///
/// Who gives a sandbox away does not wait for it:
///
/// ```compile_fail,E0382
/// # use orlop::{Command, Root};
/// let mut child = Command::new("sh").root(Root::pivot("/srv")).spawn()?;
/// child.detach()?;
/// child.wait()?;
/// # Ok::<(), orlop::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Command {
    process: Process,
    root: Option<Root>,
    /// In the order of [`Namespace::ALL`].
    namespaces: [Option<Isolation>; Namespace::ALL.len()],
    uid_map: Vec<IdMapping>,
    gid_map: Vec<IdMapping>,
    default_mounts: bool,
    mounts: Vec<Mount>,
    hostname: Option<String>,
    limits: Option<Limits>,
    cgroup: Option<CgroupPath>,
    seccomp: Option<Seccomp>,
    hidden_paths: bool,
}

impl Command {
    /// A program: a path in the sandbox, or a name that is looked for in the directories of `PATH`.
    pub fn new(program: impl Into<String>) -> Self {
        Process::new(program).into()
    }

    process_methods!(.process);

    /// The root directory. There is no default.
    pub fn root(mut self, root: Root) -> Self {
        self.root = Some(root);
        self
    }

    /// Where a namespace comes from. Default: [`Isolation::New`], but for the user namespace
    /// [`Isolation::Host`].
    pub fn namespace(mut self, namespace: Namespace, from: Isolation) -> Self {
        self.namespaces[namespace as usize] = Some(from);
        self
    }

    /// Makes `count` users from `outside` on appear as `inside` and following, in a user namespace of
    /// the sandbox's own (`user_namespaces(7)`). Root of the sandbox has to be among them.
    ///
    /// A caller without privilege may map its own user and group alone, or what `/etc/subuid` and
    /// `/etc/subgid` give it (with Debian's package uidmap).
    pub fn uid_map(mut self, inside: u32, outside: u32, count: u32) -> Self {
        self.uid_map.push(IdMapping {
            container_id: inside,
            host_id: outside,
            size: count,
        });
        self
    }

    /// As [`uid_map`](Self::uid_map), for groups.
    pub fn gid_map(mut self, inside: u32, outside: u32, count: u32) -> Self {
        self.gid_map.push(IdMapping {
            container_id: inside,
            host_id: outside,
            size: count,
        });
        self
    }

    /// A user namespace in which the caller's own user and group are root, and nobody else is there:
    /// what any unprivileged caller can have.
    pub fn map_self_to_root(mut self) -> Self {
        let own = |host_id| {
            vec![IdMapping {
                container_id: 0,
                host_id,
                size: 1,
            }]
        };
        self.uid_map = own(rustix::process::geteuid().as_raw());
        self.gid_map = own(rustix::process::getegid().as_raw());
        self
    }

    /// Mounts what programs expect: `/proc`, `/dev` with its usual devices, `/dev/pts`, `/dev/shm`,
    /// `/dev/mqueue`, `/sys`, and where the sandbox has a cgroup of its own `/sys/fs/cgroup`. They come
    /// before all others.
    pub fn default_mounts(mut self) -> Self {
        self.default_mounts = true;
        self
    }

    /// Mounts something, after what was asked for before.
    pub fn mount(mut self, mount: impl Into<Mount>) -> Self {
        self.mounts.push(mount.into());
        self
    }

    /// The host name that the sandbox sees. Default: as the host's at that time.
    pub fn hostname(mut self, name: impl Into<String>) -> Self {
        self.hostname = Some(name.into());
        self
    }

    /// Limits for all of the sandbox's processes together. It gets a cgroup of its own, which is
    /// removed with the [`Child`]; in it, devices other than the usual ones can't be used.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Where the sandbox's cgroup is. Only one sandbox can be in it at a time. Default: where it
    /// needs one, a new name below the caller's own cgroup (on pure v2: beside it).
    pub fn cgroup(mut self, path: CgroupPath) -> Self {
        self.cgroup = Some(path);
        self
    }

    /// A system call filter. It holds for programs that enter the sandbox later, too.
    pub fn seccomp(mut self, seccomp: Seccomp) -> Self {
        self.seccomp = Some(seccomp);
        self
    }

    /// Whether what tells about the host below `/proc` and `/sys`, or acts on it, is hidden or
    /// read-only. Default: true, where the sandbox has a mount namespace of its own.
    pub fn hidden_paths(mut self, on: bool) -> Self {
        self.hidden_paths = on;
        self
    }

    /// Checks everything and compiles it, for any number of sandboxes.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the method whose value makes no sense; others say what can't be had.
    pub fn build(&self) -> Result<Prepared> {
        build::build(self)
    }

    /// Starts one sandbox; returns once its program runs.
    ///
    /// # Errors
    /// As [`build`](Self::build) and [`Prepared::spawn`].
    pub fn spawn(&self) -> Result<Child> {
        self.build()?.spawn()
    }

    /// Runs the program to its end, and captures what it writes.
    ///
    /// # Errors
    /// As [`build`](Self::build) and [`Prepared::output`].
    pub fn output(&self) -> Result<Output> {
        self.build()?.output()
    }

    /// Runs the program to its end.
    ///
    /// # Errors
    /// As [`build`](Self::build), [`Prepared::spawn`] and [`Child::wait`].
    pub fn status(&self) -> Result<ExitStatus> {
        self.spawn()?.wait()
    }
}

impl From<Process> for Command {
    /// Runs it in a sandbox of its own.
    fn from(process: Process) -> Self {
        Self {
            process,
            root: None,
            namespaces: [const { None }; Namespace::ALL.len()],
            uid_map: Vec::new(),
            gid_map: Vec::new(),
            default_mounts: false,
            mounts: Vec::new(),
            hostname: None,
            limits: None,
            cgroup: None,
            seccomp: None,
            hidden_paths: true,
        }
    }
}

/// The path from the root on, as text: what a specification holds.
fn absolute(field: &str, path: &Path) -> Result<String> {
    let absolute = std::path::absolute(path)
        .map_err(|error| Error::system(format!("{field}: make {path:?} absolute"), error))?;
    match absolute.into_os_string().into_string() {
        Ok(text) => Ok(text),
        Err(path) => Err(Error::invalid(field, format!("{path:?} is not UTF-8"))),
    }
}
