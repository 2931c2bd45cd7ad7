//! Figures: what a cgroup has used, and how it felt.

mod blkio;
mod cpu;
mod memory;
mod other;
mod pressure;

use std::io;

pub use blkio::{BlkioEntry, BlkioStats};
pub use cpu::{CpuStats, Throttling};
pub use memory::{Counter, MemoryStats};
pub use other::{CpusetStats, HugetlbStats, PidsStats, RdmaStats};
pub use pressure::{Pressure, Stall};

use crate::cgroup::Cgroup;
use crate::controller::Controller;
use crate::error::{Error, Result};
use crate::read_back::Reader;

/// The figures of a cgroup with all that is below it. Times and amounts are
/// totals since it was made. What the kernel does not have is `None`, zero or
/// empty, as the field's type says.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// CPU time.
    pub cpu: CpuStats,
    /// CPUs and memory nodes.
    pub cpuset: CpusetStats,
    /// Memory and swap.
    pub memory: MemoryStats,
    /// Tasks.
    pub pids: PidsStats,
    /// Block io.
    pub blkio: BlkioStats,
    /// Huge pages, by size.
    pub hugetlb: Vec<HugetlbStats>,
    /// RDMA, by device.
    pub rdma: Vec<RdmaStats>,
}

impl Cgroup {
    /// Reads the figures.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a file is there and cannot be read, or if the cgroup is
    /// gone.
    pub fn stats(&self) -> Result<Stats> {
        let mut there = false;
        for member in self.by_reach() {
            there = there || member.existing_dir()?.is_some();
        }
        if !there {
            let path = self
                .by_reach()
                .next()
                .map(|member| member.path().to_owned());
            let gone = io::Error::from_raw_os_error(libc::ENOENT);
            return Err(Error::io("read figures of", path.unwrap_or_default(), gone));
        }
        let reader = |controller| self.member_of(controller).map(Reader);
        let unified = self.v2_member().map(Reader);
        let mut stats = Stats::default();
        if let Some(reader) = reader(Controller::Cpu) {
            stats.cpu = cpu::read(&reader, self.v1_member(Controller::Cpuacct).map(Reader))?;
        }
        if let Some(reader) = reader(Controller::Cpuset) {
            stats.cpuset = other::read_cpuset(&reader)?;
        }
        if let Some(reader) = reader(Controller::Memory) {
            stats.memory = memory::read(&reader)?;
        }
        if let Some(reader) = reader(Controller::Pids) {
            stats.pids = other::read_pids(&reader)?;
        }
        if let Some(reader) = reader(Controller::Blkio) {
            stats.blkio = blkio::read(&reader)?;
        }
        if let Some(reader) = reader(Controller::Hugetlb) {
            stats.hugetlb = other::read_hugetlb(&reader)?;
        }
        if let Some(reader) = reader(Controller::Rdma) {
            stats.rdma = reader.lines("rdma.current", other::rdma_line)?;
        }
        // Pressure is a matter of the unified hierarchy, on hybrid hosts too.
        if let Some(reader) = unified {
            stats.cpu.pressure = pressure::read(&reader, "cpu.pressure")?;
            stats.memory.pressure = pressure::read(&reader, "memory.pressure")?;
            stats.blkio.pressure = pressure::read(&reader, "io.pressure")?;
        }
        Ok(stats)
    }
}

/// The value of a line `key value`.
fn value_of(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        line.strip_prefix(key)?
            .strip_prefix(' ')?
            .trim()
            .parse()
            .ok()
    })
}
