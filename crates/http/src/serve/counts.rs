//! What the serve loop counts; others publish it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use fanfare_fanout::{Ended, Fanout};

/// Running totals of a serve loop, and of the fan-out that it hands streams to. Clones count together.
#[derive(Clone, Default)]
pub struct ServeCounts(Arc<Totals>);

#[derive(Default)]
struct Totals {
    opened: AtomicU64,
    closed: AtomicU64,
    cut: AtomicU64,
    accept_failures: AtomicU64,
    handshake_failures: AtomicU64,
    refused: AtomicU64,
    refused_full: AtomicU64,
    fanout: OnceLock<Fanout>,
}

impl ServeCounts {
    /// How many connections are open, whoever has them.
    #[must_use]
    pub fn connections_open(&self) -> u64 {
        // Read in this order, a connection that is handed over in between may count twice and is never left out.
        self.connections_on_http() + self.0.fanout.get().map_or(0, |fanout| fanout.counts().connections)
    }

    /// How many of the open connections are in the HTTP library's hands, not in the fan-out's.
    #[must_use]
    pub fn connections_on_http(&self) -> u64 {
        // Read in this order, a connection that comes and goes in between cannot make the difference negative.
        let closed = self.0.closed.load(Ordering::Acquire);
        self.0.opened.load(Ordering::Acquire).saturating_sub(closed)
    }

    /// The fan-out that the streams are handed to, once the loop runs.
    #[must_use]
    pub fn fanout(&self) -> Option<&Fanout> {
        self.0.fanout.get()
    }

    /// How many connections were accepted so far.
    #[must_use]
    pub fn connections_opened(&self) -> u64 {
        self.0.opened.load(Ordering::Relaxed)
    }

    /// How many connections were cut because their client took no bytes for the write timeout.
    #[must_use]
    pub fn connections_cut(&self) -> u64 {
        let handed_over = self.0.fanout.get().map_or(0, |fanout| fanout.counts().ended(Ended::WriteTimeout));
        self.0.cut.load(Ordering::Relaxed) + handed_over
    }

    /// How often accepting failed for a reason that is ours, such as too few file descriptors.
    #[must_use]
    pub fn accept_failures(&self) -> u64 {
        self.0.accept_failures.load(Ordering::Relaxed)
    }

    /// How many connections ended before their first request because nothing came of the handshake of TLS, or of the header
    /// of the PROXY protocol.
    #[must_use]
    pub fn handshake_failures(&self) -> u64 {
        self.0.handshake_failures.load(Ordering::Relaxed)
    }

    /// How many requests, or connections without one, were refused because their client had as many as it may.
    #[must_use]
    pub fn refused_per_client(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// How many requests, or connections without one, were refused because there were as many connections as there may be in all.
    #[must_use]
    pub fn refused_full(&self) -> u64 {
        self.0.refused_full.load(Ordering::Relaxed)
    }

    pub(crate) fn open(&self) -> OpenConnection {
        self.0.opened.fetch_add(1, Ordering::AcqRel);
        OpenConnection(self.clone())
    }

    /// Only the first one counts.
    pub(crate) fn hand_over_to(&self, fanout: &Fanout) {
        let _ = self.0.fanout.set(fanout.clone());
    }

    pub(crate) fn cut(&self) {
        self.0.cut.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn handshake_failed(&self) {
        self.0.handshake_failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused_as_full(&self) {
        self.0.refused_full.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn accept_failed(&self) {
        self.0.accept_failures.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for ServeCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeCounts")
            .field("connections_open", &self.connections_open())
            .field("connections_cut", &self.connections_cut())
            .field("accept_failures", &self.accept_failures())
            .finish_non_exhaustive()
    }
}

/// Counts a connection as open until it is dropped, however it ends.
pub(crate) struct OpenConnection(ServeCounts);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.0.closed.fetch_add(1, Ordering::AcqRel);
    }
}
