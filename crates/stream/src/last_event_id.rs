//! Where a client that comes back left off: the last event ID of a request.
//!
//! It reads the request alone. Whether the id means anything is for whoever made it to say.
//! Source: [WHATWG HTML § 9.2.4](https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header).

use std::fmt;

use fanfare_wire::{EventId, NameError};
use http::{HeaderMap, HeaderValue, Uri};

/// The longest id that is taken, in bytes.
const BYTES_MAX: usize = 512;

/// The last event ID of a request, if it has one.
///
/// An `EventSource` that reconnects sends it in the header `Last-Event-ID`, as UTF-8 bytes. Elsewhere, and
/// on a first connection, it is a query parameter. A hub's subscription takes it as it is:
/// `hub.subscribe("rooms/7").after(last)`.
///
/// **An id that cannot be used is not none.** A client that sends one that is longer than 512 bytes, not
/// UTF-8, or holds CR, LF or NUL has seen events of some stream, and must not be served as if it came for the first time. For it
/// [`id`](Self::id) is `#unusable`, an id that nobody makes: a hub's own begin with `#` and a digit, and a
/// publisher's with `#` are refused. A hub therefore answers with a gap. An application with ids of its own
/// sees an id that it does not know, and [`unusable`](Self::unusable) says why.
///
/// ```
/// use fanfare_stream::LastEventId;
///
/// let request = http::Request::get("/?last_event_id=from-query").header("Last-Event-ID", "7").body(())?;
/// let last = LastEventId::from_request(request.headers(), request.uri());
/// assert_eq!(last.id(), Some("7".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastEventId(Sent);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Sent {
    #[default]
    Nothing,
    Empty,
    Id(EventId),
    Unusable(UnusableId),
}

/// Why a last event ID cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnusableId {
    /// It is longer than an id can be.
    TooLong {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
    /// It is not UTF-8.
    NotUtf8,
    /// It holds a character that no id can hold.
    Forbidden(NameError),
}

impl LastEventId {
    /// The names of the query parameter, in the order in which they are looked for: Mercure's, what people
    /// write, and what older Mercure clients send.
    pub const QUERY_NAMES: [&str; 4] = ["last_event_id", "lastEventId", "lastEventID", "Last-Event-ID"];

    /// What an id that cannot be used becomes.
    const UNUSABLE: EventId = EventId::from_static("#unusable");

    /// Reads the header `Last-Event-ID`, else a query parameter with one of [`QUERY_NAMES`](Self::QUERY_NAMES).
    #[must_use]
    pub fn from_request(headers: &HeaderMap, uri: &Uri) -> Self {
        Self::from_request_named(headers, uri, &Self::QUERY_NAMES)
    }

    /// Reads the header `Last-Event-ID`, else the query parameter with the first of `names` that is there. Without names the query is not read.
    ///
    /// An empty value is skipped, the header's too: an `EventSource` without a last event ID sends no header.
    /// Of several headers, or parameters of one name, the first counts.
    #[must_use]
    pub fn from_request_named(headers: &HeaderMap, uri: &Uri, names: &[&str]) -> Self {
        Self::from_values(headers.get("last-event-id").map(HeaderValue::as_bytes), uri.query(), names)
    }

    /// Reads the value of the header `Last-Event-ID` and the query, for whoever has no [`http`] types at hand.
    ///
    /// Like [`from_request_named`](Self::from_request_named); [`QUERY_NAMES`](Self::QUERY_NAMES) are the usual names. The
    /// query is what stands behind the `?`.
    #[must_use]
    pub fn from_values(header: Option<&[u8]>, query: Option<&str>, names: &[&str]) -> Self {
        let mut last = header.map_or_else(Self::default, Self::parse);
        for name in names {
            if matches!(last.0, Sent::Id(_) | Sent::Unusable(_)) {
                break;
            }
            if let Some(value) = query_value(query.unwrap_or_default(), name) {
                last = Self::parse(&value);
            }
        }
        last
    }

    /// Takes the value of a header or parameter, decoded but for its UTF-8.
    #[must_use]
    pub fn parse(id: &[u8]) -> Self {
        Self(if id.is_empty() {
            Sent::Empty
        } else if id.len() > BYTES_MAX {
            Sent::Unusable(UnusableId::TooLong { bytes: id.len(), limit: BYTES_MAX })
        } else {
            match std::str::from_utf8(id).map(EventId::parse) {
                Ok(Ok(id)) => Sent::Id(id),
                Ok(Err(error)) => Sent::Unusable(UnusableId::Forbidden(error)),
                Err(_) => Sent::Unusable(UnusableId::NotUtf8),
            }
        })
    }

    /// The id, if the request has one. One that cannot be used is `#unusable`.
    #[must_use]
    pub fn id(&self) -> Option<EventId> {
        match &self.0 {
            Sent::Nothing | Sent::Empty => None,
            Sent::Id(id) => Some(id.clone()),
            Sent::Unusable(_) => Some(Self::UNUSABLE),
        }
    }

    /// Whether the request has the header or a parameter at all, be it empty. Mercure answers with a header then.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.0 != Sent::Nothing
    }

    /// Why the id cannot be used; `None` if it can, or if there is none.
    #[must_use]
    pub fn unusable(&self) -> Option<&UnusableId> {
        match &self.0 {
            Sent::Unusable(why) => Some(why),
            _ => None,
        }
    }
}

impl From<LastEventId> for Option<EventId> {
    fn from(last: LastEventId) -> Self {
        last.id()
    }
}

impl From<EventId> for LastEventId {
    fn from(id: EventId) -> Self {
        Self::parse(id.as_str().as_bytes())
    }
}

/// The first value of `name`, as `application/x-www-form-urlencoded` writes it, without reading it as UTF-8.
fn query_value(query: &str, name: &str) -> Option<Vec<u8>> {
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(key, _)| percent_decode(key) == name.as_bytes())
        .map(|(_, value)| percent_decode(value))
}

fn percent_decode(text: &str) -> Vec<u8> {
    let mut rest = text.as_bytes();
    let mut decoded = Vec::with_capacity(rest.len());
    loop {
        rest = match rest {
            [] => return decoded,
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                decoded.push(hex(*high) << 4 | hex(*low));
                rest
            }
            [b'+', rest @ ..] => {
                decoded.push(b' ');
                rest
            }
            [byte, rest @ ..] => {
                decoded.push(*byte);
                rest
            }
        }
    }
}

/// The value of a hexadecimal digit.
fn hex(digit: u8) -> u8 {
    if digit.is_ascii_digit() { digit - b'0' } else { (digit | 0x20) - b'a' + 10 }
}

impl fmt::Display for UnusableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes, limit } => {
                write!(f, "the last event ID has {bytes} bytes, more than the {limit} an id can have")
            }
            Self::NotUtf8 => f.write_str("the last event ID is not UTF-8"),
            Self::Forbidden(_) => f.write_str("the last event ID holds a character that no id can hold"),
        }
    }
}

impl std::error::Error for UnusableId {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Forbidden(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(header: Option<&[u8]>, uri: &str) -> LastEventId {
        let mut headers = HeaderMap::new();
        if let Some(value) = header {
            headers.insert("last-event-id", HeaderValue::from_bytes(value).unwrap());
        }
        LastEventId::from_request(&headers, &uri.parse().unwrap())
    }

    fn check(header: Option<&[u8]>, uri: &str, expected: Option<&str>) {
        let id = Option::<EventId>::from(read(header, uri));
        assert_eq!(id.as_ref().map(EventId::as_str), expected, "{header:?} {uri}");
    }

    #[test]
    fn a_request_that_says_nothing_has_none() {
        check(None, "/", None);
        check(None, "/?topic=a&last_event_ids=7", None);
        assert!(!read(None, "/?a").is_present());
    }

    #[test]
    fn the_header_beats_the_query() {
        check(Some(b"7"), "/?last_event_id=8", Some("7"));
        check(None, "/?last_event_id=8", Some("8"));
    }

    #[test]
    fn the_header_is_read_as_utf_8_as_browsers_send_it() {
        check(Some("héé…💡".as_bytes()), "/", Some("héé…💡"));
    }

    #[test]
    fn each_name_of_the_query_is_known_and_mercures_own_comes_first() {
        for name in LastEventId::QUERY_NAMES {
            check(None, &format!("/?a=b&{name}=7"), Some("7"));
        }
        check(None, "/?Last-Event-ID=1&lastEventID=2&last_event_id=3", Some("3"));
    }

    #[test]
    fn the_query_is_decoded_as_forms_write_it() {
        check(None, "/?last_event_id=a+b%20c%2Bd%e2%82%AC", Some("a b c+d€"));
        check(None, "/?last%5Fevent%5fid=%231abc", Some("#1abc"));
        check(None, "/?last_event_id=100%", Some("100%"));
        check(None, "/?last_event_id=%zz%4", Some("%zz%4"));
        check(None, "/?last_event_id=a=b", Some("a=b"));
    }

    #[test]
    fn an_empty_value_is_none_but_was_there() {
        check(Some(b""), "/", None);
        check(Some(b""), "/?last_event_id=7", Some("7"));
        check(None, "/?last_event_id=&lastEventID=7", Some("7"));
        assert!(read(Some(b""), "/").is_present());
        assert!(read(None, "/?last_event_id").is_present());
    }

    #[test]
    fn an_id_that_cannot_be_used_becomes_one_that_nobody_made() {
        let long = "x".repeat(513);
        check(Some(long.as_bytes()), "/?last_event_id=7", Some("#unusable"));
        check(None, &format!("/?last_event_id={long}&lastEventID=7"), Some("#unusable"));
        check(Some(b"caf\xe9"), "/", Some("#unusable"));
        check(None, "/?last_event_id=%ff", Some("#unusable"));
        check(None, "/?last_event_id=a%0Ab", Some("#unusable"));
        check(None, "/?last_event_id=a%00", Some("#unusable"));
        assert_eq!(read(None, "/?last_event_id=%ff").unusable(), Some(&UnusableId::NotUtf8));
        assert_eq!(
            read(Some(long.as_bytes()), "/").unusable(),
            Some(&UnusableId::TooLong { bytes: 513, limit: 512 })
        );
    }

    #[test]
    fn an_id_of_exactly_the_limit_is_taken() {
        let long = "x".repeat(512);
        check(Some(long.as_bytes()), "/", Some(&long));
        check(None, &format!("/?last_event_id={}", "%78".repeat(512)), Some(&long));
    }

    #[test]
    fn without_names_the_query_is_not_read() {
        let uri = "/?last_event_id=7".parse().unwrap();
        let last = LastEventId::from_request_named(&HeaderMap::new(), &uri, &[]);
        assert_eq!(last.id(), None);
    }
}
