//! [`Capacity`]: how much waits for a client.
//!
//! It counts nothing itself.

use tokio::sync::Semaphore;

/// How much may wait for a client: so many events, and so many bytes of them.
///
/// A number is a capacity of that many events, within 1 MiB.
///
/// ```
/// use fanfare_stream::{Capacity, channel};
///
/// let (_sender, _sse) = channel(16);
/// let (_sender, _sse) = channel(Capacity::events(1_000).bytes(64 * 1024));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

impl Capacity {
    /// At most `events`, at least one, within 1 MiB.
    ///
    /// More spare whoever sends a wait for a client that is slow for a moment; fewer end sooner what a client that is gone will never read.
    #[must_use]
    pub const fn events(events: usize) -> Self {
        Self { events: within_bounds(events), bytes: 1 << 20 }
    }

    /// At most `bytes` of encoded events, passed by less than one event: an event has room as long as there is any.
    #[must_use]
    pub const fn bytes(self, bytes: usize) -> Self {
        Self { bytes: within_bounds(bytes), ..self }
    }
}

impl From<usize> for Capacity {
    fn from(events: usize) -> Self {
        Self::events(events)
    }
}

const fn within_bounds(number: usize) -> usize {
    let most =
        if Semaphore::MAX_PERMITS < u32::MAX as usize { Semaphore::MAX_PERMITS } else { u32::MAX as usize };
    if number == 0 {
        1
    } else if number > most {
        most
    } else {
        number
    }
}
