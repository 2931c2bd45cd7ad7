//! A time namespace's clocks (`linux.timeOffsets`).

use std::fmt::Write as _;

use orlop_init::Op;

use super::Compiler;
use super::namespaces::{MOUNT, USER};
use crate::annotations::{self, TIME_OFFSETS};
use crate::error::{Error, Result};
use crate::names::CLONE_NEWTIME;

/// The clocks that a time namespace has (`time_namespaces(7)`).
const CLOCKS: [&str; 2] = ["boottime", "monotonic"];

/// The same as numbers, `CLOCK_BOOTTIME` and `CLOCK_MONOTONIC`.
const CLOCK_NUMBERS: [&str; 2] = ["7", "1"];

const NANOSECONDS: u32 = 1_000_000_000;

impl Compiler<'_> {
    pub(super) fn time_namespace(&mut self) -> Result<()> {
        let offsets = self.offsets()?;
        if self.namespaces.is_new(CLONE_NEWTIME) {
            // Its clocks are set by way of the host's procfs, which is out of reach by then.
            if self.namespaces.is_new(USER) && self.namespaces.joined() & MOUNT != 0 {
                let message = "a new time namespace with a new user namespace needs a mount namespace that is not joined";
                return Err(Error::invalid("linux.namespaces", message));
            }
            self.build.at("linux.timeOffsets");
            let offsets = self.build.str(&offsets)?;
            self.build.push(Op::TimeNamespace { offsets });
            self.build.at_none();
        } else if !offsets.is_empty() {
            let annotated = annotations::value(&self.spec.annotations, TIME_OFFSETS);
            let (field, message) = match annotated {
                Some(_) => (
                    format!("annotations.{TIME_OFFSETS}"),
                    "needs a new time namespace in linux.namespaces",
                ),
                None => (
                    "linux.timeOffsets".to_owned(),
                    "need a new time namespace in linux.namespaces",
                ),
            };
            return Err(Error::invalid(field, message));
        }
        Ok(())
    }

    /// As `/proc/self/timens_offsets` takes them.
    fn offsets(&self) -> Result<String> {
        if let Some(text) = annotations::value(&self.spec.annotations, TIME_OFFSETS) {
            return annotated_offsets(text);
        }
        let mut lines = String::new();
        for (clock, offset) in &self.linux.time_offsets {
            let field = format!("linux.timeOffsets.{clock}");
            if !CLOCKS.contains(&clock.as_str()) {
                let message = "no such clock: a time namespace has monotonic and boottime";
                return Err(Error::invalid(field, message));
            }
            if offset.nanosecs >= NANOSECONDS {
                let message = format!("nanosecs: {} is a second or more", offset.nanosecs);
                return Err(Error::invalid(field, message));
            }
            // Writing to a string cannot fail.
            let _ = writeln!(lines, "{clock} {} {}", offset.secs, offset.nanosecs);
        }
        Ok(lines)
    }
}

/// `CLOCK SECONDS NANOSECONDS`, a line for each clock.
fn annotated_offsets(text: &str) -> Result<String> {
    let invalid = |line: &str| {
        let message = format!("{line:?} is not CLOCK SECONDS NANOSECONDS");
        Error::invalid(format!("annotations.{TIME_OFFSETS}"), message)
    };
    let mut lines = String::new();
    for line in text.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let [clock, seconds, nanoseconds] = words[..] else {
            return Err(invalid(line));
        };
        let is_clock = CLOCKS.contains(&clock) || CLOCK_NUMBERS.contains(&clock);
        let is_time = seconds.parse::<i64>().is_ok()
            && nanoseconds
                .parse::<u32>()
                .is_ok_and(|nanoseconds| nanoseconds < NANOSECONDS);
        if !is_clock || !is_time {
            return Err(invalid(line));
        }
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{clock} {seconds} {nanoseconds}");
    }
    Ok(lines)
}
