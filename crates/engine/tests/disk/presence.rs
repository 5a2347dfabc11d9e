//! Of presence the disk keeps the place and nothing else: after a restart nobody of the former process is there (P2, P6).

use fanfare_engine::DiskEngine;
use fanfare_engine::disk::{DiskOptions, Durability};
use fanfare_hub::{
    Delivery, GapReason, Grant, Hub, Matcher, Publication, Published, Selection, Subscription,
};
use fanfare_wire::{Event, EventId};
use proptest::prelude::*;

use crate::support::{
    files, folder, hub, next, next_data, publish, publish_all, remove_indexes, small, to, topic, wait,
};

const NAMESPACE: &str = "/hub/subscriptions/";

fn begin(folder: &std::path::Path) -> Hub {
    let hub = hub(small(folder));
    wait(hub.begin_presence(NAMESPACE)).expect("the disk takes it");
    hub
}

fn announce(hub: &Hub, what: &str) -> Published {
    let to = Publication::to([topic(&format!("{NAMESPACE}x"))]);
    wait(hub.announce(to.private(Event::new(what.to_owned())))).expect("announced")
}

fn resumed(hub: &Hub, asked: impl Into<Selection>, after: &EventId) -> Subscription {
    hub.subscribe(asked.into()).grant(&Grant::everything()).after(after.clone()).bookmarks(false)
}

fn is_gap(delivery: &Delivery) -> bool {
    matches!(delivery, Delivery::Gap(gap) if gap.reason() == GapReason::Trimmed)
}

#[test]
fn presence_is_delivered_in_order_and_stored_as_a_place_alone() {
    let folder = folder();
    let hub = begin(folder.path());
    let mut all = hub.subscribe(Matcher::any()).grant(&Grant::everything()).bookmarks(false);
    publish(&hub, "a", "event 1");
    assert_eq!(announce(&hub, "whoever is here").position, 2);
    publish(&hub, "a", "event 2");
    assert_eq!(next_data(&mut all, 3), ["event 1", "whoever is here", "event 2"]);
    drop((all, hub));
    let stored = files(folder.path(), "seg").iter().map(|path| std::fs::read(path).expect("a file")).next();
    let stored = String::from_utf8_lossy(&stored.expect("a segment")).into_owned();
    assert!(stored.contains("event 1") && !stored.contains("whoever") && !stored.contains(NAMESPACE));
}

#[test]
fn what_is_handed_in_one_after_the_other_keeps_its_order_although_nobody_waits() {
    let folder = folder();
    let hub = begin(folder.path());
    let handed_in: Vec<_> = (0..5_000)
        .map(|number| {
            let to = Publication::to([topic(&format!("{NAMESPACE}x"))]);
            hub.announce(to.private(Event::new(format!("{number}"))))
        })
        .collect();
    let positions: Vec<_> =
        handed_in.into_iter().map(|each| wait(each).expect("announced").position).collect();
    assert_eq!(positions, (1..=5_000).collect::<Vec<_>>());
}

/// A restart, after which `after` comes back: whoever reads presence is told, whoever does not is not.
fn check_restart(after: impl Fn(&[Published]) -> EventId, missed: &[&str]) {
    let folder = folder();
    let published = {
        let hub = begin(folder.path());
        let mut published = vec![publish(&hub, "a", "event 1")];
        published.extend((0..50).map(|_| announce(&hub, "here")));
        published.push(publish(&hub, "a", "event 2"));
        published.extend((0..50).map(|_| announce(&hub, "here")));
        published
    };
    let after = after(&published);
    let hub = begin(folder.path());
    assert_eq!(hub.counts().log_next, published.len() as u64 + 2);
    publish(&hub, "a", "event 3");
    for asked in [Selection::from(topic("a")), Matcher::any().into()] {
        let sees = asked == Selection::from(Matcher::any());
        let mut subscription = resumed(&hub, asked, &after);
        if sees {
            assert!(is_gap(&next(&mut subscription)), "who reads presence is told");
        }
        assert_eq!(next_data(&mut subscription, missed.len()), missed);
    }
    announce(&hub, "somebody new");
    let mut presence = resumed(&hub, topic(&format!("{NAMESPACE}x")), &after);
    assert!(is_gap(&next(&mut presence)));
    assert_eq!(next_data(&mut presence, 1), ["somebody new"]);
}

#[test]
fn after_a_restart_who_knew_of_nobody_is_told_to_look_again() {
    check_restart(|published| published[0].id.clone(), &["event 2", "event 3"]);
}

#[test]
fn after_a_restart_who_was_in_the_midst_of_presence_is_told_too() {
    check_restart(|published| published[20].id.clone(), &["event 2", "event 3"]);
}

/// Those whom it knows are gone, although nothing was published since.
#[test]
fn after_a_restart_who_had_everything_is_told_that_nobody_is_there_any_more() {
    check_restart(|published| published.last().expect("some").id.clone(), &["event 3"]);
}

#[test]
fn a_hub_that_begins_without_presence_reads_across_what_another_one_stored() {
    let folder = folder();
    let first = {
        let hub = begin(folder.path());
        let first = publish(&hub, "a", "event 1").id;
        (0..2_000).for_each(|_| drop(announce(&hub, "here")));
        (0..200).for_each(|number| drop(publish(&hub, "a", &format!("{number}"))));
        first
    };
    let hub = hub(small(folder.path()));
    let mut all = resumed(&hub, Matcher::any(), &first);
    let expected: Vec<_> = (0..200).map(|number| number.to_string()).collect();
    assert_eq!(next_data(&mut all, 200), expected);
}

/// What has left memory is read from the disk, and presence in between is no gap for those who cannot see it.
#[test]
fn who_catches_up_from_the_disk_is_told_of_presence_first_or_not_at_all() {
    let folder = folder();
    let hub = begin(folder.path());
    let first = publish(&hub, "a", "event").id;
    let mut expected = Vec::new();
    for number in 0..300 {
        announce(&hub, "here");
        publish(&hub, "a", &number.to_string());
        expected.push(number.to_string());
    }
    assert!(hub.counts().log_oldest > 300);
    let mut blind = hub.subscribe(Matcher::any()).after(first.clone()).bookmarks(false);
    assert_eq!(next_data(&mut blind, 300), expected);
    let mut sees = resumed(&hub, Matcher::any(), &first);
    assert!(is_gap(&next(&mut sees)));
    let read = next_data(&mut sees, 310);
    let events: Vec<_> = read.iter().filter(|data| *data != "here").cloned().collect();
    assert_eq!(events, expected);
    assert_eq!(read.len() - events.len(), 10);
}

/// Places that are committed one by one.
fn trickle(hub: &Hub, places: usize) {
    (0..places).for_each(|_| drop(announce(hub, "here")));
}

fn flood(hub: &Hub, places: usize) {
    let handed_in: Vec<_> = (0..places)
        .map(|_| {
            let to = Publication::to([topic(&format!("{NAMESPACE}x"))]);
            hub.announce(to.private(Event::new("here")))
        })
        .collect();
    for each in handed_in {
        wait(each).expect("announced");
    }
}

/// What happens to a log that keeps a number of events.
#[derive(Clone, Debug)]
enum Step {
    Publish(usize),
    Announce(usize),
    Restart { without_indexes: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..40_usize).prop_map(Step::Publish),
        (1..60_usize).prop_map(Step::Announce),
        any::<bool>().prop_map(|without_indexes| Step::Restart { without_indexes }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Goal: as many events are kept as were asked for, to the one, whatever presence is between them and however often the log is
    /// opened.
    /// Method: hold the oldest position against a list of which position is whose. Segments are of a few entries each.
    #[test]
    fn retention_by_events_counts_events_alone(
        steps in prop::collection::vec(step(), 1..14),
        keeps in 0..90_u64,
    ) {
        let folder = folder();
        let open = || {
            let options = DiskEngine::options(folder.path()).segment_bytes(1_024).durability(Durability::Os);
            let engine = std::sync::Arc::new(options.history_events(keeps).open().expect("a log"));
            let builder = Hub::builder().clock(engine.clock()).history_events(10);
            let hub = builder.engine(engine.clone()).build().expect("a hub");
            wait(hub.begin_presence(NAMESPACE)).expect("the disk takes it");
            (engine, hub)
        };
        let (mut engine, mut hub) = open();
        let mut events: Vec<u64> = Vec::new();
        for step in steps {
            match step {
                Step::Publish(count) => {
                    let published = publish_all(&hub, (0..count).map(|_| to(&["a"], Event::new("x"))));
                    events.extend(published.iter().map(|each| each.position));
                }
                Step::Announce(count) => flood(&hub, count),
                Step::Restart { without_indexes } => {
                    drop((engine, hub));
                    if without_indexes {
                        remove_indexes(folder.path());
                    }
                    (engine, hub) = open();
                }
            }
            let dropped = events.len().checked_sub(usize::try_from(keeps).expect("few") + 1);
            let oldest = dropped.map_or(1, |last| events[last] + 1);
            prop_assert_eq!(engine.counts().oldest, oldest);
        }
    }
}

/// Four mebibytes of small segments.
fn in_four_mebibytes(folder: &tempfile::TempDir) -> DiskOptions {
    let options = DiskEngine::options(folder.path()).durability(Durability::Os);
    options.history_bytes(4 * 1024 * 1024).segment_bytes(128 * 1024)
}

/// The earliest event that a log still has, and what its files take.
fn kept(folder: &std::path::Path, options: DiskOptions) -> (u64, u64) {
    let oldest = options.open().expect("a log").counts().oldest;
    let size = |path: &std::path::PathBuf| std::fs::metadata(path).expect("a file").len();
    (oldest, ["seg", "idx"].iter().flat_map(|ending| files(folder, ending)).map(|path| size(&path)).sum())
}

#[test]
fn in_bytes_presence_has_a_tenth_besides_and_pushes_no_event_out_within_it() {
    let folder = folder();
    let hub = hub(in_four_mebibytes(&folder));
    wait(hub.begin_presence(NAMESPACE)).expect("the disk takes it");
    // Just under what is kept.
    publish_all(&hub, (0..5_000).map(|_| to(&["a"], Event::new("x".repeat(700)))));
    trickle(&hub, 3_000);
    assert_eq!(wait(hub.bounds()).expect("known").oldest, 1);
    trickle(&hub, 12_000);
    drop(hub);
    let (oldest, bytes) = kept(folder.path(), in_four_mebibytes(&folder));
    assert!(oldest > 1, "more than a tenth is not kept besides");
    assert!(bytes < 5 * 1024 * 1024, "{bytes} bytes");
}

/// A log of presence alone is not filled with it.
#[test]
fn files_of_presence_alone_go_once_it_has_more_than_its_tenth() {
    let folder = folder();
    let hub = hub(in_four_mebibytes(&folder));
    wait(hub.begin_presence(NAMESPACE)).expect("the disk takes it");
    trickle(&hub, 12_000);
    drop(hub);
    let (oldest, bytes) = kept(folder.path(), in_four_mebibytes(&folder));
    assert!(oldest > 1 && bytes < 1024 * 1024, "{bytes} bytes from {oldest} on");
}

/// Whoever resumes after a restart is served from memory, whatever presence stands behind the newest events.
#[test]
fn a_hub_that_starts_is_told_the_newest_events_and_not_presence_alone() {
    let folder = folder();
    let options = || small(folder.path()).warm_events(100);
    {
        let hub = hub(options());
        wait(hub.begin_presence(NAMESPACE)).expect("the disk takes it");
        publish_all(&hub, (0..50).map(|_| to(&["a"], Event::new("x"))));
        flood(&hub, 500);
    }
    let hub = hub(options());
    assert_eq!(hub.counts().log_entries, 50);
}
