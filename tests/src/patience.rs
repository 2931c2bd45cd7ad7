//! How long tests wait for what should be quick.

use std::time::Duration;

/// The time, as often as `ORLOP_TEST_PATIENCE` says: on an emulated processor a process takes ten
/// times as long to start. Not for times that are themselves under test.
#[must_use]
pub fn patient(time: Duration) -> Duration {
    let factor = std::env::var("ORLOP_TEST_PATIENCE").ok();
    time * factor.and_then(|text| text.parse().ok()).unwrap_or(1)
}
