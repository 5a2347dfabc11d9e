//! A copied log is the log that it was, wherever it lives then.

#![allow(missing_docs)]

#[cfg(any(feature = "nats", feature = "redis"))]
#[allow(dead_code, unreachable_pub)]
#[path = "cluster/process.rs"]
mod process;
#[cfg(feature = "redis")]
#[allow(dead_code, unreachable_pub)]
#[path = "redis/server.rs"]
mod redis_server;
#[cfg(feature = "nats")]
#[allow(dead_code, unreachable_pub)]
#[path = "nats/server.rs"]
mod server;

use std::fs;
use std::future::ready;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use fanfare_engine::DiskEngine;
use fanfare_engine::copy::{
    Carried, Copied, CopyError, CopySource, CopyTarget, LogOutline, Page, Progress, copy,
};
use fanfare_hub::engine::{Answer, Content, Engine, EngineFault, KeyLimits, ReadError, ReadRequest};
use fanfare_hub::{Check, Delivery, GapReason, Hub, IdempotencyKey, Position, Publication, Published, Topic};
use fanfare_wire::{Event, EventId};
use futures_util::{StreamExt, future::join_all};

/// Enough for several segments.
const EVENTS: usize = 3_000;

fn topic(text: &str) -> Topic {
    Topic::parse(text).expect("a topic")
}

fn to(text: &str, data: impl Into<String>) -> Publication {
    Publication::to([topic(text)]).event(Event::new(data.into()))
}

fn hub(engine: impl Engine) -> Hub {
    Hub::builder().engine(engine).history_events(10).build().expect("a hub")
}

/// A log on disk that has everything that a log may have: other ids, keys, private events, presence, and a beginning that is gone.
/// Gives what was published last.
async fn write(folder: &Path) -> Vec<Published> {
    // Few enough keys are remembered that all are used again.
    let keys = KeyLimits { count: 20, age: Duration::from_secs(3_600) };
    let options = DiskEngine::options(folder).segment_bytes(64 * 1024).idempotency(keys);
    let engine = options.open().expect("a log");
    let hub = hub(engine);
    hub.begin_presence("/subscriptions/").await.expect("begun");
    let mut published = Vec::new();
    for batch in 0..EVENTS / 100 {
        let all = (0..100).map(|each| {
            let number = batch * 100 + each;
            let data = format!("{number} {}", "x".repeat(number % 200));
            let mut event = Event::new(data);
            if number % 50 == 7 {
                event = event.id(EventId::parse(format!("own-{number}")).expect("an id"));
            }
            let to = Publication::to([topic("a"), topic(&format!("b/{}", number % 3))]);
            let mut publication = if number % 11 == 0 { to.private(event) } else { to.event(event) };
            if number % 40 == 3 {
                publication =
                    publication.idempotency_key(IdempotencyKey::new(format!("key-{}", number % 1_000)));
            }
            hub.publish_all(publication)
        });
        published.extend(join_all(all).await.into_iter().map(|each| each.expect("published")));
        let here = Publication::to([topic(&format!("/subscriptions/{batch}"))]).private(Event::new("here"));
        hub.announce(here).await.expect("announced");
    }
    published
}

/// An entry in what can be compared: where it stands, its check, its time in microseconds, and what it holds.
type Written = (Position, Check, u128, Option<u128>);

/// Which log it is, its ends, and its entries.
async fn whole(engine: &dyn Engine) -> (u32, Position, Position, Vec<Written>) {
    let bounds = engine.bounds().await.expect("bounds");
    let mut entries = Vec::new();
    let mut after = bounds.oldest - 1;
    while after + 1 < bounds.next {
        let request = ReadRequest { after, before: bounds.next, topics: None, bytes_max: 1024 * 1024 };
        let batch = match engine.read(request).await {
            Ok(batch) => batch,
            // A log on NATS is read once it is known to be what was told.
            Err(ReadError::Fault(_)) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
            Err(error) => panic!("{error:?}"),
        };
        after = batch.through;
        entries.extend(batch.entries.into_iter().map(|logged| {
            let at = logged.at.duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_micros();
            let holds = match logged.content {
                Content::Publication(submission) => Some(submission.fingerprint()),
                _ => None,
            };
            (logged.position, logged.check, at, holds)
        }));
    }
    (bounds.epoch, bounds.oldest, bounds.next, entries)
}

/// Whoever was at the old place goes on at the new one: by the hub's ids, by the publisher's, and publishing again with a key.
async fn goes_on(engine: impl Engine, published: &[Published]) {
    let hub = hub(engine);
    let ready = async {
        while !matches!(hub.health(), fanfare_hub::Health::Ready) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ready).await.expect("a hub that is ready");
    for from in [EVENTS - 500, EVENTS - 43] {
        let after = published[from].id.clone();
        let mut subscription =
            hub.subscribe(topic("a")).grant(&fanfare_hub::Grant::everything()).after(after).bookmarks(false);
        for expected in &published[from + 1..] {
            let next = tokio::time::timeout(Duration::from_secs(60), subscription.next()).await;
            match next.expect("soon").expect("it goes on").expect("no error") {
                Delivery::Event(entry) => assert_eq!(entry.id(), &expected.id),
                other => panic!("{other:?} in place of {expected:?}"),
            }
        }
    }
    let number = EVENTS - 37;
    let data = format!("{number} {}", "x".repeat(number % 200));
    let key = IdempotencyKey::new(format!("key-{}", number % 1_000));
    let again = Publication::to([topic("a"), topic(&format!("b/{}", number % 3))]).event(Event::new(data));
    let again = hub.publish_all(again.idempotency_key(key)).await.expect("published");
    assert!(again.duplicate);
    assert_eq!(again.id, published[number].id);
    assert_eq!(hub.publish_all(to("a", "new")).await.expect("published").position, published_next(published));
}

/// The last batch of presence stands behind the last event.
fn published_next(published: &[Published]) -> Position {
    published[EVENTS - 1].position + 2
}

/// Copies the first page of a log, and no more.
async fn begin_to_copy(source: &dyn CopySource, target: &mut dyn CopyTarget) {
    let log = source.outline().await.expect("an outline");
    target.begin(log).await.expect("begun");
    let Page::Entries(page) = source.page(log.oldest, log.next).await.expect("read") else {
        panic!("nothing is lost")
    };
    target.put(page).await.expect("stored");
}

#[track_caller]
fn assert_occupied(error: &CopyError) {
    let is_said =
        matches!(error, CopyError::Target(fault) if fault.to_string().contains("holds a log already"));
    assert!(is_said, "{error:?}");
}

/// Copies a log from a disk to a store, and from there back to a disk: what came out is what went in, and whoever was at the disk goes
/// on at either.
#[cfg(any(feature = "nats", feature = "redis"))]
async fn goes_there_and_back(store: &dyn CopySource, target: &mut dyn CopyTarget, node: impl Engine) {
    let (from, back) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let published = write(from.path()).await;
    drop(DiskEngine::options(from.path()).history_events(2_000).open().expect("a log"));
    let disk = DiskEngine::options(from.path()).open_source().expect("a log");
    let written = whole(&disk).await;
    let copied = copy(&disk, target, |_| {}).await.expect("copied");
    assert_eq!((copied.oldest, copied.next, copied.left_out), (written.1, written.2, 0));

    let copied = copy(store, &mut DiskEngine::options(back.path()).target(), |_| {}).await.expect("copied");
    assert_eq!((copied.oldest, copied.next), (written.1, written.2));
    let there = DiskEngine::options(back.path()).open().expect("a log");
    assert_eq!(whole(&there).await, written);
    goes_on(there, &published).await;
    goes_on(node, &published).await;
}

#[tokio::test]
async fn a_copy_on_another_disk_is_the_same_log_p2_p6() {
    let (from, to) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let published = write(from.path()).await;
    // A log whose beginning retention has dropped.
    drop(DiskEngine::options(from.path()).history_events(2_000).open().expect("a log"));
    let source = DiskEngine::options(from.path()).open_source().expect("a log");
    let mut last = Progress { done: 0, of: 0 };
    let mut target = DiskEngine::options(to.path()).segment_bytes(32 * 1024).target();
    let copied = copy(&source, &mut target, |progress| last = progress).await.expect("copied");
    let written = whole(&source).await;
    assert_eq!(copied, Copied { oldest: written.1, next: written.2, left_out: 0 });
    assert!(copied.oldest > 500, "{copied:?}");
    assert_eq!(last.done, last.of);
    let there = DiskEngine::options(to.path()).open().expect("a log");
    assert_eq!(whole(&there).await, written);
    goes_on(there, &published).await;
}

#[tokio::test]
async fn a_log_with_damage_is_copied_from_behind_it_and_who_was_before_gets_a_gap_p2() {
    let (from, to) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let published = write(from.path()).await;
    let mut segments: Vec<_> = fs::read_dir(from.path().join("default"))
        .expect("the folder")
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "seg"))
        .collect();
    segments.sort();
    assert!(segments.len() > 5, "{segments:?}");
    let mut bytes = fs::read(&segments[2]).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segments[2], bytes).expect("written");

    let source = DiskEngine::options(from.path()).open_source().expect("a log");
    let mut target = DiskEngine::options(to.path()).target();
    let copied = copy(&source, &mut target, |_| {}).await.expect("copied");
    assert!(copied.oldest > 1 && copied.left_out == copied.oldest - 1, "{copied:?}");
    let hub = hub(DiskEngine::options(to.path()).open().expect("a log"));
    let mut subscription = hub.subscribe(topic("a")).after(published[3].id.clone());
    match subscription.next().await.expect("it goes on").expect("no error") {
        Delivery::Gap(gap) => assert_eq!(gap.reason(), GapReason::Trimmed),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_copy_that_was_interrupted_is_no_log_and_is_begun_anew() {
    let (from, to) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    write(from.path()).await;
    let source = DiskEngine::options(from.path()).open_source().expect("a log");
    let mut target = DiskEngine::options(to.path()).target();
    begin_to_copy(&source, &mut target).await;
    drop(target);
    assert!(!to.path().join("default").exists());
    copy(&source, &mut DiskEngine::options(to.path()).target(), |_| {}).await.expect("copied");
    assert_eq!(whole(&DiskEngine::options(to.path()).open().expect("a log")).await, whole(&source).await);
}

#[tokio::test]
async fn a_log_is_never_copied_over_another_or_out_of_nothing() {
    let (from, to) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    assert!(DiskEngine::options(from.path()).open_source().is_err());
    assert_eq!(fs::read_dir(from.path()).expect("a folder").count(), 0, "nothing was created");
    drop(DiskEngine::options(from.path()).open().expect("a log"));
    drop(DiskEngine::options(to.path()).open().expect("a log"));
    let source = DiskEngine::options(from.path()).open_source().expect("a log");
    let error =
        copy(&source, &mut DiskEngine::options(to.path()).target(), |_| {}).await.expect_err("refused");
    assert_occupied(&error);
}

/// A log that grows whenever it is looked at.
#[derive(Default)]
struct Growing(AtomicU64);

impl CopySource for Growing {
    fn outline(&self) -> Answer<'_, Result<LogOutline, EngineFault>> {
        let next = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        Box::pin(ready(Ok(LogOutline {
            epoch: 7,
            key: [1; 16],
            oldest: 1,
            next,
            check_before: Check::START,
        })))
    }

    fn page(&self, _: Position, _: Position) -> Answer<'_, Result<Page, EngineFault>> {
        Box::pin(ready(Ok(Page::Entries(Vec::<Carried>::new()))))
    }
}

#[tokio::test]
async fn what_goes_on_while_it_is_copied_is_no_copy() {
    let to = tempfile::tempdir().expect("a folder");
    let mut target = DiskEngine::options(to.path()).target();
    let error = copy(&Growing::default(), &mut target, |_| {}).await.expect_err("it went on");
    assert!(matches!(error, CopyError::WentOn), "{error:?}");
    assert!(!to.path().join("default").exists());
}

#[cfg(feature = "nats")]
mod on_nats {
    use super::*;
    use crate::server::Server;
    use fanfare_engine::NatsEngine;
    use fanfare_engine::nats::{NatsFault, NatsOptions};

    fn options(server: &Server) -> NatsOptions {
        NatsEngine::options([server.url()]).replicas(1)
    }

    async fn connected(server: &Server) -> NatsEngine {
        let engine = options(server).connect().await.expect("an engine");
        let answers = async {
            while let Err(NatsFault::NotConnected) = engine.check().await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), answers).await.expect("an answer");
        engine
    }

    /// Over NATS, and from there back to a disk: what came out is what went in.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_log_goes_to_nats_and_back_and_is_the_same_p2_p6() {
        let server = Server::start();
        let nats = connected(&server).await;
        goes_there_and_back(&nats, &mut nats.target(), connected(&server).await).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_stream_is_no_log_before_its_copy_is_whole_and_none_is_written_over() {
        let from = tempfile::tempdir().expect("a folder");
        let server = Server::start();
        write(from.path()).await;
        let disk = DiskEngine::options(from.path()).open_source().expect("a log");
        let nats = connected(&server).await;
        let mut target = nats.target();
        begin_to_copy(&disk, &mut target).await;
        let fault = nats.check().await.expect_err("no log yet");
        assert!(fault.needs_hands() && fault.to_string().contains("not finished"), "{fault}");
        copy(&disk, &mut nats.target(), |_| {}).await.expect("copied anew");
        assert!(nats.check().await.expect("a log").is_some());
        let error = copy(&disk, &mut nats.target(), |_| {}).await.expect_err("there is one");
        assert_occupied(&error);
    }
}

#[cfg(feature = "redis")]
mod on_redis {
    use super::*;
    use crate::redis_server::{Server, options};

    /// Over Redis, and from there back to a disk: what came out is what went in.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_log_goes_to_redis_and_back_and_is_the_same_p2_p6() {
        let server = Server::start();
        let redis = options(&server).connect().expect("an engine");
        goes_there_and_back(&redis, &mut redis.target(), options(&server).connect().expect("an engine"))
            .await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn keys_on_redis_are_no_log_before_their_copy_is_whole_and_none_is_written_over() {
        let from = tempfile::tempdir().expect("a folder");
        let server = Server::start();
        write(from.path()).await;
        let disk = DiskEngine::options(from.path()).open_source().expect("a log");
        let redis = options(&server).connect().expect("an engine");
        let mut target = redis.target();
        begin_to_copy(&disk, &mut target).await;
        let fault = redis.check().await.expect_err("no log yet");
        assert!(fault.needs_hands() && fault.to_string().contains("not finished"), "{fault}");
        copy(&disk, &mut redis.target(), |_| {}).await.expect("copied anew");
        target.finish().await.expect_err("another copy has taken its place");
        redis.check().await.expect("a log");
        let error = copy(&disk, &mut redis.target(), |_| {}).await.expect_err("there is one");
        assert_occupied(&error);
    }
}
