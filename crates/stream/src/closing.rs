//! The event with which an application tells its clients that a stream is over.
//!
//! An end alone does not say so: a browser reconnects after it. The page listens for `close` and calls
//! `EventSource.close()`.

use std::borrow::Cow;

use fanfare_wire::{Event, EventName, Frame};

pub(crate) const CLOSING: &str = "Closing the connection";

pub(crate) fn close_frame(data: impl Into<Cow<'static, str>>) -> Frame {
    Event::new(data).event(EventName::from_static("close")).to_frame()
}
