//! The subscribers as a crowd: coming, leaving, stalling, and coming back with their last event ID.
//!
//! It decides nothing about when; scenarios do. Between an old connection of a place and the new one no event of the old
//! one is left over, for nothing here runs while events are worked through.

use super::phase::Publish;
use super::subscriber::{Standing, Subscriber};
use super::{CONNECT_STALL, Generator, TICK};
use crate::target::Selection;
use anyhow::bail;
use std::time::{Duration, Instant};

/// Connections that may wait for their response head at once, unless told otherwise: what a server keeps for a connection
/// before it is a stream shows in its memory for that many at most.
pub(crate) const COMING_MAX: usize = 64;

/// How subscribing went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connected {
    /// From the first connection attempt to the last response head.
    pub(crate) took: Duration,
}

/// How a subscriber comes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manner {
    /// A publication is outstanding until this one has it, and its latency counts.
    pub(crate) steady: bool,
    /// It keeps its last event ID.
    pub(crate) keeps_ids: bool,
    /// It does not read, and the kernel takes this many bytes for it.
    pub(crate) stalled: Option<usize>,
}

impl Manner {
    /// Whom figures are taken of.
    pub(crate) const STEADY: Self = Self { steady: true, keeps_ids: false, stalled: None };
}

impl Generator {
    /// Subscribes `count` more, each waiting for its response head.
    pub(crate) fn subscribe(&mut self, count: usize, manner: Manner) -> anyhow::Result<Connected> {
        let begun = Instant::now();
        let mut progress = (begun, self.subscribed);
        let wanted = self.subscribed as usize + count;
        let mut left = count;
        while (self.subscribed as usize) < wanted {
            while left > 0 && self.coming < COMING_MAX {
                left -= 1;
                self.come(manner)?;
            }
            self.turn(TICK)?;
            if self.subscribed > progress.1 {
                progress = (Instant::now(), self.subscribed);
            } else if progress.0.elapsed() > CONNECT_STALL {
                bail!("{} of {wanted} subscribers are connected and no more come", self.subscribed);
            }
        }
        Ok(Connected { took: begun.elapsed() })
    }

    /// One more begins to come. Returns its place.
    pub(crate) fn come(&mut self, manner: Manner) -> anyhow::Result<usize> {
        let index = self.book.checker.join();
        let subscriber = self.connect_subscriber(index, manner, None)?;
        self.subscribers.push(subscriber);
        self.book.steady.push(manner.steady);
        Ok(index)
    }

    /// Somebody without a past begins to come to the place of one who has [left](Self::leave).
    pub(crate) fn come_again(&mut self, index: usize, manner: Manner) -> anyhow::Result<()> {
        self.book.checker.join_again(index);
        self.subscribers[index] = self.connect_subscriber(index, manner, None)?;
        self.book.steady[index] = manner.steady;
        Ok(())
    }

    /// One whose connection is cut begins to come back with its last event ID, and is owed what it has missed.
    pub(crate) fn come_back(&mut self, index: usize) -> anyhow::Result<()> {
        self.come_back_with(index, None)
    }

    /// The same, and the kernel takes so many bytes for it, if not the usual.
    pub(crate) fn come_back_with(
        &mut self,
        index: usize,
        receive_bytes: Option<usize>,
    ) -> anyhow::Result<()> {
        let last = self.subscribers[index].last_event_id().map(<[u8]>::to_vec);
        let manner = Manner { keeps_ids: true, stalled: receive_bytes, ..Manner::default() };
        self.subscribers[index] = self.connect_subscriber(index, manner, last)?;
        self.subscribers[index].stalls = false;
        Ok(())
    }

    /// It stops reading.
    pub(crate) fn stall(&mut self, index: usize) {
        self.subscribers[index].stalls = true;
    }

    /// Of `places`, as many begin to come back as may come at once. Enough when all are back.
    pub(crate) fn come_back_some(&mut self, places: &[usize], coming_max: usize) -> anyhow::Result<Publish> {
        let mut missing = 0;
        for &place in places {
            match self.subscribers[place].standing() {
                Standing::Subscribed => {}
                Standing::Coming => missing += 1,
                Standing::Ended => {
                    missing += 1;
                    if self.coming >= coming_max {
                        break;
                    }
                    self.come_back(place)?;
                }
            }
        }
        Ok(if missing == 0 { Publish::Enough } else { Publish::GoOn })
    }

    /// The hub has lost its log: this subscriber is owed nothing from before.
    pub(crate) fn forget(&mut self, index: usize) {
        self.book.checker.leave(index);
        self.book.checker.join_again(index);
    }

    /// Reads until everybody has everything; false if that takes longer than `limit`.
    pub(crate) fn catch_up(&mut self, limit: Duration) -> anyhow::Result<bool> {
        let begun = Instant::now();
        while self.book.checker.faults().lost > 0 {
            if begun.elapsed() > limit {
                return Ok(false);
            }
            self.listen(Duration::from_millis(20))?;
        }
        Ok(true)
    }

    /// What those who come from now on ask for.
    pub(crate) fn select(&mut self, selection: Selection) {
        self.target.select(selection);
    }

    /// Subscribes `count` more who are owed nothing, for nothing they ask for is published.
    pub(crate) fn subscribe_bystanders(&mut self, count: usize) -> anyhow::Result<()> {
        let first = self.subscribers.len();
        self.subscribe(count, Manner::default())?;
        for index in first..self.subscribers.len() {
            self.book.checker.leave(index);
        }
        Ok(())
    }

    /// Waits until nobody is coming any more.
    pub(crate) fn settle_coming(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.coming > 0 {
            if begun.elapsed() > CONNECT_STALL {
                bail!("{} subscribers are connecting and get no response head", self.coming);
            }
            self.turn(TICK)?;
        }
        Ok(())
    }

    fn connect_subscriber(
        &mut self,
        index: usize,
        manner: Manner,
        last: Option<Vec<u8>>,
    ) -> anyhow::Result<Subscriber> {
        let request = self.target.subscribe_request(index, last.as_deref());
        let address = self.target.address;
        let mut subscriber =
            Subscriber::connect(address, index, self.poll.registry(), request, manner.stalled)?;
        if manner.keeps_ids {
            subscriber.keep_ids(last.unwrap_or_default());
        }
        // Until its head has arrived it reads.
        subscriber.stalls = manner.stalled.is_some();
        subscriber.may_end = manner.keeps_ids;
        self.coming += 1;
        Ok(subscriber)
    }

    /// The subscriber closes its connection and is owed nothing any more.
    pub(crate) fn leave(&mut self, index: usize) {
        self.cut(index);
        self.book.checker.leave(index);
    }

    /// The subscriber's connection is closed on this side; it is owed everything still.
    pub(crate) fn cut(&mut self, index: usize) {
        let before = self.subscribers[index].standing();
        self.subscribers[index].close();
        self.stood(index, before);
        self.book.steady[index] = false;
    }

    /// Where the subscriber's connection stands.
    pub(crate) fn standing(&self, index: usize) -> Standing {
        self.subscribers[index].standing()
    }

    /// A stalled one reads again, to the end if its stream has ended. Returns whether it has.
    pub(crate) fn wake(&mut self, index: usize) -> anyhow::Result<bool> {
        let before = self.subscribers[index].standing();
        let now_ns = super::nanoseconds(self.origin.elapsed());
        let (book, subscriber) = (&mut self.book, &mut self.subscribers[index]);
        subscriber.stalls = false;
        let reads = subscriber.read(true, &mut self.buffer, &self.payloads, |received| {
            book.receive(index, received, now_ns);
        })?;
        book.reads += reads;
        self.stood(index, before);
        Ok(self.subscribers[index].standing() == Standing::Ended)
    }

    /// How many there have been, gone ones included.
    pub(crate) fn places(&self) -> usize {
        self.subscribers.len()
    }

    /// How many have their response head and have not ended.
    pub(crate) fn subscribed(&self) -> usize {
        self.subscribed as usize
    }
}
