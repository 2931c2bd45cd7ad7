//! Figures of block io.

use super::pressure::Pressure;
use crate::error::Result;
use crate::layout::Version;
use crate::parse::parse_device;
use crate::read_back::Reader;
use crate::units::DeviceNumber;

/// Block io done. Which lists are filled depends on the version, the kernel and
/// the io scheduler; on v2 they are `bytes` and `operations`.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct BlkioStats {
    /// Bytes transferred.
    pub bytes: Vec<BlkioEntry>,
    /// Operations done.
    pub operations: Vec<BlkioEntry>,
    /// Operations waiting (v1).
    pub queued: Vec<BlkioEntry>,
    /// Nanoseconds between dispatch and completion (v1).
    pub service_time: Vec<BlkioEntry>,
    /// Nanoseconds spent waiting in the scheduler (v1).
    pub wait_time: Vec<BlkioEntry>,
    /// Operations merged into others (v1).
    pub merged: Vec<BlkioEntry>,
    /// Milliseconds of disk time (v1).
    pub time: Vec<BlkioEntry>,
    /// Sectors transferred (v1).
    pub sectors: Vec<BlkioEntry>,
    /// Waiting for io.
    pub pressure: Option<Pressure>,
}

/// One figure of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlkioEntry {
    /// The device.
    pub device: DeviceNumber,
    /// The kind of operation as v1 has it (`Read`, `Write`, `Sync`, `Async`,
    /// `Discard`, `Total`); empty where the figure is of none.
    pub operation: String,
    /// The figure.
    pub value: u64,
}

pub(super) fn read(reader: &Reader<'_>) -> Result<BlkioStats> {
    match reader.0.version() {
        Version::V1 => read_v1(reader),
        Version::V2 => Ok(parse_v2(&reader.text("io.stat")?.unwrap_or_default())),
    }
}

/// The scheduler that is in use counts most; then the older one; then the
/// throttling layer, which sees all io. Of those the first that shows anything.
fn read_v1(reader: &Reader<'_>) -> Result<BlkioStats> {
    for prefix in ["blkio.bfq.", "blkio."] {
        let list = |name: &str| reader.lines(&format!("{prefix}{name}_recursive"), v1_line);
        let operations = list("io_serviced")?;
        if operations.is_empty() {
            continue;
        }
        return Ok(BlkioStats {
            operations,
            bytes: list("io_service_bytes")?,
            queued: list("io_queued")?,
            service_time: list("io_service_time")?,
            wait_time: list("io_wait_time")?,
            merged: list("io_merged")?,
            time: list("time")?,
            sectors: list("sectors")?,
            pressure: None,
        });
    }
    let list = |name: &str| match reader.lines(&format!("blkio.throttle.{name}_recursive"), v1_line)
    {
        Ok(empty) if empty.is_empty() => reader.lines(&format!("blkio.throttle.{name}"), v1_line),
        other => other,
    };
    let (operations, bytes) = (list("io_serviced")?, list("io_service_bytes")?);
    Ok(BlkioStats {
        operations,
        bytes,
        ..BlkioStats::default()
    })
}

/// `8:0 Read 4096`, or `8:0 12` in the lists without operations.
fn v1_line(line: &str) -> Option<BlkioEntry> {
    let mut fields = line.split(' ');
    let device = parse_device(fields.next()?)?;
    let second = fields.next()?;
    let (operation, value) = match fields.next() {
        Some(value) => (second, value),
        None => ("", second),
    };
    Some(BlkioEntry {
        device,
        operation: operation.to_owned(),
        value: value.parse().ok()?,
    })
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`
fn parse_v2(text: &str) -> BlkioStats {
    let mut stats = BlkioStats::default();
    for line in text.lines() {
        let mut fields = line.split(' ');
        let Some(device) = fields.next().and_then(parse_device) else {
            continue;
        };
        for field in fields {
            let Some((key, value)) = field.split_once('=') else {
                continue;
            };
            let Ok(value) = value.parse() else { continue };
            let (list, operation) = match key {
                "rbytes" => (&mut stats.bytes, "Read"),
                "wbytes" => (&mut stats.bytes, "Write"),
                "dbytes" => (&mut stats.bytes, "Discard"),
                "rios" => (&mut stats.operations, "Read"),
                "wios" => (&mut stats.operations, "Write"),
                "dios" => (&mut stats.operations, "Discard"),
                _ => continue,
            };
            list.push(BlkioEntry {
                device,
                operation: operation.to_owned(),
                value,
            });
        }
    }
    stats
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v2_lines() {
        let stats =
            parse_v2("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6 cost.usage=7\n8:16\nx\n");
        let shown = |list: &[BlkioEntry]| -> Vec<String> {
            list.iter()
                .map(|e| format!("{} {} {}", e.device, e.operation, e.value))
                .collect()
        };
        assert_eq!(
            shown(&stats.bytes),
            ["8:0 Read 1", "8:0 Write 2", "8:0 Discard 5"]
        );
        assert_eq!(
            shown(&stats.operations),
            ["8:0 Read 3", "8:0 Write 4", "8:0 Discard 6"]
        );
    }

    #[test]
    fn v1_lines() {
        let device = DeviceNumber {
            major: 254,
            minor: 0,
        };
        let entry = |operation: &str| BlkioEntry {
            device,
            operation: operation.into(),
            value: 9,
        };
        assert_eq!(v1_line("254:0 Read 9"), Some(entry("Read")));
        assert_eq!(v1_line("254:0 9"), Some(entry("")));
        assert_eq!(v1_line("Total 9"), None);
    }
}
