//! Whose request it is: the client's address, and what it asked for as it saw it.
//!
//! What a connection proves counts, and beyond it what trusted proxies say. It opens nothing and reads no bytes.

use std::net::{IpAddr, SocketAddr};

use http::uri::{Authority, Scheme};
use http::{HeaderMap, Uri, header};

use super::forwarded::{self, Hop, Malformed};
use super::trusted::{ForwardedHeaders, TrustedProxies};

/// Whose request it is. [`serve()`](crate::serve()) puts one into the extensions of every request.
///
/// Without [trusted proxies](crate::Serve::trusted_proxies) everything in here is what the connection itself says.
///
/// ```
/// use axum::{Extension, Router, routing::get};
/// use fanfare_http::ClientInfo;
///
/// async fn whoami(Extension(client): Extension<ClientInfo>) -> String {
///     format!("{} over {}", client.address, client.scheme)
/// }
/// let app: Router = Router::new().route("/whoami", get(whoami));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientInfo {
    /// The client's address: the connection's, or the one that trusted proxies name. Where these do not name one, it is that
    /// of the last proxy that is known.
    pub address: IpAddr,
    /// The other end of the connection, which may be a proxy's.
    pub peer: SocketAddr,
    /// `http` or `https`, as the client spoke to us or to the first trusted proxy.
    pub scheme: Scheme,
    /// The host that the client asked for, with the port if it named one; `None` if it named no host, or more than one.
    pub host: Option<String>,
}

/// What a connection says of itself, before any request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The other end.
    pub(crate) peer: SocketAddr,
    /// The client, or a proxy that speaks HTTP: the other end, or what the PROXY protocol has told.
    pub(crate) address: IpAddr,
    /// Whether TLS is spoken.
    pub(crate) is_secure: bool,
}

impl ClientInfo {
    /// Puts together what the connection and the headers say.
    ///
    /// # Errors
    /// A trusted proxy has passed something on as `Forwarded` that is not well-formed.
    pub(crate) fn of(
        origin: &Origin,
        uri: &Uri,
        headers: &HeaderMap,
        trusted: &TrustedProxies,
    ) -> Result<Self, Malformed> {
        let mut client = Self {
            address: origin.address,
            peer: origin.peer,
            scheme: if origin.is_secure { Scheme::HTTPS } else { Scheme::HTTP },
            host: asked_for(uri, headers),
        };
        if trusted.contains(origin.address) {
            let hops = match trusted.believed() {
                ForwardedHeaders::Any if forwarded::is_x_forwarded(headers) => {
                    forwarded::x_forwarded(headers)
                }
                ForwardedHeaders::XForwarded => forwarded::x_forwarded(headers),
                ForwardedHeaders::Any | ForwardedHeaders::Forwarded => forwarded::forwarded(headers)?,
            };
            client.follow(hops, trusted);
        }
        Ok(client)
    }

    /// Goes back from proxy to proxy. INVARIANT: who wrote the hop that is looked at is trusted.
    fn follow(&mut self, hops: Vec<Hop>, trusted: &TrustedProxies) {
        let mut first = None;
        for hop in hops.into_iter().rev() {
            let address = hop.address;
            first = Some(hop);
            let Some(address) = address else { break };
            self.address = address;
            if !trusted.contains(address) {
                break;
            }
        }
        let Some(Hop { proto, host, .. }) = first else { return };
        match proto.map(|proto| proto.to_ascii_lowercase()).as_deref() {
            Some("https") => self.scheme = Scheme::HTTPS,
            Some("http") => self.scheme = Scheme::HTTP,
            _ => {}
        }
        if let Some(host) = host.filter(|host| is_host(host)) {
            self.host = Some(host);
        }
    }
}

fn asked_for(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    if let Some(authority) = uri.authority() {
        return Some(authority.as_str().to_owned()).filter(|host| is_host(host));
    }
    let mut hosts = headers.get_all(header::HOST).into_iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return None };
    host.to_str().ok().filter(|host| is_host(host)).map(str::to_owned)
}

fn is_host(text: &str) -> bool {
    text.parse::<Authority>().is_ok_and(|authority| !authority.host().is_empty() && !text.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    const PROXIES: &str = "10.0.0.0/8";

    fn seen(peer: &str, how: ForwardedHeaders, fields: &[(&str, &str)]) -> Result<ClientInfo, Malformed> {
        let peer: SocketAddr = peer.parse().expect("an address");
        let origin = Origin { peer, address: peer.ip(), is_secure: false };
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("own.test:8080"));
        for (name, value) in fields {
            let name: HeaderName = name.parse().expect("a name");
            headers.append(name, value.parse().expect("a value"));
        }
        let trusted = PROXIES.parse::<TrustedProxies>().expect("proxies").headers(how);
        ClientInfo::of(&origin, &Uri::from_static("/"), &headers, &trusted)
    }

    #[track_caller]
    fn check(peer: &str, how: ForwardedHeaders, fields: &[(&str, &str)], expected: &str) {
        let seen = seen(peer, how, fields).map(|client| {
            format!("{} {} {}", client.address, client.scheme, client.host.unwrap_or("-".to_owned()))
        });
        assert_eq!(seen.unwrap_or("malformed".to_owned()), expected, "{peer} {how:?} {fields:?}");
    }

    const PROXY: &str = "10.0.0.1:5000";
    const STRANGER: &str = "192.0.2.9:5000";
    use ForwardedHeaders::{Any, Forwarded, XForwarded};

    #[test]
    fn who_is_not_trusted_is_not_believed() {
        for how in [Any, Forwarded, XForwarded] {
            let fields = [
                ("x-forwarded-for", "198.51.100.1"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "evil.test"),
                ("forwarded", "for=198.51.100.1;proto=https;host=evil.test"),
            ];
            check(STRANGER, how, &fields, "192.0.2.9 http own.test:8080");
            check(STRANGER, how, &[("forwarded", "for=\"")], "192.0.2.9 http own.test:8080");
        }
    }

    #[test]
    fn the_first_from_the_right_that_is_not_trusted_is_the_client() {
        let for_ = |list: &'static str| [("x-forwarded-for", list)];
        check(PROXY, Any, &for_("198.51.100.1"), "198.51.100.1 http own.test:8080");
        check(PROXY, Any, &for_("203.0.113.5, 198.51.100.1"), "198.51.100.1 http own.test:8080");
        check(PROXY, Any, &for_("127.0.0.1, 198.51.100.1, 10.2.0.1"), "198.51.100.1 http own.test:8080");
        check(PROXY, Any, &for_("10.3.0.1, 10.2.0.1"), "10.3.0.1 http own.test:8080");
        check(PROXY, Any, &for_("198.51.100.1, unknown, 10.2.0.1"), "10.2.0.1 http own.test:8080");
        check(PROXY, Any, &for_("198.51.100.1, <script>"), "10.0.0.1 http own.test:8080");
        check(PROXY, Any, &[], "10.0.0.1 http own.test:8080");
    }

    #[test]
    fn scheme_and_host_are_those_that_the_client_used() {
        let forwarded = "for=203.0.113.5;proto=http;host=a.test, for=198.51.100.1;proto=https;host=b.test, for=10.2.0.1;proto=http;host=inner";
        check(PROXY, Any, &[("forwarded", forwarded)], "198.51.100.1 https b.test");
        let fields = [
            ("x-forwarded-for", "198.51.100.1"),
            ("x-forwarded-proto", "HTTPS"),
            ("x-forwarded-host", "b.test:1"),
        ];
        check(PROXY, Any, &fields, "198.51.100.1 https b.test:1");
        let nonsense = [("x-forwarded-proto", "gopher"), ("x-forwarded-host", "a b")];
        check(PROXY, Any, &nonsense, "10.0.0.1 http own.test:8080");
        check(PROXY, Any, &[("x-forwarded-host", "user@b.test")], "10.0.0.1 http own.test:8080");
    }

    #[test]
    fn one_kind_of_headers_counts() {
        let both = [("x-forwarded-for", "198.51.100.1"), ("forwarded", "for=203.0.113.5;proto=https")];
        check(PROXY, Any, &both, "198.51.100.1 http own.test:8080");
        check(PROXY, XForwarded, &both, "198.51.100.1 http own.test:8080");
        check(PROXY, Forwarded, &both, "203.0.113.5 https own.test:8080");
        check(PROXY, Forwarded, &both[..1], "10.0.0.1 http own.test:8080");
        check(PROXY, XForwarded, &both[1..], "10.0.0.1 http own.test:8080");
    }

    #[test]
    fn a_malformed_forwarded_of_a_trusted_proxy_is_an_error() {
        check(PROXY, Any, &[("forwarded", "for=\"x, for=198.51.100.1")], "malformed");
    }

    #[test]
    fn a_host_is_named_once_or_not_at_all() {
        check(STRANGER, Any, &[("host", "b.test")], "192.0.2.9 http -");
    }
}
