//! Capabilities by name (`capabilities(7)`).

use std::fmt;

use crate::names;

macro_rules! capabilities {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// One capability (`capabilities(7)`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum Capability {
            $($(#[$doc])* $name = $number,)*
        }

        impl Capability {
            /// Every capability that this library knows, in the kernel's order.
            pub const ALL: [Self; names::CAPABILITIES.len()] = [$(Self::$name,)*];
        }
    };
}

capabilities! {
    /// Change owners of files (`CAP_CHOWN`).
    Chown = 0,
    /// Pass over the permissions of files (`CAP_DAC_OVERRIDE`).
    DacOverride = 1,
    /// Read any file, search any directory (`CAP_DAC_READ_SEARCH`).
    DacReadSearch = 2,
    /// Act as the owner of any file (`CAP_FOWNER`).
    Fowner = 3,
    /// Keep set-id bits of changed files (`CAP_FSETID`).
    Fsetid = 4,
    /// Signal any process (`CAP_KILL`).
    Kill = 5,
    /// Change group ids (`CAP_SETGID`).
    Setgid = 6,
    /// Change user ids (`CAP_SETUID`).
    Setuid = 7,
    /// Change capability sets (`CAP_SETPCAP`).
    Setpcap = 8,
    /// Change immutable and append-only flags of files (`CAP_LINUX_IMMUTABLE`).
    LinuxImmutable = 9,
    /// Listen on ports below 1024 (`CAP_NET_BIND_SERVICE`).
    NetBindService = 10,
    /// Broadcast and multicast (`CAP_NET_BROADCAST`).
    NetBroadcast = 11,
    /// Configure networks (`CAP_NET_ADMIN`).
    NetAdmin = 12,
    /// Send and receive raw packets (`CAP_NET_RAW`).
    NetRaw = 13,
    /// Lock memory (`CAP_IPC_LOCK`).
    IpcLock = 14,
    /// Pass over the permissions of System V IPC objects (`CAP_IPC_OWNER`).
    IpcOwner = 15,
    /// Load kernel modules (`CAP_SYS_MODULE`).
    SysModule = 16,
    /// Use I/O ports and raw devices (`CAP_SYS_RAWIO`).
    SysRawio = 17,
    /// Change the root directory (`CAP_SYS_CHROOT`).
    SysChroot = 18,
    /// Look into any process (`CAP_SYS_PTRACE`).
    SysPtrace = 19,
    /// Switch process accounting (`CAP_SYS_PACCT`).
    SysPacct = 20,
    /// Mount, and much else: nearly everything (`CAP_SYS_ADMIN`).
    SysAdmin = 21,
    /// Reboot (`CAP_SYS_BOOT`).
    SysBoot = 22,
    /// Raise priorities (`CAP_SYS_NICE`).
    SysNice = 23,
    /// Pass over resource limits (`CAP_SYS_RESOURCE`).
    SysResource = 24,
    /// Set the clock (`CAP_SYS_TIME`).
    SysTime = 25,
    /// Configure terminals (`CAP_SYS_TTY_CONFIG`).
    SysTtyConfig = 26,
    /// Make device nodes (`CAP_MKNOD`).
    Mknod = 27,
    /// Take leases on files (`CAP_LEASE`).
    Lease = 28,
    /// Write to the kernel's audit log (`CAP_AUDIT_WRITE`).
    AuditWrite = 29,
    /// Configure auditing (`CAP_AUDIT_CONTROL`).
    AuditControl = 30,
    /// Give capabilities to files (`CAP_SETFCAP`).
    Setfcap = 31,
    /// Pass over mandatory access control (`CAP_MAC_OVERRIDE`).
    MacOverride = 32,
    /// Configure mandatory access control (`CAP_MAC_ADMIN`).
    MacAdmin = 33,
    /// Read the kernel's log (`CAP_SYSLOG`).
    Syslog = 34,
    /// Set alarms that wake the machine (`CAP_WAKE_ALARM`).
    WakeAlarm = 35,
    /// Keep the machine from sleeping (`CAP_BLOCK_SUSPEND`).
    BlockSuspend = 36,
    /// Read the audit log (`CAP_AUDIT_READ`).
    AuditRead = 37,
    /// Observe performance (`CAP_PERFMON`).
    Perfmon = 38,
    /// Load BPF programs (`CAP_BPF`).
    Bpf = 39,
    /// Checkpoint and restore processes (`CAP_CHECKPOINT_RESTORE`).
    CheckpointRestore = 40,
}

impl Capability {
    /// The kernel's name, such as `CAP_CHOWN`.
    #[must_use]
    pub fn name(self) -> &'static str {
        names::CAPABILITIES[self as usize]
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of capabilities: what a program has, and the most that it can ever gain.
///
/// ```
/// use orlop::{Capabilities, Capability};
///
/// let server = Capabilities::none().with(Capability::NetBindService);
/// assert!(server.contains(Capability::NetBindService));
/// assert_eq!(server, [Capability::NetBindService].into());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Capabilities(u64);

impl Capabilities {
    /// No capability.
    #[must_use]
    pub const fn none() -> Self {
        Self(0)
    }

    /// Every capability. With it, root in the sandbox is root on the host, unless there is a user
    /// namespace between them.
    #[must_use]
    pub fn all() -> Self {
        Capability::ALL.into_iter().collect()
    }

    /// The set and this one.
    #[must_use]
    pub const fn with(self, capability: Capability) -> Self {
        Self(self.0 | 1 << capability as u8)
    }

    /// The set without this one.
    #[must_use]
    pub const fn without(self, capability: Capability) -> Self {
        Self(self.0 & !(1 << capability as u8))
    }

    /// Whether this one is in the set.
    #[must_use]
    pub const fn contains(self, capability: Capability) -> bool {
        self.0 & 1 << capability as u8 != 0
    }

    /// Whether there is none in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those in the set, in the kernel's order.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL
            .into_iter()
            .filter(move |one| self.contains(*one))
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(all: I) -> Self {
        all.into_iter().fold(Self::none(), Self::with)
    }
}

impl<const N: usize> From<[Capability; N]> for Capabilities {
    fn from(all: [Capability; N]) -> Self {
        all.into_iter().collect()
    }
}

impl From<Capability> for Capabilities {
    fn from(one: Capability) -> Self {
        Self::none().with(one)
    }
}

#[cfg(test)]
mod tests {
    use super::{Capabilities, Capability};
    use crate::names;

    #[test]
    fn the_numbers_are_the_kernels() {
        for (number, capability) in Capability::ALL.into_iter().enumerate() {
            assert_eq!(capability as usize, number);
            let plain = format!("cap{capability:?}").to_lowercase();
            assert_eq!(capability.name().to_lowercase().replace('_', ""), plain);
        }
        assert_eq!(Capability::Mknod.name(), "CAP_MKNOD");
        assert_eq!(
            Capabilities::all().iter().count(),
            names::CAPABILITIES.len()
        );
    }

    #[test]
    fn sets_hold_what_was_put_in() {
        let set = Capabilities::from([Capability::Chown, Capability::CheckpointRestore]);
        assert_eq!(
            set.iter().collect::<Vec<_>>(),
            [Capability::Chown, Capability::CheckpointRestore]
        );
        assert!(
            set.without(Capability::Chown)
                .without(Capability::CheckpointRestore)
                .is_empty()
        );
    }
}
