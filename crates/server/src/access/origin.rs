//! The origins of web pages that may do something here.
//!
//! It is compared with what a browser sends in `Origin`, which it writes in one way only. `null` is never on a list: it is the
//! origin of every sandboxed frame and local file (M-179).

use std::fmt;
use std::str::FromStr;

use url::{Origin, Url};

/// One line of a list of origins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AllowedOrigin {
    /// `*`: every page.
    Any,
    /// `https://app.example.com`, as browsers write it.
    Exact(String),
    /// `https://*.example.com`: what is below it, however deep, but not itself.
    Below { scheme: String, domain: String },
}

impl AllowedOrigin {
    /// Whether this covers the `origin` of a request.
    // The one who answers requests is still to come.
    #[cfg_attr(not(test), expect(dead_code))]
    pub(crate) fn covers(&self, origin: &str) -> bool {
        match self {
            Self::Any => origin != "null",
            Self::Exact(exact) => origin == exact,
            Self::Below { scheme, domain } => {
                let host = origin.strip_prefix(scheme.as_str()).and_then(|rest| rest.strip_prefix("://"));
                let label = host.and_then(|host| host.strip_suffix(domain.as_str()));
                let is_names = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_');
                label.and_then(|label| label.strip_suffix('.')).is_some_and(|label| {
                    !label.is_empty() && !label.starts_with('.') && label.bytes().all(is_names)
                })
            }
        }
    }
}

impl FromStr for AllowedOrigin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "*" => return Ok(Self::Any),
            "null" => {
                return Err(
                    "null is the origin of every sandboxed frame and local file, so it cannot be allowed",
                );
            }
            _ => {}
        }
        // A host that no browser sends stands for the star, which URLs cannot hold.
        if let Some((scheme, domain)) = text.split_once("://*.") {
            let Self::Exact(exact) = exact(&format!("{scheme}://{domain}"))? else { return Err(EXPECTED) };
            let (scheme, domain) = exact.split_once("://").ok_or(EXPECTED)?;
            return Ok(Self::Below { scheme: scheme.to_owned(), domain: domain.to_owned() });
        }
        exact(text)
    }
}

const EXPECTED: &str = "write an origin such as https://app.example.com, without a path, or *";

fn exact(text: &str) -> Result<AllowedOrigin, &'static str> {
    let url = Url::parse(text).map_err(|_| EXPECTED)?;
    let is_bare = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    let is_web = matches!(url.scheme(), "http" | "https");
    match url.origin() {
        origin @ Origin::Tuple(..) if is_bare && is_web && !text.contains('*') => {
            Ok(AllowedOrigin::Exact(origin.ascii_serialization()))
        }
        _ => Err(EXPECTED),
    }
}

impl fmt::Display for AllowedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(origin) => f.write_str(origin),
            Self::Below { scheme, domain } => write!(f, "{scheme}://*.{domain}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_origin_is_kept_as_browsers_write_it() {
        for (text, written) in [
            ("https://app.example.com", "https://app.example.com"),
            ("HTTPS://App.Example.com:443/", "https://app.example.com"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("https://*.Shop.test:8443", "https://*.shop.test:8443"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("*", "*"),
        ] {
            assert_eq!(text.parse::<AllowedOrigin>().expect(text).to_string(), written);
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in [
            "",
            "null",
            "app.example.com",
            "https://",
            "https://app.example.com/path",
            "https://app.example.com?x",
            "https://user@app.example.com",
            "file:///x",
            "https://*",
            "https://a.*.example.com",
            "https://*.*.example.com",
            "*.example.com",
        ] {
            assert!(text.parse::<AllowedOrigin>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_origin_covers_itself_and_a_star_what_is_below() {
        for (allowed, origin, expected) in [
            ("https://app.example.com", "https://app.example.com", true),
            ("https://app.example.com", "https://app.example.com:8443", false),
            ("https://app.example.com", "http://app.example.com", false),
            ("*", "https://anybody.test", true),
            ("*", "null", false),
            ("https://*.shop.test", "https://a.shop.test", true),
            ("https://*.shop.test", "https://a.b.shop.test", true),
            ("https://*.shop.test", "https://shop.test", false),
            ("https://*.shop.test", "https://.shop.test", false),
            ("https://*.shop.test", "https://evilshop.test", false),
            ("https://*.shop.test", "https://a.shop.test.evil.test", false),
            ("https://*.shop.test", "https://evil.test/.shop.test", false),
            ("https://*.shop.test", "http://a.shop.test", false),
            ("https://*.shop.test", "https://a.shop.test:1", false),
            ("https://*.shop.test:1", "https://a.shop.test:1", true),
        ] {
            let covers = allowed.parse::<AllowedOrigin>().expect(allowed).covers(origin);
            assert_eq!(covers, expected, "{allowed} {origin}");
        }
    }

    proptest! {
        /// What is written the way that it is kept means the same again.
        #[test]
        fn an_origin_reads_back_as_itself(text in "(https?)://([*][.])?[a-zA-Z0-9.-]{1,20}(:[0-9]{1,5})?/?") {
            if let Ok(allowed) = text.parse::<AllowedOrigin>() {
                prop_assert_eq!(allowed.to_string().parse(), Ok(allowed));
            }
        }

        /// Whatever follows or precedes it, an origin that is covered is of a host below the domain.
        #[test]
        fn a_star_covers_hosts_below_its_domain_alone(origin in "(https://)?[a-z.:/@?#]{0,12}[.]?shop[.]test[a-z.:/@?#]{0,6}") {
            let allowed: AllowedOrigin = "https://*.shop.test".parse().expect("an origin");
            if allowed.covers(&origin) {
                let url = Url::parse(&origin).expect("a URL");
                prop_assert!(url.host_str().is_some_and(|host| host.ends_with(".shop.test")), "{}", origin);
                prop_assert_eq!(url.path(), "/");
            }
        }
    }
}
