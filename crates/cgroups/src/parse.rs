//! Lines and words as the kernel prints them in cgroup files.

use crate::limits::{DeviceRate, DeviceWeight, RdmaLimit};
use crate::units::{DeviceNumber, Limit};

/// A bound as the kernel prints it: a number, `max`, or -1.
pub(crate) fn parse_bound(text: &str) -> Option<Limit<u64>> {
    match text {
        "max" => Some(Limit::Max),
        negative if negative.starts_with('-') => Some(Limit::Max),
        number => number.parse().ok().map(Limit::Value),
    }
}

pub(crate) fn parse_device(text: &str) -> Option<DeviceNumber> {
    let (major, minor) = text.split_once(':')?;
    Some(DeviceNumber {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
    })
}

/// `8:0 1048576`
pub(crate) fn rate_line(line: &str) -> Option<DeviceRate> {
    let (device, rate) = line.split_once(' ')?;
    Some(DeviceRate {
        device: parse_device(device)?,
        rate: rate.trim().parse().ok()?,
    })
}

/// `8:0 500`
pub(crate) fn weight_line(line: &str, scale: impl Fn(u64) -> u16) -> Option<DeviceWeight> {
    let DeviceRate { device, rate } = rate_line(line)?;
    Some(DeviceWeight {
        device,
        weight: Some(scale(rate)),
        leaf_weight: None,
    })
}

/// `8:0 rbps=max wbps=1048576 riops=max wiops=max`
pub(crate) fn max_line(line: &str, key: &str) -> Option<DeviceRate> {
    let mut fields = line.split(' ');
    let device = parse_device(fields.next()?)?;
    let rate = fields.find_map(|field| field.strip_prefix(key)?.strip_prefix('='))?;
    Some(DeviceRate {
        device,
        rate: rate.parse().ok()?,
    })
}

/// `mlx5_0 hca_handle=2 hca_object=max`
pub(crate) fn rdma_line(line: &str) -> Option<RdmaLimit> {
    let mut fields = line.split(' ');
    let device = fields.next()?.to_owned();
    let mut limit = RdmaLimit {
        device,
        handles: None,
        objects: None,
    };
    for field in fields {
        let (key, value) = field.split_once('=')?;
        let value = match value {
            "max" => Limit::Max,
            number => Limit::Value(number.parse().ok()?),
        };
        match key {
            "hca_handle" => limit.handles = Some(value),
            "hca_object" => limit.objects = Some(value),
            _ => {}
        }
    }
    Some(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel() {
        let device = DeviceNumber {
            major: 8,
            minor: 16,
        };
        assert_eq!(
            rate_line("8:16 1024"),
            Some(DeviceRate { device, rate: 1024 })
        );
        assert_eq!(
            weight_line("8:16 500", |w| w as u16),
            Some(DeviceWeight {
                device,
                weight: Some(500),
                leaf_weight: None
            })
        );
        let max = "8:16 rbps=max wbps=7 riops=max wiops=max";
        assert_eq!(max_line(max, "wbps"), Some(DeviceRate { device, rate: 7 }));
        assert_eq!(max_line(max, "rbps"), None);
        assert_eq!(
            rdma_line("mlx5_0 hca_handle=2 hca_object=max"),
            Some(RdmaLimit {
                device: "mlx5_0".into(),
                handles: Some(Limit::Value(2)),
                objects: Some(Limit::Max),
            })
        );
        for broken in ["", "8", "8:16", "x:1 2", "8:16 x"] {
            assert_eq!(rate_line(broken), None, "{broken:?}");
            assert_eq!(max_line(broken, "rbps"), None, "{broken:?}");
        }
    }

    #[test]
    fn bounds() {
        assert_eq!(parse_bound("max"), Some(Limit::Max));
        assert_eq!(parse_bound("-1"), Some(Limit::Max));
        assert_eq!(parse_bound("12"), Some(Limit::Value(12)));
        assert_eq!(parse_bound(""), None);
    }
}
