//! Reads sizes and durations as people write them: `64MiB`, `1h30m`.
//!
//! A bare number is bytes where a size is asked for; a duration always needs its unit.

use std::time::Duration;

/// Reads a number of bytes: `65536`, `64KiB`, `64kB`, `1GiB`.
///
/// # Errors
/// A sentence that says what would be understood.
pub(crate) fn bytes(text: &str) -> Result<usize, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: usize = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return Err("write a number of bytes such as 65536, 64KiB or 64MiB".to_owned()),
    };
    let number: usize =
        number.parse().map_err(|_| "write a number of bytes such as 65536, 64KiB or 64MiB")?;
    number.checked_mul(factor).ok_or_else(|| "that is more than this machine can count".to_owned())
}

/// Reads a duration: `15s`, `250ms`, `1h30m`, `7d`; zero may be written `0`.
///
/// # Errors
/// A sentence that says what would be understood.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(DURATION.to_owned());
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(DURATION)?;
        let number: u64 = rest[..digits].parse().map_err(|_| DURATION)?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let milliseconds = match &rest[..letters] {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(DURATION.to_owned()),
        };
        let part = number.checked_mul(milliseconds).map(Duration::from_millis);
        total = part
            .and_then(|part| total.checked_add(part))
            .ok_or("that is longer than this machine can count")?;
        rest = rest[letters..].trim_start();
    }
    Ok(total)
}

/// Reads a duration of a second or more.
///
/// # Errors
/// A sentence that says what would be understood.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration < Duration::from_secs(1) { Err("it has to be 1s or longer".to_owned()) } else { Ok(duration) }
}

/// Writes a duration as [`duration`] reads it.
pub(crate) fn written(duration: Duration) -> String {
    let mut rest = duration.as_millis();
    let mut text = String::new();
    for (unit, milliseconds) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)]
    {
        if rest >= milliseconds {
            text += &(rest / milliseconds).to_string();
            text += unit;
            rest %= milliseconds;
        }
    }
    if text.is_empty() { "0".to_owned() } else { text }
}

const DURATION: &str = "write a duration with its unit, such as 250ms, 15s, 30m, 1h30m or 7d";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_a_unit() {
        for (text, expected) in [
            ("0", 0),
            ("65536", 65_536),
            ("64KiB", 65_536),
            ("64kib", 65_536),
            ("64 MiB", 67_108_864),
            ("1GiB", 1_073_741_824),
            ("5MB", 5_000_000),
            ("3k", 3_072),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn sizes_that_mean_nothing_are_refused() {
        for text in ["", "MiB", "-1", "1.5MiB", "64XiB", "99999999999999999999", "18446744073709551615GiB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_read_with_their_units() {
        for (text, seconds) in [
            ("0", 0.0),
            ("15s", 15.0),
            ("250ms", 0.25),
            ("30m", 1800.0),
            ("1h30m", 5400.0),
            ("1h 30m", 5400.0),
            ("7d", 604_800.0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs_f64(seconds)), "{text}");
        }
    }

    #[test]
    fn a_duration_is_written_as_it_is_read() {
        for text in ["0", "250ms", "1s", "1h30m", "7d", "1d1h1m1s1ms"] {
            assert_eq!(duration(text).map(written).as_deref(), Ok(text));
        }
    }

    #[test]
    fn durations_that_mean_nothing_are_refused() {
        for text in ["", "15", "s", "-1s", "1.5h", "1w", "1h30", "99999999999999999d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
