//! Resource limits by name (`setrlimit(2)`).

use crate::names;

/// A resource that `setrlimit(2)` limits for one process, or for one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// CPU time, in seconds.
    Cpu,
    /// Size of a file that is written, in bytes.
    FileSize,
    /// Size of the data segment, in bytes.
    Data,
    /// Size of the stack, in bytes.
    Stack,
    /// Size of a core dump, in bytes; 0 for none.
    Core,
    /// Number of processes and threads of the user, on the whole host. To limit those of a sandbox
    /// use [`Limits::pids_limit`](orlop_cgroups::Limits::pids_limit).
    Processes,
    /// One more than the highest file descriptor.
    NoFile,
    /// Locked memory, in bytes.
    LockedMemory,
    /// Size of the address space, in bytes.
    AddressSpace,
    /// Number of file locks.
    Locks,
    /// Number of queued signals.
    PendingSignals,
    /// Size of POSIX message queues, in bytes.
    MessageQueues,
    /// How far the nice value may go down: to 20 minus this.
    Nice,
    /// Highest real-time priority.
    RealTimePriority,
    /// Real-time CPU time without a pause, in microseconds.
    RealTimeTime,
}

impl Resource {
    const fn number(self) -> u32 {
        match self {
            Self::Cpu => libc::RLIMIT_CPU,
            Self::FileSize => libc::RLIMIT_FSIZE,
            Self::Data => libc::RLIMIT_DATA,
            Self::Stack => libc::RLIMIT_STACK,
            Self::Core => libc::RLIMIT_CORE,
            Self::Processes => libc::RLIMIT_NPROC,
            Self::NoFile => libc::RLIMIT_NOFILE,
            Self::LockedMemory => libc::RLIMIT_MEMLOCK,
            Self::AddressSpace => libc::RLIMIT_AS,
            Self::Locks => libc::RLIMIT_LOCKS,
            Self::PendingSignals => libc::RLIMIT_SIGPENDING,
            Self::MessageQueues => libc::RLIMIT_MSGQUEUE,
            Self::Nice => libc::RLIMIT_NICE,
            Self::RealTimePriority => libc::RLIMIT_RTPRIO,
            Self::RealTimeTime => libc::RLIMIT_RTTIME,
        }
    }

    /// The name of the specification, such as `RLIMIT_NOFILE`.
    #[must_use]
    pub fn name(self) -> &'static str {
        names::rlimit(self.number())
    }
}
