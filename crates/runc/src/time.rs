//! Times as RFC 3339 has them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SECONDS_PER_DAY: u64 = 86_400;

/// A time in UTC with nanoseconds, such as `2026-01-02T03:04:05.678901234Z`. Times before 1970 are
/// shown as its first second.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let since: Duration = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (year, month, day) = date(since.as_secs() / SECONDS_PER_DAY);
    let second = since.as_secs() % SECONDS_PER_DAY;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:09}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_nanos(),
    )
}

/// The Gregorian date of a day counted from 1970-01-01.
fn date(day: u64) -> (u64, u64, u64) {
    const DAYS_PER_ERA: u64 = 146_097; // 400 years
    const DAYS_BEFORE_1970: u64 = 719_468; // from 0000-03-01
    // Years that begin in March have their leap day at the end, and months in a regular pattern.
    let day = day + DAYS_BEFORE_1970;
    let (era, day) = (day / DAYS_PER_ERA, day % DAYS_PER_ERA);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants() {
        for (seconds, wanted) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (68_169_599, "1972-02-28T23:59:59.000000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000000Z"),
            (1_709_164_800, "2024-02-29T00:00:00.000000000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000000Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), wanted);
        }
        assert!(rfc3339(UNIX_EPOCH + Duration::from_nanos(7)).ends_with(":00.000000007Z"));
    }

    #[test]
    fn days_follow_one_another() {
        let mut before = date(0);
        for day in 1..200_000 {
            let (year, month, number) = date(day);
            let next_month = (year, month, number) == (before.0, before.1 + 1, 1);
            let next_year = (year, month, number) == (before.0 + 1, 1, 1) && before.1 == 12;
            let next_day = (year, month, number) == (before.0, before.1, before.2 + 1);
            assert!(next_day || next_month || next_year, "{day}");
            before = (year, month, number);
        }
    }
}
