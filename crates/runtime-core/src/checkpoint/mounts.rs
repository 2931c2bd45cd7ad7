//! What is mounted in a container and comes from outside, so that criu neither writes nor makes it.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use orlop_cgroups::{Layout, Mode as CgroupMode, Version};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::open_directory;
use crate::error::{Context, Error, Result};
use crate::mountinfo;
use crate::process_id::ProcessId;
use crate::spec::{Mount, Spec};
use crate::state::State;

/// What hidden files are hidden by.
const NULL: &str = "/dev/null";

/// Where the host has its cgroups.
const HOST_CGROUPS: &str = "/sys/fs/cgroup";

/// Device files that are bound from the host where they can't be made.
const DEVICES: [&str; 6] = [
    NULL,
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
];

/// A mount that is not criu's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct External {
    /// By what the images call it; when they are written, where it is in the container.
    pub key: String,
    /// When they are written, what they shall call it; later, what is bound there.
    pub source: String,
}

/// criu would take the host's mounts for the container's.
pub(super) fn among_the_hosts() -> Error {
    let message = "a container whose mounts are among the host's can't be checkpointed or restored: it needs a mount namespace of its own";
    Error::invalid("linux.namespaces", message)
}

fn external(key: impl Into<String>, source: impl Into<String>) -> External {
    External {
        key: key.into(),
        source: source.into(),
    }
}

/// What comes from outside in a running container.
pub(super) fn of_running(spec: &Spec, state: &State, process: ProcessId) -> Result<Vec<External>> {
    let path = format!("/proc/{}/mountinfo", process.pid());
    let table = std::fs::read(&path).context(|| format!("read {path}"))?;
    let mounted: Vec<_> = mountinfo::mounts(&table).map(Mounted::from).collect();
    // Of a whole file system the root is mounted; hidden directories are such.
    let is_part = |path: &str| {
        let is_it = |mount: &&Mounted| mount.point == path && mount.root != "/";
        mounted.iter().any(|mount| is_it(&mount))
    };
    let root = open_directory(&state.rootfs)?;
    let mut all = Vec::new();
    for mount in spec.mounts.iter().filter(|mount| is_bind(mount)) {
        let key = resolved(&root, &mount.destination)?;
        must_be_nameable(&key)?;
        all.push(external(key.clone(), key));
    }
    let linux = spec.linux.clone().unwrap_or_default();
    let hidden = linux.masked_paths.iter().filter(|path| is_part(path));
    all.extend(hidden.map(|path| external(path, NULL)));
    let devices = device_paths(spec);
    let bound = devices.into_iter().filter(|path| is_part(path));
    all.extend(bound.map(|path| external(&path, &path)));
    let Some(target) = cgroup_target(spec) else {
        return Ok(all);
    };
    if Layout::probe()?.mode() == CgroupMode::V2 {
        if cgroups_are_bound(spec) {
            all.push(external(&target, &target));
        }
    } else {
        let of_cgroups = mounted
            .iter()
            .filter(|mount| mount.kind.starts_with("cgroup") && mount.is_below(&target));
        all.extend(of_cgroups.map(|mount| external(&mount.point, &mount.point)));
        if state.cgroup.is_empty() {
            all.push(external(&target, &target));
        }
    }
    Ok(all)
}

/// What comes from outside in a container that is restored.
pub(super) fn of_restored(spec: &Spec, state: &State, layout: &Layout) -> Result<Vec<External>> {
    let root = open_directory(&state.rootfs)?;
    let mut all = Vec::new();
    for mount in spec.mounts.iter().filter(|mount| is_bind(mount)) {
        let source = source(mount, &state.bundle);
        let key = resolved(&root, &mount.destination)?;
        must_be_nameable(&key)?;
        all.push(external(key, source.to_string_lossy()));
    }
    let linux = spec.linux.clone().unwrap_or_default();
    if !linux.masked_paths.is_empty() {
        all.push(external(NULL, NULL));
    }
    let devices = device_paths(spec);
    let others = devices.iter().filter(|path| *path != NULL);
    all.extend(others.map(|path| external(path, path)));
    let Some(target) = cgroup_target(spec) else {
        return Ok(all);
    };
    if layout.mode() != CgroupMode::V2 {
        all.extend(cgroups_v1(&target, state, layout));
    } else if cgroups_are_bound(spec) {
        all.push(external(target, HOST_CGROUPS));
    }
    Ok(all)
}

/// The container's own directories, or, where it has none, the host's hierarchies.
fn cgroups_v1(target: &str, state: &State, layout: &Layout) -> Vec<External> {
    let is_seen = |version| version == Version::V1 || state.cgroup.is_empty();
    let hierarchies = layout.hierarchies().iter();
    let mut all: Vec<_> = hierarchies
        .filter(|hierarchy| is_seen(hierarchy.version()))
        .filter_map(|hierarchy| {
            let mountpoint = hierarchy.mountpoint();
            let is_it = |name: &str| name == hierarchy.name();
            let own = state.cgroup.iter().find(|place| is_it(&place.hierarchy));
            let source = own.map_or(mountpoint, |place| &place.path);
            let name = mountpoint.file_name()?.to_string_lossy();
            Some(external(
                format!("{target}/{name}"),
                source.to_string_lossy(),
            ))
        })
        .collect();
    if state.cgroup.is_empty() {
        all.push(external(target, HOST_CGROUPS));
    }
    all
}

fn device_paths(spec: &Spec) -> Vec<String> {
    let linux = spec.linux.iter();
    let own = linux.flat_map(|linux| linux.devices.iter().map(|device| device.path.clone()));
    DEVICES.map(str::to_owned).into_iter().chain(own).collect()
}

fn is_bind(mount: &Mount) -> bool {
    let is_option = |option: &String| option == "bind" || option == "rbind";
    mount.kind.as_deref() == Some("bind") || mount.options.iter().any(is_option)
}

fn is_cgroup(mount: &Mount) -> bool {
    matches!(mount.kind.as_deref(), Some("cgroup" | "cgroup2"))
}

/// Whether the container sees the host's unified hierarchy as it is: in a user namespace it may mount
/// none that is not its own.
fn cgroups_are_bound(spec: &Spec) -> bool {
    let has = |kind: &str| {
        let mut all = spec.linux.iter().flat_map(|linux| &linux.namespaces);
        all.any(|namespace| namespace.kind.as_str() == kind)
    };
    has("user") && !has("cgroup")
}

/// Where the container sees cgroups.
fn cgroup_target(spec: &Spec) -> Option<String> {
    let mount = spec.mounts.iter().find(|mount| is_cgroup(mount))?;
    Some(lexical(&mount.destination).to_string_lossy().into_owned())
}

fn source(mount: &Mount, bundle: &Path) -> PathBuf {
    bundle.join(mount.source.as_deref().unwrap_or_default())
}

fn lexical(destination: &str) -> PathBuf {
    crate::compile::clean(destination)
}

/// A mount, as criu and the specification write its paths: as text.
#[derive(Debug)]
struct Mounted {
    root: String,
    point: String,
    kind: String,
}

impl From<mountinfo::Mount> for Mounted {
    fn from(mount: mountinfo::Mount) -> Self {
        Self {
            root: mount.root.to_string_lossy().into_owned(),
            point: mount.point.to_string_lossy().into_owned(),
            kind: mount.kind,
        }
    }
}

impl Mounted {
    fn is_below(&self, target: &str) -> bool {
        Path::new(&self.point).starts_with(target)
    }
}

fn open_in(root: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let path = match path.strip_prefix("/").unwrap_or(path) {
        below if below.as_os_str().is_empty() => Path::new("."),
        below => below,
    };
    rustix::fs::openat2(root, path, flags, Mode::empty(), resolve)
}

fn path_of(fd: &OwnedFd) -> Result<PathBuf> {
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    std::fs::read_link(&link).context(|| format!("read {link}"))
}

/// criu makes one text of a mount's key and its source, `mnt[KEY]:SOURCE`, and takes that apart again: a link in the
/// image must not lead to a name that ends the key early, and chooses the source by that.
fn must_be_nameable(key: &str) -> Result<()> {
    if key.contains(|one: char| matches!(one, ':' | ']') || one.is_control()) {
        let message = format!(
            "a mount at {key:?} can't be in a checkpoint: ':', ']' and control characters end its name"
        );
        return Err(Error::invalid("mounts", message));
    }
    Ok(())
}

/// Where a destination is once the links in the root file system are followed.
fn resolved(root: &OwnedFd, destination: &str) -> Result<String> {
    let path = lexical(destination);
    let text = |path: &Path| path.to_string_lossy().into_owned();
    match open_in(root.as_fd(), &path) {
        Ok(found) => {
            let (found, root) = (path_of(&found)?, path_of(root)?);
            let below = found.strip_prefix(&root).ok();
            Ok(below.map_or_else(|| text(&path), |below| text(&Path::new("/").join(below))))
        }
        // It lies in what is mounted on the way.
        Err(_) => Ok(text(&path)),
    }
}

/// Makes the mount points that a root file system lacks. Those in other file systems than bind
/// mounts come back with what these hold.
pub(super) fn make_points(spec: &Spec, state: &State) -> Result<()> {
    for mount in spec.mounts.iter().filter(|mount| !is_cgroup(mount)) {
        let destination = lexical(&mount.destination);
        let holder = holder_of(&destination, spec);
        let (base, below) = match holder {
            None => (state.rootfs.clone(), destination.as_path()),
            Some(holder) if !is_bind(holder) => continue,
            Some(holder) => {
                let holder_point = lexical(&holder.destination);
                let Ok(below) = destination.strip_prefix(holder_point) else {
                    continue;
                };
                (source(holder, &state.bundle), below)
            }
        };
        let is_directory = match is_bind(mount) {
            true => {
                let source = source(mount, &state.bundle);
                let stat = rustix::fs::stat(&source)
                    .context(|| format!("mount source {}", source.display()))?;
                FileType::from_raw_mode(stat.st_mode).is_dir()
            }
            false => true,
        };
        let made = make_point(&open_directory(&base)?, below, is_directory);
        made.map_err(|errno| {
            let operation = format!(
                "make the mount point {} below {}",
                below.display(),
                base.display()
            );
            Error::system(operation, errno)
        })?;
    }
    Ok(())
}

/// The mount in which a destination lies.
fn holder_of<'a>(destination: &Path, spec: &'a Spec) -> Option<&'a Mount> {
    let above = spec.mounts.iter().filter(|other| {
        let point = lexical(&other.destination);
        point != destination && point != Path::new("/") && destination.starts_with(&point)
    });
    above.max_by_key(|other| lexical(&other.destination).components().count())
}

fn make_point(base: &OwnedFd, below: &Path, is_directory: bool) -> rustix::io::Result<()> {
    let names: Vec<&OsStr> = below
        .components()
        .filter_map(|component| match component {
            std::path::Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect();
    let mut so_far = PathBuf::new();
    for (index, name) in names.iter().enumerate() {
        let parent = so_far.clone();
        so_far.push(name);
        match open_in(base.as_fd(), &so_far) {
            Ok(_) => continue,
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
        let parent = open_in(base.as_fd(), &parent)?;
        let name = name.as_bytes();
        if is_directory || index + 1 < names.len() {
            rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755))?;
        } else {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o755))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::testing::Scratch;

    #[test]
    fn a_mount_is_below_by_whole_names() {
        let line = b"29 22 0:26 / /mnt/c rw shared:4 - tmpfs none rw";
        let mount = Mounted::from(mountinfo::mounts(line).next().unwrap());
        assert!(mount.is_below("/mnt") && !mount.is_below("/mn"));
    }

    #[test]
    fn keys_have_nothing_that_ends_them() {
        for wrong in ["/x]:/etc", "/a:b", "/a]", "/a\nb", "/\u{7f}"] {
            assert!(must_be_nameable(wrong).is_err(), "{wrong:?}");
        }
        for right in ["/", "/data/a b", "/etc/[x", "/dätä"] {
            assert!(must_be_nameable(right).is_ok(), "{right:?}");
        }
    }

    #[test]
    fn mount_points_stay_in_the_root() {
        let scratch = Scratch::new();
        let root = scratch.path().join("root");
        std::fs::create_dir(&root).unwrap();
        std::os::unix::fs::symlink("/../elsewhere", root.join("out")).unwrap();
        std::os::unix::fs::symlink("/there", root.join("link")).unwrap();
        std::fs::create_dir(root.join("there")).unwrap();
        let base = open_directory(&root).unwrap();
        make_point(&base, Path::new("/a/b"), true).unwrap();
        make_point(&base, Path::new("/a/b"), true).unwrap();
        make_point(&base, Path::new("/link/file"), false).unwrap();
        assert!(root.join("a/b").is_dir() && root.join("there/file").is_file());
        // A link that leads nowhere is not followed to make it lead somewhere.
        assert!(make_point(&base, Path::new("/out/x"), true).is_err());
        assert!(!scratch.path().join("elsewhere").exists());
        assert_eq!(resolved(&base, "link/file").unwrap(), "/there/file");
        assert_eq!(resolved(&base, "/no/such").unwrap(), "/no/such");
    }
}
