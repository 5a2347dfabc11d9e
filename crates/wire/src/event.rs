//! An event as its publisher means it, before it is bytes.

use alloc::borrow::Cow;
use alloc::string::String;
use core::time::Duration;

use crate::{Draft, EventId, EventName, Frame};

/// One event: `data`, and if wanted `event`, `id`, `retry` and comments.
///
/// ```
/// use fanfare_wire::{Event, EventId};
///
/// let event = Event::new("hi\nthere").id(EventId::parse("7")?);
/// assert_eq!(event.to_frame(), b"id: 7\ndata: hi\ndata: there\n\n"[..]);
/// # Ok::<(), fanfare_wire::NameError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    pub(crate) data: Option<Cow<'static, str>>,
    pub(crate) event: Option<EventName>,
    pub(crate) id: Option<EventId>,
    pub(crate) retry_ms: Option<u64>,
    pub(crate) comment: Option<String>,
}

impl Event {
    /// Makes an event with `data`; any text will do.
    #[must_use]
    pub fn new(data: impl Into<Cow<'static, str>>) -> Self {
        Self { data: Some(data.into()), ..Self::default() }
    }

    /// Makes a block without `data`, which a client does not dispatch: for a `retry`, an `id` or a comment alone.
    #[must_use]
    pub fn without_data() -> Self {
        Self::default()
    }

    /// Makes an event from bytes.
    pub fn from_utf8(data: impl Into<alloc::vec::Vec<u8>>) -> Result<Self, alloc::string::FromUtf8Error> {
        String::from_utf8(data.into()).map(Self::new)
    }

    /// Makes an event whose data is `value` as JSON, on one line.
    #[cfg(feature = "json")]
    pub fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::to_string(value).map(Self::new)
    }

    /// Names the event.
    #[must_use]
    pub fn event(mut self, name: EventName) -> Self {
        self.event = Some(name);
        self
    }

    /// Gives the event an id, which a client sends back when it reconnects.
    #[must_use]
    pub fn id(mut self, id: EventId) -> Self {
        self.id = Some(id);
        self
    }

    /// Asks the client to wait `delay` before it reconnects, instead of its own default.
    #[must_use]
    pub fn retry(mut self, delay: Duration) -> Self {
        self.retry_ms = Some(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// Adds a comment, which clients skip; each line of it becomes a comment line.
    #[must_use]
    pub fn comment(mut self, text: &str) -> Self {
        match &mut self.comment {
            Some(comment) => {
                comment.push('\n');
                comment.push_str(text);
            }
            None => self.comment = Some(text.into()),
        }
        self
    }

    /// The event's id, if it has one.
    #[must_use]
    pub fn event_id(&self) -> Option<&EventId> {
        self.id.as_ref()
    }

    /// The event's name, if it has one.
    #[must_use]
    pub fn event_name(&self) -> Option<&EventName> {
        self.event.as_ref()
    }

    /// Encodes the event.
    #[must_use]
    pub fn to_frame(&self) -> Frame {
        match &self.id {
            Some(id) => Draft::new(self, id.as_str().len()).stamp(id),
            None => Draft::new(self, 0).without_id(),
        }
    }
}
