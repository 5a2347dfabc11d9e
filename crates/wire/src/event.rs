//! An event as its publisher means it, before it is bytes.
//!
//! Every value of [`Event`] can be encoded, and what a client dispatches is what was put in, with its line
//! ends made LF. Nothing here is written anywhere; that is [`Draft`] and [`Frame`].

use alloc::borrow::Cow;
use alloc::string::{FromUtf8Error, String};
use alloc::vec::Vec;
use core::time::Duration;

use crate::{Draft, EventId, EventName, Frame, draft};

/// One event: `data`, and if wanted `event`, `id`, `retry` and comments.
///
/// The data is any text. Each LF, CR or CRLF in it ends a line, and reaches the client as one LF; trailing
/// line ends, leading spaces and colons and a U+FEFF reach it as they are.
///
/// ```
/// use fanfare_wire::{Event, EventId};
///
/// let event = Event::new("hi\nthere").id(EventId::parse("7")?);
/// assert_eq!(event.to_frame(), b"id: 7\ndata: hi\ndata: there\n\n");
/// # Ok::<(), fanfare_wire::NameError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    pub(crate) data: Option<Cow<'static, str>>,
    pub(crate) name: Option<EventName>,
    pub(crate) id: Option<EventId>,
    pub(crate) retry_ms: Option<u64>,
    pub(crate) comment: Option<String>,
}

impl Event {
    /// Makes an event with `data`; any text will do.
    ///
    /// Empty data is data: a client dispatches the event.
    ///
    /// ```
    /// use fanfare_wire::Event;
    ///
    /// assert_eq!(Event::new("").to_frame(), b"data: \n\n");
    /// ```
    #[inline]
    #[must_use]
    pub fn new(data: impl Into<Cow<'static, str>>) -> Self {
        Self { data: Some(data.into()), ..Self::default() }
    }

    /// Makes a block without `data`, which a client does not dispatch: for a `retry`, an `id` or a comment alone.
    ///
    /// ```
    /// use fanfare_wire::{Event, EventId};
    ///
    /// let bookmark = Event::without_data().id(EventId::from_static("7"));
    /// assert_eq!(bookmark.to_frame(), b"id: 7\n\n");
    /// ```
    #[inline]
    #[must_use]
    pub fn without_data() -> Self {
        Self::default()
    }

    /// Makes an event from bytes.
    ///
    /// # Errors
    ///
    /// When `data` is not UTF-8, which is all that the format can carry; the error gives the bytes back.
    pub fn from_utf8(data: impl Into<Vec<u8>>) -> Result<Self, FromUtf8Error> {
        String::from_utf8(data.into()).map(Self::new)
    }

    /// Makes an event whose data is `value` as JSON, on one line.
    ///
    /// # Errors
    ///
    /// When `value` cannot be JSON: its `Serialize` fails, or a map has keys that are not strings.
    ///
    /// ```
    /// use fanfare_wire::Event;
    ///
    /// let event = Event::json(&[1, 2])?;
    /// assert_eq!(event.to_frame(), b"data: [1,2]\n\n");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[cfg(feature = "json")]
    pub fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::to_string(value).map(Self::new)
    }

    /// Names the event, which is the type that a browser dispatches; without a name that is `message`.
    #[inline]
    #[must_use]
    pub fn event(mut self, name: EventName) -> Self {
        self.name = Some(name);
        self
    }

    /// Gives the event an id, which a client sends back when it reconnects.
    #[inline]
    #[must_use]
    pub fn id(mut self, id: EventId) -> Self {
        self.id = Some(id);
        self
    }

    /// Asks the client to wait `delay` before it reconnects, instead of its own default.
    ///
    /// On the wire this is whole milliseconds: `delay` is rounded down, and one longer than
    /// `u64::MAX` milliseconds is written as `u64::MAX`.
    ///
    /// Source: [WHATWG HTML § 9.2.6](https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation),
    /// the `retry` field.
    ///
    /// ```
    /// use core::time::Duration;
    /// use fanfare_wire::Event;
    ///
    /// let event = Event::new("hi").retry(Duration::from_micros(1_999));
    /// assert_eq!(event.to_frame(), b"retry: 1\ndata: hi\n\n");
    /// ```
    #[inline]
    #[must_use]
    pub fn retry(mut self, delay: Duration) -> Self {
        self.retry_ms = Some(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// Adds a comment, which clients skip; each line of it becomes a comment line.
    ///
    /// For a comment between events take [`Frame::comment`], which has no blank line after it.
    ///
    /// ```
    /// use fanfare_wire::Event;
    ///
    /// let event = Event::new("hi").comment("from the cache").comment("of node 3");
    /// assert_eq!(event.to_frame(), b": from the cache\n: of node 3\ndata: hi\n\n");
    /// ```
    #[inline]
    #[must_use]
    pub fn comment(mut self, text: &str) -> Self {
        match &mut self.comment {
            Some(comment) => {
                // A comment that ends in CR must not swallow this LF: both together would end one line.
                if comment.ends_with('\r') {
                    comment.push('\n');
                }
                comment.push('\n');
                comment.push_str(text);
            }
            None => self.comment = Some(text.into()),
        }
        self
    }

    /// The event's data, if it has any, as it was given.
    #[inline]
    #[must_use]
    pub fn event_data(&self) -> Option<&str> {
        self.data.as_deref()
    }

    /// The event's id, if it has one.
    #[inline]
    #[must_use]
    pub fn event_id(&self) -> Option<&EventId> {
        self.id.as_ref()
    }

    /// The event's name, if it has one.
    #[inline]
    #[must_use]
    pub fn event_name(&self) -> Option<&EventName> {
        self.name.as_ref()
    }

    /// How many bytes [`to_frame`](Self::to_frame) will have. Costs one pass over the data, no allocation.
    #[inline]
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        draft::frame_bytes(self)
    }

    /// Encodes the event, with one allocation of exactly [`frame_bytes`](Self::frame_bytes).
    #[inline]
    #[must_use]
    pub fn to_frame(&self) -> Frame {
        match &self.id {
            Some(id) => Draft::new(self, id.as_str().len()).stamp(id),
            None => Draft::without_room(self).without_id(),
        }
    }
}

impl From<Event> for Frame {
    fn from(event: Event) -> Self {
        event.to_frame()
    }
}

impl From<&Event> for Frame {
    fn from(event: &Event) -> Self {
        event.to_frame()
    }
}

#[cfg(test)]
mod tests {
    use super::Event;
    use crate::{EventId, EventName};
    use core::time::Duration;

    fn check_event(event: &Event, expected: &str) {
        assert_eq!(event.to_frame(), expected.as_bytes(), "{event:?}");
        assert_eq!(event.frame_bytes(), expected.len(), "{event:?}");
    }

    fn check(data: &'static str, expected: &str) {
        check_event(&Event::new(data), expected);
    }

    #[test]
    fn empty_data_is_still_dispatched() {
        check("", "data: \n\n");
    }

    #[test]
    fn every_line_end_ends_a_line_once() {
        check("a\nb", "data: a\ndata: b\n\n");
        check("a\rb", "data: a\ndata: b\n\n");
        check("a\r\nb", "data: a\ndata: b\n\n");
        check("a\n\rb", "data: a\ndata: \ndata: b\n\n");
        check("\n", "data: \ndata: \n\n");
        check("a\n\n", "data: a\ndata: \ndata: \n\n");
    }

    #[test]
    fn what_looks_like_syntax_is_only_data() {
        check(" a", "data:  a\n\n");
        check(":a", "data: :a\n\n");
        check("\u{feff}a", "data: \u{feff}a\n\n");
        check("a\n\nevent: forged\ndata: b", "data: a\ndata: \ndata: event: forged\ndata: data: b\n\n");
    }

    #[test]
    fn other_line_separators_of_unicode_end_no_line() {
        check("a\u{2028}b\u{85}c\u{b}d\u{c}e", "data: a\u{2028}b\u{85}c\u{b}d\u{c}e\n\n");
    }

    #[test]
    fn a_reconnection_time_of_zero_can_be_sent() {
        check_event(&Event::without_data().retry(Duration::ZERO), "retry: 0\n\n");
    }

    #[test]
    fn a_reconnection_time_beyond_the_range_is_the_greatest() {
        check_event(&Event::without_data().retry(Duration::MAX), "retry: 18446744073709551615\n\n");
    }

    #[test]
    fn the_id_is_the_first_line_whatever_else_there_is() {
        let event = Event::new("d")
            .comment("c")
            .retry(Duration::from_secs(1))
            .event(EventName::from_static("e"))
            .id(EventId::from_static("i"));
        check_event(&event, "id: i\n: c\nevent: e\nretry: 1000\ndata: d\n\n");
    }

    #[test]
    fn an_empty_id_is_written_because_it_resets() {
        check_event(&Event::without_data().id(EventId::from_static("")), "id: \n\n");
    }

    #[test]
    fn two_comments_stay_two_lines_even_after_a_carriage_return() {
        check_event(&Event::without_data().comment("a").comment("b"), ": a\n: b\n\n");
        check_event(&Event::without_data().comment("a\r").comment("b"), ": a\n:\n: b\n\n");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused() {
        assert!(Event::from_utf8(*b"caf\xe9").is_err());
        assert_eq!(Event::from_utf8("caf\u{e9}"), Ok(Event::new("caf\u{e9}")));
    }
}
