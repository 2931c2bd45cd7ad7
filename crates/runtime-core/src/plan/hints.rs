//! What usually causes a failure, and what to do: one sentence for those who read the error.

use orlop_init::{Op, Record};

/// Of a clone, or of new namespaces.
pub(crate) fn of_birth(errno: i32) -> Option<&'static str> {
    match errno {
        libc::EPERM => Some(
            "new namespaces take CAP_SYS_ADMIN: run it as root, or give the container a user namespace (`orlop-runc spec --rootless`)",
        ),
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
    }
}

/// Of an operation that failed.
pub(super) fn hint(op: &Op, record: &Record, namespaces: u32) -> Option<&'static str> {
    let new_user = namespaces & libc::CLONE_NEWUSER as u32 != 0;
    match (op, record.value) {
        (Op::MountFs { strict: true, .. }, libc::ELOOP | libc::ENOTDIR) => Some(
            "what is there in the image is a link: proc and sysfs must be mounted on ordinary directory, no link on the way",
        ),
        (Op::MountFs { strict: true, .. }, libc::EPERM) if new_user => Some(
            "in a user namespace proc needs a PID namespace of its own, sysfs a network namespace of its own, and both a caller that sees all of its own: in a container with masked paths, bind them instead",
        ),
        (Op::SetIds { .. } | Op::Groups { .. }, libc::EINVAL) => {
            Some("no such id is mapped in the container's user namespace")
        }
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
        (Op::Rlimit { .. }, libc::EPERM) => Some("raising a hard limit needs CAP_SYS_RESOURCE"),
        (Op::Capabilities { .. }, libc::EPERM) => {
            Some("the caller itself lacks one of these capabilities")
        }
        (Op::Groups { .. }, libc::EPERM) if new_user => {
            Some("setgroups is denied in this user namespace")
        }
        (Op::Pivot { .. }, libc::EINVAL) => {
            Some("the host's root may be a ramfs, which can't be pivoted from; use --no-pivot")
        }
        (Op::Attach { .. } | Op::AttachLink { .. }, libc::ENOTDIR) => Some(
            "a directory can't be mounted onto a file, nor a file onto a directory: check the source on the host and the destination in the image",
        ),
        // Of a user namespace the host's settings tell more.
        (Op::Unshare { flags }, errno) if flags & libc::CLONE_NEWUSER as u32 == 0 => {
            of_birth(errno)
        }
        _ => of_program(op, record.value),
    }
}

/// Of the program: not found, or not executed.
fn of_program(op: &Op, errno: i32) -> Option<&'static str> {
    match (op, errno) {
        (Op::FindProgram { candidates }, libc::ENOENT) if candidates.count > 1 => Some(
            "no directory of the PATH in process.env has it, in the container's root file system",
        ),
        (Op::FindProgram { .. }, libc::ENOENT) => {
            Some("the path is one in the container's root file system")
        }
        (Op::FindProgram { .. }, libc::EACCES) => Some(
            "the file may not be executed by this user: no execute permission, a directory, or a file system mounted noexec",
        ),
        (Op::Exec { .. }, libc::ENOENT) => Some(
            "the file is there; the interpreter that its first line or its ELF header names is not, or the line ends in a carriage return",
        ),
        (Op::Exec { .. }, libc::ENOEXEC) => {
            Some("it is not an executable of this architecture, or a script without #!")
        }
        _ => None,
    }
}
