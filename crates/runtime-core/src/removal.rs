//! The end of a container: all that was made for it goes, whatever state it is in.

use std::os::fd::AsFd;
use std::time::Duration;

use orlop_cgroups::{Cgroup, CgroupPath, RecordedPath};

use crate::container::{Container, LOCK_LIMIT, cgroup_at, cgroup_of};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::options::Options;
use crate::plan::Plan;
use crate::process_id;
use crate::signal::Signal;
use crate::spec::{Hook, Spec};
use crate::state::{ContainerDir, LockedDir, OciState, Phase, Place, State, Status};
use crate::{freeze, gate, hooks, resctrl, spawn, unit};

/// How long a killed process may take to be gone.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// How long one takes that is not frozen.
const USUAL_END: Duration = Duration::from_millis(20);

impl Container {
    /// Removes the container: its cgroup, its state, and its poststop hooks are run.
    ///
    /// One that was never started is killed; one that runs is refused, unless `force` is given.
    ///
    /// # Errors
    /// [`Error::WrongState`] when it runs; otherwise what could not be removed.
    pub fn delete(mut self, force: bool) -> Result<Vec<String>> {
        self.waiting = None;
        self.may_delete(force)?;
        let Self { dir, state, .. } = self;
        let dir = dir.lock(LOCK_LIMIT)?;
        // Another command may have finished what it had begun, before the lock was ours.
        let state = dir.state().unwrap_or(state);
        let container = Self::loaded(dir.into_dir(), state);
        container.may_delete(force)?;
        let Self { dir, state, .. } = container;
        remove(dir.lock(LOCK_LIMIT)?, &state)
    }

    fn may_delete(&self, force: bool) -> Result<()> {
        let status = self.status()?;
        if force || matches!(status, Status::Stopped | Status::Created) {
            return Ok(());
        }
        let id = self.state.id.clone();
        Err(Error::NotStopped { id, status })
    }

    /// Removes whatever a directory stands for, readable or not.
    pub(crate) fn remove_by_force(dir: ContainerDir) -> Result<Vec<String>> {
        let dir = dir.lock(LOCK_LIMIT)?;
        match dir.state() {
            Ok(state) => return remove(dir, &state),
            // Nothing is made before the first record; a gate without one was robbed of it.
            Err(Error::NotFound(_)) if !gate::is_there(dir.as_fd()) => {}
            Err(_) => clear_without_record(&dir)?,
        }
        dir.remove().map(|()| Vec::new())
    }
}

/// Ends what runs in the cgroup of a container whose `state.json` is damaged, and removes it.
fn clear_without_record(dir: &LockedDir) -> Result<()> {
    match dir.place() {
        Some(place) if place.is_of_this_boot()? => clear_place(&place),
        Some(_) => Ok(()),
        None => clear_configured(dir),
    }
}

fn clear_place(place: &Place) -> Result<()> {
    let cgroup = cgroup_at(&place.cgroup);
    match &place.unit {
        Some(unit) => unit::end(unit, &cgroup, true),
        None => clear(&cgroup),
    }
}

/// As the container's configuration still tells where it is; what is not said there is looked for
/// where it usually is.
fn clear_configured(dir: &LockedDir) -> Result<()> {
    let config = dir.load_config().ok();
    let spec = config.and_then(|config| Spec::from_slice(&config).ok());
    let (Some(spec), Ok(host)) = (spec, Host::probe()) else {
        return clear_usual(dir);
    };
    let linux = spec.linux.as_ref();
    let asked = linux.and_then(|linux| linux.cgroups_path.as_deref());
    let asked = asked.unwrap_or_default();
    if !asked.starts_with('/') && asked.contains(':') {
        return match unit::named(asked, &host.cgroups) {
            Some((unit, cgroup)) => unit::end(&unit, &cgroup, true),
            None => Ok(()),
        };
    }
    match cgroup_of_config(dir, &spec, &host) {
        // What was not asked for may be another's: an id may be the name of a slice of systemd.
        Some(cgroup) if exists(&cgroup) && (!asked.is_empty() || is_contained(&cgroup)) => {
            clear(&cgroup)
        }
        // The path that was asked for is no unit's, and nothing else is the container's.
        Some(_) if !asked.is_empty() => Ok(()),
        _ => clear_usual(dir),
    }
}

fn cgroup_of_config(dir: &ContainerDir, spec: &Spec, host: &Host) -> Option<Cgroup> {
    let options = Options::new("/").id(dir.id().clone());
    let plan = Plan::compile(spec, &options, host).ok()?;
    let path = plan.cgroup?.path;
    Some(Cgroup::open(&Cgroup::plan_paths(&host.cgroups, &path)))
}

fn exists(cgroup: &Cgroup) -> bool {
    cgroup.record().iter().any(|place| place.path.exists())
}

/// The cgroup that a container of this id has where its configuration names none, if what is there
/// looks like a container.
fn clear_usual(dir: &ContainerDir) -> Result<()> {
    let Ok(host) = Host::probe() else {
        return Ok(());
    };
    if let Ok(path) = CgroupPath::new(&format!("/{}", dir.id())) {
        let cgroup = Cgroup::open(&Cgroup::plan_paths(&host.cgroups, &path));
        if is_contained(&cgroup) {
            clear(&cgroup)?;
        }
    }
    match unit::usual(dir.id(), &host.cgroups) {
        Some((unit, cgroup)) if is_contained(&cgroup) => unit::end(&unit, &cgroup, true),
        _ => Ok(()),
    }
}

/// Whether a cgroup looks like a container's: no cgroups below it, and nothing in it that shares our
/// PID namespace.
fn is_contained(cgroup: &Cgroup) -> bool {
    let Ok(own) = std::fs::read_link("/proc/self/ns/pid") else {
        return false;
    };
    let foreign = |pid: &u32| {
        std::fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|namespace| namespace != own)
    };
    let is_leaf = |place: &RecordedPath| {
        std::fs::read_dir(&place.path).is_ok_and(|mut entries| {
            entries.all(|entry| entry.is_ok_and(|entry| !entry.path().is_dir()))
        })
    };
    let contained = cgroup
        .processes()
        .is_ok_and(|pids| pids.iter().all(foreign));
    contained && cgroup.record().iter().all(is_leaf)
}

/// Kills what is in a cgroup, and removes it.
fn clear(cgroup: &Cgroup) -> Result<()> {
    cgroup.kill_all(orlop_cgroups::Signal::KILL)?;
    Ok(cgroup.destroy()?)
}

/// Kills what runs, removes what is there, and says which poststop hooks failed.
fn remove(dir: LockedDir, state: &State) -> Result<Vec<String>> {
    kill_first_process(state)?;
    remove_cgroup(state)?;
    remove_root(state)?;
    resctrl::remove(&state.resctrl)?;
    let poststop = if state.late_hooks {
        poststop_hooks(&dir)
    } else {
        Vec::new()
    };
    let told = OciState::for_hooks(state, Status::Stopped).to_json();
    dir.remove()?;
    // runtime.md: a failing poststop hook is a warning, and the others still run.
    let place = hooks::Place::of(state);
    let failed = poststop
        .iter()
        .enumerate()
        .filter_map(|(index, hook)| hooks::run(("poststop", index), hook, &told, place).err());
    Ok(failed.map(|error| error.to_string()).collect())
}

/// Of another run of the machine no cgroup is left: what has its path is another's.
fn remove_cgroup(state: &State) -> Result<()> {
    if state.cgroup.is_empty() || !state.is_of_this_boot()? {
        return Ok(());
    }
    let cgroup = cgroup_of(state);
    let may_have_more =
        state.new_namespaces & libc::CLONE_NEWPID as u32 == 0 || state.phase == Phase::Creating;
    if let Some(unit) = &state.unit {
        return unit::end(unit, &cgroup, may_have_more);
    }
    if may_have_more {
        cgroup.kill_all(orlop_cgroups::Signal::KILL)?;
    }
    Ok(cgroup.destroy()?)
}

/// Takes away what a `create` that was killed has mounted among the host's. What one has that was
/// created is for who made it to unmount.
fn remove_root(state: &State) -> Result<()> {
    match state.root_mount {
        Some(id) if state.phase == Phase::Creating && state.is_of_this_boot()? => {
            spawn::detach_recorded(&state.rootfs, id)
        }
        _ => Ok(()),
    }
}

fn poststop_hooks(dir: &ContainerDir) -> Vec<Hook> {
    let spec = dir
        .load_config()
        .ok()
        .and_then(|config| Spec::from_slice(&config).ok());
    spec.and_then(|spec| spec.hooks)
        .map(|hooks| hooks.poststop)
        .unwrap_or_default()
}

pub(crate) fn kill_first_process(state: &State) -> Result<()> {
    let Some(process) = state.process else {
        return Ok(());
    };
    if !state.is_of_this_boot()? {
        return Ok(());
    }
    let Some(pidfd) = process.open()? else {
        return Ok(());
    };
    process_id::send_signal(pidfd.as_fd(), Signal::KILL)?;
    if process_id::wait_exit(pidfd.as_fd(), USUAL_END)? {
        return Ok(());
    }
    freeze::thaw(state)?;
    if process_id::wait_exit(pidfd.as_fd(), KILL_LIMIT)? {
        return Ok(());
    }
    let operation = format!("wait for the killed init of container {}", state.id);
    Err(Error::TimedOut {
        operation,
        seconds: KILL_LIMIT.as_secs(),
    })
}
