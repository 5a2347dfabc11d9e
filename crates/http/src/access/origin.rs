//! Which web pages are meant: lists of origins, for CORS and against forged publications.
//!
//! Rules: M-174 to M-179.

use std::fmt;
use std::str::FromStr;

use http::{HeaderMap, header};
use url::Url;

/// Origins of web pages: `https://shop.test`, `https://*.shop.test` for all below a domain, or `*` for all.
///
/// ```
/// use fanfare_http::Origins;
///
/// let origins = Origins::parse(["https://shop.test", "https://*.shop.test"])?;
/// assert!(origins.contains("https://www.shop.test"));
/// assert!(!origins.contains("https://shop.test.evil.test"));
/// # Ok::<(), fanfare_http::OriginError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(Vec<Pattern>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Any,
    Exact(String),
    /// What is before and behind the `*`.
    Below {
        scheme: String,
        domain: String,
    },
}

/// Why a text names no origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginError {
    text: String,
    why: &'static str,
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, why } = self;
        write!(
            f,
            "{text:?} is no origin: {why}; write it without a path, like https://shop.test or https://*.shop.test"
        )
    }
}

impl std::error::Error for OriginError {}

impl Origins {
    /// No origin at all.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Every origin.
    #[must_use]
    pub fn any() -> Self {
        Self(vec![Pattern::Any])
    }

    /// Reads a list.
    ///
    /// # Errors
    /// The first one that is no origin. `null` is none: every sandboxed page has it (M-179).
    pub fn parse<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, OriginError> {
        texts.into_iter().map(|text| Pattern::parse(text.as_ref())).collect::<Result<_, _>>().map(Self)
    }

    /// Whether every origin is one of them.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.0.contains(&Pattern::Any)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `origin`, as a browser writes it, is one of them.
    #[must_use]
    pub fn contains(&self, origin: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(origin))
    }
}

/// One of them, as in a list.
impl FromStr for Origins {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        Self::parse([text])
    }
}

impl FromIterator<Origins> for Origins {
    fn from_iter<I: IntoIterator<Item = Origins>>(lists: I) -> Self {
        Self(lists.into_iter().flat_map(|list| list.0).collect())
    }
}

/// Separated by commas, as a browser would write them.
impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, pattern) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            match pattern {
                Pattern::Any => write!(f, "{comma}*"),
                Pattern::Exact(origin) => write!(f, "{comma}{origin}"),
                Pattern::Below { scheme, domain } => write!(f, "{comma}{scheme}*{domain}"),
            }?;
        }
        Ok(())
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, OriginError> {
        let refused = |why| OriginError { text: text.to_owned(), why };
        if text == "*" {
            return Ok(Self::Any);
        }
        if text == "null" {
            return Err(refused("it is that of every sandboxed frame and local file"));
        }
        let (first, is_below) = match text.split_once("://*.") {
            Some((scheme, domain)) => (format!("{scheme}://any.{domain}"), true),
            None => (text.to_owned(), false),
        };
        let url = Url::parse(&first).map_err(|_| refused("it is no URL"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused("it does not begin with http:// or https://"));
        }
        let is_bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        if !is_bare || !url.username().is_empty() || url.password().is_some() {
            return Err(refused("it has more than a scheme, a host and a port"));
        }
        let origin = url.origin().ascii_serialization();
        if origin.contains('*') {
            return Err(refused("a `*` stands alone or for all that is below a domain"));
        }
        if !is_below {
            return Ok(Self::Exact(origin));
        }
        match origin.split_once("://any") {
            Some((scheme, domain)) => {
                Ok(Self::Below { scheme: format!("{scheme}://"), domain: domain.to_owned() })
            }
            None => Err(refused("it is no URL")),
        }
    }

    fn matches(&self, origin: &str) -> bool {
        match self {
            Self::Any => origin != "null",
            Self::Exact(exact) => exact == origin,
            Self::Below { scheme, domain } => {
                let label =
                    origin.strip_prefix(scheme.as_str()).and_then(|rest| rest.strip_suffix(domain.as_str()));
                label.is_some_and(|label| {
                    !label.is_empty()
                        && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
                })
            }
        }
    }
}

/// Whether a request that brought a cookie was made by a page that may publish: by `Origin`, or else by `Referer` (M-178).
pub(crate) fn may_publish(headers: &HeaderMap, hub: &Url, allowed: &Origins) -> bool {
    let listed = |origin: &str| origin == hub.origin().ascii_serialization() || allowed.contains(origin);
    let mut sent = headers.get_all(header::ORIGIN).into_iter();
    if let Some(origin) = sent.next() {
        return sent.next().is_none() && origin.to_str().is_ok_and(listed);
    }
    let referer = headers.get(header::REFERER).and_then(|value| value.to_str().ok());
    referer
        .and_then(|text| Url::parse(text).ok())
        .is_some_and(|url| listed(&url.origin().ascii_serialization()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    #[track_caller]
    fn check(list: &[&str], origin: &str, expected: bool) {
        let origins = Origins::parse(list).expect("origins");
        assert_eq!(origins.contains(origin), expected, "{origin} in {list:?}");
    }

    #[test]
    fn an_origin_is_scheme_host_and_port_m174() {
        check(&["https://shop.test"], "https://shop.test", true);
        check(&["https://SHOP.test:443/"], "https://shop.test", true);
        check(&["https://shop.test"], "http://shop.test", false);
        check(&["https://shop.test"], "https://shop.test:8443", false);
        check(&["https://shop.test"], "https://shop.test.evil.test", false);
        check(&[], "https://shop.test", false);
    }

    #[test]
    fn a_wildcard_is_everything_below_a_domain_m178() {
        for origin in ["https://a.shop.test", "https://a.b.shop.test"] {
            check(&["https://*.shop.test"], origin, true);
        }
        for origin in [
            "https://shop.test",
            "https://.shop.test",
            "http://a.shop.test",
            "https://a.shop.test:1",
            "https://evilshop.test",
            "https://evil.test/.shop.test",
            "https://evil.test#.shop.test",
        ] {
            check(&["https://*.shop.test"], origin, false);
        }
        check(&["http://*.shop.test:81"], "http://a.shop.test:81", true);
    }

    #[test]
    fn an_origin_is_kept_as_browsers_write_it() {
        for (text, written) in [
            ("HTTPS://App.Example.com:443/", "https://app.example.com"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("https://*.Shop.test:8443", "https://*.shop.test:8443"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("*", "*"),
        ] {
            assert_eq!(text.parse::<Origins>().expect(text).to_string(), written);
        }
    }

    #[test]
    fn null_is_never_listed_m179() {
        assert!(Origins::parse(["null"]).is_err());
        check(&["*"], "null", false);
        check(&["*"], "https://any.test", true);
    }

    #[test]
    fn what_is_no_origin_is_refused_with_its_reason() {
        for text in [
            "shop.test",
            "https://shop.test/path",
            "ftp://shop.test",
            "https://a*.test",
            "https://*",
            "https://u@shop.test",
            "",
        ] {
            let error = Origins::parse([text]).expect_err(text);
            assert!(error.to_string().contains("is no origin"), "{error}");
        }
    }

    #[track_caller]
    fn publishes(headers: &[(&'static str, &'static str)], expected: bool) {
        let hub = Url::parse("https://push.test/.well-known/mercure").expect("a URL");
        let allowed = Origins::parse(["https://shop.test"]).expect("origins");
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        assert_eq!(may_publish(&map, &hub, &allowed), expected, "{headers:?}");
    }

    #[test]
    fn a_page_publishes_with_a_cookie_only_from_a_listed_origin_m178() {
        publishes(&[("origin", "https://shop.test")], true);
        publishes(&[("origin", "https://push.test")], true);
        publishes(&[("referer", "https://shop.test/cart?x=1")], true);
        publishes(&[], false);
        publishes(&[("origin", "https://evil.test")], false);
        publishes(&[("origin", "null"), ("referer", "https://shop.test/")], false);
        publishes(&[("origin", "https://evil.test"), ("referer", "https://shop.test/")], false);
        publishes(&[("origin", "https://shop.test"), ("origin", "https://evil.test")], false);
        publishes(&[("referer", "https://evil.test/https://shop.test/")], false);
    }

    proptest! {
        /// What is written the way that it is kept means the same again.
        #[test]
        fn an_origin_reads_back_as_itself(text in "(https?)://([*][.])?[a-zA-Z0-9.-]{1,20}(:[0-9]{1,5})?/?") {
            if let Ok(origins) = text.parse::<Origins>() {
                prop_assert_eq!(origins.to_string().parse(), Ok(origins));
            }
        }

        /// Whatever follows or precedes it, an origin that is covered is of a host below the domain.
        #[test]
        fn a_star_covers_hosts_below_its_domain_alone(
            origin in "(https://)?[a-z.:/@?#]{0,12}[.]?shop[.]test[a-z.:/@?#]{0,6}",
        ) {
            let origins: Origins = "https://*.shop.test".parse().expect("an origin");
            if origins.contains(&origin) {
                let url = Url::parse(&origin).expect("a URL");
                let host = url.host_str().expect("a host");
                prop_assert!(host.ends_with(".shop.test") && url.scheme() == "https" && url.port().is_none(), "{}", host);
            }
        }
    }
}
