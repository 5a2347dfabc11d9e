//! How much a decoder holds, and what it says when that is too little.
//!
//! A limit is never a reason to cut an event short: what is too long ends the stream.

use core::fmt;

/// How long a line and an event may be, so that a stream cannot make its reader hold more.
///
/// ```
/// use fanfare_wire::{Decoder, Limits};
///
/// let decoder = Decoder::with_limits(Limits::default().line_bytes_max(64 * 1024).event_bytes_max(256 * 1024));
/// # let _ = decoder;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub(crate) line_bytes: usize,
    pub(crate) event_bytes: usize,
}

impl Limits {
    /// The longest line, in bytes without its end. 16 MiB by default.
    ///
    /// More lets longer lines pass, which are held where a push broke them off; it bounds comments, names and ids too.
    #[must_use]
    pub const fn line_bytes_max(mut self, bytes: usize) -> Self {
        self.line_bytes = bytes;
        self
    }

    /// The longest data of one event, in bytes with an LF between two lines. 16 MiB by default.
    ///
    /// More lets larger events pass, which are held until the blank line that ends them.
    #[must_use]
    pub const fn event_bytes_max(mut self, bytes: usize) -> Self {
        self.event_bytes = bytes;
        self
    }
}

impl Default for Limits {
    /// 16 MiB each: above what servers are known to send in one event, images in base64 included.
    fn default() -> Self {
        Self { line_bytes: 16 << 20, event_bytes: 16 << 20 }
    }
}

/// Why a stream cannot be decoded further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// A line is longer than [`Limits::line_bytes_max`].
    LineTooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The data of an event is longer than [`Limits::event_bytes_max`].
    EventTooLong {
        /// The limit, in bytes.
        limit: usize,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LineTooLong { limit } => {
                write!(f, "a line of the event stream has more than {limit} bytes")
            }
            Self::EventTooLong { limit } => {
                write!(f, "the data of an event of the stream has more than {limit} bytes")
            }
        }
    }
}

impl core::error::Error for DecodeError {}
