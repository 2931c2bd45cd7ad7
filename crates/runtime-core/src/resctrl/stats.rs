//! The figures of a group.

use std::fs;
use std::path::Path;

use super::ResctrlPlace;
use crate::error::{Context, Result};

/// What the resctrl file system says of a container's group. Of what the CPU does not have there is
/// nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResctrlStats {
    /// The L3 cache: its allocation.
    pub cache: Option<Allocated<CacheInfo>>,
    /// Memory bandwidth: its allocation.
    pub bandwidth: Option<Allocated<BandwidthInfo>>,
    /// Bytes in the L3 cache, for each of its domains.
    pub occupancy: Option<Vec<u64>>,
    /// What went to and from memory, for each domain.
    pub traffic: Option<Vec<MemoryTraffic>>,
}

/// A resource, the root group's line of it and the container's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allocated<T> {
    /// What the CPU can do.
    pub info: T,
    /// The line of `schemata` in the file system's root.
    pub root_schema: String,
    /// The line in the container's group.
    pub schema: String,
}

/// `info/L3`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheInfo {
    /// The bits that a line may have, in hexadecimal.
    pub cbm_mask: String,
    /// How many of them at least.
    pub min_cbm_bits: u64,
    /// How many groups there can be.
    pub num_closids: u64,
}

/// `info/MB`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BandwidthInfo {
    /// The step of a line's percentage.
    pub bandwidth_gran: u64,
    /// Whether delays grow with it.
    pub delay_linear: u64,
    /// The smallest percentage.
    pub min_bandwidth: u64,
    /// How many groups there can be.
    pub num_closids: u64,
}

/// Bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryTraffic {
    /// To and from all memory.
    pub total: u64,
    /// To and from that of the domain itself.
    pub local: u64,
}

/// Reads the figures of the group that a container is in, the last of `places` being the one that it
/// is monitored by. `None` where it is in none.
pub(crate) fn read(root: &Path, places: &[ResctrlPlace]) -> Result<Option<ResctrlStats>> {
    let (Some(group), Some(monitor)) = (places.first(), places.last()) else {
        return Ok(None);
    };
    let info = root.join("info");
    let (l3, mb) = (info.join("L3"), info.join("MB"));
    let mut stats = ResctrlStats::default();
    if l3.is_dir() {
        let known = CacheInfo {
            cbm_mask: text(&l3.join("cbm_mask"))?,
            min_cbm_bits: number(&l3.join("min_cbm_bits"))?,
            num_closids: number(&l3.join("num_closids"))?,
        };
        stats.cache = Some(allocated(known, "L3", root, &group.path)?);
    }
    if mb.is_dir() {
        let known = BandwidthInfo {
            bandwidth_gran: number(&mb.join("bandwidth_gran"))?,
            delay_linear: number(&mb.join("delay_linear"))?,
            min_bandwidth: number(&mb.join("min_bandwidth"))?,
            num_closids: number(&mb.join("num_closids"))?,
        };
        stats.bandwidth = Some(allocated(known, "MB", root, &group.path)?);
    }
    let features = info.join("L3_MON/mon_features");
    if features.exists() {
        monitored(
            &mut stats,
            &text(&features)?,
            &monitor.path.join("mon_data"),
        )?;
    }
    Ok(Some(stats))
}

fn allocated<T>(info: T, resource: &str, root: &Path, group: &Path) -> Result<Allocated<T>> {
    let line = |directory: &Path| -> Result<String> {
        let lines = text(&directory.join("schemata"))?;
        // Code and data may have lines of their own, such as L3CODE.
        let line = lines.lines().map(str::trim);
        let mut line = line.filter(|line| line.starts_with(resource));
        Ok(line.next_back().unwrap_or_default().to_owned())
    };
    Ok(Allocated {
        info,
        root_schema: line(root)?,
        schema: line(group)?,
    })
}

fn monitored(stats: &mut ResctrlStats, features: &str, data: &Path) -> Result<()> {
    let has = |feature: &str| features.lines().any(|line| line.trim() == feature);
    let entries = fs::read_dir(data).context(|| format!("list {}", data.display()))?;
    let mut domains: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    domains.sort();
    let figures = |feature: &str| -> Result<Vec<u64>> {
        let of_one = |domain: &std::path::PathBuf| match has(feature) {
            true => figure(&domain.join(feature)),
            false => Ok(0),
        };
        domains.iter().map(of_one).collect()
    };
    if has("llc_occupancy") {
        stats.occupancy = Some(figures("llc_occupancy")?);
    }
    if has("mbm_total_bytes") || has("mbm_local_bytes") {
        let totals = figures("mbm_total_bytes")?;
        let locals = figures("mbm_local_bytes")?;
        let both = totals.into_iter().zip(locals);
        let traffic = both.map(|(total, local)| MemoryTraffic { total, local });
        stats.traffic = Some(traffic.collect());
    }
    Ok(())
}

fn text(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path).context(|| format!("read {}", path.display()))?;
    Ok(text.trim_end().to_owned())
}

fn number(path: &Path) -> Result<u64> {
    let text = text(path)?;
    text.parse()
        .map_err(std::io::Error::other)
        .context(|| format!("read {}: {text:?}", path.display()))
}

/// A counter, which the kernel may have lost or not begun: `Error`, `Unavailable`.
fn figure(path: &Path) -> Result<u64> {
    Ok(text(path)?.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::super::tests::Tree;
    use super::*;

    fn write(tree: &Tree, path: &str, content: &str) {
        let path = tree.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn places(tree: &Tree) -> [ResctrlPlace; 2] {
        ["id", "id/mon_groups/id"].map(|path| ResctrlPlace {
            path: tree.0.join(path),
            own: true,
        })
    }

    #[test]
    fn all_that_there_is_is_read() {
        let tree = Tree::new("stats");
        for (path, content) in [
            ("info/L3/cbm_mask", "fffff\n"),
            ("info/L3/min_cbm_bits", "1\n"),
            ("info/L3/num_closids", "16\n"),
            ("info/MB/bandwidth_gran", "10\n"),
            ("info/MB/delay_linear", "1\n"),
            ("info/MB/min_bandwidth", "20\n"),
            ("info/MB/num_closids", "8\n"),
            (
                "info/L3_MON/mon_features",
                "llc_occupancy\nmbm_total_bytes\n",
            ),
            ("schemata", "    L3:0=fffff\n    MB:0=100\n"),
            ("id/schemata", "    L3:0=f\n    MB:0=50\n"),
            (
                "id/mon_groups/id/mon_data/mon_L3_01/llc_occupancy",
                "Unavailable\n",
            ),
            ("id/mon_groups/id/mon_data/mon_L3_01/mbm_total_bytes", "5\n"),
            (
                "id/mon_groups/id/mon_data/mon_L3_00/llc_occupancy",
                "4096\n",
            ),
            ("id/mon_groups/id/mon_data/mon_L3_00/mbm_total_bytes", "7\n"),
        ] {
            write(&tree, path, content);
        }
        let stats = read(&tree.0, &places(&tree)).unwrap().unwrap();
        let cache = stats.cache.unwrap();
        assert_eq!(
            (cache.info.cbm_mask.as_str(), cache.info.num_closids),
            ("fffff", 16)
        );
        assert_eq!(
            (cache.root_schema.as_str(), cache.schema.as_str()),
            ("L3:0=fffff", "L3:0=f")
        );
        let bandwidth = stats.bandwidth.unwrap();
        assert_eq!(bandwidth.info.min_bandwidth, 20);
        assert_eq!(bandwidth.schema, "MB:0=50");
        assert_eq!(stats.occupancy, Some(vec![4096, 0]));
        let total = |total| MemoryTraffic { total, local: 0 };
        assert_eq!(stats.traffic, Some(vec![total(7), total(5)]));
    }

    #[test]
    fn what_the_cpu_does_not_have_is_absent() {
        let tree = Tree::new("stats-none");
        assert_eq!(read(&tree.0, &[]).unwrap(), None);
        let stats = read(&tree.0, &places(&tree)).unwrap();
        assert_eq!(stats, Some(ResctrlStats::default()));
    }
}
