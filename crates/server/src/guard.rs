//! Refuses requests that were meant for somebody else, and keeps web pages of strangers away from what asks for no token.
//!
//! A hub on a developer's machine can be reached by every page that the developer opens. A page may not read from another
//! origin, but it may post to it, and with a name of its own that resolves to 127.0.0.1 it is not even another origin. So
//! with `--dev`, and where operators ask, the name in `Host` has to be a loopback one, and what a page posts has to come from
//! ours. Elsewhere tokens decide, and the name has to be one of the hub's public ones, if it has any (M-039).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use fanfare_http::{ClientInfo, Origins};
use http::uri::{Authority, Scheme};
use http::{Method, StatusCode, header};
use url::Url;

/// Whom requests may be meant for.
#[derive(Clone, Debug)]
pub(crate) enum Guard {
    /// This machine, by loopback or by one of these addresses; pages of others may not post.
    Loopback(Arc<[IpAddr]>),
    /// The hosts of these URLs; with none, whoever was asked for.
    Public(Arc<[Url]>),
}

impl Guard {
    /// Lets through what names loopback or the address of one of `listeners`.
    pub(crate) fn loopback(listeners: &[SocketAddr]) -> Self {
        Self::Loopback(listeners.iter().map(SocketAddr::ip).collect())
    }

    /// Lets through what names the host of one of `urls`, and everything if there are none.
    pub(crate) fn public(urls: &[Url]) -> Self {
        Self::Public(urls.into())
    }
}

fn is_loopback(configured: &[IpAddr], authority: &Authority) -> bool {
    let host = authority.host();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback() || configured.contains(&ip),
        // RFC 6761 § 6.3 keeps the name and what is below it for loopback; browsers hold to it.
        Err(_) => {
            let name = bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

/// Whether `host`, with or without a port, is that of `url`.
fn is_host_of(url: &Url, host: &str) -> bool {
    // The same scheme, so that its usual port may be left out on either side.
    let asked = Url::parse(&format!("{}://{host}", url.scheme()));
    asked.is_ok_and(|asked| asked.host() == url.host() && asked.port() == url.port())
}

/// Refuses what does not come to, or from, this machine, or is meant for another. Pages of `cors` may read that.
pub(crate) async fn check(
    State((guard, cors)): State<(Guard, Origins)>,
    request: Request,
    next: Next,
) -> Response {
    match refusal(&guard, &request) {
        Some((status, sentence)) => {
            tracing::debug!(status = status.as_u16(), "{sentence}");
            cors.let_read(&request, (status, format!("{sentence}\n")).into_response()).await
        }
        None => next.run(request).await,
    }
}

fn refusal(guard: &Guard, request: &Request) -> Option<(StatusCode, &'static str)> {
    match guard {
        Guard::Loopback(configured) => not_of_this_machine(configured, request),
        Guard::Public(urls) => not_of_this_hub(urls, request),
    }
}

fn not_of_this_hub(urls: &[Url], request: &Request) -> Option<(StatusCode, &'static str)> {
    let asked = request.extensions().get::<ClientInfo>().and_then(|client| client.host.as_deref());
    let is_ours = urls.is_empty() || asked.is_some_and(|host| urls.iter().any(|url| is_host_of(url, host)));
    let sentence = "This hub is not the one of that name (header Host); its names are set with --public-url.";
    (!is_ours).then_some((StatusCode::MISDIRECTED_REQUEST, sentence))
}

fn not_of_this_machine(configured: &[IpAddr], request: &Request) -> Option<(StatusCode, &'static str)> {
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
    if !named.iter().all(|authority| is_loopback(configured, authority)) {
        let sentence = "Here only localhost and loopback addresses are answered to (header Host).";
        return Some((StatusCode::MISDIRECTED_REQUEST, sentence));
    }
    let scheme = request.extensions().get::<ClientInfo>().map_or(&Scheme::HTTP, |client| &client.scheme);
    if request.method() == Method::POST
        && !request.headers().get_all(header::ORIGIN).iter().all(|o| is_of(scheme, host, o.as_bytes()))
    {
        let sentence = "Here a web page may post only if it was served from here (header Origin).";
        return Some((StatusCode::FORBIDDEN, sentence));
    }
    None
}

/// Whether `origin` is that of a page that `host` served.
fn is_of(scheme: &Scheme, host: &Authority, origin: &[u8]) -> bool {
    origin.eq_ignore_ascii_case(format!("{scheme}://{host}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn guard() -> Guard {
        Guard::loopback(&["127.0.0.1:8080".parse().expect("an address")])
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

    #[test]
    fn a_host_is_one_of_the_public_ones_whatever_its_case_and_usual_port_m039() {
        let url = |text| Url::parse(text).expect("a URL");
        for (of, host, expected) in [
            ("https://hub.test/x", "hub.test", true),
            ("https://hub.test/x", "HUB.test:443", true),
            ("https://hub.test/x", "hub.test:8443", false),
            ("https://hub.test/x", "hub.test.evil.test", false),
            ("http://hub.test:8080/x", "hub.test:8080", true),
            ("http://hub.test:8080/x", "hub.test", false),
            ("https://[2001:db8::1]/x", "[2001:db8::1]", true),
            ("https://hub.test/x", "hub.test/", true),
            ("https://hub.test/x", "", false),
        ] {
            assert_eq!(is_host_of(&url(of), host), expected, "{host} of {of}");
        }
    }
}
