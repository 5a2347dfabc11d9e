//! [`Accept`]: what the client of a request takes, and whether a stream or something else answers it.
//!
//! It reads the request's header alone and makes no body. Source: [RFC 9110 § 12.5.1](https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1)
//! and, for weights, [§ 12.4.2](https://www.rfc-editor.org/rfc/rfc9110#section-12.4.2).

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue};

use crate::{Negotiated, NotAcceptable, Sse};

const EVENT_STREAM: &str = "text/event-stream";
const JSON: &str = "application/json";

/// What the client of a request takes: its header `Accept`.
///
/// One handler serves a stream and something else, after the client's wish:
///
/// ```
/// use fanfare_stream::{Accept, Negotiated, Sse};
/// use fanfare_wire::Event;
/// # use futures_util::stream;
///
/// # struct Json<T>(T);
/// // In a framework `accept` is extracted, and `Negotiated` is what a handler returns.
/// fn orders(accept: &Accept) -> Negotiated<Json<&'static str>> {
///     accept.dual(|| Sse::new(stream::iter([Event::new("an order")])), || Json("all orders"))
/// }
///
/// let browser = Accept::from_values([&b"text/event-stream"[..]]);
/// assert!(matches!(orders(&browser), Negotiated::Stream(_)));
/// let script = Accept::from_values([&b"application/json, text/event-stream;q=0.5"[..]]);
/// assert!(matches!(orders(&script), Negotiated::Other(_)));
/// let robot = Accept::from_values([&b"image/png"[..]]);
/// assert!(matches!(orders(&robot), Negotiated::NotAcceptable(_)));
/// ```
///
/// Of a media type's parameters only its weight `q` counts: streams and JSON are UTF-8 and have no others. A range that is not well
/// formed is passed over; a header without one that is counts as none, and without a header everything is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accept {
    ranges: Vec<Range>,
}

/// A media range and its weight.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Range {
    /// In lower case; `*` is any.
    kind: String,
    subtype: String,
    /// In thousandths.
    weight: u16,
}

/// How a media type is taken. The greater is preferred.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Wish {
    weight: u16,
    /// 0 is `*/*`, 1 is `text/*`, 2 is the type itself.
    exactness: u8,
}

impl Accept {
    /// Reads the headers `Accept` of a request.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        Self::from_values(headers.get_all(ACCEPT).iter().map(HeaderValue::as_bytes))
    }

    /// Reads the values of the headers `Accept`, for whoever has no [`http`] types at hand.
    #[must_use]
    pub fn from_values<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Self {
        let texts = values.into_iter().filter_map(|value| std::str::from_utf8(value).ok());
        Self { ranges: texts.flat_map(|text| unquoted_split(text, ',')).filter_map(Range::parse).collect() }
    }

    /// Whether the client takes `media_type`, written in lower case and without parameters.
    #[must_use]
    pub fn takes(&self, media_type: &str) -> bool {
        self.weight(media_type) > 0
    }

    /// How much the client wants `media_type`, in thousandths: 1,000 is a range without a `q`, and 0 is refused.
    ///
    /// The range that names it most exactly decides: `text/event-stream;q=0, */*` takes everything but streams.
    #[must_use]
    pub fn weight(&self, media_type: &str) -> u16 {
        self.wish(media_type).weight
    }

    /// Which of `offered` the client wants most; `None` if it takes none of them.
    ///
    /// Among equal weights the one that the client names more exactly: who writes `text/event-stream, */*` wants a stream. Then the
    /// first of `offered`.
    #[must_use]
    pub fn preferred<'o>(&self, offered: &[&'o str]) -> Option<&'o str> {
        let mut best = (Wish::default(), None);
        for media_type in offered {
            let wish = self.wish(media_type);
            if wish.weight > 0 && (best.1.is_none() || wish > best.0) {
                best = (wish, Some(*media_type));
            }
        }
        best.1
    }

    /// Answers with a stream, or with 406 if the client takes none.
    pub fn only(&self, stream: impl FnOnce() -> Sse) -> Negotiated<NotAcceptable> {
        if self.takes(EVENT_STREAM) {
            Negotiated::Stream(stream())
        } else {
            Negotiated::NotAcceptable(NotAcceptable::offering(&[EVENT_STREAM]))
        }
    }

    /// Answers with a stream or with JSON, whatever the client wants more, or with 406 if it takes neither.
    ///
    /// Who has no preference gets JSON: a client that can read a stream says so, and one that cannot would wait for its end for ever. For
    /// the other order, another type, or what has to be awaited ask [`preferred`](Self::preferred), and return what it says
    /// as a [`Negotiated`].
    pub fn dual<R>(&self, stream: impl FnOnce() -> Sse, json: impl FnOnce() -> R) -> Negotiated<R> {
        let offered = [JSON, EVENT_STREAM];
        match self.preferred(&offered) {
            Some(EVENT_STREAM) => Negotiated::Stream(stream()),
            Some(_) => Negotiated::Other(json()),
            None => Negotiated::NotAcceptable(NotAcceptable::offering(&offered)),
        }
    }

    fn wish(&self, media_type: &str) -> Wish {
        if self.ranges.is_empty() {
            return Wish { weight: 1_000, exactness: 0 };
        }
        let (kind, subtype) = media_type.split_once('/').unwrap_or((media_type, ""));
        let wishes = self.ranges.iter().filter_map(|range| range.wish(kind, subtype));
        // The most exact decides; said twice, the friendlier.
        wishes.max_by_key(|wish| (wish.exactness, wish.weight)).unwrap_or_default()
    }
}

impl Range {
    /// `None` if it is not well formed.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = unquoted_split(text, ';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let is_range = is_token(kind) && is_token(subtype) && (kind != "*" || subtype == "*");
        if !is_range {
            return None;
        }
        let weight =
            parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.eq_ignore_ascii_case("q"));
        let weight = weight.map_or(Some(1_000), |(_, value)| parse_weight(value))?;
        Some(Self { kind: kind.to_ascii_lowercase(), subtype: subtype.to_ascii_lowercase(), weight })
    }

    fn wish(&self, kind: &str, subtype: &str) -> Option<Wish> {
        let exactness = match (self.kind.as_str(), self.subtype.as_str()) {
            ("*", _) => 0,
            (own, "*") if own == kind => 1,
            (own, own_subtype) if own == kind && own_subtype == subtype => 2,
            _ => return None,
        };
        Some(Wish { weight: self.weight, exactness })
    }
}

/// A weight in thousandths: `0` or `1` with up to three decimals, and none above 1.
pub(crate) fn parse_weight(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{decimals:0<3}").parse::<u16>().ok()?;
    match (whole, thousandths) {
        ("0", thousandths) => Some(thousandths),
        ("1", 0) => Some(1_000),
        _ => None,
    }
}

/// Splits at `separator` but within a quoted string.
fn unquoted_split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |letter| {
        let splits = letter == separator && !is_quoted;
        is_quoted ^= letter == '"' && !is_escaped;
        is_escaped = is_quoted && letter == '\\' && !is_escaped;
        splits
    })
}

pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(value: &str) -> Accept {
        Accept::from_values([value.as_bytes()])
    }

    /// Checks what is preferred of JSON and a stream, in this order.
    fn check(value: &str, expected: Option<&str>) {
        assert_eq!(accept(value).preferred(&[JSON, EVENT_STREAM]), expected, "{value}");
    }

    #[test]
    fn an_event_source_gets_a_stream_and_whoever_has_no_wish_gets_json() {
        check("text/event-stream", Some(EVENT_STREAM));
        check("*/*", Some(JSON));
        check("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Some(JSON));
        check("application/json, text/event-stream", Some(JSON));
        assert_eq!(Accept::default().preferred(&[JSON, EVENT_STREAM]), Some(JSON));
        assert_eq!(Accept::default().preferred(&[EVENT_STREAM, JSON]), Some(EVENT_STREAM));
    }

    #[test]
    fn the_greater_weight_wins_whatever_the_order() {
        check("text/event-stream;q=0.9, application/json;q=0.8", Some(EVENT_STREAM));
        check("application/json;q=0.8, text/event-stream;q=0.801", Some(EVENT_STREAM));
        check("application/json ; q=0.801,text/event-stream; Q=0.8", Some(JSON));
        check("text/event-stream;q=1.000, application/json;q=1", Some(JSON));
    }

    #[test]
    fn among_equal_weights_the_one_that_is_named_more_exactly_wins() {
        check("text/event-stream, */*", Some(EVENT_STREAM));
        check("text/*, */*", Some(EVENT_STREAM));
        check("text/*, application/json", Some(JSON));
    }

    #[test]
    fn the_most_exact_range_decides_and_may_refuse() {
        check("text/event-stream;q=0, */*", Some(JSON));
        check("application/*;q=0, */*;q=0.1", Some(EVENT_STREAM));
        check("text/*, text/event-stream;q=0", None);
        check("*/*;q=0", None);
        check("image/png", None);
    }

    #[test]
    fn case_and_parameters_other_than_the_weight_do_not_matter() {
        check("Text/Event-Stream;charset=UTF-8", Some(EVENT_STREAM));
        check("text/event-stream;a=\"x, y;q=0\";q=1, application/json;q=0.5", Some(EVENT_STREAM));
        check("text/event-stream;a=\"\\\", image/png\"", Some(EVENT_STREAM));
    }

    #[test]
    fn what_is_not_well_formed_is_passed_over() {
        check("text/event-stream;q=2, application/json;q=0.1", Some(JSON));
        check("text/event-stream;q=0.1234, application/json;q=0.1", Some(JSON));
        check("text/event-stream;q=, application/json;q=0.1", Some(JSON));
        check("*/event-stream, /json, text/, text, , application/json;q=0.1", Some(JSON));
        check(", ,", Some(JSON));
        check("", Some(JSON));
    }

    #[test]
    fn several_headers_are_one_list() {
        let accept = Accept::from_values([&b"application/json;q=0.5"[..], b"text/event-stream", b"\xff"]);
        assert_eq!(accept.preferred(&[JSON, EVENT_STREAM]), Some(EVENT_STREAM));
        assert_eq!(
            (accept.weight(JSON), accept.weight(EVENT_STREAM), accept.weight("image/png")),
            (500, 1_000, 0)
        );
    }
}
