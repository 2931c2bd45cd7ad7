//! New limits for a container that exists.

use std::cell::OnceCell;

use orlop_cgroups::{Cgroup, Limits};
use serde_json::Value;

use crate::compile::{Converted, convert_limits};
use crate::container::{Container, LOCK_LIMIT};
use crate::error::{Error, Result};
use crate::resctrl::{self, Allocation};
use crate::spec::{BlockIo, Cpu, IntelRdt, Memory, Resources, ThrottleDevice, WeightDevice};
use crate::state::Status;
use crate::unit::{self, UnitRecord};

impl Container {
    /// Gives a container that runs, is paused or waits for its start other limits. What is absent
    /// stays as it is, and devices stay in any case. Either all of it holds afterwards or nothing
    /// has changed.
    ///
    /// The container's configuration is what it is with these limits, from then on. Returns what
    /// was passed over, in sentences for a log.
    ///
    /// ```no_run
    /// use orlop::spec::{Memory, Resources};
    ///
    /// let runtime = orlop::Runtime::open("/run/demo")?;
    /// let mut container = runtime.load(&"web".parse()?)?;
    /// let memory = Memory { limit: Some(64 << 20), ..Memory::default() };
    /// container.update(&Resources { memory: Some(memory), ..Resources::default() })?;
    /// # Ok::<(), orlop::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotRunning`] when it is stopped, [`Error::Invalid`] for a value that makes no
    /// sense, [`Error::Cgroup`] when the kernel refuses one.
    pub fn update(&mut self, resources: &Resources) -> Result<Vec<String>> {
        self.update_with_rdt(resources, &IntelRdt::default())
    }

    /// As [`update`](Self::update), with other lines for the container's group of the resctrl file
    /// system; one that is in none gets a group of its own.
    ///
    /// # Errors
    /// As [`update`](Self::update), and [`Error::Invalid`] on a host that can't do it.
    pub fn update_with_rdt(
        &mut self,
        resources: &Resources,
        rdt: &IntelRdt,
    ) -> Result<Vec<String>> {
        self.must_have_cgroup("update")?;
        self.locked(|container, status| {
            if matches!(status, Status::Stopped | Status::Creating) {
                return Err(Error::NotRunning(container.state.id.clone()));
            }
            let before = container.read_spec()?;
            let before = before.linux.and_then(|linux| linux.resources);
            let before = before.unwrap_or_default();
            let after = merged(&before, resources);
            let cgroup = container.cgroup();
            let Converted {
                mut limits,
                passed_over,
            } = convert_limits(&to_write(&before, resources, &after), cgroup.mode())?;
            // They are what they were made to be, which may be more than the configuration says.
            limits.devices = None;
            let unit = container.state.unit.clone();
            let config = container.config_with(&after, rdt)?;
            container.allocated(rdt, |container| {
                container.spec = OnceCell::new();
                let change = container.dir.change(LOCK_LIMIT)?;
                change.write_config_after(&config, || apply(cgroup, &limits, unit.as_ref()))
            })?;
            Ok(passed_over)
        })
    }

    fn config_with(&self, resources: &Resources, rdt: &IntelRdt) -> Result<Vec<u8>> {
        with_resources(&self.dir.load_config()?, resources, rdt).map_err(|error| Error::State {
            path: self.dir.path().join("config.json"),
            message: error.to_string(),
        })
    }

    /// Does the rest of an update with the cache and memory bandwidth allocated, and takes that back
    /// where the rest fails.
    fn allocated(
        &mut self,
        rdt: &IntelRdt,
        rest: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let wanted = rdt.l3_cache_schema.is_some() || rdt.mem_bw_schema.is_some();
        let root = wanted.then(resctrl::mount_point).flatten();
        let id = self.state.id.to_string();
        let place = self.state.resctrl.first();
        let Some(allocation) = Allocation::of(rdt, place, root.as_deref(), &id)? else {
            return rest(self);
        };
        let before = self.state.resctrl.clone();
        if before.is_empty() {
            // As all that is made for a container, it is named first.
            self.save_places(vec![allocation.place.clone()])?;
        }
        let done = allocation
            .make(|| self.processes())
            .and_then(|change| rest(self).inspect_err(|_| change.undo()));
        // A group that can't be removed now is `delete`'s to remove.
        if done.is_err() && before.is_empty() && !allocation.place.path.exists() {
            // Why it failed is what matters.
            let _ = self.save_places(before);
        }
        done
    }

    fn save_places(&mut self, places: Vec<resctrl::ResctrlPlace>) -> Result<()> {
        self.state.resctrl = places;
        self.dir.change(LOCK_LIMIT)?.write_state(&self.state)
    }
}

fn apply(cgroup: Cgroup, limits: &Limits, unit: Option<&UnitRecord>) -> Result<()> {
    match unit {
        _ if *limits == Limits::default() => Ok(()),
        Some(unit) => unit::update(unit, cgroup, limits),
        None => Ok(cgroup.update(limits)?),
    }
}

/// A configuration with other resources; all else in it stays, known or not.
fn with_resources(
    config: &[u8],
    resources: &Resources,
    rdt: &IntelRdt,
) -> serde_json::Result<Vec<u8>> {
    let mut config: Value = serde_json::from_slice(config)?;
    // Fields that are not known here are of no consequence here, but somebody wrote them.
    let known = serde_json::to_value(resources)?;
    if !config["linux"].is_object() {
        config["linux"] = Value::Object(serde_json::Map::new());
    }
    extend(&mut config["linux"]["resources"], known);
    if *rdt != IntelRdt::default() {
        extend(&mut config["linux"]["intelRdt"], serde_json::to_value(rdt)?);
    }
    serde_json::to_vec(&config)
}

fn extend(there: &mut Value, known: Value) {
    match (there, known) {
        (Value::Object(there), Value::Object(known)) => there.extend(known),
        (there, known) => *there = known,
    }
}

/// `new` where it says something, else `old`.
fn or<T: Clone>(new: &Option<T>, old: &Option<T>) -> Option<T> {
    new.as_ref().or(old.as_ref()).cloned()
}

/// The container's resources after an update: what it says replaces what there was, field by field,
/// and device by device.
fn merged(before: &Resources, update: &Resources) -> Resources {
    let mut after = before.clone();
    if let Some(memory) = &update.memory {
        after.memory = Some(merged_memory(
            &before.memory.clone().unwrap_or_default(),
            memory,
        ));
    }
    if let Some(cpu) = &update.cpu {
        after.cpu = Some(merged_cpu(&before.cpu.clone().unwrap_or_default(), cpu));
    }
    if let Some(pids) = update.pids.as_ref().filter(|pids| pids.limit.is_some()) {
        after.pids = Some(pids.clone());
    }
    if let Some(io) = &update.block_io {
        after.block_io = Some(merged_io(&before.block_io.clone().unwrap_or_default(), io));
    }
    for limit in &update.hugepage_limits {
        let all = &mut after.hugepage_limits;
        all.retain(|one| one.page_size != limit.page_size);
        all.push(limit.clone());
    }
    if let Some(network) = &update.network {
        after.network = Some(network.clone());
    }
    after.rdma.extend(update.rdma.clone());
    after.unified.extend(update.unified.clone());
    after
}

fn merged_memory(old: &Memory, new: &Memory) -> Memory {
    let mut swap = or(&new.swap, &old.swap);
    if new.limit == Some(-1) && new.swap.is_none() {
        // v1 takes no bound for memory and swap below that of memory.
        swap = Some(-1);
    }
    Memory {
        limit: or(&new.limit, &old.limit),
        reservation: or(&new.reservation, &old.reservation),
        swap,
        kernel: or(&new.kernel, &old.kernel),
        kernel_tcp: or(&new.kernel_tcp, &old.kernel_tcp),
        swappiness: or(&new.swappiness, &old.swappiness),
        disable_oom_killer: or(&new.disable_oom_killer, &old.disable_oom_killer),
        use_hierarchy: or(&new.use_hierarchy, &old.use_hierarchy),
        check_before_update: or(&new.check_before_update, &old.check_before_update),
    }
}

fn merged_cpu(old: &Cpu, new: &Cpu) -> Cpu {
    let list = |new: &Option<String>, old: &Option<String>| {
        or(&new.clone().filter(|list| !list.is_empty()), old)
    };
    Cpu {
        shares: or(&new.shares, &old.shares),
        quota: or(&new.quota, &old.quota),
        burst: or(&new.burst, &old.burst),
        period: or(&new.period, &old.period),
        realtime_runtime: or(&new.realtime_runtime, &old.realtime_runtime),
        realtime_period: or(&new.realtime_period, &old.realtime_period),
        cpus: list(&new.cpus, &old.cpus),
        mems: list(&new.mems, &old.mems),
        idle: or(&new.idle, &old.idle),
    }
}

fn merged_io(old: &BlockIo, new: &BlockIo) -> BlockIo {
    let rates = |old: &[ThrottleDevice], new: &[ThrottleDevice]| {
        by_device(old, new, |one| (one.major, one.minor))
    };
    BlockIo {
        weight: or(&new.weight, &old.weight),
        leaf_weight: or(&new.leaf_weight, &old.leaf_weight),
        weight_device: by_device(
            &old.weight_device,
            &new.weight_device,
            |one: &WeightDevice| (one.major, one.minor),
        ),
        throttle_read_bps_device: rates(
            &old.throttle_read_bps_device,
            &new.throttle_read_bps_device,
        ),
        throttle_write_bps_device: rates(
            &old.throttle_write_bps_device,
            &new.throttle_write_bps_device,
        ),
        throttle_read_iops_device: rates(
            &old.throttle_read_iops_device,
            &new.throttle_read_iops_device,
        ),
        throttle_write_iops_device: rates(
            &old.throttle_write_iops_device,
            &new.throttle_write_iops_device,
        ),
    }
}

/// All of the new entries, and of the old ones those for other devices.
fn by_device<T: Clone>(old: &[T], new: &[T], device: impl Fn(&T) -> (i64, i64)) -> Vec<T> {
    let replaced = |one: &T| new.iter().any(|new| device(new) == device(one));
    let kept = old.iter().filter(|one| !replaced(one));
    kept.chain(new).cloned().collect()
}

/// What is written: what the update says, what hangs together with it, and nothing that it merely
/// repeats of limits that an update is not for.
fn to_write(before: &Resources, update: &Resources, after: &Resources) -> Resources {
    let mut write = Resources {
        devices: Vec::new(),
        ..update.clone()
    };
    if let (Some(memory), Some(after)) = (&mut write.memory, &after.memory) {
        // On v2 the bound of swap is the difference of the two.
        if memory.limit.is_some() || memory.swap.is_some() {
            (memory.limit, memory.swap) = (after.limit, after.swap);
        }
        memory.check_before_update = after.check_before_update;
    }
    if let (Some(cpu), Some(after)) = (&mut write.cpu, &after.cpu) {
        // On v2 they are one file, and on v1 which is valid depends on the other.
        if cpu.quota.is_some() || cpu.period.is_some() {
            (cpu.quota, cpu.period) = (after.quota, after.period);
        }
        if cpu.realtime_runtime.is_some() || cpu.realtime_period.is_some() {
            cpu.realtime_runtime = after.realtime_runtime;
            cpu.realtime_period = after.realtime_period;
        }
    }
    let had = &before.hugepage_limits;
    write.hugepage_limits.retain(|limit| !had.contains(limit));
    write
        .rdma
        .retain(|device, limit| before.rdma.get(device) != Some(limit));
    if write.network == before.network {
        write.network = None;
    }
    write
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
