//! Keeps web pages of strangers away from a hub that asks for no token.
//!
//! A hub on a developer's machine can be reached by every page that the developer opens. A page may not read from another
//! origin, but it may post to it, and with a name of its own that resolves to 127.0.0.1 it is not even another origin. So
//! with `--dev` the name in `Host` has to be a loopback one, and a publication that comes from a page has to come from ours.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use fanfare_http::ClientInfo;
use http::uri::{Authority, Scheme};
use http::{Method, StatusCode, header};

/// Which hosts may be named.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    configured: Arc<[IpAddr]>,
}

impl Guard {
    /// Lets through what names loopback or the address of one of `listeners`.
    pub(crate) fn new(listeners: &[SocketAddr]) -> Self {
        Self { configured: listeners.iter().map(SocketAddr::ip).collect() }
    }

    fn knows(&self, authority: &Authority) -> bool {
        let host = authority.host();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        match bare.parse::<IpAddr>() {
            Ok(ip) => ip.is_loopback() || self.configured.contains(&ip),
            // RFC 6761 § 6.3 keeps the name and what is below it for loopback; browsers hold to it.
            Err(_) => {
                let name = bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase();
                name == "localhost" || name.ends_with(".localhost")
            }
        }
    }
}

/// Refuses what does not come to, or from, this machine.
pub(crate) async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match refusal(&guard, &request) {
        Some((status, sentence)) => {
            tracing::debug!(status = status.as_u16(), "{sentence}");
            (status, format!("{sentence}\n")).into_response()
        }
        None => next.run(request).await,
    }
}

fn refusal(guard: &Guard, request: &Request) -> Option<(StatusCode, &'static str)> {
    let mut named = Vec::new();
    for value in request.headers().get_all(header::HOST) {
        let Ok(authority) = Authority::try_from(value.as_bytes()) else {
            return Some((StatusCode::BAD_REQUEST, "The header Host does not name a host."));
        };
        named.push(authority);
    }
    if named.len() > 1 {
        return Some((StatusCode::BAD_REQUEST, "The header Host was sent more than once."));
    }
    // HTTP/2 and the absolute form of HTTP/1.1 say it in the target.
    named.extend(request.uri().authority().cloned());
    let Some(host) = named.first() else {
        return Some((StatusCode::BAD_REQUEST, "The header Host is missing."));
    };
    if !named.iter().all(|authority| guard.knows(authority)) {
        let sentence =
            "With --dev this hub answers only to localhost and loopback addresses in the header Host.";
        return Some((StatusCode::MISDIRECTED_REQUEST, sentence));
    }
    let is_secure = request.extensions().get::<ClientInfo>().is_some_and(|c| c.scheme == Scheme::HTTPS);
    let scheme: &[u8] = if is_secure { b"https://" } else { b"http://" };
    if request.method() == Method::POST
        && !request.headers().get_all(header::ORIGIN).iter().all(|o| is_of(scheme, host, o.as_bytes()))
    {
        let sentence = "With --dev this hub takes publications from web pages only if it served them itself (header Origin).";
        return Some((StatusCode::FORBIDDEN, sentence));
    }
    None
}

/// Whether `origin` is that of a page that `host` served by `scheme`.
fn is_of(scheme: &[u8], host: &Authority, origin: &[u8]) -> bool {
    origin.strip_prefix(scheme).is_some_and(|rest| rest.eq_ignore_ascii_case(host.as_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn guard() -> Guard {
        Guard::new(&["127.0.0.1:8080".parse().expect("an address")])
    }

    #[track_caller]
    fn check(request: http::request::Builder, expected: Option<u16>) {
        let request = request.body(Body::empty()).expect("a request");
        let status = refusal(&guard(), &request).map(|(status, _)| status.as_u16());
        assert_eq!(status, expected, "{request:?}");
    }

    #[test]
    fn only_loopback_names_are_answered() {
        for host in [
            "localhost",
            "localhost:8080",
            "LOCALHOST:1",
            "app.localhost:8080",
            "localhost.",
            "127.0.0.1:8080",
            "127.9.9.9",
            "[::1]:8080",
        ] {
            check(Request::get("/").header("host", host), None);
        }
        for host in [
            "evil.test",
            "evil.test:8080",
            "localhost.evil.test",
            "notlocalhost",
            "192.168.0.7:8080",
            "0.0.0.0",
            "[::]",
        ] {
            check(Request::get("/").header("host", host), Some(421));
        }
    }

    #[test]
    fn a_host_that_is_missing_twice_there_or_no_host_is_refused() {
        check(Request::get("/"), Some(400));
        check(Request::get("/").header("host", "localhost").header("host", "localhost"), Some(400));
        check(Request::get("/").header("host", "a b"), Some(400));
    }

    #[test]
    fn the_target_counts_like_the_header() {
        check(Request::get("http://localhost:8080/"), None);
        check(Request::get("http://evil.test/"), Some(421));
        check(Request::get("http://evil.test/").header("host", "localhost"), Some(421));
    }

    #[test]
    fn pages_of_others_cannot_publish() {
        let post = || Request::post("/.well-known/mercure").header("host", "localhost:8080");
        check(post(), None);
        check(post().header("origin", "http://localhost:8080"), None);
        for origin in [
            "null",
            "http://evil.test",
            "https://localhost:8080",
            "http://localhost:3000",
            "http://127.0.0.1:8080",
            "",
        ] {
            check(post().header("origin", origin), Some(403));
        }
        check(
            post().header("origin", "http://localhost:8080").header("origin", "http://evil.test"),
            Some(403),
        );
        check(Request::get("/").header("host", "localhost:8080").header("origin", "http://evil.test"), None);
    }
}
