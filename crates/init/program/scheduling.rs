//! Where and when the process runs: CPUs, scheduling policy, I/O priority, memory nodes.

use crate::Step;
use crate::execute::State;
use crate::ops::Op;
use crate::sys::{self, Errno, SchedAttr};

/// As many CPUs as any kernel is built for (`NR_CPUS`).
const ALL_CPUS: [u8; 1024] = [0xff; 1024];

pub fn step(state: &mut State, op: Op) -> Step {
    match op {
        Op::ResetAffinity {} => {
            // Where a filter or a kernel does not let it, the caller's binding stays.
            let _ = sys::set_affinity(&ALL_CPUS);
            Ok(())
        }
        Op::Affinity { cpus, lenient } => match sys::set_affinity(state.image.blob(cpus)?) {
            Err(Errno::INVAL) if lenient => Ok(()),
            result => Ok(result?),
        },
        Op::Scheduler { policy, flags, nice, priority, runtime, deadline, period } => {
            let size = size_of::<SchedAttr>() as u32;
            let attr = SchedAttr { size, policy, flags, nice, priority, runtime, deadline, period };
            Ok(sys::set_scheduler(&attr)?)
        }
        Op::IoPriority { value } => Ok(sys::set_io_priority(value)?),
        Op::MemoryPolicy { policy, nodes } => {
            Ok(sys::set_memory_policy(policy, state.image.blob(nodes)?)?)
        }
        _ => unreachable!(),
    }
}
