//! What this library can do, whatever the host can: the contents of the specification's features
//! structure (`features.md`, `features-linux.md`).

use crate::spec::Hooks;
use crate::{annotations, compile, names};

/// Whether `process.apparmorProfile` is honoured.
pub const APPARMOR: bool = true;

/// Whether `process.selinuxLabel` and `linux.mountLabel` are honoured.
pub const SELINUX: bool = true;

/// Whether cgroups can be units of systemd, of the system's manager and of a user's.
pub const SYSTEMD: bool = cfg!(feature = "systemd");

/// Annotations that begin with this are properties of the unit of systemd that the container's cgroup
/// is, for example `org.systemd.property.TimeoutStopSec`; values are in GVariant's text format.
pub const UNIT_PROPERTY: &str = "org.systemd.property.";

/// The annotation that names a file with criu's options for the container, in place of
/// `/etc/criu/runc.conf`; empty, there is none.
pub const CRIU_CONFIG: &str = "org.criu.config";

/// Means nothing here; runc keeps the bundle's place by this name, and who asks may pass the same
/// container to either.
const BUNDLE: &str = "bundle";

/// Whether containers can be checkpointed and restored.
pub const CHECKPOINT: bool = cfg!(feature = "checkpoint");

/// Annotations that change how a container is made, or, with a dot at the end, what the names of such
/// begin with. Who passes on annotations of somebody else may want to leave them out.
#[must_use]
pub fn annotations() -> Vec<&'static str> {
    vec![BUNDLE, UNIT_PROPERTY, CRIU_CONFIG, annotations::PREFIX]
}

/// The hooks that are run, in their order.
#[must_use]
pub fn hooks() -> Vec<&'static str> {
    Hooks::NAMES.to_vec()
}

/// Whether cgroups of both versions are made, with every controller's limits.
pub const CGROUPS: bool = true;

/// Whether mounts may have id maps of their own.
pub const IDMAPPED_MOUNTS: bool = true;

/// Whether network devices can be moved into a container.
pub const NET_DEVICES: bool = true;

/// Whether `linux.intelRdt` is honoured: classes, schemata, monitoring.
pub const INTEL_RDT: bool = true;

/// The modes of memory policies, in the kernel's order.
#[must_use]
pub fn memory_modes() -> Vec<&'static str> {
    names::MEMORY_MODES.iter().map(|(name, _)| *name).collect()
}

/// The flags of memory policies.
#[must_use]
pub fn memory_flags() -> Vec<&'static str> {
    names::MEMORY_FLAGS.iter().map(|(name, _)| *name).collect()
}

/// The mount options that are understood, sorted. Others go to the file system as they are.
#[must_use]
pub fn mount_options() -> Vec<String> {
    compile::mount_option_names()
}

/// The kinds of namespace that can be made or joined, sorted.
#[must_use]
pub fn namespaces() -> Vec<&'static str> {
    let mut names: Vec<_> = names::NAMESPACES.iter().map(|(_, name, _)| *name).collect();
    names.sort_unstable();
    names
}

/// The capabilities that are understood, in the kernel's order.
#[must_use]
pub fn capabilities() -> Vec<&'static str> {
    names::CAPABILITIES.to_vec()
}
