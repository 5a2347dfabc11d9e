//! Tells a length of time to people.
//!
//! It is rounded down, and read by nothing but eyes.

use std::time::Duration;

/// The two largest units: `2 h 5 min`.
pub(super) fn rounded(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds == 0 && !duration.is_zero() {
        return "less than 1 s".to_owned();
    }
    let units = [("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)];
    let place = units.iter().position(|&(_, unit)| seconds >= unit).unwrap_or(units.len() - 1);
    let (name, unit) = units[place];
    let large = format!("{} {name}", seconds / unit);
    match units.get(place + 1) {
        Some(&(name, small)) if seconds % unit >= small => {
            format!("{large} {} {name}", seconds % unit / small)
        }
        _ => large,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_told_in_two_units() {
        let check =
            |seconds: u64, expected: &str| assert_eq!(rounded(Duration::from_secs(seconds)), expected);
        check(0, "0 s");
        check(59, "59 s");
        check(60, "1 min");
        check(61, "1 min 1 s");
        check(3600, "1 h");
        check(3659, "1 h");
        check(86_399, "23 h 59 min");
        check(u64::MAX, "213503982334601 d 7 h");
        assert_eq!(rounded(Duration::from_millis(999)), "less than 1 s");
    }
}
