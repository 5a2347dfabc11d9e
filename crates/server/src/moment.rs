//! Moments as operators write them: RFC 3339, or seconds since 1970.
//!
//! It reads no clock and knows no time zone but as an offset. Source: [RFC 3339 § 5.6](https://www.rfc-editor.org/rfc/rfc3339#section-5.6).

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment from 1970 to 9999; it is written to the millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) SystemTime);

/// The first second of the year 10000.
const END: i64 = 253_402_300_800;
const DAY: i64 = 86_400;

impl Moment {
    /// Reads a moment, or whole seconds since 1970.
    ///
    /// # Errors
    /// A sentence that says what would be understood.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let by_number =
            || Self::at(text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))?, 0);
        let found = Self::parse(text).or_else(by_number);
        found.ok_or_else(|| "write a moment such as 2026-11-25T12:00:00Z, or seconds since 1970".to_owned())
    }

    /// Reads `2026-11-25T12:00:00Z`, `2026-11-25 13:00:00.5+01:00` and the like.
    fn parse(text: &str) -> Option<Self> {
        let (date, rest) = text.split_at_checked(10)?;
        let (time, rest) = rest.strip_prefix(['T', 't', ' '])?.split_at_checked(8)?;
        let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
        let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
        let (nanos, rest) = fraction(rest)?;
        // A leap second is the first one behind it.
        let is_there = (1..=12).contains(&month)
            && (1..=days_in(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second <= 60;
        let seconds = days_before(year, month) + day - 1;
        let seconds = seconds * DAY + hour * 3600 + minute * 60 + second - offset(rest)?;
        Self::at(seconds, nanos).filter(|_| is_there)
    }

    fn at(seconds: i64, nanos: u32) -> Option<Self> {
        let seconds = u64::try_from(seconds).ok().filter(|_| seconds < END)?;
        Some(Self(UNIX_EPOCH + Duration::new(seconds, nanos)))
    }
}

/// Three numbers of so many digits each.
fn numbers(text: &str, between: char, digits: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(between);
    let mut numbers = [0; 3];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        *number = number_of(parts.next()?, digits)?;
    }
    parts.next().is_none().then_some(numbers)
}

fn number_of(text: &str, digits: usize) -> Option<i64> {
    let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// A fraction of a second, if there is one, in nanoseconds; and what is behind it.
fn fraction(text: &str) -> Option<(u32, &str)> {
    let Some(text) = text.strip_prefix('.') else { return Some((0, text)) };
    let count = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(count);
    let first = digits.get(..count.min(9)).filter(|digits| !digits.is_empty())?;
    Some((format!("{first:0<9}").parse().ok()?, rest))
}

/// `Z`, or how far the clocks are ahead there; in seconds.
fn offset(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z") {
        return Some(0);
    }
    let (sign, text) = text.split_at_checked(1)?;
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes) = (number_of(hours, 2)?, number_of(minutes, 2)?);
    let seconds = hours * 3600 + minutes * 60;
    match sign {
        _ if hours > 23 || minutes > 59 => None,
        "+" => Some(seconds),
        "-" => Some(-seconds),
        _ => None,
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// How many days there were from 1970 to the first of a month.
fn days_before(year: i64, month: i64) -> i64 {
    let leaps = |year: i64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    years + (1..month).map(|month| days_in(year, month)).sum::<i64>()
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = i64::try_from(since.as_secs()).unwrap_or(END).min(END - 1);
        let (days, second) = (seconds / DAY, seconds % DAY);
        let mut year = 1970 + days / 366;
        while days_before(year + 1, 1) <= days {
            year += 1;
        }
        let mut month = 1;
        while month < 12 && days_before(year, month + 1) <= days {
            month += 1;
        }
        let day = days - days_before(year, month) + 1;
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}",
            second / 3600,
            second / 60 % 60,
            second % 60
        )?;
        match since.subsec_millis() {
            0 => f.write_str("Z"),
            millis => write!(f, ".{millis:03}Z"),
        }
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading)
    }
}

/// Reads a text, or a number as it stands in a token.
struct Reading;

impl Visitor<'_> for Reading {
    type Value = Moment;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a moment such as \"2026-11-25T12:00:00Z\", or whole seconds since 1970")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Moment, E> {
        Moment::parse(text).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<Moment, E> {
        let moment = i64::try_from(seconds).ok().and_then(|seconds| Moment::at(seconds, 0));
        moment.ok_or_else(|| E::invalid_value(serde::de::Unexpected::Unsigned(seconds), &self))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Option<(u64, u32)>) {
        let expected = expected.map(|(seconds, nanos)| UNIX_EPOCH + Duration::new(seconds, nanos));
        assert_eq!(Moment::parse(text).map(|moment| moment.0), expected, "{text}");
    }

    /// The numbers are those of `date --date … +%s`.
    #[test]
    fn moments_are_read_as_rfc_3339_writes_them() {
        check("1970-01-01T00:00:00Z", Some((0, 0)));
        check("2026-11-25T12:00:00Z", Some((1_795_608_000, 0)));
        check("2026-11-25t13:00:00.25+01:00", Some((1_795_608_000, 250_000_000)));
        check("2026-11-24 23:30:00-12:30", Some((1_795_608_000, 0)));
        check("2024-02-29T00:00:00Z", Some((1_709_164_800, 0)));
        check("2000-03-01T00:00:00.123456789123Z", Some((951_868_800, 123_456_789)));
        check("2016-12-31T23:59:60Z", Some((1_483_228_800, 0)));
        check("9999-12-31T23:59:59Z", Some((253_402_300_799, 0)));
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "now",
            "2026-11-25",
            "2026-11-25T12:00:00",
            "2026-11-25T12:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-11-31T00:00:00Z",
            "2026-11-00T00:00:00Z",
            "2026-11-25T24:00:00Z",
            "2026-11-25T12:60:00Z",
            "2026-11-25T12:00:61Z",
            "2026-11-25T12:00:00.Z",
            "2026-11-25T12:00:00+0100",
            "2026-11-25T12:00:00+24:00",
            "2026-11-25T12:00:00*01:00",
            "2026-11-25T12:00:00ZZ",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "+026-11-25T12:00:00Z",
            "2026-11-2\u{e9}T12:00:00Z",
        ] {
            check(text, None);
        }
    }

    proptest! {
        #[test]
        fn a_moment_is_read_as_it_was_written(seconds in 0..END, millis in 0u32..1000) {
            let moment = Moment::at(seconds, millis * 1_000_000).expect("before the end");
            prop_assert_eq!(Moment::parse(&moment.to_string()), Some(moment));
        }

        #[test]
        fn whatever_somebody_writes_is_read_or_refused(text in ".{0,40}") {
            let _ = Moment::parse(&text);
        }

        #[test]
        fn whatever_looks_like_a_moment_is_read_or_refused(text in "[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,12})?(Z|[+-][0-9]{2}:[0-9]{2})") {
            let _ = Moment::parse(&text);
        }
    }
}
