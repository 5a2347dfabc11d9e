//! What a fan-out counts; others publish it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Poll, Waker};

use crate::sync::{Mutex, lock};

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ended {
    /// The client closed it, half or whole, or it broke.
    ByClient,
    /// The hub was closed, or could not read its log.
    ByHub,
    /// It was drained.
    Drained,
    /// Its time was over, or was ended by [`Fanout::end`](crate::Fanout::end).
    Expired,
    /// The client took no bytes for the write timeout.
    WriteTimeout,
    /// The log left it behind in the middle of an event.
    LeftBehind,
    /// The client sent more than it may.
    TooMuchInput,
    /// It was cut by [`Fanout::cut_all`](crate::Fanout::cut_all), or the fan-out was dropped.
    Cut,
}

impl Ended {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::ByClient,
        Self::ByHub,
        Self::Drained,
        Self::Expired,
        Self::WriteTimeout,
        Self::LeftBehind,
        Self::TooMuchInput,
        Self::Cut,
    ];

    /// Its name, for labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ByClient => "client",
            Self::ByHub => "hub",
            Self::Drained => "drained",
            Self::Expired => "expired",
            Self::WriteTimeout => "write_timeout",
            Self::LeftBehind => "left_behind",
            Self::TooMuchInput => "too_much_input",
            Self::Cut => "cut",
        }
    }
}

/// A snapshot of what a fan-out has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Connections now.
    pub connections: u64,
    /// Connections now whose socket takes no more bytes while some wait.
    pub full: u64,
    /// Bytes now that were collected for clients that read what has left the hub's memory, and wait to be taken.
    pub collected_bytes: u64,
    /// Connections adopted so far.
    pub adopted: u64,
    /// Writes that the kernel was asked for so far.
    pub writes: u64,
    ended: [u64; 8],
}

impl Counts {
    /// How many connections have ended so.
    #[must_use]
    pub fn ended(&self, how: Ended) -> u64 {
        self.ended[how as usize]
    }
}

/// The counters, written by the workers.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    connections: AtomicUsize,
    pub(crate) full: AtomicUsize,
    pub(crate) collected_bytes: AtomicUsize,
    adopted: AtomicU64,
    pub(crate) writes: AtomicU64,
    ended: [AtomicU64; 8],
    waiting: Mutex<Vec<Waker>>,
}

impl Totals {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn adopt(&self) {
        self.adopted.fetch_add(1, Relaxed);
        self.connections.fetch_add(1, Relaxed);
    }

    pub(crate) fn ended(&self, how: Ended) {
        self.ended[how as usize].fetch_add(1, Relaxed);
    }

    /// One connection less.
    pub(crate) fn leave(&self) {
        // The list's lock orders this with who finds a connection left and waits.
        let waiting = {
            let mut waiting = lock(&self.waiting);
            let last = self.connections.fetch_sub(1, Relaxed) == 1;
            if last { std::mem::take(&mut *waiting) } else { Vec::new() }
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Ready when there are no connections.
    pub(crate) fn poll_emptied(&self, waker: &Waker) -> Poll<()> {
        let mut waiting = lock(&self.waiting);
        if self.connections.load(Relaxed) == 0 {
            return Poll::Ready(());
        }
        if !waiting.iter().any(|each| each.will_wake(waker)) {
            waiting.push(waker.clone());
        }
        Poll::Pending
    }

    pub(crate) fn snapshot(&self) -> Counts {
        Counts {
            connections: self.connections.load(Relaxed) as u64,
            full: self.full.load(Relaxed) as u64,
            collected_bytes: self.collected_bytes.load(Relaxed) as u64,
            adopted: self.adopted.load(Relaxed),
            writes: self.writes.load(Relaxed),
            ended: std::array::from_fn(|at| self.ended[at].load(Relaxed)),
        }
    }
}
