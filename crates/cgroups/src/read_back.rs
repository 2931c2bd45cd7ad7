//! The limits that hold, read from the kernel.

use std::str::FromStr;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::cgroup::{Cgroup, Member};
use crate::controller::Controller::{
    self, Blkio, Cpu, Cpuset, Hugetlb, Memory, NetCls, NetPrio, Pids, Rdma,
};
use crate::convert::{io_weight_to_blkio_weight, weight_to_shares};
use crate::device::DeviceList;
use crate::error::Result;
use crate::fs;
use crate::layout::Version;
use crate::limits::{
    BlkioLimits, CpuLimits, HugepageLimit, InterfacePriority, Limits, MemoryLimits, NetworkLimits,
    PageSize,
};
use crate::parse::{max_line, parse_bound, rate_line, rdma_line, weight_line};
use crate::units::{Bytes, CpuShares, Limit, Micros};

/// From here on the kernel's v1 memory counters mean "no bound": the largest
/// number of pages, in bytes, for pages of up to 64 KiB.
const V1_NO_BOUND: u64 = 0x7fff_ffff_ffff_0000;

impl Cgroup {
    /// The limits that hold for this cgroup, whoever has set them. What the
    /// kernel does not have or does not show is `None`: on v2 that is the device
    /// rules.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) if a file is there and cannot be read.
    pub fn limits(&self) -> Result<Limits> {
        let mut limits = Limits::new();
        let reader = |controller| self.member_of(controller).map(Reader);
        if let Some(reader) = reader(Memory) {
            limits.memory = reader.memory()?;
        }
        if let Some(reader) = reader(Cpu) {
            limits.cpu = reader.cpu()?;
        }
        if let Some(reader) = reader(Cpuset) {
            limits.cpu.cpus = reader.text("cpuset.cpus")?.filter(|list| !list.is_empty());
            limits.cpu.mems = reader.text("cpuset.mems")?.filter(|list| !list.is_empty());
        }
        if let Some(reader) = reader(Pids) {
            limits.pids = reader.bound("pids.max")?;
        }
        if let Some(reader) = reader(Blkio) {
            limits.blkio = reader.blkio()?;
        }
        if let Some(reader) = reader(Hugetlb) {
            limits.hugepages = reader.hugepages()?;
        }
        if let Some(reader) = reader(Rdma) {
            limits.rdma = reader.lines("rdma.max", rdma_line)?;
        }
        limits.network = self.network()?;
        if let Some(member) = self.v1_member(Controller::Devices) {
            let list = Reader(member).text("devices.list")?;
            limits.devices = list.map(|text| DeviceList::parse(&text).to_rules());
        }
        Ok(limits)
    }

    fn network(&self) -> Result<NetworkLimits> {
        let mut network = NetworkLimits::default();
        if let Some(member) = self.v1_member(NetCls) {
            network.class_id = Reader(member).number("net_cls.classid")?;
        }
        if let Some(member) = self.v1_member(NetPrio) {
            network.priorities = Reader(member).lines("net_prio.ifpriomap", |line| {
                let (interface, priority) = line.split_once(' ')?;
                let interface = interface.to_owned();
                Some(InterfacePriority {
                    interface,
                    priority: priority.parse().ok()?,
                })
            })?;
        }
        Ok(network)
    }
}

/// Reads files of one member; those that are not there are `None`.
pub(crate) struct Reader<'a>(pub(crate) &'a Member);

impl Reader<'_> {
    pub(crate) fn text(&self, file: &str) -> Result<Option<String>> {
        match self
            .0
            .try_open(file, OFlags::RDONLY)
            .and_then(fs::read_record)
        {
            Ok(text) => Ok(Some(text.trim_end().to_owned())),
            // Some files are there and say that they are switched off.
            Err(Errno::OPNOTSUPP) => Ok(None),
            Err(errno) if fs::is_gone(errno) => Ok(None),
            Err(errno) => Err(fs::read_error(self.0.path(), file, errno)),
        }
    }

    pub(crate) fn number<T: FromStr>(&self, file: &str) -> Result<Option<T>> {
        Ok(self.text(file)?.and_then(|text| text.parse().ok()))
    }

    /// A bound that is written `max` or, on v1, as a negative number.
    pub(crate) fn bound(&self, file: &str) -> Result<Option<Limit<u64>>> {
        Ok(self.text(file)?.and_then(|text| parse_bound(&text)))
    }

    /// A bound in bytes, of which v1 has a largest value for none.
    pub(crate) fn bytes(&self, file: &str) -> Result<Option<Limit<Bytes>>> {
        Ok(self.bound(file)?.map(|limit| match limit {
            Limit::Value(bytes) if bytes < V1_NO_BOUND => Limit::Value(Bytes(bytes)),
            _ => Limit::Max,
        }))
    }

    pub(crate) fn lines<T>(
        &self,
        file: &str,
        parse: impl FnMut(&str) -> Option<T>,
    ) -> Result<Vec<T>> {
        Ok(self
            .text(file)?
            .unwrap_or_default()
            .lines()
            .filter_map(parse)
            .collect())
    }

    fn is_v2(&self) -> bool {
        self.0.version() == Version::V2
    }

    fn memory(&self) -> Result<MemoryLimits> {
        let mut memory = MemoryLimits::default();
        if self.is_v2() {
            memory.limit = self.bytes("memory.max")?;
            memory.oom_group = self
                .number::<u8>("memory.oom.group")?
                .map(|group| group == 1);
            memory.reservation = self.bytes("memory.low")?;
            let swap = self.bytes("memory.swap.max")?;
            memory.swap = memory.limit.zip(swap).map(|both| match both {
                (Limit::Value(Bytes(memory)), Limit::Value(Bytes(swap))) => {
                    Limit::Value(Bytes(memory.saturating_add(swap)))
                }
                (Limit::Max, swap) => swap,
                (_, Limit::Max) => Limit::Max,
            });
            return Ok(memory);
        }
        memory.limit = self.bytes("memory.limit_in_bytes")?;
        memory.reservation = self.bytes("memory.soft_limit_in_bytes")?;
        memory.swap = self.bytes("memory.memsw.limit_in_bytes")?;
        memory.kernel = self.bytes("memory.kmem.limit_in_bytes")?;
        memory.kernel_tcp = self.bytes("memory.kmem.tcp.limit_in_bytes")?;
        memory.swappiness = self.number("memory.swappiness")?;
        let oom = self.text("memory.oom_control")?;
        memory.disable_oom_killer = oom.and_then(|text| {
            Some(
                text.lines()
                    .find_map(|l| l.strip_prefix("oom_kill_disable "))?
                    == "1",
            )
        });
        Ok(memory)
    }

    fn cpu(&self) -> Result<CpuLimits> {
        let micros = |file| Ok::<_, crate::Error>(self.number(file)?.map(Micros));
        let idle = self.number::<u8>("cpu.idle")?.map(|idle| idle == 1);
        let mut cpu = CpuLimits {
            idle,
            ..CpuLimits::default()
        };
        if self.is_v2() {
            // An idle cgroup has weight 0, which is no share that can be asked for.
            cpu.shares = self
                .number("cpu.weight")?
                .filter(|w| *w > 0)
                .map(weight_to_shares);
            let max = self.text("cpu.max")?.unwrap_or_default();
            if let Some((quota, period)) = max.split_once(' ') {
                cpu.quota = parse_bound(quota).map(|limit| limit.map(Micros));
                cpu.period = period.parse().ok().map(Micros);
            }
            cpu.burst = micros("cpu.max.burst")?;
            return Ok(cpu);
        }
        cpu.shares = self.number("cpu.shares")?.map(CpuShares);
        cpu.quota = self
            .bound("cpu.cfs_quota_us")?
            .map(|limit| limit.map(Micros));
        cpu.period = micros("cpu.cfs_period_us")?;
        cpu.burst = micros("cpu.cfs_burst_us")?;
        cpu.realtime_runtime = self
            .bound("cpu.rt_runtime_us")?
            .map(|limit| limit.map(Micros));
        cpu.realtime_period = micros("cpu.rt_period_us")?;
        Ok(cpu)
    }

    fn blkio(&self) -> Result<BlkioLimits> {
        if self.is_v2() {
            return self.io();
        }
        let rates = |file| self.lines(file, rate_line);
        let either = |bfq: &str, legacy| match self.text(bfq)? {
            Some(text) => Ok::<_, crate::Error>(Some(text)),
            None => self.text(legacy),
        };
        let weight = either("blkio.bfq.weight", "blkio.weight")?;
        let devices = either("blkio.bfq.weight_device", "blkio.weight_device")?.unwrap_or_default();
        Ok(BlkioLimits {
            weight: weight.and_then(|text| text.trim_start_matches("default ").parse().ok()),
            leaf_weight: self.number("blkio.leaf_weight")?,
            weight_device: devices
                .lines()
                .filter_map(|line| weight_line(line, |w| w as u16))
                .collect(),
            read_bps: rates("blkio.throttle.read_bps_device")?,
            write_bps: rates("blkio.throttle.write_bps_device")?,
            read_iops: rates("blkio.throttle.read_iops_device")?,
            write_iops: rates("blkio.throttle.write_iops_device")?,
        })
    }

    fn io(&self) -> Result<BlkioLimits> {
        let bfq = self.text("io.bfq.weight")?;
        // BFQ counts as v1 does.
        let scale = |w: u64| {
            if bfq.is_some() {
                w as u16
            } else {
                io_weight_to_blkio_weight(w)
            }
        };
        let weights = match &bfq {
            Some(text) => text.clone(),
            None => self.text("io.weight")?.unwrap_or_default(),
        };
        let default = weights
            .lines()
            .find_map(|line| line.strip_prefix("default "));
        let max = self.text("io.max")?.unwrap_or_default();
        let rates = |key: &str| max.lines().filter_map(|line| max_line(line, key)).collect();
        Ok(BlkioLimits {
            weight: default.and_then(|weight| weight.parse().ok()).map(scale),
            leaf_weight: None,
            weight_device: weights
                .lines()
                .filter_map(|line| weight_line(line, scale))
                .collect(),
            read_bps: rates("rbps"),
            write_bps: rates("wbps"),
            read_iops: rates("riops"),
            write_iops: rates("wiops"),
        })
    }

    fn hugepages(&self) -> Result<Vec<HugepageLimit>> {
        let file = if self.is_v2() {
            "max"
        } else {
            "limit_in_bytes"
        };
        let mut limits = Vec::new();
        for page_size in self.page_sizes()? {
            // The largest value is a multiple of the page's size.
            let none = |bytes: &Bytes| bytes.0 >= V1_NO_BOUND - V1_NO_BOUND % page_size.bytes().0;
            let limit = self.bytes(&format!("hugetlb.{page_size}.{file}"))?;
            let limit = limit.map(|limit| match limit {
                Limit::Value(bytes) if none(&bytes) => Limit::Max,
                other => other,
            });
            limits.extend(limit.map(|limit| HugepageLimit { page_size, limit }));
        }
        Ok(limits)
    }

    /// The sizes of huge pages that the member has files for.
    pub(crate) fn page_sizes(&self) -> Result<Vec<PageSize>> {
        let Some(dir) = self.0.existing_dir()? else {
            return Ok(Vec::new());
        };
        let names =
            fs::file_names(&dir).map_err(|errno| fs::read_error(self.0.path(), ".", errno))?;
        let mut sizes: Vec<PageSize> = names
            .iter()
            .filter_map(|name| {
                name.strip_prefix("hugetlb.")?
                    .split('.')
                    .next()?
                    .parse()
                    .ok()
            })
            .collect();
        sizes.sort_unstable();
        sizes.dedup();
        Ok(sizes)
    }
}
