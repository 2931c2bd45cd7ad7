//! Pressure stall information (Documentation/accounting/psi.rst of the kernel).

use std::time::Duration;

use crate::error::Result;
use crate::read_back::Reader;

/// How long tasks waited for a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// Some task waited.
    pub some: Stall,
    /// All tasks waited at once, so that nothing was done.
    pub full: Option<Stall>,
}

/// Shares of time lost to waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stall {
    /// In the last ten seconds, in percent.
    pub avg10: f64,
    /// In the last minute, in percent.
    pub avg60: f64,
    /// In the last five minutes, in percent.
    pub avg300: f64,
    /// In all.
    pub total: Duration,
}

pub(super) fn read(reader: &Reader<'_>, file: &str) -> Result<Option<Pressure>> {
    Ok(reader.text(file)?.and_then(|text| parse(&text)))
}

fn parse(text: &str) -> Option<Pressure> {
    let line = |kind| {
        text.lines()
            .find_map(|line| stall(line.strip_prefix(kind)?))
    };
    Some(Pressure {
        some: line("some ")?,
        full: line("full "),
    })
}

fn stall(fields: &str) -> Option<Stall> {
    let mut stall = Stall::default();
    for field in fields.split(' ') {
        let (key, value) = field.split_once('=')?;
        match key {
            "avg10" => stall.avg10 = value.parse().ok()?,
            "avg60" => stall.avg60 = value.parse().ok()?,
            "avg300" => stall.avg300 = value.parse().ok()?,
            "total" => stall.total = Duration::from_micros(value.parse().ok()?),
            _ => {}
        }
    }
    Some(stall)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lines_or_one() {
        let text = "some avg10=1.50 avg60=0.25 avg300=0.00 total=1234\n\
                    full avg10=0.00 avg60=0.00 avg300=0.10 total=56\n";
        let pressure = parse(text).unwrap();
        let some = Stall {
            avg10: 1.5,
            avg60: 0.25,
            avg300: 0.0,
            total: Duration::from_micros(1234),
        };
        assert_eq!(pressure.some, some);
        assert_eq!(pressure.full.map(|full| full.avg300), Some(0.1));
        assert_eq!(
            parse("some avg10=0.00 avg60=0.00 avg300=0.00 total=0")
                .unwrap()
                .full,
            None
        );
        for broken in ["", "some", "some avg10=x", "full avg10=0.00 total=1"] {
            assert_eq!(parse(broken), None, "{broken:?}");
        }
    }
}
