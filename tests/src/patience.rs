//! How long tests wait for what should be quick.

use std::time::{Duration, Instant};

/// The time, as often as `ORLOP_TEST_PATIENCE` says: on an emulated processor a process takes ten
/// times as long to start. Not for times that are themselves under test.
#[must_use]
pub fn patient(time: Duration) -> Duration {
    let factor = std::env::var("ORLOP_TEST_PATIENCE").ok();
    time * factor.and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Waits at most ten seconds, [patiently](patient), for something to become true; whether it has.
pub fn until(mut is_true: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + patient(Duration::from_secs(10));
    loop {
        if is_true() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
