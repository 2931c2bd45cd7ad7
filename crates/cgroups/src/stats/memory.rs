//! Figures of memory.

use std::collections::BTreeMap;

use super::pressure::Pressure;
use super::value_of;
use crate::error::Result;
use crate::layout::Version;
use crate::read_back::Reader;
use crate::units::{Bytes, Limit};

/// Memory used.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct MemoryStats {
    /// Memory, without swap.
    pub memory: Counter,
    /// Memory and swap together, as v1 counts. `None` without swap accounting.
    pub memory_and_swap: Option<Counter>,
    /// Swap alone. Its peak and failures are known on v2 only.
    pub swap: Option<Counter>,
    /// Kernel memory (v1), a part of all memory.
    pub kernel: Option<Counter>,
    /// TCP buffers (v1).
    pub kernel_tcp: Option<Counter>,
    /// Page cache, a part of all memory.
    pub cache: Bytes,
    /// How often the kernel killed a process because memory was out.
    pub oom_kills: u64,
    /// Everything in `memory.stat`, by the kernel's names, in its units.
    pub stat: BTreeMap<String, u64>,
    /// Everything in `memory.events` (v2).
    pub events: BTreeMap<String, u64>,
    /// Waiting for memory.
    pub pressure: Option<Pressure>,
}

/// One of the kernel's counters of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counter {
    /// In use.
    pub usage: Bytes,
    /// The most that was in use at any time, where the kernel knows it.
    pub peak: Option<Bytes>,
    /// The limit that holds.
    pub limit: Option<Limit<Bytes>>,
    /// How often the limit was hit.
    pub failures: u64,
}

pub(super) fn read(reader: &Reader<'_>) -> Result<MemoryStats> {
    let stat = pairs(&reader.text("memory.stat")?.unwrap_or_default());
    match reader.0.version() {
        Version::V1 => read_v1(reader, stat),
        Version::V2 => read_v2(reader, stat),
    }
}

fn read_v1(reader: &Reader<'_>, stat: BTreeMap<String, u64>) -> Result<MemoryStats> {
    let counter = |prefix: &str| -> Result<Option<Counter>> {
        let file = |name: &str| format!("{prefix}.{name}");
        let Some(usage) = reader.number(&file("usage_in_bytes"))? else {
            return Ok(None);
        };
        Ok(Some(Counter {
            usage: Bytes(usage),
            peak: reader.number(&file("max_usage_in_bytes"))?.map(Bytes),
            limit: reader.bytes(&file("limit_in_bytes"))?,
            failures: reader.number(&file("failcnt"))?.unwrap_or(0),
        }))
    };
    let oom = reader.text("memory.oom_control")?.unwrap_or_default();
    let of = |key| stat.get(key).copied().map(Bytes);
    // A cgroup's own usage is without what is below it: the total is with it.
    let cache = of("total_cache")
        .or_else(|| of("cache"))
        .unwrap_or_default();
    let swap = of("total_swap").or_else(|| of("swap"));
    Ok(MemoryStats {
        memory: counter("memory")?.unwrap_or_default(),
        memory_and_swap: counter("memory.memsw")?,
        swap: swap.map(|usage| Counter {
            usage,
            ..Counter::default()
        }),
        kernel: counter("memory.kmem")?,
        kernel_tcp: counter("memory.kmem.tcp")?,
        cache,
        oom_kills: value_of(&oom, "oom_kill").unwrap_or(0),
        stat,
        ..MemoryStats::default()
    })
}

fn read_v2(reader: &Reader<'_>, stat: BTreeMap<String, u64>) -> Result<MemoryStats> {
    let counter = |prefix: &str, failures: u64| -> Result<Option<Counter>> {
        let file = |name: &str| format!("{prefix}.{name}");
        let Some(usage) = reader.number(&file("current"))? else {
            return Ok(None);
        };
        Ok(Some(Counter {
            usage: Bytes(usage),
            peak: reader.number(&file("peak"))?.map(Bytes),
            limit: reader.bytes(&file("max"))?,
            failures,
        }))
    };
    let events = pairs(&reader.text("memory.events")?.unwrap_or_default());
    let swap_events = reader.text("memory.swap.events")?.unwrap_or_default();
    let event = |key| events.get(key).copied().unwrap_or(0);
    let memory = counter("memory", event("max"))?.unwrap_or_default();
    let swap = counter("memory.swap", value_of(&swap_events, "max").unwrap_or(0))?;
    Ok(MemoryStats {
        memory,
        memory_and_swap: swap.map(|swap| together(memory, swap)),
        swap,
        cache: Bytes(stat.get("file").copied().unwrap_or(0)),
        oom_kills: event("oom_kill"),
        stat,
        events,
        ..MemoryStats::default()
    })
}

/// v2 counts memory and swap apart; when both together were highest is not known.
fn together(memory: Counter, swap: Counter) -> Counter {
    let add = |a: Bytes, b: Bytes| Bytes(a.0.saturating_add(b.0));
    Counter {
        usage: add(memory.usage, swap.usage),
        peak: None,
        limit: memory.limit.zip(swap.limit).map(|both| match both {
            (Limit::Value(memory), Limit::Value(swap)) => Limit::Value(add(memory, swap)),
            _ => Limit::Max,
        }),
        failures: swap.failures,
    }
}

fn pairs(text: &str) -> BTreeMap<String, u64> {
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_pairs() {
        let stat = pairs("anon 4096\nfile 8192\nbroken\nnegative -1\n");
        assert_eq!(stat.len(), 2);
        assert_eq!(stat["file"], 8192);
    }

    #[test]
    fn memory_and_swap_together() {
        let counter = |usage, limit| Counter {
            usage: Bytes(usage),
            limit: Some(limit),
            ..Counter::default()
        };
        let both = together(
            counter(3, Limit::Value(Bytes(10))),
            counter(4, Limit::Value(Bytes(20))),
        );
        assert_eq!(
            (both.usage, both.limit),
            (Bytes(7), Some(Limit::Value(Bytes(30))))
        );
        let open = together(counter(3, Limit::Value(Bytes(10))), counter(4, Limit::Max));
        assert_eq!(open.limit, Some(Limit::Max));
    }
}
