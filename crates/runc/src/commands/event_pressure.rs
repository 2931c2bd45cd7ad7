//! Pressure stall information in the form that callers of runc read.

use orlop::cgroups::{Pressure, Stall};
use serde::{Serialize, Serializer};

/// How long tasks waited for a resource.
#[derive(Debug, Serialize)]
pub(super) struct Psi {
    some: Waiting,
    full: Waiting,
}

/// Shares in percent, and the total in microseconds.
#[derive(Debug, Serialize)]
struct Waiting {
    #[serde(serialize_with = "short")]
    avg10: f64,
    #[serde(serialize_with = "short")]
    avg60: f64,
    #[serde(serialize_with = "short")]
    avg300: f64,
    total: u64,
}

impl From<Pressure> for Psi {
    fn from(pressure: Pressure) -> Self {
        Self {
            some: pressure.some.into(),
            full: pressure.full.unwrap_or_default().into(),
        }
    }
}

impl From<Stall> for Waiting {
    fn from(stall: Stall) -> Self {
        Self {
            avg10: stall.avg10,
            avg60: stall.avg60,
            avg300: stall.avg300,
            total: u64::try_from(stall.total.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

/// Whole numbers without a decimal point, as Go writes them.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "percent, checked to be whole"
)]
fn short<S: Serializer>(number: &f64, to: S) -> Result<S::Ok, S::Error> {
    if number.fract() == 0.0 && (0.0..=1e9).contains(number) {
        to.serialize_u64(*number as u64)
    } else {
        to.serialize_f64(*number)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn numbers_are_as_short_as_can_be() {
        let some = Stall {
            avg10: 1.5,
            avg300: 100.0,
            total: Duration::from_micros(7),
            ..Stall::default()
        };
        let psi = Psi::from(Pressure { some, full: None });
        assert_eq!(
            serde_json::to_string(&psi).unwrap(),
            r#"{"some":{"avg10":1.5,"avg60":0,"avg300":100,"total":7},"full":{"avg10":0,"avg60":0,"avg300":0,"total":0}}"#
        );
    }
}
