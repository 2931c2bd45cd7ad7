//! How long a race is tried.

use std::env;
use std::io::Write;
use std::time::{Duration, Instant};

/// Tries of one race in a usual run.
const TRIES: u32 = 300;

/// How long one race may take, whatever the runtime's speed.
const LIMIT: Duration = Duration::from_secs(25);

/// The numbers of the tries: 300, or as many as `ORLOP_RACE_TRIES` says (20,000 for a night), and
/// then without an end in time. A runtime that is too slow for 300 gets fewer, and a line says so.
pub fn tries() -> impl Iterator<Item = u32> {
    let asked = env::var("ORLOP_RACE_TRIES")
        .ok()
        .and_then(|text| text.parse().ok());
    let end = Instant::now() + LIMIT;
    let count = asked.unwrap_or(TRIES);
    (0..count).take_while(move |number| {
        let go_on = asked.is_some() || Instant::now() < end;
        if !go_on {
            let line = format!("race ended after {number} of {count} tries: {LIMIT:?} are over\n");
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
        go_on
    })
}
