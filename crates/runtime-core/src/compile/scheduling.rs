//! When, where and how a process runs: CPUs, scheduling policy, I/O priority, memory nodes, persona.

use orlop_init::Op;
use orlop_init::wire::Blob;

use crate::error::Result;
use crate::names::{IO_CLASSES, MEMORY_FLAGS, MEMORY_MODES, SCHEDULER_FLAGS, SCHEDULERS, number};
use crate::plan::{PlanBuilder, Scheduling};
use crate::spec::{MemoryPolicy, Personality, Process, Scheduler};

/// As many CPUs and memory nodes as any kernel is built for (`NR_CPUS`).
const MAX_CPUS: u32 = 8192;
/// As many memory nodes as any kernel is built for (`MAX_NUMNODES`).
const MAX_NODES: u32 = 1024;

const DEADLINE: &str = "SCHED_DEADLINE";
const RESET_ON_FORK: &str = "SCHED_FLAG_RESET_ON_FORK";

/// All of it for a container's first process.
pub(super) fn push(
    build: &mut PlanBuilder,
    process: &Process,
    policy: Option<&MemoryPolicy>,
) -> Result<()> {
    // They are for processes that enter later, but a mistake should show at once.
    affinity(build, process)?;
    push_memory_policy(build, policy)?;
    push_io_priority(build, process)?;
    push_scheduler(build, process)
}

/// Whether a fork would lose the scheduling policy, or be refused.
fn is_lost_by_fork(scheduler: &Scheduler) -> bool {
    scheduler.policy == DEADLINE || scheduler.flags.iter().any(|flag| flag == RESET_ON_FORK)
}

/// The same for a process that enters a container, and may have to fork as the last step.
pub(super) fn push_entering(
    build: &mut PlanBuilder,
    process: &Process,
    policy: Option<&MemoryPolicy>,
    forks: bool,
) -> Result<()> {
    push_memory_policy(build, policy)?;
    push_io_priority(build, process)?;
    match process.scheduler.as_ref().filter(|_| forks) {
        Some(scheduler) if is_lost_by_fork(scheduler) => {
            build.at("process.scheduler");
            build.plan.scheduling = Some(scheduling(build, scheduler)?);
            build.at_none();
            Ok(())
        }
        _ => push_scheduler(build, process),
    }
}

/// After the fork, what was lost by it: the process itself has no right any more to set it.
pub(super) fn push_lost(build: &mut PlanBuilder) {
    if build.plan.scheduling.is_some() {
        build.at("process.scheduler");
        build.push(Op::NeedScheduler {});
        build.at_none();
    }
}

/// The CPUs of `process.execCPUAffinity`: before and after the cgroup is joined.
fn affinity(build: &mut PlanBuilder, process: &Process) -> Result<[Option<Vec<u8>>; 2]> {
    let Some(affinity) = &process.exec_cpu_affinity else {
        return Ok([None, None]);
    };
    let mut one = |name: &str, list: &Option<String>| {
        build.at(format!("process.execCPUAffinity.{name}"));
        let list = list.as_deref().filter(|list| !list.is_empty());
        list.map(|list| bits(build, list, MAX_CPUS)).transpose()
    };
    let both = [
        one("initial", &affinity.initial)?,
        one("final", &affinity.last)?,
    ];
    build.at_none();
    Ok(both)
}

/// Before the cgroup is joined. `in_cgroup`: the process is born there, where the CPUs may all be
/// out of bounds.
pub(super) fn push_initial_affinity(
    build: &mut PlanBuilder,
    process: &Process,
    in_cgroup: bool,
) -> Result<()> {
    if let [Some(cpus), _] = affinity(build, process)? {
        push_affinity(build, "process.execCPUAffinity.initial", &cpus, in_cgroup);
    }
    Ok(())
}

/// After the cgroup is joined: what the caller was bound to is no business of the container's.
pub(super) fn push_final_affinity(build: &mut PlanBuilder, process: &Process) -> Result<()> {
    match affinity(build, process)? {
        [_, Some(cpus)] => push_affinity(build, "process.execCPUAffinity.final", &cpus, false),
        _ => build.push(Op::ResetAffinity {}),
    }
    Ok(())
}

fn push_affinity(build: &mut PlanBuilder, field: &str, cpus: &[u8], lenient: bool) {
    build.at(field);
    let cpus = build.blob(cpus);
    build.push(Op::Affinity { cpus, lenient });
    build.at_none();
}

/// A list such as `0-3,7` as a set of bits, in 64-bit words.
fn bits(build: &PlanBuilder, list: &str, limit: u32) -> Result<Vec<u8>> {
    let mut words: Vec<u64> = Vec::new();
    for range in list
        .split(',')
        .map(str::trim)
        .filter(|range| !range.is_empty())
    {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) else {
            return Err(build.error(format!("{range:?} is no number and no range of numbers")));
        };
        if first > last || last >= limit {
            let message = format!("{range:?} does not go upwards, or beyond {}", limit - 1);
            return Err(build.error(message));
        }
        for bit in first..=last {
            let word = (bit / u64::BITS) as usize;
            words.resize(words.len().max(word + 1), 0);
            words[word] |= 1 << (bit % u64::BITS);
        }
    }
    if words.is_empty() {
        return Err(build.error(format!("{list:?} names nothing")));
    }
    Ok(words.into_iter().flat_map(u64::to_ne_bytes).collect())
}

fn push_scheduler(build: &mut PlanBuilder, process: &Process) -> Result<()> {
    let Some(scheduler) = &process.scheduler else {
        return Ok(());
    };
    build.at("process.scheduler");
    let Scheduling {
        policy,
        flags,
        nice,
        priority,
        runtime,
        deadline,
        period,
    } = scheduling(build, scheduler)?;
    let nice = nice.cast_unsigned();
    build.push(Op::Scheduler {
        policy,
        flags,
        nice,
        priority,
        runtime,
        deadline,
        period,
    });
    build.at_none();
    Ok(())
}

fn scheduling(build: &PlanBuilder, scheduler: &Scheduler) -> Result<Scheduling> {
    let name = scheduler.policy.as_str();
    let Some(policy) = number(&SCHEDULERS, name) else {
        return Err(build.error(format!("policy: {name:?} is no scheduling policy")));
    };
    let mut flags = 0;
    for flag in &scheduler.flags {
        let Some(bit) = number(&SCHEDULER_FLAGS, flag) else {
            return Err(build.error(format!("flags: {flag:?} is no scheduling flag")));
        };
        flags |= u64::from(bit);
    }
    let nice = scheduler.nice.unwrap_or(0);
    if !(-20..=19).contains(&nice) {
        return Err(build.error(format!("nice: {nice} is not between -20 and 19")));
    }
    let priority = scheduler.priority.unwrap_or(0);
    if priority != 0 && !matches!(name, "SCHED_FIFO" | "SCHED_RR") {
        return Err(build.error("priority: only SCHED_FIFO and SCHED_RR have one"));
    }
    let Ok(priority) = u32::try_from(priority) else {
        return Err(build.error(format!("priority: {priority} is negative")));
    };
    let times =
        [scheduler.runtime, scheduler.deadline, scheduler.period].map(Option::unwrap_or_default);
    if times != [0; 3] && name != DEADLINE {
        return Err(build.error(format!(
            "runtime, deadline and period are for {DEADLINE} only"
        )));
    }
    let [runtime, deadline, period] = times;
    Ok(Scheduling {
        policy,
        flags,
        nice,
        priority,
        runtime,
        deadline,
        period,
    })
}

fn push_io_priority(build: &mut PlanBuilder, process: &Process) -> Result<()> {
    const CLASS_SHIFT: u32 = 13;
    let Some(io) = &process.io_priority else {
        return Ok(());
    };
    build.at("process.ioPriority");
    let Some(class) = number(&IO_CLASSES, &io.class) else {
        return Err(build.error(format!("class: {:?} is no I/O scheduling class", io.class)));
    };
    let level = match u32::try_from(io.priority) {
        Ok(level) if level <= 7 => level,
        _ => return Err(build.error(format!("priority: {} is not between 0 and 7", io.priority))),
    };
    build.push(Op::IoPriority {
        value: class << CLASS_SHIFT | level,
    });
    build.at_none();
    Ok(())
}

fn push_memory_policy(build: &mut PlanBuilder, policy: Option<&MemoryPolicy>) -> Result<()> {
    let Some(wanted) = policy else { return Ok(()) };
    build.at("linux.memoryPolicy");
    let Some(mut policy) = number(&MEMORY_MODES, &wanted.mode) else {
        return Err(build.error(format!("mode: {:?} is no memory policy", wanted.mode)));
    };
    for flag in &wanted.flags {
        let Some(bit) = number(&MEMORY_FLAGS, flag) else {
            return Err(build.error(format!("flags: {flag:?} is no flag of a memory policy")));
        };
        policy |= bit;
    }
    let list = wanted.nodes.as_deref().unwrap_or_default();
    let nodes = match (wanted.mode.as_str(), list) {
        ("MPOL_DEFAULT" | "MPOL_LOCAL", "") | ("MPOL_PREFERRED", "") => Blob { offset: 0, len: 0 },
        (mode @ ("MPOL_DEFAULT" | "MPOL_LOCAL"), _) => {
            return Err(build.error(format!("nodes: {mode} takes none")));
        }
        (mode, "") => return Err(build.error(format!("nodes: {mode} needs some"))),
        (_, list) => {
            let bits = bits(build, list, MAX_NODES)?;
            build.blob(&bits)
        }
    };
    build.push(Op::MemoryPolicy { policy, nodes });
    build.at_none();
    Ok(())
}

pub(super) fn push_personality(
    build: &mut PlanBuilder,
    personality: Option<&Personality>,
) -> Result<()> {
    let Some(personality) = personality else {
        return Ok(());
    };
    build.at("linux.personality.domain");
    let domain = match personality.domain.as_str() {
        "LINUX" => 0,
        "LINUX32" => 8,
        other => return Err(build.error(format!("{other:?} is not LINUX or LINUX32"))),
    };
    if !personality.flags.is_empty() {
        build.warn("linux.personality.flags: the specification defines none; left out");
    }
    build.push(Op::Personality { domain });
    build.at_none();
    Ok(())
}
