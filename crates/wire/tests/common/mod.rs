//! What the tests of this folder share: a stream decoded into values that own what they hold.

#![allow(dead_code, reason = "each test file uses its part")]

use std::time::Duration;

use fanfare_wire::{DecodeError, Decoder, Item};

/// An [`Item`] that owns what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owned {
    Event { name: String, data: String, last_event_id: String },
    LastEventId(String),
    ReconnectionTime(Duration),
    Comment(String),
}

impl From<Item<'_>> for Owned {
    fn from(item: Item<'_>) -> Self {
        match item {
            Item::Event(event) => Self::Event {
                name: event.name.into(),
                data: event.data.into(),
                last_event_id: event.last_event_id.into(),
            },
            Item::LastEventId(id) => Self::LastEventId(id.into()),
            Item::ReconnectionTime(time) => Self::ReconnectionTime(time),
            Item::Comment(text) => Self::Comment(text.into()),
            other => panic!("a new kind of item: {other:?}"),
        }
    }
}

pub(crate) fn event(name: &str, data: &str, last_event_id: &str) -> Owned {
    Owned::Event { name: name.into(), data: data.into(), last_event_id: last_event_id.into() }
}

/// All that `decoder` says about `pieces`, up to the first error.
pub(crate) fn pull<'a>(
    decoder: &mut Decoder,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Owned>, Result<(), DecodeError>) {
    let mut items = Vec::new();
    for mut piece in pieces {
        loop {
            match decoder.next(&mut piece) {
                Ok(Some(item)) => items.push(item.into()),
                Ok(None) => break,
                Err(error) => return (items, Err(error)),
            }
        }
        assert!(piece.is_empty(), "no item and no error means that all was taken");
    }
    (items, Ok(()))
}

/// What a fresh decoder says about `pieces`, which stay within its limits.
pub(crate) fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Owned> {
    let (items, result) = pull(&mut Decoder::new(), pieces);
    result.expect("the stream is within the limits");
    items
}
