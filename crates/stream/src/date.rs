//! The `Date` header of a response that no HTTP server writes for us.
//!
//! It formats a time it is given and reads no clock. Source: [RFC 9110 § 5.6.7](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7).

use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderValue;

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"];

/// `time` as HTTP writes it; `None` for one before 1970.
pub(crate) fn header(time: SystemTime) -> Option<HeaderValue> {
    let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March put the leap day last, and eras of 400 years are all alike.
    let since_march_0 = days + 719_468;
    let (era, day) = (since_march_0 / 146_097, since_march_0 % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year + u64::from(month >= 10);
    let day_name = DAYS.get(usize::try_from(days % 7).ok()?)?;
    let month_name = MONTHS.get(usize::try_from(month).ok()?)?;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let text =
        format!("{day_name}, {day_of_month:02} {month_name} {year:04} {hour:02}:{minute:02}:{second:02} GMT");
    HeaderValue::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn check(seconds: u64, expected: &str) {
        assert_eq!(header(UNIX_EPOCH + Duration::from_secs(seconds)), expected.parse().ok(), "{seconds}");
    }

    #[test]
    fn known_dates_are_written_as_http_writes_them() {
        check(0, "Thu, 01 Jan 1970 00:00:00 GMT");
        check(784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT");
        check(951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT");
        check(951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT");
        check(951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT");
        check(1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT");
        check(4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT");
    }

    #[test]
    fn a_clock_before_1970_has_no_date() {
        assert_eq!(header(UNIX_EPOCH - Duration::from_secs(1)), None);
    }
}
