//! What the debug log says of a birth: in runc's words, which people's scripts look for.

use orlop::spec::Process;

use crate::log::Log;

/// As many CPUs as a mask is printed for; more are left out.
const CPUS: u32 = u128::BITS;

/// Before a process is born.
pub(super) fn begin(log: &Log) {
    log.debug(|| "nsexec container setup: a process with its namespaces".to_owned());
}

/// Before a process is born that enters a container.
pub(super) fn begin_exec(log: &Log, process: &Process) {
    begin(log);
    let affinity = process.exec_cpu_affinity.as_ref();
    if let Some(cpus) = affinity.and_then(|affinity| affinity.initial.as_deref()) {
        log.debug(|| format!("nsexec: affinity: {:#x}", mask(cpus)));
    }
}

/// Once a container is created.
pub(super) fn created(log: &Log) {
    log.debug(|| "child process in init(): it has carried out its plan".to_owned());
    log.debug(|| "init: closing the pipe to signal completion".to_owned());
}

/// Once a process in a container has become its program.
pub(super) fn executed(log: &Log) {
    log.debug(|| "child process in init(): it has carried out its plan".to_owned());
    log.debug(|| "setns_init: about to exec: done".to_owned());
}

/// A list of CPUs such as `0-3,7`, which was found to be one, as a set of bits.
fn mask(list: &str) -> u128 {
    let ranges = list.split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.trim().parse::<u32>().ok()?..=last.trim().parse::<u32>().ok()?)
    });
    let bits = ranges.flat_map(|range| range.take_while(|cpu| *cpu < CPUS));
    bits.fold(0, |mask, cpu| mask | 1 << cpu)
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn cpus_are_bits() {
        for (list, wanted) in [
            ("0", 1),
            ("0-3,7", 0x8f),
            ("1, 2", 6),
            ("127-200", 1 << 127),
        ] {
            assert_eq!(mask(list), wanted, "{list}");
        }
    }
}
