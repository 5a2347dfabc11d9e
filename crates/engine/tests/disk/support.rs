//! What the tests of the log on disk share: folders, hubs over them, and futures that other threads answer.

use std::future::Future;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use fanfare_engine::DiskEngine;
use fanfare_engine::disk::DiskOptions;
use fanfare_hub::{Delivery, Hub, Publication, Published, Subscription, Topic};
use fanfare_wire::{Event, EventId};
use futures_util::Stream;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

pub fn waker() -> Waker {
    Arc::new(Unpark(thread::current())).into()
}

/// Waits for a future that another thread may answer.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = waker();
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Small segments, of one mebibyte.
pub fn small(folder: &Path) -> DiskOptions {
    DiskEngine::options(folder).history_bytes(16 * 1024 * 1024)
}

pub fn hub(options: DiskOptions) -> Hub {
    let engine = options.open().expect("a log");
    Hub::builder().clock(engine.clock()).engine(engine).history_events(100).build().expect("a hub")
}

pub fn topic(text: &str) -> Topic {
    Topic::parse(text).expect("a topic")
}

pub fn id(text: &str) -> EventId {
    EventId::parse(text).expect("an id")
}

pub fn publish(hub: &Hub, to: &str, data: &str) -> Published {
    wait(hub.publish(to, Event::new(data.to_owned()))).expect("published")
}

/// Publishes many at once, so that they share commits.
pub fn publish_all(hub: &Hub, publications: impl IntoIterator<Item = Publication>) -> Vec<Published> {
    let waker = waker();
    let all: Vec<_> = publications
        .into_iter()
        .map(|publication| {
            let mut publishing = Box::pin(hub.publish_all(publication));
            // Handed in with the first poll, in this order.
            let polled = publishing.as_mut().poll(&mut Context::from_waker(&waker));
            (polled, publishing)
        })
        .collect();
    all.into_iter()
        .map(|(polled, publishing)| match polled {
            Poll::Ready(published) => published.expect("published"),
            Poll::Pending => wait(publishing).expect("published"),
        })
        .collect()
}

pub fn to(topics: &[&str], event: Event) -> Publication {
    Publication::to(topics.iter().map(|text| topic(text))).event(event)
}

/// What comes next; waits for it.
pub fn next(subscription: &mut Subscription) -> Delivery {
    let waker = waker();
    loop {
        match Pin::new(&mut *subscription).poll_next(&mut Context::from_waker(&waker)) {
            Poll::Ready(Some(delivery)) => return delivery.expect("no error"),
            Poll::Ready(None) => panic!("the subscription ended"),
            Poll::Pending => thread::park(),
        }
    }
}

/// The `data` of the next `count` events; nothing else may come before them.
pub fn next_data(subscription: &mut Subscription, count: usize) -> Vec<String> {
    (0..count)
        .map(|_| match next(subscription) {
            Delivery::Event(entry) => data(entry.frame().as_bytes()),
            other => panic!("expected an event, got {other:?}"),
        })
        .collect()
}

pub fn data(frame: &[u8]) -> String {
    let text = String::from_utf8(frame.to_vec()).expect("UTF-8");
    text.lines().find_map(|line| line.strip_prefix("data: ")).expect("a data line").to_owned()
}

/// The log's files with one ending, in order.
pub fn files(folder: &Path, ending: &str) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder.join("default"))
        .expect("the folder")
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .collect();
    files.sort();
    files
}

pub fn remove_indexes(folder: &Path) {
    for path in files(folder, "idx") {
        std::fs::remove_file(path).expect("removed");
    }
}
