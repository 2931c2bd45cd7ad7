//! Facts about the host and the caller that decide how a Plan looks.

use orlop_cgroups::Layout;
use rustix::fs::{Mode, OFlags, open};

use crate::error::Result;
use crate::spec::Spec;
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
    pub(crate) apparmor: bool,
}

impl Host {
    /// Asks the kernel.
    ///
    /// # Errors
    /// When `/proc` can't be read.
    pub fn probe() -> Result<Self> {
        Ok(Self {
            apparmor: apparmor_is_enabled(),
            ..Self::probe_kernel()?
        })
    }

    /// Asks the kernel only what decides about this Spec.
    pub(crate) fn probe_for(spec: &Spec) -> Result<Self> {
        let process = spec.process.as_ref();
        let profile = process.and_then(|process| process.apparmor_profile.as_deref());
        match profile {
            None | Some("") => Self::probe_kernel(),
            Some(_) => Self::probe(),
        }
    }

    fn probe_kernel() -> Result<Self> {
        Ok(Self {
            cgroups: Layout::probe()?,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            capabilities: sys::permitted_capabilities()?,
            in_user_namespace: in_user_namespace(),
            apparmor: false,
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
            apparmor: false,
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

    pub(crate) fn has_capability(&self, capability: u32) -> bool {
        self.capabilities & 1 << capability != 0
    }

    pub(crate) fn is_privileged(&self) -> bool {
        self.has_capability(crate::names::CAP_SYS_ADMIN)
    }
}

fn apparmor_is_enabled() -> bool {
    std::fs::read("/sys/module/apparmor/parameters/enabled")
        .is_ok_and(|enabled| enabled.starts_with(b"Y"))
}

/// The first user namespace maps every id to itself; no other one's first line says so.
fn in_user_namespace() -> bool {
    let mut map = [0; 128];
    let read = open(
        "/proc/self/uid_map",
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .and_then(|file| rustix::io::read(&file, &mut map));
    let Ok(length) = read else { return false };
    let text = String::from_utf8_lossy(&map[..length]);
    !text.split_whitespace().eq(["0", "0", "4294967295"])
}
