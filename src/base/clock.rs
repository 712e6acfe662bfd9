//! The time: the only place that asks the system for it.
#![expect(clippy::disallowed_methods, reason = "this is where the time comes from")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970, negative before.
pub fn now_ns() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    }
}

/// A point on the clock that never steps.
pub fn instant() -> Instant {
    Instant::now()
}

/// A span that has been measured from its making.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// `2026-11-23T18:01:02Z`, from nanoseconds since 1970.
pub fn rfc3339(ns: i64) -> String {
    let mut text = rfc3339_ms(ns);
    text.replace_range(19.., "Z");
    text
}

/// `2026-11-23 18:01:02`, in UTC, from seconds since 1970.
pub fn utc(seconds: i64) -> String {
    let mut text = rfc3339_ms(seconds.saturating_mul(1_000_000_000));
    text.truncate(19);
    text.replace_range(10..11, " ");
    text
}

/// Seconds since 1970 of a time that people or programs write: a day, `2026-11-23 18:01:02` in
/// UTC, or RFC 3339 with a zone. Fractions of a second are dropped. With the length in seconds of
/// what it names: of a day 86,400.
pub fn parse_time(text: &str) -> Option<(i64, i64)> {
    let number = |part: &str, digits: usize| -> Option<i64> {
        let good = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        good.then(|| part.parse().ok()).flatten()
    };
    let (year, month, day) = (text.get(..4)?, text.get(5..7)?, text.get(8..10)?);
    let (year, month, day) = (number(year, 4)?, number(month, 2)?, number(day, 2)?);
    let days = days(year, month, day);
    if text.get(4..5)? != "-" || text.get(7..8)? != "-" || civil(days) != (year, month, day) {
        return None;
    }
    let Some(rest) = text.get(10..).filter(|rest| !rest.is_empty()) else {
        return Some((days * 86_400, 86_400));
    };
    let clock = rest.strip_prefix([' ', 'T', 't'])?;
    let (hour, minute, second) = (clock.get(..2)?, clock.get(3..5)?, clock.get(6..8)?);
    let (hour, minute, second) = (number(hour, 2)?, number(minute, 2)?, number(second, 2)?);
    let colons = clock.get(2..3)? == ":" && clock.get(5..6)? == ":";
    if !colons || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut zone = clock.get(8..)?;
    if let Some(fraction) = zone.strip_prefix('.') {
        let end = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
        zone = fraction.get(end..).filter(|_| end > 0)?;
    }
    let ahead = match zone {
        "" | "Z" | "z" => 0,
        _ => {
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
            let sign = match zone.get(..1)? {
                "+" => 1,
                "-" => -1,
                _ => return None,
            };
            (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))?
        }
    };
    Some((days * 86_400 + hour * 3600 + minute * 60 + second - ahead, 1))
}

/// Days since 1970 of a day of that calendar, by the inverse of `civil`.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// `2026-11-23T18:01:02.345Z`, from nanoseconds since 1970: as many are in the years 1677 to 2262.
pub fn rfc3339_ms(ns: i64) -> String {
    let seconds = ns.div_euclid(1_000_000_000);
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let rest = seconds.rem_euclid(86_400);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    // Lines of logs have one each, so the digits are put in by hand.
    let mut put = |mut number: i64, places: std::ops::Range<usize>| {
        for place in places.rev() {
            text[place] = b'0' + (number % 10) as u8;
            number /= 10;
        }
    };
    put(year, 0..4);
    put(month, 5..7);
    put(day, 8..10);
    put(rest / 3600, 11..13);
    put(rest / 60 % 60, 14..16);
    put(rest % 60, 17..19);
    put(ns.div_euclid(1_000_000).rem_euclid(1000), 20..23);
    String::from_utf8(text.to_vec()).expect("digits are ASCII")
}

/// Year, month and day of the proleptic Gregorian calendar from days since 1970, by counting
/// in eras of 400 years that begin in March (Howard Hinnant, "chrono-compatible low-level date
/// algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_the_calendar() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400_000_000_000), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(1_700_000_000_123_456_789), "2023-11-14T22:13:20Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59Z");
        assert_eq!(rfc3339_ms(1_700_000_000_123_456_789), "2023-11-14T22:13:20.123Z");
        assert_eq!(rfc3339_ms(-1), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        for seconds in [0, 951_782_400, 1_700_000_000, 4_102_444_799, -1] {
            assert_eq!(parse_time(&utc(seconds)), Some((seconds, 1)), "{seconds}");
        }
        assert_eq!(parse_time("2024-11-16"), Some((1_731_715_200, 86_400)));
        let same = ["2024-11-16T14:30:00Z", "2024-11-16T15:30:00.75+01:00", "2024-11-16 14:30:00"];
        for text in same {
            assert_eq!(parse_time(text), Some((1_731_767_400, 1)), "{text}");
        }
        for text in [
            "",
            "2024",
            "2024-13-01",
            "2023-02-29",
            "2024-11-16 ",
            "2024-11-16 24:00:00",
            "2024-11-16 14:30",
            "2024-11-16T14:30:00+1",
            "2024-11-16T14:30:00.Z",
            "2024/11/16",
            "2024-11-1é",
        ] {
            assert_eq!(parse_time(text), None, "{text:?}");
        }
    }
}
