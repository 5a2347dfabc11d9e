//! Which proxies are believed when they say for whom they speak, and how they say it.
//!
//! Nobody is, unless told: what a client can send proves nothing. The headers themselves are read elsewhere.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// The proxies in front of a server, for [`Serve::trusted_proxies`](super::Serve::trusted_proxies).
///
/// Only what comes from one of their addresses may say who the client is. Of a row of proxies the nearest speaks for the
/// one before it, and so on while each is trusted: the client is the first address from the right that is not.
///
/// They are written as addresses and networks, with commas or blanks between them:
///
/// ```
/// use fanfare_http::TrustedProxies;
///
/// let proxies: TrustedProxies = "10.0.0.0/8, 127.0.0.1, ::1".parse()?;
/// assert!(proxies.contains("10.1.2.3".parse()?));
/// assert!(!proxies.contains("192.0.2.1".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    headers: ForwardedHeaders,
    announced: bool,
}

/// Which headers the trusted proxies write.
///
/// A proxy has to replace or extend each header that it is believed in: one that it only passes on is the client's own word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardedHeaders {
    /// `X-Forwarded-For`, `-Proto` and `-Host`, or `Forwarded` where none of the three is there. For proxies that write
    /// `Forwarded` and pass the others on, this is not safe.
    #[default]
    Any,
    /// `X-Forwarded-For`, `-Proto` and `-Host` alone.
    XForwarded,
    /// `Forwarded` (RFC 7239) alone.
    Forwarded,
}

impl TrustedProxies {
    /// Says which headers they write. Default: [`ForwardedHeaders::Any`].
    #[must_use]
    pub fn headers(mut self, headers: ForwardedHeaders) -> Self {
        self.headers = headers;
        self
    }

    /// Says that they begin each connection with a header of the PROXY protocol, version 2, before TLS and HTTP.
    ///
    /// Then each of them has to, and nobody else may: a connection from a trusted address without a well-formed header is
    /// closed, and from any other address such a header is no HTTP. Version 1 is refused.
    #[must_use]
    pub fn proxy_protocol(mut self) -> Self {
        self.announced = true;
        self
    }

    /// Whether `address` is one of theirs.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    pub(crate) fn believed(&self) -> ForwardedHeaders {
        self.headers
    }

    /// Whether a connection from `address` begins with a header of the PROXY protocol.
    pub(crate) fn announce(&self, address: IpAddr) -> bool {
        self.announced && self.contains(address)
    }
}

impl FromIterator<IpAddr> for TrustedProxies {
    fn from_iter<I: IntoIterator<Item = IpAddr>>(addresses: I) -> Self {
        let networks = addresses.into_iter().map(|address| address.to_canonical().into()).collect();
        Self { networks, ..Self::default() }
    }
}

/// All of them together; how they speak is said afterwards.
impl FromIterator<TrustedProxies> for TrustedProxies {
    fn from_iter<I: IntoIterator<Item = TrustedProxies>>(lists: I) -> Self {
        Self { networks: lists.into_iter().flat_map(|list| list.networks).collect(), ..Self::default() }
    }
}

impl FromStr for TrustedProxies {
    type Err = TrustedProxiesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = text.split([',', ' ', '\t', '\n']).filter(|word| !word.is_empty());
        let networks = words.map(|word| network(word).ok_or_else(|| TrustedProxiesError(word.to_owned())));
        Ok(Self { networks: networks.collect::<Result<_, _>>()?, ..Self::default() })
    }
}

fn network(word: &str) -> Option<IpNet> {
    let network = match word.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address.to_canonical()),
        Err(_) => word.parse().ok()?,
    };
    Some(network)
}

/// What is neither an address nor a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedProxiesError(String);

impl fmt::Display for TrustedProxiesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is neither an address such as 10.0.0.7 or ::1 nor a network such as 10.0.0.0/8",
            self.0
        )
    }
}

impl Error for TrustedProxiesError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(proxies: &str, address: &str, expected: bool) {
        let proxies: TrustedProxies = proxies.parse().expect("proxies");
        assert_eq!(proxies.contains(address.parse().expect("an address")), expected, "{proxies:?} {address}");
    }

    #[test]
    fn addresses_and_networks_of_both_families_are_told_apart() {
        check("10.0.0.0/8", "10.255.0.1", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("10.9.9.9/8", "10.0.0.1", true);
        check("127.0.0.1 ::1", "::1", true);
        check("127.0.0.1,::1", "127.0.0.2", false);
        check("2001:db8::/32", "2001:db8:9::1", true);
        check("", "127.0.0.1", false);
        check("0.0.0.0/0", "::1", false);
    }

    /// What a listener for both families says of a client of the older one.
    #[test]
    fn an_address_in_the_disguise_of_the_other_family_is_known() {
        check("10.0.0.0/8", "::ffff:10.0.0.1", true);
        check("::ffff:10.0.0.1", "10.0.0.1", true);
    }

    #[test]
    fn what_is_no_address_is_named() {
        for text in ["10.0.0.0/33", "localhost", "10.0.0.0/8,x", "1.2.3", "::1/129"] {
            let error = text.parse::<TrustedProxies>().expect_err("no proxies").to_string();
            assert!(error.contains("nor a network such as"), "{error}");
        }
    }
}
