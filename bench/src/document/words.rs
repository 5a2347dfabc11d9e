//! Figures, times, commands and tables as text.
//!
//! It decides nothing about what they mean.

use crate::statistics::Summary;

/// With `digits` behind the point, and a comma between thousands.
pub(super) fn number(value: f64, digits: usize) -> String {
    let plain = format!("{:.digits$}", value.abs());
    let (whole, fraction) = plain.split_once('.').map_or((plain.as_str(), None), |(a, b)| (a, Some(b)));
    let mut out = String::new();
    if value < 0.0 && plain.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) {
        out.push('−');
    }
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out += fraction;
    }
    out
}

/// With as many digits as say something: none for a count or from a hundred on.
pub(super) fn rounded(value: f64) -> String {
    let digits = if value.fract() == 0.0 || value.abs() >= 100.0 {
        0
    } else if value.abs() >= 10.0 {
        1
    } else {
        2
    };
    number(value, digits)
}

/// A count as text.
pub(super) fn count(value: usize) -> String {
    number(value as f64, 0)
}

/// The median and its interval.
pub(super) fn interval(summary: &Summary, digits: usize) -> String {
    let [median, low, high] = [summary.median, summary.low, summary.high].map(|value| number(value, digits));
    format!("{median} ({low}–{high})")
}

/// What stands in a cell, or a dash.
pub(super) fn cell(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".to_owned())
}

/// `singular` or its plural after a count.
pub(super) fn plural(count: usize, singular: &str) -> String {
    format!("{} {singular}{}", number(count as f64, 0), if count == 1 { "" } else { "s" })
}

/// A table; figures stand to the right, the first column does not.
pub(super) fn table(headings: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule = format!("|---|{}\n", "---:|".repeat(headings.len().saturating_sub(1)));
    line(headings) + &rule + &rows.iter().map(|row| line(row)).collect::<String>() + "\n"
}

/// `2026-11-25 03:47`, in UTC.
///
/// The calendar is the Gregorian one from the start of Unix time on. Source: Howard Hinnant, chrono-Compatible Low-Level
/// Date Algorithms, `civil_from_days`.
pub(super) fn utc(unix_s: u64) -> String {
    let (days, seconds) = (unix_s / 86_400 + 719_468, unix_s % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02}", seconds / 3_600, seconds / 60 % 60)
}

/// A command to repeat: without the file that the figures went to, and without folders of the machine it ran on.
pub(super) fn command(arguments: &[String]) -> String {
    let mut out = "fanfare-bench".to_owned();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == "--json" {
            arguments.next();
            continue;
        }
        if argument.starts_with("--json=") {
            continue;
        }
        out.push(' ');
        out += &quoted(&argument.split(' ').map(without_folder).collect::<Vec<_>>().join(" "));
    }
    out
}

/// An absolute path's last name; anything else as it is.
fn without_folder(word: &str) -> &str {
    if word.starts_with('/') { word.rsplit('/').next().unwrap_or(word) } else { word }
}

fn quoted(argument: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./,:=+@".contains(&byte);
    if !argument.is_empty() && argument.bytes().all(plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart_and_digits_few() {
        for (value, text) in [
            (0.0, "0"),
            (-0.001, "0.00"),
            (-1_234.5, "−1,234"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (999.6, "1,000"),
            (1_234_567.0, "1,234,567"),
        ] {
            assert_eq!(rounded(value), text);
        }
        assert_eq!(plural(1, "subscriber") + &plural(1_000, " subscriber"), "1 subscriber1,000  subscribers");
    }

    /// Source: `date --utc --date @…`.
    #[test]
    fn a_time_is_a_date_in_utc() {
        for (unix_s, text) in [
            (0, "1970-01-01 00:00"),
            (951_782_399, "2000-02-28 23:59"),
            (951_782_400, "2000-02-29 00:00"),
            (951_868_800, "2000-03-01 00:00"),
            (1_798_761_599, "2026-12-31 23:59"),
            (1_798_761_600, "2027-01-01 00:00"),
        ] {
            assert_eq!(utc(unix_s), text);
        }
    }

    #[test]
    fn a_command_can_be_repeated_and_names_no_folder_of_a_machine() {
        let arguments = [
            "compare",
            "--json",
            "/tmp/x.json",
            "--fanfare",
            "/home/me/fanfare",
            "--contestant",
            "x=/opt/x -v",
        ];
        let command = command(&arguments.map(str::to_owned));
        assert_eq!(command, "fanfare-bench compare --fanfare fanfare --contestant 'x=/opt/x -v'");
    }
}
