//! Conversions between the scales of v1 (and OCI) and v2.

use crate::error::{Error, Result};
use crate::units::{Bytes, CpuShares, Limit};

/// The v2 `cpu.weight` (1 to 10000) for v1 CPU shares (2 to 262144; values
/// outside are clamped). The default of 1024 shares becomes the default weight
/// of 100, the ends of the scales meet, and shares in between grow evenly on a
/// logarithmic scale.
#[must_use]
pub fn shares_to_weight(shares: CpuShares) -> u64 {
    match shares.0 {
        0..=2 => 1,
        262_144.. => 10_000,
        // Both casts are exact: shares are below 2^18, and the result is 1 to 10000.
        shares => {
            let l = (shares as f64).log2();
            let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
            10_f64.powf(exponent).ceil() as u64
        }
    }
}

/// The smallest CPU shares that become this v2 weight or more.
pub(crate) fn weight_to_shares(weight: u64) -> CpuShares {
    let (mut low, mut high) = (2, 262_144);
    while low < high {
        let middle = (low + high) / 2;
        if shares_to_weight(CpuShares(middle)) < weight {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    CpuShares(low)
}

/// The smallest block io weight that becomes this v2 weight or more.
pub(crate) fn io_weight_to_blkio_weight(weight: u64) -> u16 {
    let weight = weight.clamp(1, 10_000);
    // At most 1000.
    10 + ((weight - 1) * 990).div_ceil(9999) as u16
}

/// The v2 `io.weight` (1 to 10000) for a v1 block io weight (10 to 1000; values
/// outside are clamped).
#[must_use]
pub fn blkio_weight_to_io_weight(weight: u16) -> u64 {
    let weight = u64::from(weight.clamp(10, 1000));
    1 + (weight - 10) * 9999 / 990
}

/// The v2 `memory.swap.max` (swap alone) for OCI's memory and memory+swap limits.
///
/// `None` means that the swap limit stays as it is.
///
/// # Errors
///
/// [`Error::InvalidLimit`] for a memory+swap bound without a memory limit, or
/// below the memory limit.
pub fn v2_swap_limit(
    memory: Option<Limit<Bytes>>,
    memory_and_swap: Option<Limit<Bytes>>,
) -> Result<Option<Limit<Bytes>>> {
    let invalid = |reason: &str| Error::InvalidLimit {
        field: "memory.swap",
        reason: reason.into(),
    };
    match (memory, memory_and_swap) {
        // As on v1, where unlimited memory under a swap bound cannot be had.
        (Some(Limit::Max), None) | (_, Some(Limit::Max)) => Ok(Some(Limit::Max)),
        (_, None) => Ok(None),
        (Some(Limit::Max), Some(both)) => Ok(Some(both)),
        (None, Some(_)) => Err(invalid("memory+swap needs memory.limit beside it")),
        (Some(Limit::Value(memory)), Some(Limit::Value(both))) => both
            .0
            .checked_sub(memory.0)
            .map(|swap| Some(Limit::Value(Bytes(swap))))
            .ok_or_else(|| invalid("memory+swap must not be below memory.limit")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        for (shares, weight) in [
            (0, 1),
            (1, 1),
            (2, 1),
            (1024, 100),
            (262_144, 10_000),
            (u64::MAX, 10_000),
        ] {
            assert_eq!(shares_to_weight(CpuShares(shares)), weight, "{shares}");
        }
    }

    #[test]
    fn shares_grow_without_a_step_back_and_stay_on_the_scale() {
        let mut last = 1;
        for shares in 2..=262_144 {
            let weight = shares_to_weight(CpuShares(shares));
            assert!((last..=10_000).contains(&weight), "{shares}");
            last = weight;
        }
    }

    #[test]
    fn io_weights() {
        for (v1, v2) in [
            (10, 1),
            (100, 910),
            (500, 4950),
            (1000, 10_000),
            (0, 1),
            (5000, 10_000),
        ] {
            assert_eq!(blkio_weight_to_io_weight(v1), v2, "{v1}");
        }
    }

    #[test]
    fn there_and_back() {
        for weight in 10..=1000 {
            assert_eq!(
                io_weight_to_blkio_weight(blkio_weight_to_io_weight(weight)),
                weight
            );
        }
        for weight in 1..=10_000 {
            let shares = weight_to_shares(weight);
            assert!(shares_to_weight(shares) >= weight, "{weight}");
            assert!(shares.0 == 2 || shares_to_weight(CpuShares(shares.0 - 1)) < weight);
        }
    }

    #[test]
    fn swap() {
        let value = |n| Some(Limit::Value(Bytes(n)));
        let max = Some(Limit::Max);
        for (memory, both, swap) in [
            (None, None, None),
            (value(10), None, None),
            (value(10), value(30), value(20)),
            (value(10), value(10), value(0)),
            (value(10), max, max),
            (max, None, max),
            (max, value(7), value(7)),
            (None, max, max),
        ] {
            assert_eq!(
                v2_swap_limit(memory, both).unwrap(),
                swap,
                "{memory:?} {both:?}"
            );
        }
        assert!(v2_swap_limit(None, value(1)).is_err());
        assert!(v2_swap_limit(value(2), value(1)).is_err());
    }
}
