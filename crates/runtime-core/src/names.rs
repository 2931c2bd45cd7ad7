//! Names of kernel numbers, both ways.

/// The kinds of namespace: flag of `clone(2)`, name in the specification, file below `/proc/<pid>/ns`.
pub(crate) const NAMESPACES: [(u32, &str, &str); 8] = [
    (libc::CLONE_NEWUSER as u32, "user", "user"),
    (libc::CLONE_NEWNS as u32, "mount", "mnt"),
    (libc::CLONE_NEWPID as u32, "pid", "pid"),
    (libc::CLONE_NEWNET as u32, "network", "net"),
    (libc::CLONE_NEWIPC as u32, "ipc", "ipc"),
    (libc::CLONE_NEWUTS as u32, "uts", "uts"),
    (libc::CLONE_NEWCGROUP as u32, "cgroup", "cgroup"),
    (CLONE_NEWTIME, "time", "time"),
];

/// `CLONE_NEWTIME` of `linux/sched.h`, which `unshare(2)` and `setns(2)` take.
pub(crate) const CLONE_NEWTIME: u32 = 0x80;

/// The set of namespaces in words: `pid+network`.
pub(crate) fn namespaces(flags: u32) -> String {
    let names = NAMESPACES
        .iter()
        .filter(|(flag, ..)| flags & flag != 0)
        .map(|(_, name, _)| *name);
    let names: Vec<_> = names.collect();
    if names.is_empty() {
        "no".to_owned()
    } else {
        names.join("+")
    }
}

/// A propagation type in words.
pub(crate) fn propagation(flag: u64) -> &'static str {
    match flag {
        libc::MS_PRIVATE => "private",
        libc::MS_SLAVE => "slave",
        libc::MS_SHARED => "shared",
        libc::MS_UNBINDABLE => "unbindable",
        _ => "unchanged",
    }
}

/// Mount attributes in words, with a comma before each.
pub(crate) fn mount_attributes(set: u64) -> String {
    const NAMES: [(u64, &str); 7] = [
        (libc::MOUNT_ATTR_RDONLY, "ro"),
        (libc::MOUNT_ATTR_NOSUID, "nosuid"),
        (libc::MOUNT_ATTR_NODEV, "nodev"),
        (libc::MOUNT_ATTR_NOEXEC, "noexec"),
        (libc::MOUNT_ATTR_NOATIME, "noatime"),
        (libc::MOUNT_ATTR_NODIRATIME, "nodiratime"),
        (libc::MOUNT_ATTR_NOSYMFOLLOW, "nosymfollow"),
    ];
    let set = NAMES.iter().filter(|(bit, _)| set & bit != 0);
    set.map(|(_, name)| format!(",{name}")).collect()
}

/// Resource limits as `setrlimit(2)` names them.
const RLIMITS: [(u32, &str); 16] = [
    (libc::RLIMIT_CPU, "RLIMIT_CPU"),
    (libc::RLIMIT_FSIZE, "RLIMIT_FSIZE"),
    (libc::RLIMIT_DATA, "RLIMIT_DATA"),
    (libc::RLIMIT_STACK, "RLIMIT_STACK"),
    (libc::RLIMIT_CORE, "RLIMIT_CORE"),
    (libc::RLIMIT_RSS, "RLIMIT_RSS"),
    (libc::RLIMIT_NPROC, "RLIMIT_NPROC"),
    (libc::RLIMIT_NOFILE, "RLIMIT_NOFILE"),
    (libc::RLIMIT_MEMLOCK, "RLIMIT_MEMLOCK"),
    (libc::RLIMIT_AS, "RLIMIT_AS"),
    (libc::RLIMIT_LOCKS, "RLIMIT_LOCKS"),
    (libc::RLIMIT_SIGPENDING, "RLIMIT_SIGPENDING"),
    (libc::RLIMIT_MSGQUEUE, "RLIMIT_MSGQUEUE"),
    (libc::RLIMIT_NICE, "RLIMIT_NICE"),
    (libc::RLIMIT_RTPRIO, "RLIMIT_RTPRIO"),
    (libc::RLIMIT_RTTIME, "RLIMIT_RTTIME"),
];

/// The name of a resource limit.
pub(crate) fn rlimit(resource: u32) -> &'static str {
    RLIMITS
        .iter()
        .find(|(number, _)| *number == resource)
        .map_or("a resource limit", |(_, name)| name)
}

/// The number of a resource limit.
pub(crate) fn rlimit_number(name: &str) -> Option<u32> {
    RLIMITS
        .iter()
        .find(|(_, known)| *known == name)
        .map(|(number, _)| *number)
}

/// Capabilities in the kernel's order (`linux/capability.h`): the n-th is capability n.
pub(crate) const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// The number of `CAP_SETGID`.
pub(crate) const CAP_SETGID: u32 = 6;

/// The number of `CAP_NET_ADMIN`.
pub(crate) const CAP_NET_ADMIN: u32 = 12;

/// The number of `CAP_SYS_PTRACE`.
pub(crate) const CAP_SYS_PTRACE: u32 = 19;
/// The number of `CAP_SYS_ADMIN`.
pub(crate) const CAP_SYS_ADMIN: u32 = 21;

/// The number of a capability.
pub(crate) fn capability(name: &str) -> Option<u32> {
    CAPABILITIES
        .iter()
        .position(|known| *known == name)
        .map(|number| number as u32)
}

/// Finds a name's number in one of the tables below.
pub(crate) fn number(table: &[(&str, u32)], name: &str) -> Option<u32> {
    let found = table.iter().find(|(known, _)| *known == name);
    found.map(|(_, number)| *number)
}

/// Scheduling policies (`sched(7)`).
pub(crate) const SCHEDULERS: [(&str, u32); 7] = [
    ("SCHED_OTHER", 0),
    ("SCHED_FIFO", 1),
    ("SCHED_RR", 2),
    ("SCHED_BATCH", 3),
    ("SCHED_ISO", 4),
    ("SCHED_IDLE", 5),
    ("SCHED_DEADLINE", 6),
];

/// The name of a scheduling policy.
pub(crate) fn scheduler(policy: u32) -> &'static str {
    let found = SCHEDULERS.iter().find(|(_, number)| *number == policy);
    found.map_or("", |(name, _)| name)
}

/// Flags of `sched_setattr(2)`.
pub(crate) const SCHEDULER_FLAGS: [(&str, u32); 7] = [
    ("SCHED_FLAG_RESET_ON_FORK", 0x01),
    ("SCHED_FLAG_RECLAIM", 0x02),
    ("SCHED_FLAG_DL_OVERRUN", 0x04),
    ("SCHED_FLAG_KEEP_POLICY", 0x08),
    ("SCHED_FLAG_KEEP_PARAMS", 0x10),
    ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
    ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
];

/// Classes of `ioprio_set(2)`.
pub(crate) const IO_CLASSES: [(&str, u32); 3] = [
    ("IOPRIO_CLASS_RT", 1),
    ("IOPRIO_CLASS_BE", 2),
    ("IOPRIO_CLASS_IDLE", 3),
];

/// Modes of `set_mempolicy(2)`.
pub(crate) const MEMORY_MODES: [(&str, u32); 7] = [
    ("MPOL_DEFAULT", 0),
    ("MPOL_PREFERRED", 1),
    ("MPOL_BIND", 2),
    ("MPOL_INTERLEAVE", 3),
    ("MPOL_LOCAL", 4),
    ("MPOL_PREFERRED_MANY", 5),
    ("MPOL_WEIGHTED_INTERLEAVE", 6),
];

/// Flags of `set_mempolicy(2)`.
pub(crate) const MEMORY_FLAGS: [(&str, u32); 3] = [
    ("MPOL_F_STATIC_NODES", 1 << 15),
    ("MPOL_F_RELATIVE_NODES", 1 << 14),
    ("MPOL_F_NUMA_BALANCING", 1 << 13),
];
