//! Making a cgroup. This is on the path of every container's start: a directory
//! costs one call, a limit three, and nothing is read back.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::cgroup::{Cgroup, Member, RecordedPath};
use crate::controller::{Controller, ControllerSet};
use crate::cpuset;
use crate::error::{Error, Result};
use crate::freeze;
use crate::fs;
use crate::layout::{Hierarchy, Layout, Mode, Version};
use crate::limits::Limits;
use crate::path::CgroupPath;
use crate::setting::field_of;
use crate::tree;

/// Directories made so far; removed again, last first, unless kept.
#[derive(Default)]
struct Made {
    paths: Vec<PathBuf>,
}

impl Made {
    /// Makes a directory; `false` if it is there already.
    fn mkdir(&mut self, path: &Path) -> Result<bool, Errno> {
        match fs::mkdir(path) {
            Ok(()) => {
                self.paths.push(path.to_owned());
                Ok(true)
            }
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(errno),
        }
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for path in self.paths.iter().rev() {
            // One that somebody has come to use meanwhile has to stay.
            let _ = fs::rmdir(path);
        }
    }
}

/// What to do with directories that are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Existing {
    /// Only empty ones are taken.
    Claim,
    /// Whoever is in them belongs there.
    #[cfg(feature = "systemd")]
    Share,
}

/// A cgroup being made. Unless finished, what was made of it is removed.
pub(crate) struct Making<'a> {
    layout: &'a Layout,
    path: &'a CgroupPath,
    mode: Mode,
    existing: Existing,
    made: Made,
    cgroup: Cgroup,
}

impl<'a> Making<'a> {
    pub(crate) fn new(layout: &'a Layout, path: &'a CgroupPath) -> Self {
        let cgroup = Cgroup::from_members(Vec::with_capacity(layout.hierarchies().len()));
        Self {
            layout,
            path,
            mode: layout.mode(),
            existing: Existing::Claim,
            made: Made::default(),
            cgroup,
        }
    }

    /// Makes the directory in one hierarchy; of one that fails nothing stays.
    pub(crate) fn add(&mut self, hierarchy: &Hierarchy, limits: &Limits) -> Result<()> {
        let (made, member) = self.make(hierarchy, limits)?;
        self.keep(made, member);
        Ok(())
    }

    /// The same where the caller may make it and go there; elsewhere nothing stays.
    pub(crate) fn add_if_allowed(&mut self, hierarchy: &Hierarchy, limits: &Limits) -> Result<()> {
        match self.make(hierarchy, limits) {
            Ok((made, member)) if may_enter(hierarchy, &member) => {
                self.keep(made, member);
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(error) if error.is_lack_of_privilege() => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn make(&self, hierarchy: &Hierarchy, limits: &Limits) -> Result<(Made, Member)> {
        let mut made = Made::default();
        let leaf = hierarchy.locate(self.path, self.mode);
        let member = make_member(hierarchy, leaf, self.existing, limits, &mut made)?;
        Ok((made, member))
    }

    fn keep(&mut self, mut made: Made, member: Member) {
        self.made.paths.append(&mut made.paths);
        self.cgroup.push_member(member);
    }

    /// Applies limits, with the controllers that they need.
    pub(crate) fn limit(&self, limits: &Limits) -> Result<()> {
        let remembered = enable_controllers(self.layout, &self.cgroup, limits)?;
        match self.cgroup.apply(limits) {
            // Somebody has switched one off since.
            Err(Error::NoController { .. }) if remembered => {
                for hierarchy in self.layout.hierarchies() {
                    hierarchy.set_full(None);
                }
                enable_controllers(self.layout, &self.cgroup, limits)?;
                self.cgroup.apply(limits)
            }
            done => done,
        }
    }

    pub(crate) fn finish(mut self) -> Cgroup {
        self.made.paths.clear();
        self.cgroup
    }
}

impl Cgroup {
    /// Makes a cgroup with these limits.
    ///
    /// The directories are made in every hierarchy, with missing parents. On v2
    /// the controllers are enabled on the way down, on v1 `cpuset` takes its CPUs
    /// and memory nodes from above. If anything fails, what was made is removed.
    ///
    /// # Errors
    ///
    /// [`Error::NotEmpty`] or [`Error::Frozen`] if such a cgroup exists and is in
    /// use (an empty one is taken over), [`Error::NoHierarchy`] if there are
    /// none, [`Error::NoController`], [`Error::InvalidLimit`] or
    /// [`Error::Unsupported`] if a limit cannot be had, [`Error::Io`] otherwise.
    pub fn create(layout: &Layout, path: &CgroupPath, limits: &Limits) -> Result<Self> {
        if layout.mode() == Mode::None {
            return Err(Error::NoHierarchy);
        }
        let mut making = Making::new(layout, path);
        for hierarchy in layout.hierarchies() {
            making.add(hierarchy, limits)?;
        }
        making.limit(limits)?;
        Ok(making.finish())
    }

    /// v2: makes the controllers available, too, that systemd does not hand down, having no use for them
    /// itself. The limit of one that can't be had will say so.
    #[cfg(feature = "systemd")]
    pub(crate) fn enable_offered(&self, layout: &Layout) -> Result<()> {
        let Some((hierarchy, member)) = v2_place(layout, self) else {
            return Ok(());
        };
        let present = ControllerSet::parse(&member.read("cgroup.controllers")?);
        let missing = hierarchy.controllers()?.without(present);
        if missing.is_empty() {
            return Ok(());
        }
        hand_down(hierarchy, member, missing, ControllerSet::default())
    }

    /// Refuses one that somebody uses, or that is frozen.
    #[cfg(feature = "systemd")]
    pub(crate) fn check_unused(&self) -> Result<()> {
        self.members().iter().try_for_each(check_unused)
    }

    /// Completes a cgroup that somebody has made in some of the hierarchies.
    #[cfg(feature = "systemd")]
    pub(crate) fn complete_in(layout: &Layout, path: &CgroupPath, limits: &Limits) -> Result<Self> {
        let mut making = Making::new(layout, path);
        making.existing = Existing::Share;
        for hierarchy in layout.hierarchies() {
            making.add(hierarchy, limits)?;
        }
        Ok(making.finish())
    }
}

fn make_member(
    hierarchy: &Hierarchy,
    leaf: PathBuf,
    existing: Existing,
    limits: &Limits,
    made: &mut Made,
) -> Result<Member> {
    let failed = |path: &Path, errno| {
        let hint = match errno {
            Errno::ACCESS | Errno::PERM | Errno::ROFS => {
                " (this part of the hierarchy is not delegated to this user: use a cgroup below a \
                 delegated one, as \"systemd-run --user --scope -p Delegate=yes\" makes)"
            }
            _ => "",
        };
        Error::hinted("make", path, io::Error::from(errno), hint)
    };
    let new = match made.mkdir(&leaf) {
        Err(Errno::NOENT) => {
            make_parents(hierarchy, &leaf, made, failed)?;
            made.mkdir(&leaf)
        }
        done => done,
    }
    .map_err(|errno| failed(&leaf, errno))?;
    let place = RecordedPath {
        hierarchy: hierarchy.name().to_owned(),
        path: leaf,
    };
    let member = Member::new(place, new);
    if !new {
        if existing == Existing::Claim {
            check_unused(&member)?;
        }
    } else if member.path().parent() != Some(hierarchy.mountpoint()) {
        // The root of a hierarchy cannot be frozen.
        check_thawed(&member, hierarchy.mountpoint())?;
    }
    if member.v1_controllers().contains(Controller::Cpuset) {
        let given = (limits.cpu.cpus.is_some(), limits.cpu.mems.is_some());
        cpuset::inherit(hierarchy.mountpoint(), member.path(), new, given)?;
    }
    Ok(member)
}

fn make_parents(
    hierarchy: &Hierarchy,
    leaf: &Path,
    made: &mut Made,
    failed: impl Fn(&Path, Errno) -> Error,
) -> Result<()> {
    let mountpoint = hierarchy.mountpoint();
    let Ok(below) = leaf.strip_prefix(mountpoint) else {
        return Err(failed(leaf, Errno::NOENT));
    };
    let is_cpuset = hierarchy.v1_controllers().contains(Controller::Cpuset);
    let mut path = mountpoint.to_owned();
    for component in below.parent().into_iter().flat_map(Path::components) {
        path.push(component);
        let none_was_made = made.paths.is_empty();
        let new = made.mkdir(&path).map_err(|errno| failed(&path, errno))?;
        if new && none_was_made && is_cpuset {
            cpuset::clone_to_children(mountpoint, &path)?;
        }
    }
    Ok(())
}

/// Whether the caller may move itself there. On v2 that takes the right to move processes in all
/// that lies above both where it comes from and where it goes.
fn may_enter(hierarchy: &Hierarchy, member: &Member) -> bool {
    let path = member.path();
    match member.version() {
        Version::V1 => fs::may_write(path, "tasks"),
        Version::V2 => {
            let own = hierarchy.own_path();
            let shared = path.ancestors().find(|above| own.starts_with(above));
            fs::may_write(path, "cgroup.procs")
                && shared.is_some_and(|above| fs::may_write(above, "cgroup.procs"))
        }
    }
}

/// Refuses an existing cgroup that somebody uses.
fn check_unused(member: &Member) -> Result<()> {
    let Some(dir) = member.existing_dir()? else {
        return Ok(());
    };
    let path = member.path();
    let count = tree::processes(dir, path)?.len();
    if count > 0 {
        return Err(Error::NotEmpty {
            path: path.to_owned(),
            count,
        });
    }
    if freeze::is_frozen(member)? {
        return Err(Error::Frozen {
            path: path.to_owned(),
        });
    }
    Ok(())
}

/// Refuses a place below a frozen cgroup: what starts there stands still at once,
/// and whoever waits for it waits for good.
fn check_thawed(member: &Member, mountpoint: &Path) -> Result<()> {
    if freeze::is_frozen_from_above(member)? != Some(true) {
        return Ok(());
    }
    let above = member.path().ancestors().skip(1);
    let frozen = above
        .take_while(|path| *path != mountpoint)
        .find(|path| freeze::is_frozen_itself(member.version(), path));
    Err(Error::Frozen {
        path: frozen.unwrap_or(member.path()).to_owned(),
    })
}

fn v2_place<'a>(layout: &'a Layout, cgroup: &'a Cgroup) -> Option<(&'a Hierarchy, &'a Member)> {
    let v2 = |hierarchy: &&Hierarchy| hierarchy.version() == Version::V2;
    layout.hierarchies().iter().find(v2).zip(cgroup.v2_member())
}

fn needed_on_v2(cgroup: &Cgroup, limits: &Limits) -> ControllerSet {
    let on_v2 = |one: &Controller| cgroup.version_of(*one) == Some(Version::V2);
    let needed = limits.requires();
    let needed = needed.iter().filter(|one| *one != Controller::Devices);
    needed.filter(on_v2).collect()
}

/// v2: makes the controllers available in the new cgroup, those that the limits
/// need and, for the figures on pure v2, the others that there are. Says whether it
/// relied on how an earlier cgroup was found.
fn enable_controllers(layout: &Layout, cgroup: &Cgroup, limits: &Limits) -> Result<bool> {
    let Some((hierarchy, member)) = v2_place(layout, cgroup) else {
        return Ok(false);
    };
    let needed = needed_on_v2(cgroup, limits);
    let pure = layout.mode() == Mode::V2;
    if needed.is_empty() && !pure {
        return Ok(false);
    }
    let offered = hierarchy.controllers()?;
    if let Some(controller) = needed.without(offered).iter().next() {
        return Err(Error::NoController {
            field: field_of(controller),
            controller,
        });
    }
    let parent = member.path().parent().unwrap_or(hierarchy.mountpoint());
    if hierarchy.is_full(parent) {
        return Ok(true);
    }
    let wanted = if pure { offered } else { needed };
    let present = ControllerSet::parse(&member.read("cgroup.controllers")?);
    let missing = wanted.without(present);
    if missing.is_empty() {
        // Where no controller is offered, as on some hybrid hosts, none is lacking either.
        if offered.is_empty() {
            check_type(member)?;
        } else if wanted == offered {
            hierarchy.set_full(Some(parent));
        }
        return Ok(false);
    }
    hand_down(hierarchy, member, missing, needed)?;
    Ok(false)
}

/// Enables controllers in all cgroups above this one; only a needed one has to be had.
fn hand_down(
    hierarchy: &Hierarchy,
    member: &Member,
    missing: ControllerSet,
    needed: ControllerSet,
) -> Result<()> {
    let mut dir = hierarchy.mountpoint().to_owned();
    let below = member
        .path()
        .strip_prefix(&dir)
        .unwrap_or(Path::new(""))
        .to_owned();
    for component in below.components() {
        enable_in(&dir, missing, needed)?;
        dir.push(component);
    }
    check_type(member)
}

/// Below a threaded cgroup nothing but threads can be put into a new one. Such a
/// cgroup always lacks controllers, so that others need not be asked.
fn check_type(member: &Member) -> Result<()> {
    match member.read("cgroup.type")?.trim() {
        "domain invalid" => Err(Error::Unsupported {
            field: "cgroupsPath",
            reason: format!(
                "{} cannot hold processes: a cgroup above it is threaded (choose one elsewhere)",
                member.path().display()
            ),
        }),
        _ => Ok(()),
    }
}

fn enable_in(dir: &Path, missing: ControllerSet, needed: ControllerSet) -> Result<()> {
    const FILE: &str = "cgroup.subtree_control";
    let line: Vec<_> = missing
        .iter()
        .map(|one| format!("+{}", one.v2_name()))
        .collect();
    if fs::write_file(dir, FILE, &line.join(" ")).is_ok() {
        return Ok(());
    }
    // One that cannot be enabled spoils the whole line; only a needed one matters.
    for (controller, value) in missing.iter().zip(&line) {
        match fs::write_file(dir, FILE, value) {
            Err(errno) if needed.contains(controller) => {
                return Err(fs::write_error(dir, FILE, value, errno));
            }
            _ => {}
        }
    }
    Ok(())
}
