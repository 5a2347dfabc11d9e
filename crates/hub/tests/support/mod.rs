//! What the hub's tests share: a clock to turn by hand, a waker that remembers, and an engine that misbehaves.
#![allow(dead_code, clippy::missing_panics_doc, clippy::must_use_candidate, missing_docs, unreachable_pub)]

pub mod chunks;
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

use fanfare_hub::{Clock, Delivery, Entry, Gap, SubscribeError, Subscription, Topic};
use fanfare_wire::{EventId, EventName};
use futures_core::Stream;

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

/// Polls until something comes, or nothing is ready and nobody rang in between.
pub fn poll(subscription: &mut Subscription) -> Poll<Option<Result<Delivery, SubscribeError>>> {
    let bell = Arc::new(Bell::default());
    loop {
        let polled = Pin::new(&mut *subscription).poll_next(&mut Context::from_waker(&bell.waker()));
        if polled.is_ready() || !bell.was_rung() {
            return polled;
        }
    }
}

pub fn next(subscription: &mut Subscription) -> Delivery {
    match poll(subscription) {
        Poll::Ready(Some(Ok(delivery))) => delivery,
        other => panic!("expected a delivery, got {other:?}"),
    }
}

pub fn next_event(subscription: &mut Subscription) -> Arc<Entry> {
    match next(subscription) {
        Delivery::Event(entry) => entry,
        other => panic!("expected an event, got {other:?}"),
    }
}

pub fn next_gap(subscription: &mut Subscription) -> Gap {
    match next(subscription) {
        Delivery::Gap(gap) => gap,
        other => panic!("expected a gap, got {other:?}"),
    }
}

pub fn assert_waiting(subscription: &mut Subscription) {
    let polled = poll(subscription);
    assert!(polled.is_pending(), "expected nothing, got {polled:?}");
}

/// The `data` of an event with one line of it.
pub fn data(entry: &Entry) -> String {
    let text = String::from_utf8(entry.frame().as_bytes().to_vec()).expect("UTF-8");
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).expect("a data line");
    data.to_owned()
}

/// The `data` of every event that is ready, bookmarks left out.
pub fn ready_data(subscription: &mut Subscription) -> Vec<String> {
    let mut all = Vec::new();
    while let Poll::Ready(Some(delivery)) = poll(subscription) {
        match delivery.expect("no error") {
            Delivery::Event(entry) => all.push(data(&entry)),
            Delivery::Bookmark(_) => {}
            other => panic!("expected events, got {other:?}"),
        }
    }
    all
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
