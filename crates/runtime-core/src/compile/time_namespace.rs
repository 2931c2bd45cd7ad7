//! A time namespace's clocks (`linux.timeOffsets`).

use std::fmt::Write as _;

use orlop_init::Op;

use super::Compiler;
use crate::error::{Error, Result};
use crate::names::CLONE_NEWTIME;

/// The clocks that a time namespace has (`time_namespaces(7)`).
const CLOCKS: [&str; 2] = ["boottime", "monotonic"];

const NANOSECONDS: u32 = 1_000_000_000;

impl Compiler<'_> {
    pub(super) fn time_namespace(&mut self) -> Result<()> {
        let offsets = self.offsets()?;
        if self.namespaces.is_new(CLONE_NEWTIME) {
            self.build.at("linux.timeOffsets");
            let offsets = self.build.str(&offsets)?;
            self.build.push(Op::TimeNamespace { offsets });
            self.build.at_none();
        } else if !offsets.is_empty() {
            let message = "need a new time namespace in linux.namespaces";
            return Err(Error::invalid("linux.timeOffsets", message));
        }
        Ok(())
    }

    /// As `/proc/self/timens_offsets` takes them.
    fn offsets(&self) -> Result<String> {
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
