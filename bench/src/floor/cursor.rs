//! The floor of coalescing: one contiguous log of frames, a cursor for each subscriber, and one `send(2)` of all that
//! is pending for it; publications are taken in every few hundred writes, in one thread.
//!
//! It keeps only what some subscriber still needs, and drops one that needs too much.

use super::door::{Connection, Door};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

/// A subscriber that is this far behind is dropped, in bytes.
const BEHIND_MAX: u64 = 64 * 1024 * 1024;
/// What everybody has is forgotten when there is this much of it, in bytes.
const FORGET_BYTES: usize = 4 * 1024 * 1024;

/// The frames that somebody may still need.
///
/// INVARIANT: every cursor lies between `base` and `end()`.
#[derive(Default)]
pub(super) struct Log {
    base: u64,
    bytes: Vec<u8>,
}

/// Going round all subscribers.
#[derive(Default)]
pub(super) struct Round {
    /// The slot that was looked at last.
    place: usize,
    /// Slots to look at until nobody can have anything pending.
    pub(super) left: usize,
}

/// Serves until the process is ended, taking in publications after `writes_per_poll` writes.
pub(crate) fn serve(listen: SocketAddr, writes_per_poll: usize) -> anyhow::Result<()> {
    let mut door = Door::open(listen)?;
    let mut log = Log::default();
    let mut round = Round::default();
    let mut gone = Vec::new();
    loop {
        let timeout = if round.left == 0 { None } else { Some(Duration::ZERO) };
        let before = log.end();
        door.take_in(timeout, |frame| log.push(frame))?;
        let slots = door.connections.capacity();
        if log.end() > before || std::mem::take(&mut door.drained) {
            round.left = slots;
        }
        let mut writes = 0;
        while round.left > 0 && writes < writes_per_poll {
            let key = round.next(slots);
            let Some(Connection::Subscribed(subscriber)) = door.connections.get_mut(key) else { continue };
            let pending = log.after(subscriber.cursor);
            if pending.is_empty() {
                continue;
            }
            if subscriber.full {
                if Log::is_too_much(pending) {
                    gone.push(key);
                }
                continue;
            }
            writes += 1;
            match subscriber.stream.write(pending) {
                Ok(sent) => {
                    subscriber.full = sent < pending.len();
                    subscriber.cursor += sent as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => subscriber.full = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => round.left += 1,
                Err(_) => gone.push(key),
            }
        }
        for key in gone.drain(..) {
            door.close(key);
        }
        if round.left == 0 {
            log.forget_what_all_have(&door);
        }
    }
}

impl Round {
    /// The next slot of `slots` to look at; one less is left.
    pub(super) fn next(&mut self, slots: usize) -> usize {
        self.left -= 1;
        self.place = if self.place + 1 >= slots { 0 } else { self.place + 1 };
        self.place
    }
}

impl Log {
    pub(super) fn push(&mut self, frame: &[u8]) {
        self.bytes.extend_from_slice(frame);
    }

    pub(super) fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    pub(super) fn after(&self, cursor: u64) -> &[u8] {
        let offset = usize::try_from(cursor - self.base).unwrap_or(usize::MAX);
        self.bytes.get(offset..).unwrap_or_default()
    }

    /// Whether a subscriber with so much pending is dropped.
    pub(super) fn is_too_much(pending: &[u8]) -> bool {
        pending.len() as u64 > BEHIND_MAX
    }

    /// Forgets what everybody has, once there is enough of it.
    pub(super) fn forget_what_all_have(&mut self, door: &Door) {
        if self.bytes.len() <= FORGET_BYTES {
            return;
        }
        let cursors = door.connections.iter().filter_map(|(_, connection)| match connection {
            Connection::Subscribed(subscriber) => Some(subscriber.cursor),
            Connection::Talking(_) => None,
        });
        let oldest = cursors.min().unwrap_or(self.end());
        self.forget_before(oldest);
    }

    fn forget_before(&mut self, cursor: u64) {
        let bytes = usize::try_from(cursor - self.base).unwrap_or(0).min(self.bytes.len());
        self.bytes.drain(..bytes);
        self.base += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgetting_changes_nothing_for_those_who_are_further() {
        let mut log = Log { base: 0, bytes: b"abcdef".to_vec() };
        assert_eq!(log.after(2), b"cdef");
        log.forget_before(2);
        assert_eq!((log.base, log.end()), (2, 6));
        assert_eq!(log.after(2), b"cdef");
        assert_eq!(log.after(6), b"");
    }
}
