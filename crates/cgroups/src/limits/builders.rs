//! Limits put together by calls, one for each.

use super::{
    DeviceRate, DeviceWeight, HugepageLimit, InterfacePriority, Limits, PageSize, RdmaLimit,
};
use crate::device::DeviceRule;
use crate::units::{Bytes, CpuShares, DeviceNumber, Limit, Micros};

impl Limits {
    /// Sets the hard limit of memory.
    #[must_use]
    pub fn memory_limit(mut self, limit: impl Into<Limit<Bytes>>) -> Self {
        self.memory.limit = Some(limit.into());
        self
    }

    /// Sets the limit of memory and swap together. The same as the memory limit
    /// means no swap.
    #[must_use]
    pub fn memory_and_swap_limit(mut self, limit: impl Into<Limit<Bytes>>) -> Self {
        self.memory.swap = Some(limit.into());
        self
    }

    /// Sets the soft limit of memory.
    #[must_use]
    pub fn memory_reservation(mut self, limit: impl Into<Limit<Bytes>>) -> Self {
        self.memory.reservation = Some(limit.into());
        self
    }

    /// Sets how readily memory is swapped out, 0 to 100 (v1).
    #[must_use]
    pub fn swappiness(mut self, percent: u64) -> Self {
        self.memory.swappiness = Some(percent);
        self
    }

    /// Sets whether processes wait for memory where the kernel would kill one (v1).
    #[must_use]
    pub fn disable_oom_killer(mut self, disable: bool) -> Self {
        self.memory.disable_oom_killer = Some(disable);
        self
    }

    /// Sets whether all processes are killed where the kernel would kill one (v2).
    #[must_use]
    pub fn oom_group(mut self, all: bool) -> Self {
        self.memory.oom_group = Some(all);
        self
    }

    /// Sets the relative share of CPU time.
    #[must_use]
    pub fn cpu_shares(mut self, shares: u64) -> Self {
        self.cpu.shares = Some(CpuShares(shares));
        self
    }

    /// Sets CPU time per period.
    #[must_use]
    pub fn cpu_quota(mut self, quota: impl Into<Limit<Micros>>, period: Micros) -> Self {
        self.cpu.quota = Some(quota.into());
        self.cpu.period = Some(period);
        self
    }

    /// Sets how much unused CPU time may be saved up for later.
    #[must_use]
    pub fn cpu_burst(mut self, burst: Micros) -> Self {
        self.cpu.burst = Some(burst);
        self
    }

    /// Sets real-time CPU time per period (v1).
    #[must_use]
    pub fn realtime(mut self, runtime: impl Into<Limit<Micros>>, period: Micros) -> Self {
        self.cpu.realtime_runtime = Some(runtime.into());
        self.cpu.realtime_period = Some(period);
        self
    }

    /// Sets whether it runs only where nothing else wants to.
    #[must_use]
    pub fn cpu_idle(mut self, idle: bool) -> Self {
        self.cpu.idle = Some(idle);
        self
    }

    /// Sets the CPUs that may be used, in list form (`0-2,7`).
    #[must_use]
    pub fn cpus(mut self, list: impl Into<String>) -> Self {
        self.cpu.cpus = Some(list.into());
        self
    }

    /// Sets the memory nodes that may be used, in list form.
    #[must_use]
    pub fn mems(mut self, list: impl Into<String>) -> Self {
        self.cpu.mems = Some(list.into());
        self
    }

    /// Sets how many tasks there may be.
    #[must_use]
    pub fn pids_limit(mut self, limit: impl Into<Limit<u64>>) -> Self {
        self.pids = Some(limit.into());
        self
    }

    /// Sets the relative share of block io, 10 to 1000.
    #[must_use]
    pub fn blkio_weight(mut self, weight: u16) -> Self {
        self.blkio.weight = Some(weight);
        self
    }

    /// Sets the relative share of io of one block device, 10 to 1000.
    #[must_use]
    pub fn device_weight(mut self, device: DeviceNumber, weight: u16) -> Self {
        self.blkio.weight_device.push(DeviceWeight {
            device,
            weight: Some(weight),
            leaf_weight: None,
        });
        self
    }

    /// Sets how much may be read from a block device, in bytes a second.
    #[must_use]
    pub fn read_bps(mut self, device: DeviceNumber, rate: u64) -> Self {
        self.blkio.read_bps.push(DeviceRate { device, rate });
        self
    }

    /// Sets how much may be written to a block device, in bytes a second.
    #[must_use]
    pub fn write_bps(mut self, device: DeviceNumber, rate: u64) -> Self {
        self.blkio.write_bps.push(DeviceRate { device, rate });
        self
    }

    /// Sets how often a block device may be read, in operations a second.
    #[must_use]
    pub fn read_iops(mut self, device: DeviceNumber, rate: u64) -> Self {
        self.blkio.read_iops.push(DeviceRate { device, rate });
        self
    }

    /// Sets how often a block device may be written, in operations a second.
    #[must_use]
    pub fn write_iops(mut self, device: DeviceNumber, rate: u64) -> Self {
        self.blkio.write_iops.push(DeviceRate { device, rate });
        self
    }

    /// Sets how much memory may be in huge pages of one size.
    #[must_use]
    pub fn hugepages(mut self, page_size: PageSize, limit: impl Into<Limit<Bytes>>) -> Self {
        let limit = limit.into();
        self.hugepages.push(HugepageLimit { page_size, limit });
        self
    }

    /// Sets the limit of an RDMA device.
    #[must_use]
    pub fn rdma_device(mut self, limit: RdmaLimit) -> Self {
        self.rdma.push(limit);
        self
    }

    /// Sets the class of all network packets (v1).
    #[must_use]
    pub fn network_class(mut self, class_id: u32) -> Self {
        self.network.class_id = Some(class_id);
        self
    }

    /// Sets the priority of the packets that leave by an interface (v1).
    #[must_use]
    pub fn network_priority(mut self, interface: impl Into<String>, priority: u32) -> Self {
        self.network.priorities.push(InterfacePriority {
            interface: interface.into(),
            priority,
        });
        self
    }

    /// Sets the device rules.
    #[must_use]
    pub fn device_rules(mut self, rules: impl IntoIterator<Item = DeviceRule>) -> Self {
        self.devices = Some(rules.into_iter().collect());
        self
    }

    /// Sets a file of the v2 cgroup, for example `memory.high`.
    #[must_use]
    pub fn unified(mut self, file: impl Into<String>, value: impl Into<String>) -> Self {
        self.unified.insert(file.into(), value.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_sets_its_field_and_no_other() {
        let disk = DeviceNumber { major: 8, minor: 0 };
        let page: PageSize = "2MB".parse().unwrap();
        let rdma = RdmaLimit {
            device: "mlx5_0".into(),
            handles: Some(Limit::Value(3)),
            objects: None,
        };
        let built = Limits::new()
            .swappiness(10)
            .oom_group(true)
            .cpu_burst(Micros(5))
            .realtime(Micros(6), Micros(7))
            .cpu_idle(false)
            .device_weight(disk, 500)
            .write_bps(disk, 1 << 20)
            .read_iops(disk, 9)
            .hugepages(page, Bytes::mib(4))
            .rdma_device(rdma.clone())
            .network_class(11)
            .network_priority("lo", 12);
        let mut expected = Limits::new();
        expected.memory.swappiness = Some(10);
        expected.memory.oom_group = Some(true);
        expected.cpu.burst = Some(Micros(5));
        expected.cpu.realtime_runtime = Some(Limit::Value(Micros(6)));
        expected.cpu.realtime_period = Some(Micros(7));
        expected.cpu.idle = Some(false);
        expected.blkio.weight_device = vec![DeviceWeight {
            device: disk,
            weight: Some(500),
            leaf_weight: None,
        }];
        let rate = |rate| vec![DeviceRate { device: disk, rate }];
        expected.blkio.write_bps = rate(1 << 20);
        expected.blkio.read_iops = rate(9);
        expected.hugepages = vec![HugepageLimit {
            page_size: page,
            limit: Limit::Value(Bytes::mib(4)),
        }];
        expected.rdma = vec![rdma];
        expected.network.class_id = Some(11);
        expected.network.priorities = vec![InterfacePriority {
            interface: "lo".into(),
            priority: 12,
        }];
        assert_eq!(built, expected);
    }
}
