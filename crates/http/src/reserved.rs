//! Tells which topics belong to the hub itself, so that no publisher can forge them.
//!
//! A topic is reserved when a browser would take it, as a URL relative to the hub, for the hub's own path or for
//! something below it. It never changes a topic: topics are compared as they were sent. Rule: M-072, M-003.

use url::Url;

/// Whether `topic`, read as a URL relative to `hub`, lies at or below the hub's path, whether that ends with a slash or not.
///
/// Below the root lies everything: of a hub that is there, the path itself and what it says of its subscriptions are reserved.
pub(crate) fn is_reserved(topic: &str, hub: &Url) -> bool {
    let Ok(url) = hub.join(topic) else {
        return false;
    };
    let path = canonical(url.path());
    let hub = canonical(hub.path());
    let hub = hub.trim_end_matches('/');
    let is_below = |path: &str, base: &str| {
        path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    match hub {
        "" => path.trim_end_matches('/').is_empty() || is_below(&path, "/subscriptions"),
        _ => is_below(&path, hub),
    }
}

/// Decodes what needs no encoding and then removes dot segments, which decoding may have uncovered.
fn canonical(path: &str) -> String {
    remove_dot_segments(&decode_unreserved(path))
}

/// Decodes `%XX` where it stands for one of `A-Z a-z 0-9 - . _ ~`; everything else stays.
fn decode_unreserved(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let decoded = rest.get(1..3).and_then(|digits| u8::from_str_radix(digits, 16).ok()).map(char::from);
        match decoded {
            Some(c) if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~') => {
                out.push(c);
                rest = &rest[3..];
            }
            _ => {
                out.push('%');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// RFC 3986 § 5.2.4 for a path that starts with a slash; a path without one (`urn:x`) has no segments to remove.
fn remove_dot_segments(path: &str) -> String {
    let Some(inner) = path.strip_prefix('/') else {
        return path.to_owned();
    };
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = inner.split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." if last => kept.push(""),
            "." => {}
            ".." => {
                kept.pop();
                if last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub() -> Url {
        Url::parse("https://push.test/.well-known/mercure").expect("a URL")
    }

    #[test]
    fn whatever_resolves_to_the_hub_or_below_is_reserved_m072() {
        for topic in [
            "/.well-known/mercure",
            "/.well-known/mercure/",
            "https://other.test/.well-known/mercure/x",
            "/.well-known/%6Dercure/x",
            "/.well-known/x/../mercure",
            "/a/%2e%2e/.well-known/mercure",
            "/a/%2E./.well-known/mercure/subscriptions",
            "\\.well-known\\mercure",
            "mercure",
            "mercure/x",
            "./mercure",
            "?q",
            "#frag",
            "",
            "/.well-known/%2e/mercure",
        ] {
            assert!(is_reserved(topic, &hub()), "{topic} passed");
        }
    }

    #[test]
    fn everything_else_passes_m072() {
        for topic in [
            "/.well-known/mercureX",
            "/.well-known/Mercure",
            "/.well-known/mercure%2Fx",
            "/.well-known",
            "chat",
            "urn:x",
            "https://[bad",
            "https://other.test/",
            "mailto:mercure",
        ] {
            assert!(!is_reserved(topic, &hub()), "{topic} is reserved");
        }
    }

    #[test]
    fn a_slash_at_the_end_of_the_hub_s_path_changes_nothing_m072() {
        for hub in ["https://push.test/events/", "https://push.test/events//", "https://push.test/%65vents/"]
        {
            let hub = Url::parse(hub).expect("a URL");
            for topic in ["/events", "/events/", "/events/subscriptions/chat/urn%3Auuid%3A1", "x", ""] {
                assert!(is_reserved(topic, &hub), "{topic} passed {hub}");
            }
            assert!(!is_reserved("/eventsX", &hub) && !is_reserved("/other", &hub));
        }
    }

    #[test]
    fn a_hub_at_the_root_reserves_itself_and_its_subscriptions_m072() {
        let hub = Url::parse("https://push.test").expect("a URL");
        for topic in [
            "",
            "/",
            "//push.test",
            "/subscriptions",
            "subscriptions/chat/urn%3Auuid%3A1",
            "/x/../subscriptions/",
        ] {
            assert!(is_reserved(topic, &hub), "{topic} passed");
        }
        for topic in ["chat", "/subscriptionsX", "/a/subscriptions/x"] {
            assert!(!is_reserved(topic, &hub), "{topic} is reserved");
        }
    }

    #[test]
    fn the_reserved_namespace_follows_the_path_of_the_hub_m003() {
        let hub = Url::parse("https://push.test/events").expect("a URL");
        assert!(is_reserved("/events/x", &hub));
        assert!(is_reserved("events", &hub));
        assert!(!is_reserved("/.well-known/mercure", &hub));
    }
}
