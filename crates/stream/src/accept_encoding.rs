//! [`AcceptEncoding`]: in which coding the client of a request takes its stream.
//!
//! It reads the request's header alone and compresses nothing. Source: [RFC 9110 § 12.5.3](https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3).

use fanfare_wire::Coding;
use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};

use crate::accept::{is_token, parse_weight};

/// Which codings the client of a request takes: its header `Accept-Encoding`.
///
/// Without the header, or with an empty one, only what is not coded. A coding that is not well formed is passed over.
///
/// ```
/// use fanfare_stream::AcceptEncoding;
/// use fanfare_wire::Coding;
///
/// let browser = AcceptEncoding::from_values([&b"gzip, deflate, br, zstd"[..]]);
/// assert_eq!(browser.preferred(Coding::COMPRESSING), *Coding::COMPRESSING.first().unwrap_or(&Coding::Identity));
/// assert_eq!(AcceptEncoding::default().preferred(Coding::COMPRESSING), Coding::Identity);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AcceptEncoding {
    /// Names in lower case with their weights in thousandths; `*` is any that is not named.
    wishes: Vec<(String, u16)>,
}

impl AcceptEncoding {
    /// Reads the headers `Accept-Encoding` of a request.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        Self::from_values(headers.get_all(ACCEPT_ENCODING).iter().map(HeaderValue::as_bytes))
    }

    /// Reads the values of the headers `Accept-Encoding`, for whoever has no [`http`] types at hand.
    #[must_use]
    pub fn from_values<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Self {
        let texts = values.into_iter().filter_map(|value| std::str::from_utf8(value).ok());
        Self { wishes: texts.flat_map(|text| text.split(',')).filter_map(wish).collect() }
    }

    /// How much the client wants a coding, in thousandths: 1,000 is one without a `q`, and 0 is refused or not named.
    #[must_use]
    pub fn weight(&self, coding: Coding) -> u16 {
        self.named(coding).or_else(|| self.of("*")).unwrap_or(0)
    }

    /// Which of `offered` the client wants most, and among equal wishes the first; the plain stream if it wants none of them, or prefers
    /// it by a weight of its own.
    ///
    /// Whoever refuses the plain stream and everything else that is offered gets it nevertheless: an `EventSource` would give up for good on a 406.
    #[must_use]
    pub fn preferred(&self, offered: &[Coding]) -> Coding {
        // Whoever does not name it takes it, but rather anything that it does name.
        let mut best = (Coding::Identity, self.named(Coding::Identity).unwrap_or(0));
        for &coding in offered {
            let weight = self.weight(coding);
            let is_wanted_more = weight > best.1 || weight == best.1 && best.0 == Coding::Identity;
            if weight > 0 && is_wanted_more {
                best = (coding, weight);
            }
        }
        best.0
    }

    fn named(&self, coding: Coding) -> Option<u16> {
        let name = coding.name().unwrap_or("identity");
        // The older name of gzip means the same.
        self.of(name).or_else(|| if name == "gzip" { self.of("x-gzip") } else { None })
    }

    /// Said twice, the friendlier counts.
    fn of(&self, name: &str) -> Option<u16> {
        self.wishes.iter().filter(|(wished, _)| wished == name).map(|(_, weight)| *weight).max()
    }
}

/// `None` if it is not well formed.
fn wish(text: &str) -> Option<(String, u16)> {
    let (name, parameters) = text.split_once(';').map_or((text, None), |(name, rest)| (name, Some(rest)));
    let name = name.trim();
    if !is_token(name) {
        return None;
    }
    let weight = match parameters {
        None => 1_000,
        Some(parameters) => {
            let (q, value) = parameters.split_once('=')?;
            if !q.trim().eq_ignore_ascii_case("q") {
                return None;
            }
            parse_weight(value.trim())?
        }
    };
    Some((name.to_ascii_lowercase(), weight))
}

#[cfg(all(test, feature = "gzip", feature = "zstd"))]
mod tests {
    use super::*;

    /// Checks what is preferred of gzip and zstd, in this order.
    fn check(value: &str, expected: Coding) {
        let accepted = AcceptEncoding::from_values([value.as_bytes()]);
        assert_eq!(accepted.preferred(&[Coding::Gzip, Coding::Zstd]), expected, "{value:?}");
    }

    #[test]
    fn a_client_gets_what_it_wants_most_and_among_equals_what_is_offered_first() {
        check("gzip, deflate, br, zstd", Coding::Gzip);
        check("zstd, gzip", Coding::Gzip);
        check("zstd", Coding::Zstd);
        check("gzip;q=0.5, zstd;q=0.501", Coding::Zstd);
        check("br, deflate", Coding::Identity);
    }

    #[test]
    fn without_a_wish_nothing_is_coded() {
        assert_eq!(AcceptEncoding::default().preferred(Coding::COMPRESSING), Coding::Identity);
        check("", Coding::Identity);
        check(" , ", Coding::Identity);
        check("identity", Coding::Identity);
    }

    #[test]
    fn a_star_is_all_that_is_not_named() {
        check("*", Coding::Gzip);
        check("*;q=0", Coding::Identity);
        check("gzip;q=0, *", Coding::Zstd);
        check("zstd;q=0.1, *;q=0", Coding::Zstd);
    }

    #[test]
    fn the_plain_stream_may_be_preferred_or_refused() {
        check("identity, gzip;q=0.5", Coding::Identity);
        check("identity;q=0.5, gzip;q=0.5", Coding::Gzip);
        check("identity;q=0.5, gzip", Coding::Gzip);
        check("identity;q=0, zstd;q=0.001", Coding::Zstd);
        check("identity;q=0, br", Coding::Identity);
        check("gzip;q=0", Coding::Identity);
    }

    #[test]
    fn an_older_name_and_case_mean_the_same() {
        check("x-gzip", Coding::Gzip);
        check("X-GZIP;q=0.1, zstd;q=0", Coding::Gzip);
        check("ZStd ; Q=1.000", Coding::Zstd);
    }

    #[test]
    fn what_is_not_well_formed_is_passed_over() {
        check("gzip;q=2, zstd;q=0.1", Coding::Zstd);
        check("gzip;level=9, zstd;q=0.1", Coding::Zstd);
        check("gz ip, /, zstd", Coding::Zstd);
        let accepted = AcceptEncoding::from_values([&b"\xff"[..], b"zstd"]);
        assert_eq!((accepted.weight(Coding::Zstd), accepted.weight(Coding::Gzip)), (1_000, 0));
    }
}
