//! Who is sent bookmarks: blocks of `id:` alone, which move a client's last event ID and dispatch nothing.

use http::{HeaderMap, header};

/// Which subscribers get bookmarks.
///
/// A bookmark keeps the last event ID of a quiet stream fresh, so that the client can resume when it reconnects. Browsers
/// handle it as the standard says; some client libraries report it as an empty event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Bookmarks {
    /// Requests that look like a browser's: with a `Sec-Fetch-Mode`, or a `User-Agent` that begins with `Mozilla/`.
    #[default]
    Browsers,
    /// Every subscriber.
    All,
    /// Nobody.
    Off,
}

impl Bookmarks {
    pub(crate) fn wanted_by(self, headers: &HeaderMap) -> bool {
        match self {
            Self::All => true,
            Self::Off => false,
            Self::Browsers => {
                // Browsers leave `Sec-Fetch-Mode` out on plain HTTP beyond loopback.
                headers.contains_key("sec-fetch-mode")
                    || headers
                        .get(header::USER_AGENT)
                        .is_some_and(|agent| agent.as_bytes().starts_with(b"Mozilla/"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    #[track_caller]
    fn check(name: &'static str, value: &'static str, browser: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        assert_eq!(Bookmarks::Browsers.wanted_by(&headers), browser, "{name}: {value}");
        assert!(Bookmarks::All.wanted_by(&headers));
        assert!(!Bookmarks::Off.wanted_by(&headers));
    }

    #[test]
    fn browsers_are_known_by_two_headers() {
        check("sec-fetch-mode", "cors", true);
        check("user-agent", "Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0.0.0", true);
        check("user-agent", "curl/8.14.1", false);
        check("accept", "text/event-stream", false);
    }
}
