//! Amounts and times as people write them: `64m`, `1.5GiB`, `250ms`, `1m30s`.

use std::time::Duration;

/// Bytes: a decimal number, then nothing, `b`, or one of `kmgtp` (of 1024 each) with `b` or `ib`.
pub(super) fn bytes(text: &str) -> Result<i64, String> {
    let bad = || format!("invalid size: '{text}'");
    let end = text
        .rfind(|c: char| c.is_ascii_digit() || c == '.')
        .map_or(0, |last| last + 1);
    let (number, suffix) = text.split_at(end);
    let suffix = suffix.strip_prefix(' ').unwrap_or(suffix);
    let unit = unit(suffix).ok_or_else(|| format!("invalid suffix: '{suffix}'"));
    let number = Decimal::parse(number).ok_or_else(bad)?;
    number
        .times(unit?)
        .and_then(|size| i64::try_from(size).ok())
        .ok_or_else(bad)
}

fn unit(suffix: &str) -> Option<u128> {
    let suffix = suffix.to_ascii_lowercase();
    let letter = match suffix.as_str() {
        "" | "b" => return Some(1),
        long => long
            .strip_suffix("ib")
            .or_else(|| long.strip_suffix('b'))
            .unwrap_or(long),
    };
    let power = ["k", "m", "g", "t", "p"]
        .iter()
        .position(|one| *one == letter)?;
    Some(1 << (10 * (power + 1)))
}

/// A time of one or more numbers with units: `h`, `m`, `s`, `ms`, `us`, `ns`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u128); 7] = [
        ("ns", 1),
        ("us", 1_000),
        ("\u{b5}s", 1_000),
        ("ms", 1_000_000),
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
    ];
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut nanos: u128 = 0;
    let mut any = false;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number = Decimal::parse(&rest[..end])?;
        let (unit, size) = UNITS
            .iter()
            .find(|(unit, _)| rest[end..].starts_with(unit))?;
        nanos = nanos.checked_add(number.times(*size)?)?;
        rest = &rest[end + unit.len()..];
        any = true;
    }
    let nanos = u64::try_from(nanos).ok().filter(|_| any)?;
    Some(Duration::from_nanos(nanos))
}

/// A decimal number that is not negative.
struct Decimal {
    digits: u128,
    /// What `digits` is to be divided by.
    scale: u128,
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if !(whole.bytes().chain(fraction.bytes())).all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // More digits than these change nothing.
        let fraction = &fraction[..fraction.len().min(15)];
        let all = format!("{whole}{fraction}");
        let plain = !all.is_empty() && all.len() <= 34;
        Some(Self {
            digits: all.parse().ok().filter(|_| plain)?,
            scale: 10_u128.pow(u32::try_from(fraction.len()).ok()?),
        })
    }

    fn times(&self, unit: u128) -> Option<u128> {
        Some(self.digits.checked_mul(unit)? / self.scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, size) in [
            ("0", 0),
            ("1", 1),
            ("64m", 64 << 20),
            ("64M", 64 << 20),
            ("64mb", 64 << 20),
            ("64MiB", 64 << 20),
            ("1.5k", 1536),
            ("1.5", 1),
            ("2 g", 2 << 30),
            ("1t", 1 << 40),
            ("1p", 1 << 50),
            ("7b", 7),
            ("9223372036854775807", i64::MAX),
        ] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for bad in [
            "",
            "x",
            "-2",
            "-1",
            "1x",
            "1bb",
            "1kk",
            "1kib2",
            ".",
            "1.2.3",
            "1e3",
            "m",
            "1 kb x",
            "9223372036854775808",
            "9000p",
            "1\u{e9}",
            "\u{e9}1",
            // A character across the place where a fraction is cut.
            "1.5\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}",
        ] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations() {
        for (text, millis) in [
            ("5s", 5_000),
            ("100ms", 100),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("1h2m3s4ms", 3_723_004),
            ("+2s", 2_000),
            ("0", 0),
            ("0.25s", 250),
            ("3000us", 3),
        ] {
            assert_eq!(
                duration(text),
                Some(Duration::from_millis(millis)),
                "{text}"
            );
        }
        for bad in [
            "",
            "5",
            "s",
            "-5s",
            "5 s",
            "5x",
            "1.2.3s",
            "99999999h",
            "5s5",
            "+",
            "\u{b5}s",
        ] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
