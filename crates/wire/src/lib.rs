//! The `text/event-stream` format: events to bytes, and bytes to events.
//!
//! An [`Event`] is encoded once into a [`Frame`], which is complete, shared and cheap to clone; nothing
//! that a caller puts into an event can end its line or forge a second event. A [`Decoder`] is pushed bytes
//! in any cut and reads them as a browser does. This crate opens no socket, reads no clock and knows no HTTP.
//! The rules come from [WHATWG HTML § 9.2][spec].
//!
//! Without the default feature `std` the crate needs `alloc` alone, and has no `jitter`. Feature `json` adds `Event::json`; `gzip` and `zstd`
//! add the [`Coding`]s of these names; `zstd` also the one with a `Dictionary`.
//!
//! [spec]: https://html.spec.whatwg.org/multipage/server-sent-events.html

#![no_std]

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

mod block;
mod coding;
mod decoder;
#[cfg(feature = "zstd")]
mod dictionary;
mod draft;
mod event;
mod field;
mod frame;
mod item;
#[cfg(feature = "std")]
pub mod jitter;
mod limits;
mod lines;
mod name;
mod sum;

pub use coding::{COMPRESSED_FROM_BYTES, Coded, CodedForms, Coding};
pub use decoder::Decoder;
#[cfg(feature = "zstd")]
pub use dictionary::{Dictionary, DictionaryError};
pub use draft::Draft;
pub use event::Event;
pub use frame::Frame;
pub use item::{Item, Received};
pub use limits::{DecodeError, Limits};
pub use name::{EventId, EventName, NameError};
pub use sum::{Shift, Sum};
