//! Middle and spread of a sample.

/// Order statistics of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// How many values.
    pub count: usize,
    /// The tenth percentile.
    pub p10: f64,
    /// The median.
    pub median: f64,
    /// The ninetieth percentile.
    pub p90: f64,
}

/// Summarises a sample; `None` of an empty one.
#[must_use]
pub fn summary(sample: &[f64]) -> Option<Summary> {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    Some(Summary {
        count: sorted.len(),
        p10: quantile(&sorted, 0.1)?,
        median: quantile(&sorted, 0.5)?,
        p90: quantile(&sorted, 0.9)?,
    })
}

/// The median; `None` of an empty sample.
#[must_use]
pub fn median(sample: &[f64]) -> Option<f64> {
    summary(sample).map(|s| s.median)
}

/// Linear interpolation between the closest ranks.
fn quantile(sorted: &[f64], fraction: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "samples are far smaller than 2^52"
    )]
    let rank = fraction * last as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and last"
    )]
    let below = rank.floor() as usize;
    let above = (below + 1).min(last);
    let weight = rank.fract();
    Some(sorted[below].mul_add(1.0 - weight, sorted[above] * weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_an_even_sample_lies_between() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
    }

    #[test]
    fn no_summary_of_nothing() {
        assert_eq!(summary(&[]), None);
    }

    #[test]
    fn spread_covers_the_middle_eight_tenths() {
        let sample: Vec<f64> = (0..=100).map(f64::from).collect();
        let spread = summary(&sample).unwrap();
        assert_eq!((spread.p10, spread.median, spread.p90), (10.0, 50.0, 90.0));
    }
}
