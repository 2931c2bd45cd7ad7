//! What usually causes a failure, and what to do: one sentence for those who read the error.

use orlop_init::{Op, Record};

use crate::hint::Hint;

/// Of a hard limit above the caller's own.
pub(crate) const RAISED_LIMIT: &str = "raising a hard limit needs CAP_SYS_RESOURCE: lower it in process.rlimits to the caller's own (ulimit -H), or raise that one";

/// Of a clone, or of new namespaces.
pub(crate) fn of_birth(errno: i32) -> Option<Hint> {
    let words = match errno {
        libc::EPERM => return Some(Hint::UserNamespace),
        // CLONE_INTO_CGROUP: whoever moves needs rights above where they come from and go to.
        libc::EACCES => Some(
            "the caller itself has to be in the part of the cgroup hierarchy that is delegated to it",
        ),
        libc::ENOSPC | libc::EUSERS => {
            Some("the limit of such namespaces is reached: sysctl user.max_*_namespaces")
        }
        libc::EAGAIN => {
            Some("the limit of processes is reached: ulimit -u, or pids.max of the own cgroup")
        }
        _ => None,
    };
    words.map(Hint::Words)
}

/// Of what is taken from the host, and the field that names it.
pub(super) fn of_source(field: &str, errno: i32) -> Option<&'static str> {
    if errno != libc::ENOENT {
        return None;
    }
    Some(if field.starts_with("mounts[") {
        "make it on the host first, or put the mount's source right: nothing is made there"
    } else {
        "make it on the host first, or put the path right"
    })
}

/// Of an operation that failed, and the field of the specification that asked for it.
pub(super) fn hint(op: &Op, record: &Record, namespaces: u32, field: Option<&str>) -> Option<Hint> {
    match (op, record.value) {
        (Op::Pivot { .. }, libc::EINVAL) => Some(Hint::NoPivot),
        // Of a user namespace the host's settings tell more.
        (Op::Unshare { flags }, errno) if flags & libc::CLONE_NEWUSER as u32 == 0 => {
            of_birth(errno)
        }
        _ => words(op, record, namespaces, field).map(Hint::Words),
    }
}

fn words(op: &Op, record: &Record, namespaces: u32, field: Option<&str>) -> Option<&'static str> {
    let new_user = namespaces & libc::CLONE_NEWUSER as u32 != 0;
    match (op, record.value) {
        (Op::MountFs { strict: true, .. }, libc::ELOOP | libc::ENOTDIR) => Some(
            "what is there in the image is a link: proc and sysfs must be mounted on ordinary directory, no link on the way",
        ),
        (Op::MountFs { strict: true, .. }, libc::EPERM) if new_user => Some(
            "in a user namespace proc takes a new PID namespace, sysfs a new network namespace, and both a caller whose own has no masked paths: add the namespace to linux.namespaces, or bind the host's in its place",
        ),
        (Op::SetIds { .. } | Op::Groups { .. }, libc::EINVAL) => {
            Some("no such id is mapped in the container's user namespace")
        }
        // Only who enters a container joins more than one at once.
        (Op::SetNs { flags, .. }, libc::EPERM) if flags.count_ones() > 1 => Some(
            "without CAP_SYS_PTRACE a container can be entered only once it is started: start it first",
        ),
        (Op::Console { .. }, libc::ENOENT) => Some(
            "process.terminal takes a devpts at /dev/pts: add it to mounts, or set the field to false",
        ),
        (Op::CopyUp { .. }, libc::ENOSPC) => Some("the tmpfs is too small for what it covers"),
        (Op::Scheduler { .. }, libc::EPERM) => Some(
            "it needs CAP_SYS_NICE; with SCHED_DEADLINE, process scheduler can't be used together with AllowedCPUs, a cpuset of fewer than all CPUs; SCHED_FIFO and SCHED_RR need a cgroup with cpu.rt_runtime_us",
        ),
        (Op::IoPriority { .. }, libc::EPERM) => Some("IOPRIO_CLASS_RT needs CAP_SYS_NICE"),
        (Op::Affinity { .. }, libc::EINVAL) => {
            Some("none of these CPUs is there and in the container's cpuset")
        }
        (Op::MemoryPolicy { .. }, libc::ENOSYS) => Some("this kernel has no NUMA support"),
        (Op::MemoryPolicy { .. }, libc::EINVAL) => {
            Some("a node that is not there or not in the cpuset, or a mode that this kernel lacks")
        }
        (Op::TimeNamespace { .. }, libc::EINVAL | libc::ENOENT) => {
            Some("this kernel has no time namespaces")
        }
        (Op::TimeNamespace { .. }, libc::ERANGE) => {
            Some("the clock would be before the boot, or too far in the future")
        }
        (Op::Rlimit { .. }, libc::EPERM) => Some(RAISED_LIMIT),
        (Op::Capabilities { .. }, libc::EPERM) => {
            Some("the caller itself lacks one of these capabilities")
        }
        (Op::Groups { .. }, libc::EPERM) if new_user => {
            Some("setgroups is denied in this user namespace")
        }
        (Op::Attach { .. } | Op::AttachLink { .. }, libc::ENOTDIR) => Some(
            "a directory can't be mounted onto a file, nor a file onto a directory: check the source on the host and the destination in the image",
        ),
        (Op::WriteProc { .. }, libc::ENOENT) => of_proc_file(field?),
        _ => of_program(op, record.value),
    }
}

/// Of what procfs does not know.
fn of_proc_file(field: &str) -> Option<&'static str> {
    if field == "process.apparmorProfile" {
        Some(
            "the profile is not loaded: load it with apparmor_parser; aa-status lists those that are",
        )
    } else if field.starts_with("linux.sysctl") {
        Some("this kernel lacks the parameter: load the module that has it, or remove the field")
    } else {
        None
    }
}

/// Of the program: not found, or not executed.
fn of_program(op: &Op, errno: i32) -> Option<&'static str> {
    match (op, errno) {
        (Op::FindProgram { candidates }, libc::ENOENT) if candidates.count > 1 => Some(
            "no directory of the PATH in process.env has it in the container's root file system: name it by its path, or install it in the image",
        ),
        (Op::FindProgram { .. }, libc::ENOENT) => Some(
            "it is looked up in the container's root file system: put process.args right, or install it in the image",
        ),
        (Op::FindProgram { .. }, libc::EACCES) => Some(
            "the file may not be executed by this user: chmod +x it in the image; it may also be a directory, or on a file system mounted noexec",
        ),
        (Op::Exec { .. }, libc::ENOENT) => Some(
            "the file is there; the interpreter that its first line or its ELF header names is not: install it in the image, or save a script whose lines end in CR LF with LF",
        ),
        (Op::Exec { .. }, libc::ENOEXEC) => Some(
            "it is not an executable of this architecture, or a script without #!: use an image for this machine, or begin the script with #!/bin/sh",
        ),
        _ => None,
    }
}
