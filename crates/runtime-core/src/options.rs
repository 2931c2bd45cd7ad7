//! What a caller decides beside the Spec.

use std::path::PathBuf;

use crate::id::ContainerId;

/// What becomes of a container whose cgroup, or a limit of it, can't be had: the caller may lack
/// the privilege, the host a controller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CgroupPolicy {
    /// It is not made, and the error says what to do. Who has no privilege gets a cgroup only where
    /// the Spec has limits or names one, and in those hierarchies that a limit needs or that are
    /// delegated.
    #[default]
    Require,
    /// It is made without what can't be had, each of which is among the container's
    /// [warnings](crate::Container::warnings).
    BestEffort,
    /// It gets none: it stays in its caller's, and its Spec's limits are passed over.
    None,
}

/// How a container is made: what is not in its Spec.
///
/// ```
/// use orlop::Options;
///
/// let options = Options::new("/srv/bundle").id("web".parse()?).no_pivot(true);
/// # Ok::<(), orlop::Error>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    pub(crate) bundle: PathBuf,
    pub(crate) id: Option<ContainerId>,
    pub(crate) no_pivot: bool,
    pub(crate) no_new_keyring: bool,
    pub(crate) preserve_fds: u32,
    pub(crate) gate: bool,
    pub(crate) ready: bool,
    pub(crate) chroot: bool,
    pub(crate) stdio: [Option<usize>; 3],
    pub(crate) given_namespaces: Vec<(u32, usize)>,
    pub(crate) no_cgroup: bool,
    pub(crate) systemd_cgroup: bool,
    pub(crate) cgroup_policy: CgroupPolicy,
    /// Limits in place of `linux.resources`.
    pub(crate) limits: Option<orlop_cgroups::Limits>,
    /// Whether `/dev` stays as it is: no devices or links are made.
    pub(crate) no_devices: bool,
    /// `MOUNT_ATTR_*` that the root's own mount gets in the end.
    pub(crate) root_attr: u64,
    /// Whether a session keyring without a name is joined where there is no id to name one.
    pub(crate) unnamed_keyring: bool,
    /// Whether the program stays on the CPUs that the caller is bound to.
    pub(crate) keep_affinity: bool,
}

impl Options {
    /// Options for a container whose relative paths are below `bundle`.
    pub fn new(bundle: impl Into<PathBuf>) -> Self {
        Self {
            bundle: bundle.into(),
            id: None,
            no_pivot: false,
            no_new_keyring: false,
            preserve_fds: 0,
            gate: true,
            ready: true,
            chroot: false,
            stdio: [None; 3],
            given_namespaces: Vec::new(),
            no_cgroup: false,
            systemd_cgroup: false,
            cgroup_policy: CgroupPolicy::Require,
            limits: None,
            no_devices: false,
            root_attr: 0,
            unnamed_keyring: false,
            keep_affinity: false,
        }
    }

    /// The container's id: names its session keyring and, where the Spec names none, its cgroup.
    #[must_use]
    pub fn id(mut self, id: ContainerId) -> Self {
        self.id = Some(id);
        self
    }

    /// Enters the root file system with `chroot(2)` in place of `pivot_root(2)`, for hosts whose
    /// root is a ramfs. The old root stays mounted below: less safe.
    #[must_use]
    pub fn no_pivot(mut self, no_pivot: bool) -> Self {
        self.no_pivot = no_pivot;
        self
    }

    /// Keeps the caller's session keyring instead of joining a new one.
    #[must_use]
    pub fn no_new_keyring(mut self, no_new_keyring: bool) -> Self {
        self.no_new_keyring = no_new_keyring;
        self
    }

    /// How many descriptors from 3 on the program inherits from the caller.
    #[must_use]
    pub fn preserve_fds(mut self, count: u32) -> Self {
        self.preserve_fds = count;
        self
    }

    /// Makes the container's cgroup a transient scope of systemd (feature `systemd`), which its
    /// `linux.cgroupsPath` names as `slice:prefix:name`.
    #[must_use]
    pub fn systemd_cgroup(mut self, systemd_cgroup: bool) -> Self {
        self.systemd_cgroup = systemd_cgroup;
        self
    }

    /// What becomes of a container whose cgroup can't be had as it is wanted.
    #[must_use]
    pub fn cgroup_policy(mut self, policy: CgroupPolicy) -> Self {
        self.cgroup_policy = policy;
        self
    }

    /// Whether the container waits at the start gate (the default) or starts at once.
    #[must_use]
    pub fn gate(mut self, gate: bool) -> Self {
        self.gate = gate;
        self
    }
}
