//! Presence that comes together is one record: its places and checks are what they would be one by one (P2, P6), and it takes no room.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use fanfare_engine::DiskEngine;
use fanfare_engine::disk::{DiskOptions, Durability};
use fanfare_hub::engine::{Content, Engine, Followed, Follower, Logged, Origin, ReadError, ReadRequest};
use fanfare_hub::{Check, Delivery, GapReason, Grant, Hub, Matcher, Publication, Published, Submission};
use fanfare_wire::{Draft, Event, EventId};
use proptest::prelude::*;

use crate::gate::Gate;
use crate::support::{
    files, folder, hub, next, next_data, publish, publish_all, remove_indexes, to, topic, wait,
};

const NAMESPACE: &str = "/hub/subscriptions/";

/// Announces `count` subscribers, all but the first of them together.
fn flood(hub: &Hub, gate: &Gate, count: usize) -> Vec<Published> {
    let to = || Publication::to([topic(&format!("{NAMESPACE}x"))]).private(Event::new("here"));
    let announce = || hub.announce(to());
    let (first, rest) = gate.hand_in(announce, || (1..count).map(|_| announce()).collect::<Vec<_>>());
    [first].into_iter().chain(rest).map(|each| wait(each).expect("announced")).collect()
}

/// A hub that announces, over a disk that commits through a gate.
fn gated(options: DiskOptions) -> (Hub, Gate) {
    let gate = Gate::default();
    let engine = options.clock(gate.clone()).open().expect("a log");
    let hub = Hub::builder().engine(engine).history_events(100).build().expect("a hub");
    wait(hub.begin_presence(NAMESPACE)).expect("the disk takes it");
    (hub, gate)
}

fn size(folder: &Path) -> u64 {
    let files = ["seg", "idx"].iter().flat_map(|ending| files(folder, ending));
    files.map(|path| fs::metadata(path).expect("a file").len()).sum()
}

#[test]
fn a_flood_of_presence_leaves_a_history_that_is_bounded_in_bytes_whole() {
    let folder = folder();
    let options = || {
        let options = DiskEngine::options(folder.path()).durability(Durability::Os);
        options.history_bytes(4 * 1024 * 1024).segment_bytes(128 * 1024)
    };
    {
        let (hub, gate) = gated(options());
        let publish = |count| publish_all(&hub, (0..count).map(|_| to(&["a"], Event::new("x".repeat(700)))));
        publish(4_500);
        for _ in 0..12 {
            flood(&hub, &gate, 20_000);
        }
        // Just under what is kept, and the flood is in files that are complete.
        publish(500);
        assert_eq!(wait(hub.bounds()).expect("known").oldest, 1);
        assert_eq!(wait(hub.bounds()).expect("known").next, 245_001);
    }
    // One by one they would have taken 12 MB.
    assert!(size(folder.path()) < 4 * 1024 * 1024);
    let hub = hub(options());
    let mut all = hub.subscribe("a").bookmarks(false).after(EventId::from_static("earliest"));
    assert_eq!(next_data(&mut all, 5_000), vec!["x".repeat(700); 5_000]);
}

#[test]
fn presence_that_is_committed_together_takes_the_same_room_however_much_it_is() {
    let grew = |count: usize| {
        let folder = folder();
        let (hub, gate) = gated(DiskEngine::options(folder.path()).segment_bytes(1_024));
        publish(&hub, "a", "x");
        flood(&hub, &gate, count);
        // It completes the segment, so that there is an index.
        publish(&hub, "a", &"x".repeat(1_024));
        publish(&hub, "a", "x");
        drop(hub);
        size(folder.path())
    };
    // A record or a group more or less, where the committer looked up just then.
    assert!(grew(30_000).abs_diff(grew(10)) < 200, "{} and {} bytes", grew(10), grew(30_000));
}

fn resumed(hub: &Hub, asked: &str, after: &EventId) -> Delivery {
    let asked = if asked == "*" { Matcher::any() } else { topic(asked).into() };
    next(&mut hub.subscribe(asked).grant(&Grant::everything()).after(after.clone()).bookmarks(false))
}

/// P6, at each place of a run.
#[test]
fn an_id_within_a_run_is_known_after_a_restart_and_rewound_once_the_log_has_gone_back() {
    let (folder, backup) = (folder(), folder());
    let options = |folder: &tempfile::TempDir| DiskEngine::options(folder.path());
    let (kept, lost) = {
        let (hub, gate) = gated(options(&folder));
        let mut kept = vec![publish(&hub, "a", "event 1")];
        kept.extend(flood(&hub, &gate, 40));
        fs::create_dir_all(backup.path().join("default")).expect("a folder");
        for file in fs::read_dir(folder.path().join("default")).expect("the folder") {
            let path = file.expect("a file").path();
            let name = path.file_name().expect("a name");
            fs::copy(&path, backup.path().join("default").join(name)).expect("copied");
        }
        (kept, flood(&hub, &gate, 40))
    };
    for (folder, has_gone_back) in [(&folder, false), (&backup, true)] {
        let (hub, gate) = gated(options(folder));
        if has_gone_back {
            // Others stand where those stood.
            flood(&hub, &gate, 60);
        }
        publish(&hub, "a", "event 2");
        for each in kept.iter().chain(&lost) {
            let is_lost = has_gone_back && each.position > 41;
            match resumed(&hub, "a", &each.id) {
                Delivery::Gap(gap) if is_lost => assert_eq!(gap.reason(), GapReason::Rewound),
                Delivery::Event(_) if !is_lost => {}
                other => panic!("{} of {has_gone_back}: {other:?}", each.position),
            }
        }
        // Who reads presence knows of nobody who is there now.
        let Delivery::Gap(gap) = resumed(&hub, "*", &kept[20].id) else { panic!("a gap is due") };
        assert_eq!(gap.reason(), GapReason::Trimmed);
    }
}

/// What an engine tells.
#[derive(Default)]
struct Told(Mutex<(Option<Origin>, BTreeMap<u64, Entry>)>);

/// An entry but for its content: its check, its time, and whether it is of presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    check: Check,
    at: std::time::SystemTime,
    is_presence: bool,
}

impl Entry {
    fn of(logged: &Logged) -> (u64, Self) {
        let is_presence = !matches!(logged.content, Content::Publication(_));
        (logged.position, Self { check: logged.check, at: logged.at, is_presence })
    }
}

impl Follower for Told {
    fn accept(&self, next: Followed) {
        let mut told = self.0.lock().expect("no panic");
        match next {
            Followed::NewEpoch(origin) => told.0 = Some(origin),
            Followed::Entry(logged) => {
                let (position, entry) = Entry::of(&logged);
                assert!(told.1.insert(position, entry).is_none(), "{position} is told once");
            }
            other => panic!("{other:?}"),
        }
    }

    fn ring(&self) {}
}

fn submission(bytes: usize) -> Submission {
    let draft = Draft::new(&Event::new("x".repeat(bytes)), 24);
    Submission { topics: [topic("a")].into(), private: false, chosen_id: None, draft }
}

/// Something that is handed in.
#[derive(Clone, Debug)]
enum Handed {
    /// Of so many bytes.
    Publication(usize),
    Presence(usize),
}

#[derive(Clone, Debug)]
enum Step {
    /// Together, but for the first entry.
    HandIn(Vec<Handed>),
    Restart {
        without_indexes: bool,
        warm: u64,
    },
    Read {
        after: prop::sample::Index,
        before: prop::sample::Index,
        bytes_max: usize,
        by_topic: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let handed = prop_oneof![
        2 => (0..300_usize).prop_map(Handed::Publication),
        1 => (1..4_usize).prop_map(Handed::Presence),
        2 => (2..400_usize).prop_map(Handed::Presence),
    ];
    prop_oneof![
        4 => prop::collection::vec(handed, 1..6).prop_map(Step::HandIn),
        1 => (any::<bool>(), 0..20_u64).prop_map(|(without_indexes, warm)| Step::Restart { without_indexes, warm }),
        4 => (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1..8_000_usize, any::<bool>())
            .prop_map(|(after, before, bytes_max, by_topic)| Step::Read { after, before, bytes_max, by_topic }),
    ]
}

fn start(folder: &Path, gate: &Gate, warm: u64) -> (DiskEngine, Arc<Told>) {
    let options = DiskEngine::options(folder).segment_bytes(1_024).durability(Durability::Os);
    let engine = options.clock(gate.clone()).warm_events(warm).open().expect("a log");
    let told = Arc::new(Told::default());
    engine.follow(told.clone()).expect("followed");
    (engine, told)
}

/// Hands all of it in together, but for the first entry.
fn hand_in(engine: &DiskEngine, gate: &Gate, handed: &[Handed]) {
    let entries: Vec<_> = handed
        .iter()
        .flat_map(|handed| match handed {
            Handed::Publication(bytes) => vec![Some(*bytes)],
            Handed::Presence(count) => vec![None; *count],
        })
        .collect();
    let put = |entry: &Option<usize>| match entry {
        Some(bytes) => engine.append(submission(*bytes), None),
        None => engine.announce(None, None),
    };
    let (first, rest) =
        gate.hand_in(|| put(&entries[0]), || entries[1..].iter().map(put).collect::<Vec<_>>());
    for answer in [first].into_iter().chain(rest) {
        wait(answer).expect("appended");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Goal: whatever is committed together, completed, restarted and read in whatever pieces, each entry is what it was when it was
    /// told first.
    /// Method: a random history of small segments beside a list of everything that was told.
    #[test]
    fn an_entry_is_read_as_it_was_told_whatever_it_shares_a_record_with(steps in prop::collection::vec(step(), 1..40)) {
        let (folder, gate) = (folder(), Gate::default());
        let mut all: BTreeMap<u64, Entry> = BTreeMap::new();
        let (mut engine, mut told) = start(folder.path(), &gate, 10);
        for step in steps {
            match step {
                Step::HandIn(handed) => {
                    hand_in(&engine, &gate, &handed);
                    all.extend(std::mem::take(&mut told.0.lock().expect("no panic").1));
                    prop_assert!(all.keys().copied().eq(1..engine.counts().next), "without a hole");
                }
                Step::Restart { without_indexes, warm } => {
                    drop(engine);
                    if without_indexes {
                        remove_indexes(folder.path());
                    }
                    (engine, told) = start(folder.path(), &gate, warm);
                    let (origin, again) = std::mem::take(&mut *told.0.lock().expect("no panic"));
                    let origin = origin.expect("told");
                    prop_assert_eq!(origin.next, all.len() as u64 + 1);
                    let before = all.get(&(origin.from - 1)).map_or(Check::START, |entry| entry.check);
                    prop_assert_eq!(origin.check_before, before);
                    prop_assert!(again.iter().eq(all.range(origin.from..)), "from {} on", origin.from);
                }
                Step::Read { after, before, bytes_max, by_topic } => {
                    let next = all.len() as u64 + 1;
                    let after = after.index(all.len() + 1) as u64;
                    let before = after + 2 + before.index(all.len() + 1) as u64;
                    let topics = by_topic.then(|| [topic("a")].into());
                    let read = wait(engine.read(ReadRequest { after, before, topics, bytes_max })).expect("read");
                    if after + 1 >= next {
                        prop_assert!(read.entries.is_empty() && read.through == after);
                        continue;
                    }
                    prop_assert!(read.through > after && read.through < before.min(next));
                    let found: BTreeMap<_, _> = read.entries.iter().map(Entry::of).collect();
                    let everything = !by_topic || read.all;
                    let expected = all.range(after + 1..=read.through).filter(|(_, entry)| everything || !entry.is_presence);
                    prop_assert!(found.iter().eq(expected), "behind {} up to {}", after, read.through);
                    // A place counts as much as a record of its own would take.
                    let places = found.values().filter(|entry| entry.is_presence).count();
                    prop_assert!(places <= bytes_max.div_ceil(35), "{} places for {} bytes", places, bytes_max);
                }
            }
        }
        for (position, entry) in &all {
            let request = ReadRequest { after: position - 1, before: position + 1, topics: None, bytes_max: 1 };
            let read = wait(engine.read(request)).expect("read");
            prop_assert_eq!(read.entries.iter().map(Entry::of).collect::<Vec<_>>(), [(*position, *entry)]);
        }
    }
}

/// Goal: a flood is not read in one piece, whatever little room it takes on the disk.
#[test]
fn a_long_run_is_read_in_pieces_of_the_size_that_is_asked_for() {
    let (folder, gate) = (folder(), Gate::default());
    let (engine, told) = start(folder.path(), &gate, 10);
    hand_in(&engine, &gate, &[Handed::Presence(50_000), Handed::Publication(10)]);
    let all = std::mem::take(&mut told.0.lock().expect("no panic").1);
    let (mut after, mut found, mut pieces) = (0, Vec::new(), 0);
    while after < 50_001 {
        let request = ReadRequest { after, before: 60_000, topics: None, bytes_max: 100_000 };
        let read = wait(engine.read(request)).expect("read");
        assert!((1..=100_000 / 35 + 1).contains(&read.entries.len()), "{} entries", read.entries.len());
        found.extend(read.entries.iter().map(Entry::of));
        (after, pieces) = (read.through, pieces + 1);
    }
    assert_eq!(pieces, 50_000 * 35 / 100_000 + 1);
    assert!(found.into_iter().eq(all));
}

/// Goal: wherever the last commit is torn, its run is there whole or not at all; and what is announced then is not what stood there
/// before (P6).
#[test]
fn a_torn_run_is_lost_whole_and_its_places_are_others_then() {
    let (folder, gate) = (folder(), Gate::default());
    let before: BTreeMap<_, _> = {
        let (engine, told) = start(folder.path(), &gate, 1_000);
        hand_in(&engine, &gate, &[Handed::Publication(10), Handed::Presence(30)]);
        hand_in(&engine, &gate, &[Handed::Presence(50)]);
        std::mem::take(&mut told.0.lock().expect("no panic").1)
    };
    let segment = files(folder.path(), "seg").remove(0);
    let whole = fs::read(&segment).expect("read");
    let last = whole.windows(4).rposition(|four| four == b"UORG").expect("a group");
    for length in last..whole.len() {
        fs::write(&segment, &whole[..length]).expect("written");
        let (engine, told) = start(folder.path(), &gate, 1_000);
        let kept = engine.counts().next - 1;
        // The first of them is committed alone, unless the committer looked up just then.
        assert!(kept == 31 || kept == 32, "{kept} are kept");
        hand_in(&engine, &gate, &[Handed::Presence(50)]);
        let now = std::mem::take(&mut told.0.lock().expect("no panic").1);
        let is_as_before = |position: &u64| now[position].check == before[position].check;
        assert!((1..=kept).all(|position| is_as_before(&position)), "cut at {length}");
        assert!(!(kept + 1..=81).any(|position| is_as_before(&position)), "cut at {length}");
    }
}

/// Goal: damage in a run costs the run, once, and whoever reads on is told of all of it at once.
#[test]
fn a_damaged_run_is_passed_in_one_step() {
    let (folder, gate) = (folder(), Gate::default());
    let all = {
        let (engine, told) = start(folder.path(), &gate, 10);
        hand_in(
            &engine,
            &gate,
            &[Handed::Publication(10), Handed::Presence(5_000), Handed::Publication(2_000)],
        );
        hand_in(&engine, &gate, &[Handed::Publication(10)]);
        std::mem::take(&mut told.0.lock().expect("no panic").1)
    };
    // Its seed, behind its length.
    let segment = files(folder.path(), "seg").remove(0);
    let mut bytes = fs::read(&segment).expect("read");
    let count = u32::to_le_bytes(5_000);
    let at = bytes.windows(4).position(|four| four == count).expect("a run of all of them");
    bytes[at + 10] ^= 1;
    fs::write(&segment, bytes).expect("written");
    for without_indexes in [false, true] {
        if without_indexes {
            remove_indexes(folder.path());
        }
        let (engine, _) = start(folder.path(), &gate, 0);
        let read = |after| {
            wait(engine.read(ReadRequest { after, before: 6_000, topics: None, bytes_max: 1_000_000 }))
        };
        assert_eq!(read(0).expect("read").through, 1);
        for after in [1, 2, 2_500, 5_000] {
            let lost = read(after);
            assert!(matches!(lost, Err(ReadError::Trimmed { oldest: 5_002 })), "behind {after}: {lost:?}");
        }
        let rest: BTreeMap<_, _> = read(5_001).expect("read").entries.iter().map(Entry::of).collect();
        assert!(rest.iter().eq(all.range(5_002..=5_002)), "{rest:?}");
    }
}
