//! The Plan: what will happen, final to the last string.
//!
//! A Plan is a flat list of operations with everything that they name. It is made from a Spec by
//! [`crate::compile`], without privilege and without side effects, and says both what the caller
//! opens ([`Source`]) and what init executes ([`Step`]).

mod build;
mod describe;
mod failed_mount;
mod hints;
mod print;
mod without;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use orlop_cgroups::{CgroupPath, Limits};
use orlop_init::Op;
use orlop_init::wire::{Header, List, MAGIC, NOT_BEGUN, Sink, Slot, Str, VERSION};

use crate::resctrl::Resctrl;
use crate::seccomp::Filter;
use crate::spec;

pub(crate) use build::PlanBuilder;
pub(crate) use describe::os_error;
pub(crate) use hints::{RAISED_LIMIT, of_birth};
pub use print::PlanText;

/// What will happen to make a container: the result of compiling a Spec.
///
/// ```
/// use orlop::{Host, Options, Plan, spec};
///
/// let plan = Plan::compile(&spec::default_spec(), &Options::new("/bundle").id("web".parse()?), &Host::probe()?)?;
/// println!("{}", plan.text());
/// # Ok::<(), orlop::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) sources: Vec<Source>,
    pub(crate) arena: Vec<u8>,
    pub(crate) cells: Vec<u64>,
    /// Namespaces made by clone itself; init makes the others.
    pub(crate) clone_flags: u32,
    /// All namespaces that the container does not share with the caller, as `CLONE_NEW*`.
    pub(crate) new_namespaces: u32,
    /// All namespaces that it joins, as `CLONE_NEW*`.
    pub(crate) joined_namespaces: u32,
    pub(crate) id_maps: Option<IdMaps>,
    pub(crate) net_devices: Vec<MovedDevice>,
    /// Mounts that init clones and the caller gives their attributes.
    pub(crate) lent: Vec<(Slot, Tree)>,
    /// The scheduling policy that the caller gives the process.
    pub(crate) scheduling: Option<Scheduling>,
    pub(crate) cgroup: Option<CgroupPlan>,
    pub(crate) resctrl: Option<Resctrl>,
    pub(crate) seccomp: Option<spec::Seccomp>,
    pub(crate) hooks: spec::Hooks,
    pub(crate) rootfs: Option<PathBuf>,
    pub(crate) annotations: BTreeMap<String, String>,
    /// Resource limits that only the caller can raise: init is in a user namespace.
    pub(crate) raise_limits: Vec<RaisedLimit>,
    /// An out-of-memory score that only the caller can set.
    pub(crate) oom_score_adj: Option<i32>,
    /// What was narrowed or passed over, in sentences for a log.
    pub(crate) warnings: Vec<String>,
    #[cfg(feature = "failpoints")]
    pub(crate) fault: Option<crate::failpoint::Fault>,
}

/// One operation, and the field that asked for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub op: Op,
    pub field: Option<String>,
}

/// The id maps of a new user namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdMaps {
    pub uids: Vec<spec::IdMapping>,
    pub gids: Vec<spec::IdMapping>,
}

/// A network device that the container gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MovedDevice {
    /// On the host.
    pub name: String,
    /// In the container.
    pub new_name: String,
}

/// The cgroup that the container gets.
#[derive(Debug, Clone)]
pub(crate) struct CgroupPlan {
    pub path: CgroupPath,
    pub limits: Limits,
    /// Whether it lacks the hierarchies that are not delegated to the caller, where no limit needs
    /// them.
    pub delegated_only: bool,
    /// Whose it becomes, user and group: who may manage what is below it.
    pub owner: Option<(u32, u32)>,
    /// The unit of systemd that it is, if it is one.
    pub unit: Option<UnitPlan>,
}

/// A unit of systemd.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct UnitPlan {
    /// `slice:prefix:name`.
    pub text: String,
    /// Whether it is one of the caller's own manager.
    pub of_user: bool,
    /// What it is beside what its limits make of it.
    pub properties: Vec<crate::unit::Property>,
}

/// A resource limit, raised by the caller before init sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RaisedLimit {
    pub resource: u32,
    pub soft: u64,
    pub hard: u64,
}

/// A descriptor that the caller opens and sends; its place in the list is its slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// The container's root file system, as a detached tree that spreads no mounts.
    Root { path: PathBuf, propagation: u64 },
    /// The container's root file system as it is, for `chroot(2)` without a mount namespace.
    RootDir { path: PathBuf },
    /// The container's root file system as a private clone that the caller attaches where it is:
    /// there is no mount namespace but the host's.
    HostRoot { path: PathBuf },
    /// The root directory of the container that is entered.
    TargetRoot,
    /// A detached clone of a host path, with the attributes it will have.
    Tree(Tree),
    /// A namespace's file.
    Namespace {
        path: PathBuf,
        kind: u32,
        not_own: bool,
    },
    /// The file by which a process joins a cgroup of v1.
    Tasks { path: PathBuf },
    /// The pidfd of the container that is entered.
    Target,
    /// Descriptor `n` of those that the caller gave.
    Given(usize),
}

/// A scheduling policy and its parameters, as `sched_setattr(2)` has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scheduling {
    pub policy: u32,
    pub flags: u64,
    pub nice: i32,
    pub priority: u32,
    /// Nanoseconds.
    pub runtime: u64,
    /// Nanoseconds.
    pub deadline: u64,
    /// Nanoseconds.
    pub period: u64,
}

/// A bind mount's source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tree {
    pub path: PathBuf,
    pub recursive: bool,
    pub attr: Attr,
    /// Whether the attributes must be such as the container's user namespace could give it.
    pub guarded: bool,
    pub recursive_attr: Attr,
    /// What takes it from its peers before it gets peers of its own; 0 for nothing.
    pub apart: u64,
    /// `MS_*`; 0 leaves it as its source's.
    pub propagation: u64,
    /// Whether a symbolic link in the path's last place is followed.
    pub follow: bool,
    /// Whether the source must be the root of a procfs: it is to cover `/proc`.
    pub procfs: bool,
    pub id_map: Option<MountIdMap>,
}

/// An id map of a mount (`MOUNT_ATTR_IDMAP`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountIdMap {
    pub ids: MountIds,
    /// Whether mounts below get it, too.
    pub recursive: bool,
}

/// Whose ids a mount has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MountIds {
    /// Those of a user namespace that is made for it.
    Maps(IdMaps),
    /// Those of the user namespace of this file.
    Namespace(PathBuf),
}

/// Mount attributes (`MOUNT_ATTR_*`) to set and to clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Attr {
    pub set: u64,
    pub clear: u64,
}

impl Attr {
    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

struct WordSink(Vec<u32>);

impl Sink for WordSink {
    fn word(&mut self, word: u32) {
        self.0.push(word);
    }
}

impl Plan {
    /// What was narrowed or passed over, in sentences for a log.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// How many operations init executes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there is nothing to do; never so for a Plan that was compiled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The Plan for people: one line for each operation.
    #[must_use]
    pub fn text(&self) -> PlanText<'_> {
        PlanText(self)
    }

    /// The Plan for programs, as a JSON document.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        print::json(self)
    }

    /// Whether init executes such an operation.
    pub(crate) fn has(&self, wanted: impl Fn(&Op) -> bool) -> bool {
        self.steps.iter().any(|step| wanted(&step.op))
    }

    /// The place of the first such operation.
    pub(crate) fn position(&self, wanted: impl Fn(&Op) -> bool) -> Option<usize> {
        self.steps.iter().position(|step| wanted(&step.op))
    }

    /// The root file system that the caller attaches among the host's mounts, if it does.
    pub(crate) fn host_root(&self) -> Option<&Path> {
        self.sources.iter().find_map(|source| match source {
            Source::HostRoot { path } => Some(path.as_path()),
            _ => None,
        })
    }

    /// Whether the process goes on under another pid.
    pub(crate) fn forks(&self) -> bool {
        self.has(|op| matches!(op, Op::Fork {}))
    }

    /// The same Plan for a cgroup whose directories in v1 hierarchies are these.
    pub(crate) fn in_cgroup<'a>(
        &self,
        directories: impl Iterator<Item = &'a Path> + Clone,
    ) -> Self {
        let mut moved = self.clone();
        let (mut joined, mut bound) = (directories.clone(), directories);
        for step in &mut moved.steps {
            let (place, path) = match &mut step.op {
                Op::JoinCgroup { path, .. } => (path, joined.next().map(|one| one.join("tasks"))),
                Op::BindAt { path, .. } => (path, bound.next().map(Path::to_owned)),
                _ => continue,
            };
            let Some(path) = path else { continue };
            *place = Str(moved.arena.len() as u32);
            moved
                .arena
                .extend_from_slice(path.as_os_str().as_encoded_bytes());
            moved.arena.push(0);
        }
        moved
    }

    pub(crate) fn str(&self, text: Str) -> &str {
        let bytes = self.arena.get(text.0 as usize..).unwrap_or_default();
        let end = bytes
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(bytes.len());
        std::str::from_utf8(&bytes[..end]).unwrap_or_default()
    }

    pub(crate) fn strings(&self, list: List) -> Vec<&str> {
        let cells = self
            .cells
            .iter()
            .skip(list.first as usize)
            .take(list.count as usize);
        cells.map(|cell| self.str(Str(*cell as u32))).collect()
    }

    pub(crate) fn source(&self, slot: Slot) -> Option<&Source> {
        self.sources.get(slot.0 as usize)
    }

    fn ops(&self) -> impl Iterator<Item = Op> {
        #[cfg(feature = "failpoints")]
        let fault = self.fault;
        self.steps.iter().enumerate().map(move |(index, step)| {
            #[cfg(feature = "failpoints")]
            if let Some(op) = fault.and_then(|fault| fault.at(index)) {
                return op;
            }
            let _ = index;
            step.op
        })
    }

    /// The program in wire form, with the compiled filter in its place.
    pub(crate) fn program(&self, filter: Option<&Filter>) -> Vec<u8> {
        let mut arena = self.arena.clone();
        let instructions = filter.map_or(&[][..], |filter| &filter.instructions);
        let instructions = build::append_blob(&mut arena, instructions);
        arena.push(0);
        let mut words = WordSink(Vec::with_capacity(self.steps.len() * 6));
        for mut op in self.ops() {
            if let Op::Seccomp {
                filter: place,
                flags,
            } = &mut op
            {
                *place = instructions;
                *flags = filter.map_or(0, |filter| filter.flags);
            }
            op.encode(&mut words);
        }
        if !words.0.len().is_multiple_of(2) {
            words.word(0);
        }
        let header = Header {
            magic: MAGIC,
            version: VERSION,
            words: words.0.len() as u32,
            cells: self.cells.len() as u32,
            arena: arena.len() as u32,
            at: NOT_BEGUN,
        };
        let size = Header::SIZE + words.0.len() * 4 + self.cells.len() * 8 + arena.len();
        let mut program = Vec::with_capacity(size);
        program.extend_from_slice(&header.to_bytes());
        program.extend(words.0.iter().flat_map(|word| word.to_ne_bytes()));
        program.extend(self.cells.iter().flat_map(|cell| cell.to_ne_bytes()));
        program.extend_from_slice(&arena);
        program
    }
}
