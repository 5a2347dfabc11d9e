//! Figures, times, commands and tables as text.
//!
//! It decides nothing about what they mean.

use crate::statistics::Summary;
use std::time::{Duration, UNIX_EPOCH};

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

/// Such as `Wed, 25 Nov 2026 03:47:00 GMT`.
pub(super) fn time(unix_s: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(unix_s))
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

    #[test]
    fn a_command_can_be_repeated_and_names_no_folder_of_a_machine() {
        let arguments = [
            "compare",
            "--json",
            "/home/me/x.json",
            "--fanfare",
            "/home/me/fanfare",
            "--contestant",
            "x=/opt/x -v",
        ];
        let command = command(&arguments.map(str::to_owned));
        assert_eq!(command, "fanfare-bench compare --fanfare fanfare --contestant 'x=/opt/x -v'");
    }
}
