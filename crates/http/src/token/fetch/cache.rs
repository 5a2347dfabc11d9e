//! How long an answer with keys may be relied upon.
//!
//! It keeps nothing. Source: [RFC 9111 § 5.2.2](https://www.rfc-editor.org/rfc/rfc9111#section-5.2.2), requirement M-106.

use std::time::Duration;

use http::HeaderMap;
use http::header::CACHE_CONTROL;

/// Where the answer says nothing.
const PAUSE: Duration = Duration::from_secs(600);
/// A key that was taken back is honoured no longer than this.
const PAUSE_MAX: Duration = Duration::from_secs(24 * 3600);
/// A server that says 0 is not asked all the time.
const PAUSE_MIN: Duration = Duration::from_secs(60);

/// After what time to ask again.
pub(super) fn pause(headers: &HeaderMap) -> Duration {
    let directives = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut pause = PAUSE;
    for directive in directives.flat_map(|value| value.split(',')) {
        let (name, value) = directive.trim().split_once('=').unwrap_or((directive.trim(), ""));
        if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
            return PAUSE_MIN;
        }
        if name.eq_ignore_ascii_case("max-age") {
            // Digits that are too many for a number are still a long time.
            let digits = value.trim_matches('"');
            if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
                pause = digits.parse().map_or(PAUSE_MAX, Duration::from_secs);
            }
        }
    }
    pause.clamp(PAUSE_MIN, PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[&str], seconds: u64) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CACHE_CONTROL, value.parse().expect("a value"));
        }
        assert_eq!(pause(&headers), Duration::from_secs(seconds), "{values:?}");
    }

    #[test]
    fn the_answer_says_how_long_within_bounds_m106() {
        check(&[], 600);
        check(&["public"], 600);
        check(&["public, max-age=3600"], 3600);
        check(&["Max-Age=\"120\""], 120);
        check(&["max-age=0"], 60);
        check(&["max-age=99999999"], 86_400);
        check(&["max-age=99999999999999999999999999"], 86_400);
        check(&["max-age=-1"], 600);
        check(&["max-age="], 600);
        check(&["max-age=3600", "no-cache"], 60);
        check(&["no-store"], 60);
    }
}
