//! What the hub's tests share: a clock to turn by hand, a waker that remembers, readers, and engines that misbehave.
#![allow(dead_code, clippy::missing_panics_doc, clippy::must_use_candidate, missing_docs, unreachable_pub)]

pub mod chunks;
pub mod polled;
pub mod puppet;
pub mod shelf;
pub mod toy;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant, SystemTime};

use fanfare_hub::{Clock, Delivery, GapReason, Hub, Position, Resume, SubscribeError, Subscription, Topic};
use fanfare_wire::{EventId, EventName};
use futures_core::Stream;

/// Runs a future that needs nobody's help, and may take several turns.
pub fn soon<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let bell = Arc::new(Bell::default());
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&bell.waker())) {
            Poll::Ready(value) => return value,
            Poll::Pending => assert!(bell.was_rung(), "the future waits for something"),
        }
    }
}

/// A clock that stands still until it is turned.
#[derive(Debug, Default)]
pub struct TestClock(AtomicU64);

impl TestClock {
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_millis()).expect("a short time"), Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000 + self.0.load(Ordering::Relaxed))
    }
}

/// A waker that remembers whether it was woken, and wakes the thread that made it.
#[derive(Debug)]
pub struct Bell(AtomicBool, Thread);

impl Default for Bell {
    fn default() -> Self {
        Self(AtomicBool::new(false), thread::current())
    }
}

impl Bell {
    pub fn waker(self: &Arc<Self>) -> Waker {
        self.clone().into()
    }

    pub fn was_rung(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }

    /// Waits until another thread rings it; one that does not within `most` never will.
    pub fn wait(&self, most: Duration) {
        let begun = Instant::now();
        while !self.was_rung() {
            assert!(begun.elapsed() < most, "nobody rings");
            thread::park_timeout(most);
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
        self.1.unpark();
    }
}

pub fn topic(text: &str) -> Topic {
    Topic::parse(text).expect("a topic")
}

pub fn id(text: &str) -> EventId {
    EventId::parse(text).expect("an id")
}

pub fn name(text: &str) -> EventName {
    EventName::parse(text).expect("a name")
}

/// What a reader got, as far as its client can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    pub what: What,
    pub id: EventId,
    /// Where in the log it stands, which nobody tells the client of a socket.
    pub position: Option<Position>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// An event with one line of data.
    Event {
        data: String,
    },
    Bookmark,
    Gap {
        reason: GapReason,
        after: Option<EventId>,
    },
}

impl Got {
    pub fn data(&self) -> &str {
        match &self.what {
            What::Event { data } => data,
            other => panic!("expected an event, got {other:?}"),
        }
    }

    pub fn reason(&self) -> GapReason {
        match self.what {
            What::Gap { reason, .. } => reason,
            ref other => panic!("expected a gap, got {other:?}"),
        }
    }

    pub fn after(&self) -> Option<&EventId> {
        match &self.what {
            What::Gap { after, .. } => after.as_ref(),
            other => panic!("expected a gap, got {other:?}"),
        }
    }
}

impl From<Delivery> for Got {
    fn from(delivery: Delivery) -> Self {
        let what = match &delivery {
            Delivery::Event(_) | Delivery::Snapshot { .. } => {
                let text = String::from_utf8(delivery.frame().as_bytes().to_vec()).expect("UTF-8");
                let data = text.lines().find_map(|line| line.strip_prefix("data: ")).expect("a data line");
                What::Event { data: data.to_owned() }
            }
            Delivery::Bookmark(_) => What::Bookmark,
            Delivery::Gap(gap) => What::Gap { reason: gap.reason(), after: gap.after().cloned() },
            other => panic!("no such delivery is known here: {other:?}"),
        };
        Self { what, id: delivery.id().clone(), position: Some(delivery.position()) }
    }
}

/// Somebody who reads: a subscription that is polled, or the client of a socket.
///
/// A polled one takes what there is at that moment and nothing before. Whoever serves sockets does nothing but while
/// one of them is asked for something; then it does all it can, for all of them.
pub trait Read {
    /// Whether it is the client of a socket, which is not told why its stream ended.
    const IS_SERVED: bool;

    /// Takes what comes next, and has `bell` rung once there is something, or once it should be asked again.
    fn take(&mut self, bell: &Arc<Bell>) -> Poll<Option<Result<Got, SubscribeError>>>;

    /// It is not asked again soon, and nothing is to be kept for it.
    fn pause(&mut self) {}

    /// Takes what comes next, unless nothing is ready and nobody rang in between.
    fn take_ready(&mut self) -> Poll<Option<Result<Got, SubscribeError>>> {
        let bell = Arc::new(Bell::default());
        loop {
            let taken = self.take(&bell);
            if taken.is_ready() || !bell.was_rung() {
                return taken;
            }
        }
    }
}

impl Read for Subscription {
    const IS_SERVED: bool = false;

    fn take(&mut self, bell: &Arc<Bell>) -> Poll<Option<Result<Got, SubscribeError>>> {
        Pin::new(self).poll_next(&mut Context::from_waker(&bell.waker())).map_ok(Got::from)
    }

    fn pause(&mut self) {
        Subscription::pause(self);
    }
}

pub fn next(reader: &mut impl Read) -> Got {
    match reader.take_ready() {
        Poll::Ready(Some(Ok(got))) => got,
        other => panic!("expected something, got {other:?}"),
    }
}

pub fn next_event(reader: &mut impl Read) -> Got {
    let got = next(reader);
    got.data();
    got
}

pub fn next_gap(reader: &mut impl Read) -> Got {
    let got = next(reader);
    got.reason();
    got
}

pub fn assert_waiting(reader: &mut impl Read) {
    let taken = reader.take_ready();
    assert!(taken.is_pending(), "expected nothing, got {taken:?}");
}

pub fn assert_ended(reader: &mut impl Read) {
    let taken = reader.take_ready();
    assert!(matches!(taken, Poll::Ready(None)), "expected the end, got {taken:?}");
}

/// It ends, for a reason that whoever is polled tells.
pub fn assert_failed<R: Read>(reader: &mut R, is_expected: impl Fn(&SubscribeError) -> bool) {
    if !R::IS_SERVED {
        match reader.take_ready() {
            Poll::Ready(Some(Err(error))) if is_expected(&error) => {}
            other => panic!("expected another failure, got {other:?}"),
        }
    }
    assert_ended(reader);
}

/// The data of every event that is ready, bookmarks left out.
pub fn ready_data(reader: &mut impl Read) -> Vec<String> {
    let mut all = Vec::new();
    while let Poll::Ready(Some(got)) = reader.take_ready() {
        let got = got.expect("no error");
        if got.what != What::Bookmark {
            all.push(got.data().to_owned());
        }
    }
    all
}

/// Where in a log in memory an id stands.
pub fn position_of(hub: &Hub, id: &EventId) -> Position {
    match now(hub.subscribe("what nobody publishes").after(id.clone()).opened()) {
        Ok(Resume::Resumed { after }) => *after,
        other => panic!("{id:?} is not where somebody stands: {other:?}"),
    }
}

/// Runs a future that needs nobody else's help.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the future waits for something"),
    }
}

/// A mutex for tests.
pub fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("no test panicked under this lock")
}
