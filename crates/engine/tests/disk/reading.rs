//! What is read from a log, what retention leaves of it, and what damage does to it.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use fanfare_engine::DiskEngine;
use fanfare_hub::engine::{Engine, ReadError, ReadRequest};
use fanfare_hub::{Clock, Delivery, GapReason, Hub};
use fanfare_wire::Event;

use crate::support::{files, folder, hub, id, next, next_data, publish, publish_all, small, to, topic, wait};

fn request(after: u64, before: u64, topics: Option<&[&str]>) -> ReadRequest {
    let topics = topics.map(|topics| topics.iter().map(|text| topic(text)).collect());
    ReadRequest { after, before, topics, bytes_max: 256 * 1024 }
}

#[test]
fn a_sparse_topic_is_read_without_the_others_and_a_dense_one_with_them() {
    let folder = folder();
    {
        let hub = hub(small(folder.path()));
        let topics = |n: u32| if n % 1_000 == 7 { ["all", "rare"] } else { ["all", "other"] };
        publish_all(&hub, (1..=5_000).map(|n| to(&topics(n), Event::new("x".repeat(700)))));
    }
    let engine = small(folder.path()).open().expect("a log");
    let sparse = wait(engine.read(request(0, 5_001, Some(&["rare"])))).expect("read");
    let positions: Vec<_> = sparse.entries.iter().map(|entry| entry.position).collect();
    assert_eq!((positions, sparse.through, sparse.all), (vec![7, 1_007, 2_007, 3_007, 4_007], 5_000, false));

    let dense = wait(engine.read(request(10, 5_001, Some(&["all"])))).expect("read");
    assert!(dense.all);
    let positions: Vec<_> = dense.entries.iter().map(|entry| entry.position).collect();
    assert_eq!(positions, (11..=dense.through).collect::<Vec<_>>());
    let bytes: usize = dense.entries.len() * 750;
    assert!((200_000..300_000).contains(&bytes), "as many as were asked for, not {bytes}");
}

#[test]
fn retention_by_events_is_exact_and_whoever_comes_for_more_is_told() {
    let folder = folder();
    let options = || small(folder.path()).history_events(1_000);
    let hub = hub(options());
    let first = publish(&hub, "a", "first").id;
    publish_all(&hub, (0..5_000).map(|n| to(&["a"], Event::new(format!("{n} {}", "x".repeat(700))))));
    let mut subscription = hub.subscribe("a").bookmarks(false).after(first);
    let Delivery::Gap(gap) = next(&mut subscription) else { panic!("a gap is due") };
    assert_eq!((gap.reason(), gap.position()), (GapReason::Trimmed, 4_001));
    assert!(next_data(&mut subscription, 1)[0].starts_with("4000 "));
    drop((subscription, hub));
    let engine = options().open().expect("a log");
    assert_eq!((engine.counts().oldest, engine.counts().next), (4_002, 5_002));
}

#[test]
fn retention_by_bytes_bounds_the_folder() {
    let folder = folder();
    let hub = hub(DiskEngine::options(folder.path()).history_bytes(4 * 1024 * 1024));
    for _ in 0..4 {
        publish_all(&hub, (0..5_000).map(|_| to(&["a"], Event::new("x".repeat(700)))));
    }
    drop(hub);
    let bytes: u64 = ["seg", "idx"]
        .into_iter()
        .flat_map(|ending| files(folder.path(), ending))
        .map(|path| fs::metadata(path).expect("a file").len())
        .sum();
    // One group more than is allowed, before it is looked at again.
    assert!(bytes < 8 * 1024 * 1024, "{bytes} bytes");
}

#[derive(Default)]
struct HandClock(AtomicU64);

impl Clock for HandClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + self.0.load(Ordering::Relaxed))
    }
}

#[test]
fn retention_by_age_counts_from_the_append_also_over_a_restart() {
    let folder = folder();
    let clock = Arc::new(HandClock::default());
    let options = || small(folder.path()).history_age(Duration::from_secs(60)).clock(clock.clone());
    {
        let hub = hub(options());
        for second in 0..10 {
            publish(&hub, "a", &second.to_string());
            clock.0.store(10 * (second + 1), Ordering::Relaxed);
        }
    }
    // Now it is second 100: what was appended at second 40 is just young enough.
    let engine = options().open().expect("a log");
    assert_eq!(engine.counts().oldest, 5);
    assert!(matches!(wait(engine.read(request(0, 11, None))), Err(ReadError::Trimmed { oldest: 5 })));
    assert_eq!(wait(engine.read(request(4, 11, None))).expect("read").entries.len(), 6);
}

/// Goal: a damaged entry costs itself, tells a gap, and stops nobody.
#[test]
fn a_damaged_entry_of_an_older_segment_is_a_gap_and_what_is_behind_it_is_read() {
    let folder = folder();
    {
        let hub = hub(small(folder.path()));
        publish_all(&hub, (1..=3_000).map(|n| to(&["a"], Event::new(format!("{n} {}", "x".repeat(700))))));
    }
    let first = files(folder.path(), "seg").remove(0);
    let mut bytes = fs::read(&first).expect("read");
    let damaged = bytes.windows(6).position(|six| six == b": 500 ").expect("the entry");
    bytes[damaged] ^= 1;
    fs::write(&first, bytes).expect("written");

    // Then it is made again from a segment that is not whole.
    for index in ["whole", "damaged", "missing"] {
        let path = first.with_extension("idx");
        match index {
            "damaged" => {
                let mut bytes = fs::read(&path).expect("read");
                *bytes.last_mut().expect("bytes") ^= 1;
                fs::write(&path, bytes).expect("written");
            }
            "missing" => fs::remove_file(&path).expect("removed"),
            _ => {}
        }
        let hub = hub(small(folder.path()));
        let mut subscription = hub.subscribe("a").bookmarks(false).after(id("earliest"));
        let before = next_data(&mut subscription, 499);
        assert!(before[498].starts_with("499 "));
        let Delivery::Gap(gap) = next(&mut subscription) else { panic!("a gap is due") };
        assert_eq!((gap.reason(), gap.position()), (GapReason::Trimmed, 500));
        let behind = next_data(&mut subscription, 2_500);
        assert!(behind[0].starts_with("501 ") && behind[2_499].starts_with("3000 "));
    }
}

#[test]
fn a_missing_index_is_made_again() {
    let folder = folder();
    {
        let hub = hub(small(folder.path()));
        publish_all(&hub, (1..=3_000).map(|_| to(&["a"], Event::new("x".repeat(700)))));
        publish(&hub, "b", "rare");
    }
    let indexes = files(folder.path(), "idx");
    assert!(!indexes.is_empty());
    for path in &indexes {
        fs::remove_file(path).expect("removed");
    }
    let engine = small(folder.path()).open().expect("a log");
    let read = wait(engine.read(request(0, 3_002, Some(&["b"])))).expect("read");
    assert_eq!((read.entries.len(), read.through), (1, 3_001));
    assert_eq!(files(folder.path(), "idx"), indexes);
}

/// Where entries of all topics are handed out, none may be missing: others read them as well.
#[test]
fn what_claims_to_be_all_entries_is_all_of_them_also_behind_a_stretch_without_any_asked_for() {
    let folder = folder();
    let hub = hub(small(folder.path()).segment_bytes(1_024));
    (0..20).for_each(|_| drop(publish(&hub, "other", &"x".repeat(100))));
    (0..20).for_each(|_| drop(publish(&hub, "dense", &"x".repeat(100))));
    drop(hub);
    let engine = small(folder.path()).open().expect("a log");
    let mut after = 0;
    while after < 40 {
        let batch = wait(engine.read(request(after, 41, Some(&["dense"])))).expect("read");
        assert!(batch.through > after);
        if batch.all {
            let positions: Vec<_> = batch.entries.iter().map(|entry| entry.position).collect();
            assert_eq!(positions, (after + 1..=batch.through).collect::<Vec<_>>());
        }
        after = batch.through;
    }
}

/// P6: while segments are completed one after the other.
#[test]
fn an_id_is_found_whatever_becomes_of_its_segment_meanwhile() {
    let folder = folder();
    let engine = Arc::new(DiskEngine::options(folder.path()).segment_bytes(1_024).open().expect("a log"));
    let hub = Hub::builder().clock(engine.clock()).engine(engine.clone()).build().expect("a hub");
    let newest = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..=1_500 {
                let event = Event::new("x".repeat(100)).id(id(&format!("id-{number}")));
                wait(hub.publish("a", event)).expect("published");
                newest.store(number, Ordering::Release);
            }
        });
        loop {
            let number = newest.load(Ordering::Acquire);
            if number > 0 {
                let found = wait(engine.find(id(&format!("id-{number}")))).expect("searched");
                assert_eq!(found, Some(number as u64), "an id that was acknowledged");
            }
            if number == 1_500 {
                return;
            }
        }
    });
}
