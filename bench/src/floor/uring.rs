//! The cursor floor over `io_uring`: fixed files, up to 256 sends of all that is pending in one call of the kernel.
//!
//! The one file here with `unsafe`. It never leaves a send in flight while the log moves: every completion of a batch
//! is reaped before anything else happens. Source: `io_uring_enter(2)`, `io_uring_register(2)`.

#![allow(unsafe_code)]

use super::cursor::{Log, Round};
use super::door::{Connection, Door};
use anyhow::Context;
use io_uring::{IoUring, opcode, types};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

/// Sends in one call.
const BATCH: u32 = 256;
/// Slots for sockets that the ring knows, at most; no process has more than its limit on descriptors.
const FILES_MAX: u64 = 32_768;

/// Why this kernel refuses a ring, or `None` if it grants one.
pub(crate) fn refusal() -> Option<String> {
    Ring::new().err().map(|error| format!("this kernel grants no io_uring: {error:#}"))
}

/// Serves until the process is ended.
pub(crate) fn serve(listen: SocketAddr) -> anyhow::Result<()> {
    let mut ring = Ring::new()?;
    let mut door = Door::open(listen)?;
    let mut log = Log::default();
    let mut round = Round::default();
    let mut gone = Vec::new();
    loop {
        let timeout = if round.left == 0 { None } else { Some(Duration::ZERO) };
        let before = log.end();
        door.take_in(timeout, |frame| log.push(frame))?;
        ring.forget(&mut door)?;
        let slots = door.connections.capacity();
        if log.end() > before || std::mem::take(&mut door.drained) {
            round.left = slots;
        }
        let mut batch = ring.batch();
        while round.left > 0 && batch.has_room() {
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
            if !subscriber.in_ring {
                batch.learn(key, subscriber.stream.as_raw_fd())?;
                subscriber.in_ring = true;
            }
            batch.send(key, pending)?;
        }
        batch.finish(|key, result| {
            let Some(Connection::Subscribed(subscriber)) = door.connections.get_mut(key) else { return };
            match result {
                Ok(sent) => {
                    subscriber.full = (sent as usize) < log.after(subscriber.cursor).len();
                    subscriber.cursor += u64::from(sent);
                }
                Err(Errno::EAGAIN) => subscriber.full = true,
                // Looked at again in the next round.
                Err(Errno::EINTR) => door.drained = true,
                Err(_) => gone.push(key),
            }
        });
        for key in gone.drain(..) {
            door.close(key);
        }
        ring.forget(&mut door)?;
        if round.left == 0 {
            log.forget_what_all_have(&door);
        }
    }
}

/// A ring that knows sockets by the slot of their connection.
struct Ring {
    ring: IoUring,
}

/// Sends that the kernel may read from until [`finish`](Self::finish) has returned.
///
/// INVARIANT: what was pushed points into bytes borrowed for `'bytes`, which outlives this; and this neither ends nor is
/// forgotten with a send in flight, for both `finish` and `drop` reap `queued` completions, or end the process, and nothing in
/// this file, which alone can name it, calls `mem::forget`.
struct Batch<'ring, 'bytes> {
    ring: &'ring mut IoUring,
    queued: u32,
    bytes: std::marker::PhantomData<&'bytes [u8]>,
}

impl Ring {
    fn new() -> anyhow::Result<Self> {
        // Completions are run when we ask for them, by the one thread that submits: Linux 6.1. Older: without.
        let ring = IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(BATCH);
        let ring = ring.or_else(|_| IoUring::new(BATCH)).context("io_uring_setup fails")?;
        let (descriptors, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
        let files = u32::try_from(descriptors.min(FILES_MAX))?;
        ring.submitter().register_files_sparse(files).context("fixed files cannot be registered")?;
        Ok(Self { ring })
    }

    /// Lets go of the sockets that the door has closed: the ring's own reference would keep them open.
    fn forget(&mut self, door: &mut Door) -> anyhow::Result<()> {
        for key in door.closed.drain(..) {
            update(&self.ring, key, -1)?;
        }
        Ok(())
    }

    fn batch<'bytes>(&mut self) -> Batch<'_, 'bytes> {
        Batch { ring: &mut self.ring, queued: 0, bytes: std::marker::PhantomData }
    }
}

fn update(ring: &IoUring, key: usize, socket: RawFd) -> anyhow::Result<()> {
    let slot = u32::try_from(key).context("more connections than the ring has slots")?;
    ring.submitter().register_files_update(slot, &[socket]).context("a socket cannot be registered")?;
    Ok(())
}

impl<'bytes> Batch<'_, 'bytes> {
    fn has_room(&self) -> bool {
        self.queued < BATCH
    }

    /// Tells the ring which socket stands in slot `key`.
    fn learn(&mut self, key: usize, socket: RawFd) -> anyhow::Result<()> {
        update(self.ring, key, socket)
    }

    /// Queues a send of `bytes` to the socket in slot `key`.
    fn send(&mut self, key: usize, bytes: &'bytes [u8]) -> anyhow::Result<()> {
        let slot = u32::try_from(key)?;
        // Longer ones go in parts, as a short write would.
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let entry = opcode::Send::new(types::Fixed(slot), bytes.as_ptr(), length)
            .flags(nix::libc::MSG_DONTWAIT | nix::libc::MSG_NOSIGNAL)
            .build()
            .user_data(u64::from(slot));
        // SAFETY: the entry is used by the kernel until its completion is reaped. It points to `bytes`, which live and
        // do not move for 'bytes, and by the invariant of `Batch` the completion is reaped while `self` still lives,
        // within 'bytes. The slot is a number, not a pointer; a wrong one fails with EBADF.
        unsafe { self.ring.submission().push(&entry) }.context("the ring is full")?;
        self.queued += 1;
        Ok(())
    }

    /// Submits everything and hands each result to `on_result`; when it returns nothing is in flight.
    fn finish(mut self, on_result: impl FnMut(usize, Result<u32, Errno>)) {
        self.reap(on_result);
    }

    fn reap(&mut self, mut on_result: impl FnMut(usize, Result<u32, Errno>)) {
        while self.queued > 0 {
            match self.ring.submit_and_wait(self.queued as usize) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Whether the kernel still reads from the log cannot be known: it must not be freed.
                Err(_) => std::process::abort(),
            }
            for completion in self.ring.completion() {
                self.queued -= 1;
                let key = usize::try_from(completion.user_data()).unwrap_or(usize::MAX);
                let result = completion.result();
                on_result(key, u32::try_from(result).map_err(|_| Errno::from_raw(-result)));
            }
        }
    }
}

impl Drop for Batch<'_, '_> {
    fn drop(&mut self) {
        self.reap(|_, _| {});
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    #[test]
    fn what_a_batch_sends_has_arrived_when_it_is_finished_or_dropped() {
        let Ok(mut ring) = Ring::new() else { return };
        let (left, mut right) = UnixStream::pair().unwrap();
        for finished in [true, false] {
            let bytes = b"event".to_vec();
            let mut batch = ring.batch();
            batch.learn(7, left.as_raw_fd()).unwrap();
            batch.send(7, &bytes).unwrap();
            let mut results = Vec::new();
            if finished {
                batch.finish(|key, result| results.push((key, result)));
                assert_eq!(results, [(7, Ok(5))]);
            } else {
                drop(batch);
            }
            let mut got = [0; 5];
            right.set_nonblocking(true).unwrap();
            right.read_exact(&mut got).unwrap();
            assert_eq!(&got, b"event");
        }
    }

    #[test]
    fn a_socket_that_the_ring_does_not_know_is_an_error_of_its_own() {
        let Ok(mut ring) = Ring::new() else { return };
        let mut batch = ring.batch();
        batch.send(3, b"x").unwrap();
        batch.finish(|key, result| assert_eq!((key, result), (3, Err(Errno::EBADF))));
    }
}
