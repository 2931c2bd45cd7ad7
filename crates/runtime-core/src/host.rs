//! Facts about the host and the caller that decide how a Plan looks.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use orlop_cgroups::Layout;
use rustix::fs::{Mode, OFlags, fstat, open, stat};

use crate::error::{Context as _, Result};
use crate::mountinfo::{Mount, mounts};
use crate::resctrl;
use crate::spec::{Process, Spec};
use crate::sys;

/// What a Plan depends on beside the Spec: probed once, or made up for a test.
#[derive(Debug, Clone)]
pub struct Host {
    pub(crate) cgroups: Layout,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The caller's permitted capabilities, bit n for capability n.
    pub(crate) capabilities: u64,
    /// Whether the caller is in a user namespace other than the first.
    pub(crate) in_user_namespace: bool,
    /// Whether the caller's mount namespace belongs to its user namespace, or to the first one.
    pub(crate) owns_mounts: bool,
    /// Whether nobody in the caller's user namespace, and those below, may change groups.
    pub(crate) groups_are_fixed: bool,
    pub(crate) apparmor: bool,
    pub(crate) selinux: bool,
    /// Where the resctrl file system is mounted.
    pub(crate) resctrl: Option<PathBuf>,
    /// Where the whole of procfs or sysfs is mounted, where that is asked for.
    pub(crate) kernel_mounts: Vec<PathBuf>,
}

impl Host {
    /// Asks the kernel.
    ///
    /// # Errors
    /// When `/proc` can't be read.
    pub fn probe() -> Result<Self> {
        Ok(Self {
            apparmor: apparmor_is_enabled(),
            selinux: selinux_is_enabled(),
            resctrl: resctrl::mount_point(),
            kernel_mounts: kernel_mounts()?,
            ..Self::probe_kernel(Layout::probe()?)?
        })
    }

    /// Asks the kernel only what decides about this Spec.
    pub(crate) fn probe_for(spec: &Spec) -> Result<Self> {
        let mut host = Self::probe_kernel(Layout::probe()?)?;
        host.apparmor = spec.process.as_ref().is_some_and(confined) && apparmor_is_enabled();
        let mounts = spec
            .linux
            .as_ref()
            .and_then(|linux| linux.mount_label.as_ref());
        let labelled = is_set(mounts) || spec.process.as_ref().is_some_and(labelled);
        host.selinux = labelled && selinux_is_enabled();
        let rdt = spec
            .linux
            .as_ref()
            .and_then(|linux| linux.intel_rdt.as_ref());
        host.resctrl = rdt.and_then(|_| resctrl::mount_point());
        Ok(host)
    }

    /// The same, with what has to be known of a host that is not pivoted from.
    pub(crate) fn probe_kernel_mounts(mut self) -> Result<Self> {
        self.kernel_mounts = kernel_mounts()?;
        Ok(self)
    }

    /// Asks the kernel only what decides about a process that enters a container: its cgroups are
    /// known.
    pub(crate) fn probe_for_exec(process: &Process) -> Result<Self> {
        let mut host = Self::probe_kernel(Layout::parse("", ""))?;
        host.apparmor = confined(process) && apparmor_is_enabled();
        host.selinux = labelled(process) && selinux_is_enabled();
        Ok(host)
    }

    fn probe_kernel(cgroups: Layout) -> Result<Self> {
        let in_user_namespace = in_user_namespace();
        Ok(Self {
            cgroups,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            capabilities: sys::permitted_capabilities()?,
            in_user_namespace,
            owns_mounts: !in_user_namespace || owns_its_mounts(),
            groups_are_fixed: in_user_namespace && groups_are_fixed(),
            apparmor: false,
            selinux: false,
            resctrl: None,
            kernel_mounts: Vec::new(),
        })
    }

    /// A made-up host: root with all capabilities in the first user namespace, and these cgroups.
    ///
    /// For tests and for looking at Plans of other hosts.
    #[must_use]
    pub fn root_with(cgroups: Layout) -> Self {
        Self {
            cgroups,
            uid: 0,
            gid: 0,
            capabilities: u64::MAX >> (64 - crate::names::CAPABILITIES.len()),
            in_user_namespace: false,
            owns_mounts: true,
            groups_are_fixed: false,
            apparmor: false,
            selinux: false,
            resctrl: None,
            kernel_mounts: Vec::new(),
        }
    }

    /// The same host for a caller with this user and group id and no capabilities.
    #[must_use]
    pub fn as_user(mut self, uid: u32, gid: u32) -> Self {
        self.uid = uid;
        self.gid = gid;
        self.capabilities = 0;
        self
    }

    /// The same host with these security modules.
    #[must_use]
    pub fn with_security_modules(mut self, apparmor: bool, selinux: bool) -> Self {
        self.apparmor = apparmor;
        self.selinux = selinux;
        self
    }

    /// The same host with the resctrl file system mounted there.
    #[must_use]
    pub fn with_resctrl(mut self, at: impl Into<PathBuf>) -> Self {
        self.resctrl = Some(at.into());
        self
    }

    /// The same host with the whole of procfs or sysfs mounted at these places.
    #[must_use]
    pub fn with_kernel_mounts<P: Into<PathBuf>>(mut self, at: impl IntoIterator<Item = P>) -> Self {
        self.kernel_mounts = at.into_iter().map(Into::into).collect();
        self
    }

    pub(crate) fn has_capability(&self, capability: u32) -> bool {
        self.capabilities & 1 << capability != 0
    }

    pub(crate) fn is_privileged(&self) -> bool {
        self.has_capability(crate::names::CAP_SYS_ADMIN)
    }

    /// Whether the caller may clone its mounts. Root in a user namespace that shares the mounts of
    /// another one may not.
    pub(crate) fn may_clone_mounts(&self) -> bool {
        self.is_privileged() && self.owns_mounts
    }

    /// Whether the caller may set groups, in its own user namespace and in one that it makes.
    pub(crate) fn may_set_groups(&self) -> bool {
        self.has_capability(crate::names::CAP_SETGID) && !self.groups_are_fixed
    }
}

fn is_set(text: Option<&String>) -> bool {
    text.is_some_and(|text| !text.is_empty())
}

fn confined(process: &Process) -> bool {
    is_set(process.apparmor_profile.as_ref())
}

fn labelled(process: &Process) -> bool {
    is_set(process.selinux_label.as_ref())
}

/// `security/selinux`: its file system is mounted wherever it is enabled.
fn selinux_is_enabled() -> bool {
    const SELINUX_MAGIC: u64 = 0xf97c_ff8c;
    rustix::fs::statfs("/sys/fs/selinux").is_ok_and(|found| found.f_type as u64 == SELINUX_MAGIC)
}

fn apparmor_is_enabled() -> bool {
    std::fs::read("/sys/module/apparmor/parameters/enabled")
        .is_ok_and(|enabled| enabled.starts_with(b"Y"))
}

/// Those that count for the kernel when a user namespace mounts another (`mount_namespaces(7)`): of
/// a part, such as a single file, nobody gets the whole.
fn kernel_mounts() -> Result<Vec<PathBuf>> {
    let path = "/proc/self/mountinfo";
    let table = std::fs::read(path).context(|| format!("read {path}"))?;
    Ok(kernel_mounts_of(&table))
}

fn kernel_mounts_of(table: &[u8]) -> Vec<PathBuf> {
    let counts = |mount: &Mount| mount.is_whole() && matches!(&*mount.kind, "proc" | "sysfs");
    let mounts = mounts(table).filter(counts);
    mounts.map(|mount| mount.point).collect()
}

/// The first user namespace has a number of its own in every kernel (`linux/nsfs.h`).
fn in_user_namespace() -> bool {
    const USER_NS_INIT_INO: u64 = 0xefff_fffd;
    stat("/proc/self/ns/user").is_ok_and(|found| found.st_ino != USER_NS_INIT_INO)
}

/// See `ioctl_ns(2)`: the owner of one that an outer user namespace has is not told.
fn owns_its_mounts() -> bool {
    let open = |path| open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let (Ok(mounts), Ok(user)) = (open("/proc/self/ns/mnt"), open("/proc/self/ns/user")) else {
        return false;
    };
    let inode = |file: &OwnedFd| fstat(file).map(|stat| stat.st_ino).ok();
    sys::owning_user_namespace(mounts.as_fd())
        .is_ok_and(|owner| inode(&owner).is_some() && inode(&owner) == inode(&user))
}

/// See `user_namespaces(7)`: a namespace below can't allow it again.
fn groups_are_fixed() -> bool {
    std::fs::read("/proc/self/setgroups").is_ok_and(|word| word.starts_with(b"deny"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_procfs_and_sysfs_are_found_whatever_is_beside_them() {
        let table = b"21 1 0:20 / /sys rw - sysfs sysfs rw\n\
            22 1 0:21 / /proc rw shared:3 master:4 - proc proc rw\n\
            23 1 0:21 /cpuinfo /srv/cpuinfo rw - proc proc rw\n\
            24 1 0:22 / /mnt/\xff rw - tmpfs tmpfs rw\n\
            25 1 0:21 / /mnt/a\\040b rw - proc proc rw\n";
        let found = kernel_mounts_of(table);
        assert_eq!(found, ["/sys", "/proc", "/mnt/a b"].map(PathBuf::from));
    }
}
