//! Files of the v2 cgroup as properties of a unit: of a limit that only the cgroup has, systemd would
//! write its own value there when it loads its units anew.

use std::collections::BTreeMap;

use super::properties::{Dialect, INFINITY, bit_mask};
use super::wire::Value;
use crate::units::{Limit, Micros};

impl Dialect {
    /// The properties for those files that this version of systemd has one for. A value that it can't be
    /// told is for the kernel to take or refuse.
    pub(super) fn of_files(self, files: &BTreeMap<String, String>) -> Vec<(&'static str, Value)> {
        files
            .iter()
            .flat_map(|(file, value)| self.of_file(file, value.trim()).unwrap_or_default())
            .collect()
    }

    fn of_file(self, file: &str, value: &str) -> Option<Vec<(&'static str, Value)>> {
        let (name, since) = match file {
            "cpu.idle" => return self.idle(value == "1").map(|property| vec![property]),
            "cpu.max" => return self.of_cpu_max(value),
            "cpu.weight" => ("CPUWeight", 232),
            "cpuset.cpus" => ("AllowedCPUs", 244),
            "cpuset.mems" => ("AllowedMemoryNodes", 244),
            "memory.high" => ("MemoryHigh", 231),
            "memory.low" => ("MemoryLow", 231),
            "memory.max" => ("MemoryMax", 231),
            "memory.min" => ("MemoryMin", 240),
            "memory.swap.max" => ("MemorySwapMax", 232),
            "pids.max" => ("TasksMax", 227),
            _ => return None,
        };
        if self.systemd < since {
            return None;
        }
        let value = match name {
            "AllowedCPUs" | "AllowedMemoryNodes" => Value::Bytes(bit_mask(name, value).ok()?),
            _ => Value::U64(number_or_max(value)?),
        };
        Some(vec![(name, value)])
    }

    /// `QUOTA [PERIOD]`.
    fn of_cpu_max(self, value: &str) -> Option<Vec<(&'static str, Value)>> {
        let mut words = value.split_ascii_whitespace();
        let quota = match words.next()? {
            "max" => Limit::Max,
            quota => Limit::Value(Micros(quota.parse().ok()?)),
        };
        let period = words.next().map(str::parse).transpose().ok()?.map(Micros);
        Some(self.quota(quota, period))
    }
}

fn number_or_max(value: &str) -> Option<u64> {
    match value {
        "max" => Some(INFINITY),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::properties::tests::of;
    use super::*;
    use crate::layout::Version;
    use crate::limits::Limits;
    use crate::units::Bytes;

    #[test]
    fn files_that_systemd_has_a_property_for() {
        let limits = [
            ("cpu.max", "5000 50000\n"),
            ("cpu.weight", "42"),
            ("cpuset.cpus", "1-2"),
            ("hugetlb.2MB.max", "1"),
            ("memory.high", "max"),
            ("memory.min", "4096"),
            ("pids.max", "7"),
        ]
        .into_iter()
        .fold(Limits::new(), |limits, (file, value)| {
            limits.unified(file, value)
        });
        assert_eq!(
            of(&limits, 257),
            [
                ("CPUQuotaPerSecUSec", Value::U64(100_000)),
                ("CPUQuotaPeriodUSec", Value::U64(50_000)),
                ("CPUWeight", Value::U64(42)),
                ("AllowedCPUs", Value::Bytes(vec![0b110])),
                ("MemoryHigh", Value::U64(u64::MAX)),
                ("MemoryMin", Value::U64(4096)),
                ("TasksMax", Value::U64(7)),
            ]
        );
        let names: Vec<_> = of(&limits, 239).into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            ["CPUQuotaPerSecUSec", "CPUWeight", "MemoryHigh", "TasksMax"]
        );
    }

    #[test]
    fn a_file_comes_after_the_limit_of_that_name() {
        let limits = Limits::new()
            .memory_limit(Bytes::mib(1))
            .unified("memory.max", "8192");
        assert_eq!(of(&limits, 257), [("MemoryMax", Value::U64(8192))]);
    }

    #[test]
    fn what_it_cannot_be_told_is_the_kernels() {
        let limits = Limits::new()
            .unified("cpu.max", "1 2x")
            .unified("cpuset.cpus", "x")
            .unified("memory.max", "64M");
        assert_eq!(of(&limits, 257), []);
    }

    #[test]
    fn idle_is_a_weight_of_nothing() {
        let idle = |value: &str| Limits::new().unified("cpu.idle", value);
        assert_eq!(of(&idle("1\n"), 252), [("CPUWeight", Value::U64(0))]);
        assert_eq!(of(&idle("1"), 251), []);
        assert_eq!(of(&idle("0"), 252), []);
    }

    #[test]
    fn a_weight_ends_being_idle_where_systemd_has_one_property_for_both() {
        let woken = |limits: &Limits, systemd| {
            let cgroups = Version::V2;
            let mut limits = limits.clone();
            Dialect { systemd, cgroups }.wake(&mut limits);
            limits.cpu.idle
        };
        let weights = [
            Limits::new().cpu_shares(200),
            Limits::new().unified("cpu.weight", "8"),
        ];
        for weight in weights {
            assert_eq!(woken(&weight, 252), Some(false));
            assert_eq!(woken(&weight, 251), None);
        }
        assert_eq!(woken(&Limits::new().pids_limit(1), 252), None);
        let both = Limits::new().cpu_shares(200).unified("cpu.idle", "1");
        assert_eq!(woken(&both, 252), None);
    }
}
