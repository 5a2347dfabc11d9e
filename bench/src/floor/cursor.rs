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
struct Log {
    base: u64,
    bytes: Vec<u8>,
}

/// Going round all subscribers.
struct Round {
    /// The slot to look at next.
    place: usize,
    /// Slots to look at until nobody can have anything pending.
    left: usize,
}

/// Serves until the process is ended, taking in publications after `writes_per_poll` writes.
pub(crate) fn serve(listen: SocketAddr, writes_per_poll: usize) -> anyhow::Result<()> {
    let mut door = Door::open(listen)?;
    let mut log = Log { base: 0, bytes: Vec::new() };
    let mut round = Round { place: 0, left: 0 };
    let mut gone = Vec::new();
    loop {
        let timeout = if round.left == 0 { None } else { Some(Duration::ZERO) };
        let before = log.end();
        door.take_in(timeout, |frame| log.bytes.extend_from_slice(frame))?;
        let slots = door.connections.capacity();
        if log.end() > before || std::mem::take(&mut door.drained) {
            round.left = slots;
        }
        let mut writes = 0;
        while round.left > 0 && writes < writes_per_poll {
            round.left -= 1;
            round.place = if round.place + 1 >= slots { 0 } else { round.place + 1 };
            let Some(Connection::Subscribed(subscriber)) = door.connections.get_mut(round.place) else {
                continue;
            };
            let pending = log.after(subscriber.cursor);
            if pending.is_empty() {
                continue;
            }
            if subscriber.full {
                if pending.len() as u64 > BEHIND_MAX {
                    gone.push(round.place);
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
                Err(_) => gone.push(round.place),
            }
        }
        for key in gone.drain(..) {
            door.close(key);
        }
        if round.left == 0 && log.bytes.len() > FORGET_BYTES {
            let cursors = door.connections.iter().filter_map(|(_, connection)| match connection {
                Connection::Subscribed(subscriber) => Some(subscriber.cursor),
                Connection::Talking(_) => None,
            });
            let oldest = cursors.min().unwrap_or(log.end());
            log.forget_before(oldest);
        }
    }
}

impl Log {
    fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    fn after(&self, cursor: u64) -> &[u8] {
        let offset = usize::try_from(cursor - self.base).unwrap_or(usize::MAX);
        self.bytes.get(offset..).unwrap_or_default()
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
