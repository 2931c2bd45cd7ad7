//! What a test may leave behind: nothing.
//!
//! A census is taken before a test, and asserts afterwards that no process, cgroup, mount,
//! namespace or file is left that is the test's. It tells by the test's tag, which is part of
//! every id, path and environment the test uses, never by a program's name: other tests, and other
//! people's containers, run on the same machine. So a few things can't be told whose they are, and are
//! not counted: cgroups that are removed and not gone yet (the kernel has their number alone), loaded BPF
//! programs, network links, and System V objects of the host's IPC namespace. Those of a container end
//! with its namespaces and cgroup, which are counted; a test that lends a link looks for it itself.

mod cgroups;
mod keys;
mod mounts;
mod processes;
mod settings;

use crate::patience::{patient, until};
pub(crate) use cgroups::remove as remove_cgroup;
use mounts::Mounts;
use settings::Settings;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// The environment variable that carries the tag into every process a test starts.
pub const TAG_VARIABLE: &str = "ORLOP_TEST_TAG";

/// Folders in which a runtime might leave files; searched for names with the tag.
const SHARED_FOLDERS: [&str; 5] = ["/dev/shm", "/run", "/run/lock", "/tmp", "/var/tmp"];

/// What may stay in a state root: ours keeps compiled filters there for all containers to come, crun
/// an empty folder.
const ALLOWED: [&str; 2] = [".empty-directory", "@seccomp"];

/// How long a killed process may take to be reaped by its parent, which is not the runtime.
const REAPING: Duration = Duration::from_secs(2);

/// Something left behind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leak {
    /// A process with this id, and why it is taken for ours.
    Process(u32, String),
    /// A process that has ended and waits for its parent to look.
    Zombie(u32, String),
    /// A cgroup's directory.
    Cgroup(PathBuf),
    /// A line of a mount table.
    Mount(String),
    /// A mount of the host's that isn't as it was: before, after.
    HostMount(String, Option<String>),
    /// A mount that is new, at a folder of the system.
    NewMount(String),
    /// A setting below `/proc/sys`: before, after.
    Setting(String, String, String),
    /// A namespace of a tracked process, and what keeps it.
    Namespace(String, String),
    /// A file or folder.
    File(PathBuf),
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(pid, why) => write!(f, "process {pid}: {why}"),
            Self::Zombie(pid, why) => write!(f, "zombie {pid}: {why}"),
            Self::Cgroup(path) => write!(f, "cgroup {}", path.display()),
            Self::Mount(line) => write!(f, "mount {line}"),
            Self::HostMount(before, Some(after)) => {
                write!(f, "host's mount was\n    {before}\n  is\n    {after}")
            }
            Self::HostMount(before, None) => write!(f, "host's mount is gone: {before}"),
            Self::NewMount(line) => write!(f, "new mount {line}"),
            Self::Setting(name, before, after) => {
                write!(f, "/proc/sys/{name} was `{before}`, is `{after}`")
            }
            Self::Namespace(name, holder) => write!(f, "namespace {name} held by {holder}"),
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

/// The state of the host before a test, and what is the test's own.
#[derive(Debug)]
pub struct Census {
    tag: String,
    own_folders: Vec<PathBuf>,
    own_files: PathBuf,
    mounts: Mounts,
    settings: Settings,
    namespaces: BTreeSet<String>,
    /// Namespaces that outlast the test's processes in them.
    not_ours: BTreeSet<String>,
    /// Keeps their numbers from being used for others meanwhile.
    pins: Vec<File>,
}

impl Census {
    /// Looks at the host. `tag` is in every id and path of the test; `own_files` is the test's own
    /// folder, which may stay; `emptied` are the folders that have to be empty in the end.
    ///
    /// # Errors
    /// When `/proc` can't be read.
    pub fn take(tag: &str, own_files: &Path, emptied: &[PathBuf]) -> io::Result<Self> {
        Ok(Self {
            tag: tag.to_owned(),
            own_folders: emptied.to_vec(),
            own_files: own_files.to_path_buf(),
            mounts: Mounts::read()?,
            settings: Settings::read(),
            namespaces: BTreeSet::new(),
            not_ours: processes::namespaces("self"),
            pins: Vec::new(),
        })
    }

    /// Remembers the namespaces of a running container's process: they have to be gone in the end.
    /// Those that it shares with the caller, or that are [passed over](Self::pass_over), don't count.
    pub fn track(&mut self, pid: u32) {
        let theirs = processes::namespaces(&pid.to_string());
        for name in theirs.difference(&self.not_ours) {
            let kind = name.split(':').next().unwrap_or_default();
            self.pins
                .extend(File::open(format!("/proc/{pid}/ns/{kind}")));
            self.namespaces.insert(name.clone());
        }
    }

    /// Takes the namespaces of this process for somebody else's.
    pub fn pass_over(&mut self, pid: u32) {
        self.not_ours
            .extend(processes::namespaces(&pid.to_string()));
    }

    /// Lets go of the namespaces that were found gone: the files that kept their numbers keep them, too.
    pub fn forget_namespaces(&mut self) {
        self.namespaces.clear();
        self.pins.clear();
    }

    /// Everything left behind, sorted.
    ///
    /// # Errors
    /// When `/proc` or a cgroup file system can't be read.
    pub fn leaks(&self) -> io::Result<Vec<Leak>> {
        let mut leaks = processes::leaks(&self.tag, &self.namespaces)?;
        leaks.extend(cgroups::tagged(&self.tag)?.into_iter().map(Leak::Cgroup));
        leaks.extend(self.mounts.leaks(&self.tag, &self.namespaces)?);
        leaks.extend(self.settings.leaks());
        leaks.extend(self.files()?.into_iter().map(Leak::File));
        leaks.sort();
        Ok(leaks)
    }

    /// The same, after zombies had time to be reaped by whoever is their parent.
    ///
    /// # Errors
    /// As [`Census::leaks`].
    pub fn settled_leaks(&self) -> io::Result<Vec<Leak>> {
        let end = Instant::now() + patient(REAPING);
        loop {
            let leaks = self.leaks()?;
            let waiting = leaks.iter().any(|leak| matches!(leak, Leak::Zombie(..)));
            if !waiting || Instant::now() >= end {
                return Ok(leaks);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Fails the test, listing everything left behind.
    ///
    /// # Panics
    /// When anything is left, or can't be told.
    #[track_caller]
    pub fn assert_clean(&self) {
        let leaks = self.settled_leaks().expect("take a census");
        let list: Vec<String> = leaks.iter().map(|leak| format!("  {leak}")).collect();
        assert!(leaks.is_empty(), "left behind:\n{}", list.join("\n"));
    }

    /// Fails the test if a keyring of its containers stays. Apart from the rest, since the kernel takes its
    /// time to collect those that nobody has any more, and an open file keeps that of its opener.
    ///
    /// # Panics
    /// When one stays, or can't be told.
    #[track_caller]
    pub fn assert_no_keyring(&self) {
        let left = || keys::tagged(&self.tag).expect("read /proc/keys");
        let gone = until(|| left().is_empty());
        assert!(gone, "keyrings left behind:\n  {}", left().join("\n  "));
    }

    /// Removes what a failed test has left, as far as possible: kills its processes, unmounts its
    /// mounts, removes its cgroups. Files go with the test's folder.
    pub fn clear(&self) {
        for _ in 0..10 {
            let Ok(leaks) = self.leaks() else { return };
            if leaks.is_empty() {
                return;
            }
            for leak in &leaks {
                match leak {
                    Leak::Process(pid, _) => processes::kill(*pid),
                    Leak::Cgroup(path) => cgroups::remove(path),
                    Leak::Mount(line) => mounts::unmount(line),
                    _ => {}
                }
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn files(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for folder in &self.own_folders {
            files.extend(entries(folder)?.into_iter().filter(|path| {
                !ALLOWED
                    .iter()
                    .any(|name| path.file_name() == Some(name.as_ref()))
            }));
        }
        for folder in SHARED_FOLDERS {
            files.extend(entries(Path::new(folder))?.into_iter().filter(|path| {
                *path != self.own_files && path.to_string_lossy().contains(&self.tag)
            }));
        }
        Ok(files)
    }
}

/// The caller's open descriptors and what they lead to; for tests of the library in-process.
///
/// # Errors
/// When `/proc/self/fd` can't be read.
pub fn open_descriptors() -> io::Result<BTreeMap<String, PathBuf>> {
    let mut open = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        // The descriptor that lists the folder is gone by then.
        if let Ok(target) = fs::read_link(entry.path()) {
            let own = target.to_string_lossy().ends_with("/fd");
            if !own {
                open.insert(entry.file_name().to_string_lossy().into_owned(), target);
            }
        }
    }
    Ok(open)
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(list) => list.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
