//! The decoder: bytes in any cut to events, as a browser reads them.
//!
//! It is pushed bytes and pulled items; it reads no socket, waits for nothing and never looks at a clock.
//! It follows [WHATWG HTML § 9.2.6][spec] and the [UTF-8 decode][utf8] of the Encoding standard to the byte.
//!
//! The rule that makes it fast: a field that lies in one piece in the pushed bytes is handed out from there. Only a
//! line that a push broke off, and data of several lines, are copied, into buffers that are used again.
//!
//! [spec]: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
//! [utf8]: https://encoding.spec.whatwg.org/#utf-8-decode

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use core::{mem, str};

use memchr::memchr2;

use crate::block::{Block, Pushed, empty, empty_text, push_text};
use crate::field::{Field, milliseconds};
use crate::{DecodeError, EventId, Item, Limits, Received};

/// Decodes one event stream.
///
/// Push what arrives, wherever the network cut it, and pull until there is no more. A CR ends its line at once: the
/// LF that may follow is dropped when it comes, and no event waits for it. An event that the stream's end
/// leaves unfinished is never dispatched, so at the end there is nothing to call.
///
/// What it holds is bounded: at most one line and the data of one event (see [`Limits`]), invalid UTF-8 in it up
/// to three times as long, and the last event ID.
///
/// ```
/// use fanfare_wire::{Decoder, Item};
///
/// let mut decoder = Decoder::new();
/// let mut seen = Vec::new();
/// for mut piece in [&b"id: 7\nda"[..], b"ta: hi\n", b"\n: still here\n"] {
///     while let Some(item) = decoder.next(&mut piece)? {
///         match item {
///             Item::Event(event) => seen.push(format!("{} {} {}", event.last_event_id, event.name, event.data)),
///             Item::Comment(text) => seen.push(format!("comment {text}")),
///             _ => {}
///         }
///     }
/// }
/// assert_eq!(seen, ["7 message hi", "comment still here"]);
/// # Ok::<(), fanfare_wire::DecodeError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    limits: Limits,
    /// The bytes of a line whose end has not come yet.
    line: Vec<u8>,
    block: Block,
    last_event_id: String,
    /// Data or a comment that was not UTF-8, repaired.
    repaired: String,
    /// The first line is behind us, and with it the one place where a byte-order mark is dropped.
    begun: bool,
    /// The last byte was a CR; an LF that follows belongs to it.
    after_cr: bool,
    /// What the last item borrowed, which is emptied before it is used again.
    lent: Lent,
    failed: Option<DecodeError>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Lent {
    #[default]
    Nothing,
    Line,
    Block,
}

/// An item before it is borrowed: what lies in the pushed bytes is here, the rest is in the decoder.
enum Found<'c> {
    Event(Pushed<'c>),
    LastEventId,
    ReconnectionTime(u64),
    Comment(&'c [u8]),
    /// The comment stands in the held line, from this byte on.
    HeldComment(usize),
}

/// How the pushed bytes start.
enum Start<'c> {
    /// With an event of one line of data.
    Event(&'c str),
    /// With a line of data that does not end in them; it need not be searched again.
    Endless,
    /// With anything else, or within a block.
    Other,
}

/// What is dispatched if the stream names nothing.
const MESSAGE: &str = "message";

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Decoder {
    /// Makes a decoder for a stream from its beginning, with the default [`Limits`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a decoder that accepts lines and events up to `limits`.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Sets the last event ID that stands before the stream begins: the one that the request carried.
    ///
    /// The standard's buffer for it starts empty with each connection; browsers keep it, and so does this.
    #[must_use]
    pub fn after(mut self, id: &EventId) -> Self {
        self.last_event_id.clear();
        self.last_event_id.push_str(id.as_str());
        self
    }

    /// The last event ID as it stands after the items pulled so far: what a reconnecting client sends. Empty
    /// if there is none. An `id` in a block that has not ended does not count.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// Makes ready for the stream of the next connection: all that was unfinished is dropped, an error too. The
    /// last event ID stays.
    pub fn restart(&mut self) {
        empty(&mut self.line);
        self.block.drop_unfinished();
        self.begun = false;
        self.after_cr = false;
        self.lent = Lent::Nothing;
        self.failed = None;
    }

    /// Takes bytes from the front of `input` until they say something; `None` when they are used up.
    ///
    /// The item borrows from `input` where it can, so that an event that lies there in one piece is not copied and
    /// nothing is allocated for it; data of several lines is joined in a buffer that is used again.
    /// Costs time in proportion to the bytes taken, however they were cut.
    ///
    /// # Errors
    ///
    /// When a line or an event passes the [`Limits`]. The stream cannot be read further: every later call
    /// answers the same and takes no bytes, until [`restart`](Self::restart). [`last_event_id`](Self::last_event_id)
    /// is that of the events before.
    pub fn next<'d, 'c: 'd>(&'d mut self, input: &mut &'c [u8]) -> Result<Option<Item<'d>>, DecodeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.take_back();
        let found = match self.start(input) {
            Start::Event(data) => {
                let last_event_id = &self.last_event_id;
                return Ok(Some(Item::Event(Received { name: MESSAGE, data, last_event_id })));
            }
            Start::Endless => self.hold(input).map(|()| None),
            Start::Other => self.find(input),
        };
        match found {
            Ok(Some(found)) => Ok(Some(self.lend(found))),
            Ok(None) => Ok(None),
            Err(error) => {
                self.failed = Some(error);
                Err(error)
            }
        }
    }

    #[inline]
    fn take_back(&mut self) {
        match self.lent {
            Lent::Nothing => return,
            Lent::Line => empty(&mut self.line),
            Lent::Block => self.block.end(),
        }
        empty_text(&mut self.repaired);
        self.lent = Lent::Nothing;
    }

    /// The short way for what most streams are made of: `data: …` LF LF, whole and nothing before it. Takes nothing
    /// where anything is special, a limit too.
    // Measured in `bench/codec`: it halves what a small event costs.
    #[inline]
    fn start<'c>(&mut self, input: &mut &'c [u8]) -> Start<'c> {
        if !self.line.is_empty() || self.after_cr || !self.block.is_new() {
            return Start::Other;
        }
        let Some(line) = input.strip_prefix(b"data:") else { return Start::Other };
        let Some(end) = memchr2(b'\n', b'\r', line) else { return Start::Endless };
        let Some(rest) = line[end..].strip_prefix(b"\n\n") else { return Start::Other };
        let value = &line[..end];
        if end > self.limits.event_bytes.min(self.limits.line_bytes.saturating_sub(b"data:".len())) {
            return Start::Other;
        }
        let Ok(data) = str::from_utf8(value.strip_prefix(b" ").unwrap_or(value)) else { return Start::Other };
        *input = rest;
        self.begun = true;
        Start::Event(data)
    }

    /// Goes from line to line until one makes an item.
    fn find<'c>(&mut self, input: &mut &'c [u8]) -> Result<Option<Found<'c>>, DecodeError> {
        let mut pushed = Pushed::default();
        loop {
            if self.after_cr {
                match **input {
                    [] => break,
                    [b'\n', ref rest @ ..] => *input = rest,
                    _ => {}
                }
                self.after_cr = false;
            }
            let Some(end) = line_end(input) else { break };
            let line = self.take_line(input, end)?;
            let found = if self.line.is_empty() {
                if line.is_empty() { self.blank(&mut pushed) } else { self.line(line, &mut pushed)? }
            } else {
                self.line.extend_from_slice(line);
                self.held_line(&mut pushed)?
            };
            if found.is_some() {
                self.block.keep(pushed);
                return Ok(found);
            }
        }
        self.block.keep(pushed);
        self.hold(input)?;
        Ok(None)
    }

    /// Takes the line up to `end` and what ends it.
    #[inline]
    fn take_line<'c>(&mut self, input: &mut &'c [u8], end: usize) -> Result<&'c [u8], DecodeError> {
        let (line, rest) = input.split_at(end);
        self.check_line(line)?;
        *input = match rest {
            [b'\r'] => {
                self.after_cr = true;
                &[]
            }
            [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
            [] => rest,
        };
        if self.begun || !self.line.is_empty() {
            return Ok(line);
        }
        self.begun = true;
        Ok(line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line))
    }

    /// Keeps the beginning of a line whose end has not come.
    fn hold(&mut self, input: &mut &[u8]) -> Result<(), DecodeError> {
        self.check_line(input)?;
        self.line.extend_from_slice(input);
        *input = &[];
        Ok(())
    }

    /// Whether what is held of the line and `more` of it are within the limit.
    #[inline]
    fn check_line(&self, more: &[u8]) -> Result<(), DecodeError> {
        let limit = self.limits.line_bytes;
        // What is held never passes the limit: this cannot wrap.
        if more.len() > limit - self.line.len() { Err(DecodeError::LineTooLong { limit }) } else { Ok(()) }
    }

    /// A line that lies in the pushed bytes.
    #[inline]
    fn line<'c>(
        &mut self,
        line: &'c [u8],
        pushed: &mut Pushed<'c>,
    ) -> Result<Option<Found<'c>>, DecodeError> {
        match Field::of(line) {
            Field::Data(value) => self.block.push_data(value, pushed, self.limits.event_bytes)?,
            Field::Event(value) => pushed.name = Some(value),
            Field::Id(value) => self.block.set_id(value),
            Field::Retry(value) => return Ok(milliseconds(value).map(Found::ReconnectionTime)),
            Field::Comment(text) => return Ok(Some(Found::Comment(text))),
            Field::Unknown => {}
        }
        Ok(None)
    }

    /// The held line, which is whole now.
    fn held_line<'c>(&mut self, pushed: &mut Pushed<'c>) -> Result<Option<Found<'c>>, DecodeError> {
        let mut held = mem::take(&mut self.line);
        let mut line = &held[..];
        if !self.begun {
            self.begun = true;
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        let mut found = None;
        match Field::of(line) {
            Field::Data(value) => {
                let start = held.len() - value.len();
                self.block.push_held_data(&mut held, start, pushed, self.limits.event_bytes)?;
            }
            Field::Event(value) => {
                pushed.name = None;
                self.block.set_name(value);
            }
            Field::Id(value) => self.block.set_id(value),
            Field::Retry(value) => found = milliseconds(value).map(Found::ReconnectionTime),
            Field::Comment(text) => {
                let start = held.len() - text.len();
                self.line = held;
                return Ok(Some(Found::HeldComment(start)));
            }
            // A byte-order mark alone: the line is a blank one.
            Field::Unknown if line.is_empty() => found = self.blank(pushed),
            Field::Unknown => {}
        }
        empty(&mut held);
        self.line = held;
        Ok(found)
    }

    /// The blank line that ends a block.
    #[inline]
    fn blank<'c>(&mut self, pushed: &mut Pushed<'c>) -> Option<Found<'c>> {
        let has_id = self.block.commit_id(&mut self.last_event_id);
        let pushed = mem::take(pushed);
        if self.block.has_data() || pushed.data.is_some() {
            return Some(Found::Event(pushed));
        }
        self.block.end();
        has_id.then_some(Found::LastEventId)
    }

    /// Makes an item of what was found.
    #[inline]
    fn lend<'d, 'c: 'd>(&'d mut self, found: Found<'c>) -> Item<'d> {
        match found {
            Found::Event(pushed) => {
                self.lent = Lent::Block;
                if let Some(name) = pushed.name {
                    self.block.set_name(name);
                }
                let data = pushed.data.unwrap_or(self.block.data());
                Item::Event(Received {
                    name: if self.block.name().is_empty() { MESSAGE } else { self.block.name() },
                    data: text(data, &mut self.repaired),
                    last_event_id: &self.last_event_id,
                })
            }
            Found::LastEventId => Item::LastEventId(&self.last_event_id),
            Found::ReconnectionTime(ms) => Item::ReconnectionTime(Duration::from_millis(ms)),
            Found::Comment(comment) => Item::Comment(text(comment, &mut self.repaired)),
            Found::HeldComment(start) => {
                self.lent = Lent::Line;
                Item::Comment(text(&self.line[start..], &mut self.repaired))
            }
        }
    }
}

/// Where the first line of `bytes` ends.
#[inline]
fn line_end(bytes: &[u8]) -> Option<usize> {
    match bytes {
        // Every other line of a stream of small events is blank; it is not worth a search.
        [b'\n' | b'\r', ..] => Some(0),
        _ => memchr2(b'\n', b'\r', bytes),
    }
}

/// `bytes` as text, where they lie if they are UTF-8, else repaired.
#[inline]
fn text<'a>(bytes: &'a [u8], repaired: &'a mut String) -> &'a str {
    str::from_utf8(bytes).unwrap_or_else(|_| {
        repaired.clear();
        push_text(repaired, bytes);
        repaired
    })
}
