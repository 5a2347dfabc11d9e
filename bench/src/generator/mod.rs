//! The load generator: many subscribers and some publishers on one epoll loop, every delivery checked.
//!
//! One thread does everything, so what it measures is in one order; it says how busy it was, because on a small
//! machine a saturated generator measures itself. It starts no server.

mod check;
mod crowd;
mod outstanding;
mod phase;
mod publisher;
mod socket;
mod subscriber;

pub(crate) use check::{Faults, Verdict};
pub(crate) use crowd::Manner;
pub(crate) use phase::{Pace, Phase, PhaseFigures, Publish};
pub(crate) use subscriber::Standing;

use crate::protocol::events::Received;
use crate::protocol::payload::{Payloads, Stamp};
use crate::stop::Stop;
use crate::target::Target;
use anyhow::bail;
use check::Checker;
use hdrhistogram::Histogram;
use mio::{Events, Poll, Token};
use outstanding::Outstanding;
use publisher::Publisher;
use std::time::{Duration, Instant};
use subscriber::Subscriber;

/// Without any progress for this long, connecting has failed.
const CONNECT_STALL: Duration = Duration::from_secs(20);
/// What one read takes at most.
const BUFFER_BYTES: usize = 256 * 1024;
/// How long the loop sleeps at most before it looks at the clock and the signals.
const TICK: Duration = Duration::from_millis(100);

/// Subscribers and publishers of one server.
pub(crate) struct Generator {
    target: Target,
    payloads: Payloads,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    stop: Stop,
    origin: Instant,
    subscribers: Vec<Subscriber>,
    /// With a response head, and not ended.
    subscribed: u32,
    /// Waiting for their response head.
    coming: usize,
    /// Kept between turns for its allocation.
    changed: Vec<(usize, Standing)>,
    publishers: Vec<Publisher>,
    /// Publishers that can take a request.
    idle: Vec<usize>,
    book: Book,
}

/// Everything that is counted.
struct Book {
    checker: Checker,
    outstanding: Outstanding,
    /// By subscriber: figures are taken of it.
    steady: Vec<bool>,
    /// Steady subscribers that are subscribed.
    steady_now: u32,
    latency: Histogram<u64>,
    /// From sending a publication to its answer.
    answering: Histogram<u64>,
    /// Subscribers by place that were told of a gap, and how often.
    gaps: Vec<u32>,
    deliveries: u64,
    reads: u64,
    answers: u64,
}

impl Book {
    /// Judges one event that came to `subscriber`.
    fn receive(&mut self, subscriber: usize, received: Received, now_ns: u64) {
        let stamp = match received {
            Received::Stamped(stamp) => stamp,
            Received::Corrupt => return self.checker.corrupt(),
            Received::Gap => return self.gap(subscriber),
            Received::Named => return self.checker.named(),
        };
        match self.checker.deliver(subscriber, stamp) {
            Verdict::InOrder | Verdict::Misordered => {
                self.deliveries += 1;
                if !self.steady[subscriber] {
                    return;
                }
                self.latency.saturating_record(now_ns.saturating_sub(stamp.sent_ns));
                self.outstanding.deliver(usize::from(stamp.publisher), stamp.sequence);
            }
            Verdict::Doubled | Verdict::Foreign => {}
        }
    }

    fn gap(&mut self, subscriber: usize) {
        if self.gaps.len() <= subscriber {
            self.gaps.resize(subscriber + 1, 0);
        }
        self.gaps[subscriber] += 1;
    }
}

impl Generator {
    /// Connects `publishers` publishers that send `data_bytes` of data; there are no subscribers yet.
    ///
    /// `subscribers_planned` is held against the limit on file descriptors, so that a run that cannot work fails at once.
    pub(crate) fn connect(
        target: &Target,
        publishers: u16,
        subscribers_planned: usize,
        data_bytes: usize,
        stop: &Stop,
    ) -> anyhow::Result<Self> {
        let publisher_count = usize::from(publishers);
        socket::make_room_for(subscribers_planned + publisher_count)?;
        let poll = Poll::new()?;
        let mut generator = Self {
            target: target.clone(),
            payloads: Payloads::new(data_bytes),
            poll,
            events: Events::with_capacity(4096),
            buffer: vec![0; BUFFER_BYTES],
            stop: stop.clone(),
            origin: Instant::now(),
            subscribers: Vec::with_capacity(subscribers_planned),
            subscribed: 0,
            coming: 0,
            changed: Vec::new(),
            publishers: Vec::with_capacity(publisher_count),
            idle: Vec::with_capacity(publisher_count),
            book: Book {
                checker: Checker::new(publisher_count),
                outstanding: Outstanding::new(publisher_count),
                steady: Vec::with_capacity(subscribers_planned),
                steady_now: 0,
                latency: Histogram::new_with_bounds(1_000, 3_600_000_000_000, 3)?,
                answering: Histogram::new_with_bounds(1_000, 3_600_000_000_000, 3)?,
                gaps: Vec::new(),
                deliveries: 0,
                reads: 0,
                answers: 0,
            },
        };
        generator.connect_publishers(publisher_count)?;
        Ok(generator)
    }

    /// What is published from now on has these sizes in turn. Nothing has been published yet.
    pub(crate) fn vary(&mut self, sizes: &[usize]) {
        self.payloads = Payloads::of_sizes(sizes);
    }

    /// Connects `count` publishers in place of those there are.
    pub(crate) fn connect_publishers(&mut self, count: usize) -> anyhow::Result<()> {
        self.publishers.clear();
        self.idle.clear();
        for index in 0..count {
            // Tokens of publishers count down from the top, those of subscribers up from 0.
            let token = Token(usize::MAX - 1 - index);
            let registry = self.poll.registry();
            self.publishers.push(Publisher::connect(self.target.address, index, token, registry)?);
        }
        let begun = Instant::now();
        while self.idle.len() < count {
            if begun.elapsed() > CONNECT_STALL {
                bail!("the publishers cannot connect to {} within {CONNECT_STALL:?}", self.target.address);
            }
            self.turn(TICK)?;
        }
        Ok(())
    }

    /// Those who come from now on, publishers or subscribers, come to another server.
    pub(crate) fn move_to(&mut self, base: &str) -> anyhow::Result<()> {
        self.target.move_to(base)
    }

    /// Everything wrong since the beginning.
    pub(crate) fn faults(&self) -> Faults {
        self.book.checker.faults()
    }

    /// By place: how often a subscriber was told of a gap.
    pub(crate) fn gaps(&self) -> &[u32] {
        &self.book.gaps
    }

    /// Counts the gaps as faults: nobody should have been told of one.
    pub(crate) fn gaps_are_faults(&mut self) {
        for _ in 0..std::mem::take(&mut self.book.gaps).into_iter().sum::<u32>() {
            self.book.checker.named();
        }
    }

    /// Nobody counts on publishing being answered or arriving any more: the server is about to be killed.
    pub(crate) fn drop_publishers(&mut self) {
        self.publishers.clear();
        self.idle.clear();
        self.book.outstanding.give_up();
    }

    /// Reads for `time` without publishing: what must not come can come, and the server can settle.
    pub(crate) fn listen(&mut self, time: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.turn(left.min(TICK))?;
        }
        Ok(())
    }

    /// Sends the next publication of an idle publisher, stamped with `sent`; returns false if none is idle.
    fn publish(&mut self, sent: Instant) -> anyhow::Result<bool> {
        let Some(publisher) = self.idle.pop() else { return Ok(false) };
        let sequence = self.book.checker.publish(publisher);
        self.book.outstanding.publish(publisher, self.book.steady_now);
        let stamp = Stamp {
            publisher: u16::try_from(publisher).unwrap_or(u16::MAX),
            sequence,
            sent_ns: nanoseconds(sent.saturating_duration_since(self.origin)),
        };
        let (target, payloads) = (&self.target, &self.payloads);
        self.publishers[publisher].send(|out| target.write_publication(payloads, stamp, out))?;
        Ok(true)
    }

    /// Waits for at most `timeout` and does what the sockets allow.
    fn turn(&mut self, timeout: Duration) -> anyhow::Result<()> {
        self.stop.check()?;
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        let mut changed = std::mem::take(&mut self.changed);
        for event in &self.events {
            let Token(token) = event.token();
            if let Some(subscriber) = self.subscribers.get_mut(token) {
                let book = &mut self.book;
                let before = subscriber.standing();
                let now_ns = nanoseconds(self.origin.elapsed());
                book.reads += subscriber.ready(event, &mut self.buffer, &self.payloads, |received| {
                    book.receive(token, received, now_ns);
                })?;
                let now = subscriber.standing();
                if before != now {
                    if before == Standing::Subscribed && !subscriber.may_end {
                        book.checker.ended();
                    }
                    changed.push((token, before));
                }
            } else if let Some(publisher) = self.publishers.get_mut(usize::MAX - 1 - token) {
                let was_idle = publisher.is_idle();
                if publisher.ready(event, &mut self.buffer)? {
                    self.book.answers += 1;
                    self.book.checker.answer(usize::MAX - 1 - token);
                    self.book.answering.saturating_record(nanoseconds(publisher.sent().elapsed()));
                }
                if publisher.is_idle() && !was_idle {
                    self.idle.push(usize::MAX - 1 - token);
                }
            }
        }
        for (index, before) in changed.drain(..) {
            self.stood(index, before);
        }
        self.changed = changed;
        Ok(())
    }

    /// Keeps the counts right: the subscriber's connection stood as `before` says.
    fn stood(&mut self, index: usize, before: Standing) {
        let now = self.subscribers[index].standing();
        if before == now {
            return;
        }
        let steady = u32::from(self.book.steady[index]);
        match before {
            Standing::Coming => self.coming -= 1,
            Standing::Subscribed => {
                self.subscribed -= 1;
                self.book.steady_now -= steady;
            }
            Standing::Ended => {}
        }
        if now == Standing::Subscribed {
            self.subscribed += 1;
            self.book.steady_now += steady;
            self.book.checker.came(index);
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
