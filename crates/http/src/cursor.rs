//! Finds the last event ID that a client sends, in the header or in the query.
//!
//! An empty one was sent too: it asks for nothing that was missed, but it is answered (M-129). Rules: M-128, M-190, M-006.

use fanfare_wire::EventId;
use http::{HeaderMap, HeaderName};

use crate::refusal::Refusal;

/// The header that browsers send when they reconnect.
pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The longest one, in bytes: no event has a longer id.
const BYTES_MAX: usize = 512;

/// Names of the query, in the order in which they count; those after the first are of older clients.
pub(crate) const QUERY_NAMES: [&str; 3] = ["last_event_id", "lastEventID", "Last-Event-ID"];

/// The values given under each of [`QUERY_NAMES`]: the first one of each name.
#[derive(Default)]
pub(crate) struct QueryCursors([Option<Vec<u8>>; QUERY_NAMES.len()]);

impl QueryCursors {
    /// Keeps `value` if `name` is one of the names, and has not been seen; `legacy` admits the older ones.
    pub(crate) fn offer(&mut self, name: &[u8], value: &[u8], legacy: bool) {
        let names = if legacy { &QUERY_NAMES[..] } else { &QUERY_NAMES[..1] };
        if let Some(at) = names.iter().position(|known| known.as_bytes() == name) {
            self.0[at].get_or_insert_with(|| value.to_vec());
        }
    }
}

/// Decides which of the values counts: the header, then the names of the query in their order; one that says something
/// before one that is empty. `None` if there is none at all.
///
/// # Errors
/// 400 if it cannot be the id of an event: too long, not UTF-8, or with a line break or NUL in it.
pub(crate) fn cursor(headers: &HeaderMap, query: &QueryCursors) -> Result<Option<EventId>, Refusal> {
    let header = headers.get(LAST_EVENT_ID).map(http::HeaderValue::as_bytes);
    let given = || header.into_iter().chain(query.0.iter().flatten().map(Vec::as_slice));
    let Some(bytes) = given().find(|bytes| !bytes.is_empty()).or_else(|| given().next()) else {
        return Ok(None);
    };
    if bytes.len() > BYTES_MAX {
        return Err(Refusal::bad(format!("The last event ID is longer than {BYTES_MAX} bytes.")));
    }
    let text =
        std::str::from_utf8(bytes).map_err(|_| Refusal::bad("The last event ID is not valid UTF-8."))?;
    EventId::parse(text)
        .map(Some)
        .map_err(|_| Refusal::bad("The last event ID contains a line break or a NUL character."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: Option<&[u8]>, query: &[(&str, &str)], expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(LAST_EVENT_ID, http::HeaderValue::from_bytes(header).expect("a header value"));
        }
        let mut cursors = QueryCursors::default();
        for (name, value) in query {
            cursors.offer(name.as_bytes(), value.as_bytes(), true);
        }
        let cursor = cursor(&headers, &cursors).expect("a cursor or none");
        assert_eq!(cursor.as_ref().map(EventId::as_str), expected);
    }

    #[test]
    fn the_header_wins_then_the_newest_name_m128_m190() {
        let all = [("Last-Event-ID", "oldest"), ("lastEventID", "older"), ("last_event_id", "new")];
        check(Some(b"header"), &all, Some("header"));
        check(None, &all, Some("new"));
        check(None, &all[..2], Some("older"));
        check(None, &all[..1], Some("oldest"));
        check(None, &[], None);
    }

    #[test]
    fn the_first_of_equal_names_counts() {
        check(None, &[("last_event_id", "a"), ("last_event_id", "b")], Some("a"));
    }

    #[test]
    fn an_empty_one_counts_only_where_no_other_is_m129() {
        check(Some(b""), &[("last_event_id", "a")], Some("a"));
        check(Some(b""), &[], Some(""));
        check(None, &[("lastEventID", "")], Some(""));
    }

    #[test]
    fn the_header_is_utf8_as_browsers_send_it_m128() {
        check(Some("commande-é".as_bytes()), &[], Some("commande-é"));
        let mut headers = HeaderMap::new();
        headers.insert(LAST_EVENT_ID, http::HeaderValue::from_bytes(b"\xe9").expect("a header value"));
        let refusal = cursor(&headers, &QueryCursors::default()).expect_err("Latin-1");
        assert_eq!(&*refusal.sentence, "The last event ID is not valid UTF-8.");
    }

    #[test]
    fn names_of_older_clients_are_known_only_where_legacy_is_on() {
        let mut cursors = QueryCursors::default();
        cursors.offer(b"lastEventID", b"a", false);
        assert_eq!(cursor(&HeaderMap::new(), &cursors).expect("none"), None);
    }

    #[test]
    fn what_cannot_be_an_id_is_refused() {
        for bad in [&b"a\nb"[..], b"\0", b"\xff", &[b'a'; 513]] {
            let mut cursors = QueryCursors::default();
            cursors.offer(b"last_event_id", bad, true);
            assert_eq!(cursor(&HeaderMap::new(), &cursors).expect_err("a refusal").status, 400);
        }
    }
}
