//! The program to run and what it may do (`process`).

use serde::{Deserialize, Deserializer, Serialize};

use super::{is_false, lenient};

/// The container's first process, or one executed into it later.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Process {
    /// Whether a pseudo terminal becomes the process's standard streams.
    #[serde(default, skip_serializing_if = "is_false")]
    pub terminal: bool,
    /// The terminal's size at the start, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console_size: Option<ConsoleSize>,
    /// Who the process runs as.
    #[serde(default)]
    pub user: User,
    /// The program and its arguments. The first is looked up in the container's `PATH`.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient"
    )]
    pub args: Vec<String>,
    /// A command line as Windows has it. Not used on Linux.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_line: Option<String>,
    /// The environment, each as `NAME=value`.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient"
    )]
    pub env: Vec<String>,
    /// The working directory: an absolute path in the container.
    #[serde(default)]
    pub cwd: String,
    /// The capability sets. Absent means that the process has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// Resource limits, see `setrlimit(2)`.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient"
    )]
    pub rlimits: Vec<Rlimit>,
    /// Whether executing a program can never gain privileges, see `PR_SET_NO_NEW_PRIVS`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub no_new_privileges: bool,
    /// The AppArmor profile to run under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apparmor_profile: Option<String>,
    /// The value for `/proc/<pid>/oom_score_adj`, from -1000 to 1000. Absent means inherited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i32>,
    /// How the kernel schedules the process, see `sched_setattr(2)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<Scheduler>,
    /// The SELinux context to run under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selinux_label: Option<String>,
    /// The block I/O priority, see `ioprio_set(2)`.
    #[serde(rename = "ioPriority", skip_serializing_if = "Option::is_none")]
    pub io_priority: Option<IoPriority>,
    /// The CPUs that a process executed into the container may run on.
    #[serde(rename = "execCPUAffinity", skip_serializing_if = "Option::is_none")]
    pub exec_cpu_affinity: Option<CpuAffinity>,
}

/// A terminal's size in characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleSize {
    /// Rows.
    #[serde(default)]
    pub height: u64,
    /// Columns.
    #[serde(default)]
    pub width: u64,
}

/// User and groups of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The user id in the container.
    #[serde(default, deserialize_with = "id")]
    pub uid: u32,
    /// The group id in the container.
    #[serde(default, deserialize_with = "id")]
    pub gid: u32,
    /// The file mode creation mask. Absent means 0022.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub umask: Option<u32>,
    /// The supplementary groups, in the container.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "ids"
    )]
    pub additional_gids: Vec<u32>,
    /// A user's name as Windows has it. Not used on Linux.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

/// The five capability sets, see `capabilities(7)`. Names are kept as written: one that this
/// kernel or library does not know is for whoever applies the sets to judge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// What can ever be gained.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient"
    )]
    pub bounding: Vec<String>,
    /// What the kernel checks.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient"
    )]
    pub effective: Vec<String>,
    /// What may pass through an exec of a file with inheritable capabilities.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient"
    )]
    pub inheritable: Vec<String>,
    /// What may become effective.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient"
    )]
    pub permitted: Vec<String>,
    /// What passes through an exec without privilege.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient"
    )]
    pub ambient: Vec<String>,
}

/// One resource limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// The limit's name, such as `RLIMIT_NOFILE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The ceiling of the soft limit. `u64::MAX` means none.
    pub hard: u64,
    /// The limit in force.
    pub soft: u64,
}

/// Scheduling attributes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduler {
    /// The policy's name, such as `SCHED_BATCH`.
    pub policy: String,
    /// The nice value, from -20 to 19.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nice: Option<i32>,
    /// The static priority of `SCHED_FIFO` and `SCHED_RR`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Names of `SCHED_FLAG_*` flags.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient"
    )]
    pub flags: Vec<String>,
    /// For `SCHED_DEADLINE`: the run time in a period, in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<u64>,
    /// For `SCHED_DEADLINE`: the deadline, in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<u64>,
    /// For `SCHED_DEADLINE`: the period, in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<u64>,
}

/// A block I/O priority.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoPriority {
    /// The class's name, such as `IOPRIO_CLASS_BE`.
    pub class: String,
    /// The priority in the class, from 0 (first) to 7.
    #[serde(default)]
    pub priority: i32,
}

/// CPUs for a process executed into a container, each as a list such as `0-3,7`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuAffinity {
    /// In force while the process moves into the container's cgroup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial: Option<String>,
    /// In force from then on.
    #[serde(rename = "final", skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
}

/// A user or group id. The largest number means "none" to the kernel (`setresuid(2)`), so it
/// would leave the caller's id in force and is refused.
#[derive(Deserialize)]
#[serde(try_from = "u32")]
struct Id(u32);

impl TryFrom<u32> for Id {
    type Error = &'static str;

    fn try_from(value: u32) -> Result<Self, Self::Error> {
        if value == u32::MAX {
            return Err("4294967295 is not a valid user or group id");
        }
        Ok(Self(value))
    }
}

fn id<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    Id::deserialize(from).map(|id| id.0)
}

fn ids<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u32>, D::Error> {
    let ids = Option::<Vec<Id>>::deserialize(from)?;
    Ok(ids.unwrap_or_default().into_iter().map(|id| id.0).collect())
}

pub(super) fn optional_id<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    Option::<Id>::deserialize(from).map(|id| id.map(|id| id.0))
}
