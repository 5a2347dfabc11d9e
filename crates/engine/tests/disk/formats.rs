//! Folders that earlier releases wrote are read as they were meant; and whatever becomes of a byte of them, what is read is right.
//!
//! `testdata/logs` says how a folder came to be; nothing here writes one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use fanfare_engine::DiskEngine;
use fanfare_engine::disk::{DiskOptions, Durability, OpenError};
use fanfare_hub::engine::{Content, Engine, Logged, ReadError, ReadRequest};
use fanfare_hub::{
    Clock, Delivery, Grant, Hub, IdKey, IdempotencyKey, Matcher, Place, Publication, Submission, Topic,
};
use fanfare_wire::{Decoder, Event, EventName, Item};
use serde_json::Value;

use crate::support::{files, folder, id, next, publish, topic, wait};

/// What stands in a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Fields {
    id: String,
    name: String,
    data: String,
    retry: Option<Duration>,
}

/// An entry as `entries.json` tells of it. Of presence there is its place and its id alone.
#[derive(Debug)]
struct Told {
    position: u64,
    presence: bool,
    fields: Fields,
    publishers_id: bool,
    at: SystemTime,
    topics: Vec<String>,
    private: bool,
    key: Option<String>,
}

impl Told {
    fn read(entry: &Value) -> Self {
        let number = |name: &str| entry[name].as_u64();
        let text = |name: &str| entry[name].as_str().map(str::to_owned);
        let truth = |name: &str| entry[name].as_bool().unwrap_or_default();
        let topics = entry["topics"].as_array().into_iter().flatten();
        Self {
            position: number("position").expect("a position"),
            presence: truth("presence"),
            fields: Fields {
                id: text("id").expect("an id"),
                name: text("name").unwrap_or_else(|| "message".to_owned()),
                data: text("data").unwrap_or_default(),
                retry: number("retry_ms").map(Duration::from_millis),
            },
            publishers_id: truth("publishers_id"),
            at: SystemTime::UNIX_EPOCH + Duration::from_micros(number("at_us").expect("a time")),
            topics: topics.map(|topic| topic.as_str().expect("a topic").to_owned()).collect(),
            private: truth("private"),
            key: text("key"),
        }
    }

    /// The publication as it was made, once more.
    fn publication(&self) -> Publication {
        let mut event = Event::new(self.fields.data.clone());
        if self.fields.name != "message" {
            event = event.event(EventName::parse(&self.fields.name).expect("a name"));
        }
        if let Some(retry) = self.fields.retry {
            event = event.retry(retry);
        }
        if self.publishers_id {
            event = event.id(id(&self.fields.id));
        }
        let addressed = Publication::to(self.topics.iter().map(|text| topic(text)));
        let publication = if self.private { addressed.private(event) } else { addressed.event(event) };
        match &self.key {
            Some(key) => publication.idempotency_key(IdempotencyKey::new(key)),
            None => publication,
        }
    }

    /// Holds what an engine read against this.
    fn check(&self, logged: &Logged) {
        if self.presence {
            assert!(matches!(logged.content, Content::Forgotten), "{} is presence", self.position);
            assert_eq!((logged.position, logged.at), (self.position, self.at));
            return;
        }
        let Content::Publication(Submission { topics, private, chosen_id, draft }) = &logged.content else {
            panic!("{} is no publication", self.position);
        };
        let is = (logged.position, logged.at, *private, chosen_id.is_some());
        assert_eq!(is, (self.position, self.at, self.private, self.publishers_id), "{}", self.position);
        assert!(topics.iter().map(Topic::as_str).eq(self.topics.iter().map(String::as_str)));
        let frame = draft.clone().stamp(chosen_id.as_ref().unwrap_or(&id(&self.fields.id)));
        assert_eq!(fields(frame.as_bytes()), self.fields);
    }
}

/// What a subscriber understands of one event.
fn fields(mut frame: &[u8]) -> Fields {
    let (mut decoder, mut fields, mut events) = (Decoder::new(), Fields::default(), 0);
    while let Some(item) = decoder.next(&mut frame).expect("a frame") {
        match item {
            Item::Event(event) => {
                events += 1;
                event.last_event_id.clone_into(&mut fields.id);
                event.name.clone_into(&mut fields.name);
                event.data.clone_into(&mut fields.data);
            }
            Item::ReconnectionTime(retry) => fields.retry = Some(retry),
            other => panic!("{other:?} in an event"),
        }
    }
    assert_eq!(events, 1);
    fields
}

fn ends_in(name: &str, ending: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, found)| found == ending)
}

/// A folder that a release wrote.
struct Written {
    name: String,
    epoch: u32,
    key: IdKey,
    told: Vec<Told>,
    files: BTreeMap<String, Vec<u8>>,
}

impl Written {
    fn read(path: &Path) -> Self {
        let list = fs::read_to_string(path.join("entries.json")).expect("the list of entries");
        let list: Vec<Value> = serde_json::from_str(&list).expect("JSON");
        let files = fs::read_dir(path.join("default")).expect("the log").map(|file| {
            let path = file.expect("a file").path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
            (name, fs::read(path).expect("read"))
        });
        let files: BTreeMap<_, _> = files.collect();
        let log = str::from_utf8(&files["log"]).expect("text");
        let field = |name: &str| log.lines().find_map(|line| line.strip_prefix(name)).expect("a field");
        let epoch = u32::from_str_radix(field("epoch "), 16).expect("a number");
        let key = u128::from_str_radix(field("key "), 16).expect("a number");
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        let told = list.iter().map(Told::read).collect();
        Self { name, epoch, key: IdKey::new(key.to_be_bytes()), told, files }
    }

    /// Writes the log, with some of its files as they are in `changed`, in place of whatever is there.
    fn lay(&self, folder: &Path, changed: &BTreeMap<String, Vec<u8>>, left_out: &str) {
        let log = folder.join("default");
        let _ = fs::remove_dir_all(&log);
        fs::create_dir_all(&log).expect("a folder");
        for (name, bytes) in self.files.iter().filter(|(name, _)| !name.ends_with(left_out)) {
            fs::write(log.join(name), changed.get(name).unwrap_or(bytes)).expect("written");
        }
    }

    fn next(&self) -> u64 {
        self.told.len() as u64 + 1
    }

    /// The publications.
    fn events(&self) -> impl Iterator<Item = &Told> {
        self.told.iter().filter(|told| !told.presence)
    }

    /// The first publication at a position or behind it.
    fn event_from(&self, position: u64) -> u64 {
        self.events().map(|told| told.position).find(|&event| event >= position).unwrap_or(self.next())
    }

    /// Holds what an engine read against what is told of it, its check too where the hub made its id.
    fn check(&self, logged: &Logged) {
        let told = self.told(logged.position);
        told.check(logged);
        if !told.publishers_id {
            let place = Place { epoch: self.epoch, position: logged.position, check: logged.check };
            assert_eq!(self.key.encipher(place).as_str(), told.fields.id, "{}", logged.position);
        }
    }

    fn told(&self, position: u64) -> &Told {
        &self.told[usize::try_from(position - 1).expect("it fits")]
    }

    /// Where the earliest entry with an id stands.
    fn earliest(&self, id: &str) -> u64 {
        self.told.iter().find(|told| told.fields.id == id).expect("an entry").position
    }

    /// The name of the newest segment.
    fn newest(&self) -> &str {
        self.files.keys().rfind(|name| ends_in(name, "seg")).expect("a segment")
    }

    /// A second after the newest entry, so that keys are remembered whenever this runs.
    fn options(&self, folder: &Path) -> DiskOptions {
        let newest = self.told(self.next() - 1).at;
        let micros = newest.duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_micros();
        let clock = Hand(AtomicU64::new(u64::try_from(micros).expect("it fits") + 1_000_000));
        DiskEngine::options(folder).clock(Arc::new(clock))
    }

    fn hub(&self, folder: &Path) -> Hub {
        let engine = self.options(folder).open().expect("a log");
        Hub::builder().clock(engine.clock()).engine(engine).build().expect("a hub")
    }
}

struct Hand(AtomicU64);

impl Clock for Hand {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_micros(self.0.load(Ordering::Relaxed))
    }
}

/// A folder that syncs take no time in, where the system has such a place: thousands of logs are opened there.
fn in_memory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).expect("a folder") } else { folder() }
}

/// Every folder there is, the oldest format first.
fn all_written() -> Vec<Written> {
    let logs = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/logs"));
    let paths = fs::read_dir(logs).expect("the folder").map(|entry| entry.expect("an entry").path());
    let mut folders: Vec<_> = paths.filter(|path| path.is_dir()).collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders.iter().map(|folder| Written::read(folder)).collect()
}

/// Reads all that can be read up to `next`, in pieces; the positions that cannot be, apart.
fn read_all(engine: &DiskEngine, next: u64) -> (Vec<Logged>, BTreeSet<u64>) {
    let (mut found, mut missing, mut after) = (Vec::new(), BTreeSet::new(), 0);
    while after + 1 < next {
        let request = ReadRequest { after, before: next, topics: None, bytes_max: 300 };
        let through = match wait(engine.read(request)) {
            Ok(batch) => {
                found.extend(batch.entries);
                batch.through
            }
            Err(ReadError::Trimmed { oldest }) => {
                missing.extend(after + 1..oldest);
                oldest - 1
            }
            Err(error) => panic!("behind {after}: {error:?}"),
        };
        assert!(through > after, "reading goes on");
        after = through;
    }
    (found, missing)
}

#[test]
fn a_log_of_every_format_is_read_as_it_was_written() {
    for written in all_written() {
        let folder = folder();
        written.lay(folder.path(), &BTreeMap::new(), "nothing");
        let engine = written.options(folder.path()).open().expect("a log");
        let (found, missing) = read_all(&engine, engine.counts().next);
        assert_eq!((found.len(), missing.len()), (written.told.len(), 0), "{}", written.name);
        assert!(engine.counts().segments >= 3, "{} has too few segments to show anything", written.name);
        let positions = found.iter().map(|logged| logged.position);
        assert!(positions.eq(1..written.next()), "{}", written.name);
        for logged in &found {
            written.check(logged);
        }
        for told in &written.told {
            let expected = told.publishers_id.then(|| written.earliest(&told.fields.id));
            assert_eq!(wait(engine.find(id(&told.fields.id))).expect("searched"), expected);

            // Presence is read among everything else alone.
            let topics = (!told.presence).then(|| told.topics.iter().map(|text| topic(text)).collect());
            let request =
                ReadRequest { after: told.position - 1, before: told.position + 1, topics, bytes_max: 1 };
            let read = wait(engine.read(request)).expect("read");
            assert_eq!(read.entries.len(), 1, "{} by its topics", told.position);
        }
    }
}

#[test]
fn a_hub_goes_on_with_a_log_of_every_format() {
    for written in all_written() {
        let folder = folder();
        written.lay(folder.path(), &BTreeMap::new(), "nothing");
        for more in 0..3 {
            let hub = written.hub(folder.path());
            for told in written.told.iter().filter(|told| told.key.is_some()) {
                let again = wait(hub.publish_all(told.publication())).expect("published");
                let expected = (told.position, told.fields.id.as_str(), true);
                assert_eq!(
                    (again.position, again.id.as_str(), again.duplicate),
                    expected,
                    "{}",
                    written.name
                );
            }
            // Each start finds what the one before has published.
            assert_eq!(publish(&hub, "more", &more.to_string()).position, written.next() + more);

            let everything = || hub.subscribe(Matcher::any()).bookmarks(false);
            let mut allowed = everything().grant(&Grant::everything()).after(id("earliest"));
            let mut public = everything().after(id("earliest"));
            for told in written.events() {
                let mut subscriptions = vec![&mut allowed];
                if !told.private {
                    subscriptions.push(&mut public);
                }
                for subscription in subscriptions {
                    let Delivery::Event(entry) = next(subscription) else { panic!("an event is due") };
                    assert_eq!((entry.position(), entry.is_private()), (told.position, told.private));
                    assert_eq!(fields(entry.frame().as_bytes()), told.fields);
                }
            }
            // And whoever has seen an entry resumes right behind it, unless its id was used before.
            for told in &written.told {
                let mut resumed = everything().grant(&Grant::everything()).after(id(&told.fields.id));
                let Delivery::Event(entry) = next(&mut resumed) else { panic!("an event is due") };
                let behind = written.earliest(&told.fields.id) + 1;
                assert_eq!(
                    entry.position(),
                    written.event_from(behind),
                    "{} {}",
                    written.name,
                    told.position
                );
            }
            for expected in 0..=more {
                let Delivery::Event(entry) = next(&mut public) else { panic!("an event is due") };
                assert_eq!(fields(entry.frame().as_bytes()).data, expected.to_string());
            }
        }
    }
}

/// Nothing is added to a segment of an earlier format; what it begins with changes only where nothing is in it.
#[test]
fn a_log_of_an_earlier_format_goes_on_in_this_one_s() {
    let format = |path: &Path| fs::read(path).expect("read")[8];
    let newest = |folder: &Path| files(folder, "seg").pop().expect("a segment");
    let ours = {
        let folder = folder();
        drop(DiskEngine::options(folder.path()).open().expect("a log"));
        format(&newest(folder.path()))
    };
    for written in all_written() {
        let folder = folder();
        let earlier = folder.path().join("default").join(written.newest());
        for is_empty in [false, true] {
            written.lay(folder.path(), &BTreeMap::new(), "nothing");
            if is_empty {
                fs::write(&earlier, &fs::read(&earlier).expect("read")[..40]).expect("written");
            }
            let before = fs::read(&earlier).expect("read");
            let first: u64 = written.newest()[..20].parse().expect("a position");
            let next = if is_empty { first } else { written.next() };
            for more in 0..2 {
                let hub = written.hub(folder.path());
                assert_eq!(publish(&hub, "more", "").position, next + more, "{}, {is_empty}", written.name);
            }
            assert_eq!(format(&newest(folder.path())), ours);
            let grew = fs::read(&earlier).expect("read") != before;
            assert_eq!(grew, is_empty || before[8] == ours, "{}, {is_empty}", written.name);
        }
    }
}

/// What changing one byte did to a log.
enum Damage {
    Refused(OpenError),
    Missing(BTreeSet<u64>),
}

/// Opens a log that may be damaged and reads all of it. What is handed out has to be right.
fn look(written: &Written, folder: &Path, with_indexes: bool) -> Damage {
    let engine = match written.options(folder).durability(Durability::Os).open() {
        Ok(engine) => engine,
        Err(error) => return Damage::Refused(error),
    };
    let next = engine.counts().next;
    assert!(next <= written.next(), "nothing is invented");
    let (found, mut missing) = read_all(&engine, next);
    missing.extend(next..written.next());
    for logged in &found {
        written.check(logged);
    }
    let positions = found.iter().map(|logged| logged.position).chain(missing.iter().copied());
    assert_eq!(positions.collect::<BTreeSet<_>>().len(), written.told.len(), "each is there or missing");
    for told in written.told.iter().filter(|told| told.publishers_id) {
        let earliest = written.earliest(&told.fields.id);
        let position = wait(engine.find(id(&told.fields.id))).expect("damage stops no search");
        if with_indexes || !missing.contains(&earliest) {
            // Whoever went on behind a later one with this id would lose what is between and not be told.
            let expected = (!missing.contains(&earliest)).then_some(earliest);
            assert_eq!(position, expected, "{}", told.fields.id);
        }
    }
    Damage::Missing(missing)
}

/// Goal: no byte can be changed so that anything wrong is handed out, or more is lost than must be.
/// Method: change every byte of every file, one at a time, with the indexes there and without them; of the earlier formats, one byte in
/// seven.
#[test]
fn a_changed_byte_costs_what_it_is_part_of_and_is_never_handed_out() {
    let (all, folder) = (all_written(), in_memory());
    for (earlier, written) in all.iter().rev().enumerate() {
        for left_out in ["nothing", ".idx"] {
            for (name, whole) in written.files.iter().filter(|(name, _)| !name.ends_with(left_out)) {
                for at in (0..whole.len()).step_by(if earlier == 0 { 1 } else { 7 }) {
                    let mut bytes = whole.clone();
                    bytes[at] ^= 1 << (at % 8);
                    written.lay(folder.path(), &BTreeMap::from([(name.clone(), bytes)]), left_out);
                    let damage = look(written, folder.path(), left_out != ".idx");
                    check_damage(written, name, at, damage);
                }
            }
        }
    }
}

fn check_damage(written: &Written, name: &str, at: usize, damage: Damage) {
    let context = format!("{}, {name}, byte {at}", written.name);
    match damage {
        Damage::Refused(error) => {
            let is_expected = matches!(error, OpenError::Damaged { .. })
                || matches!(error, OpenError::NewerFormat { .. } if name == "log");
            assert!(is_expected, "{context}: {error}");
            let is_sealed_body = ends_in(name, "seg") && name != written.newest() && at >= 40;
            assert!(!is_sealed_body && !ends_in(name, "idx"), "{context}: {error}");
        }
        Damage::Missing(missing) => {
            assert_ne!(name, "log", "{context}");
            // The last group of the newest segment may be torn: nobody knows that it was acknowledged.
            let most = if ends_in(name, "idx") {
                0
            } else if name == written.newest() {
                3
            } else {
                1
            };
            // A run is one record: whatever is damaged of it, all its places are lost.
            let is_run = missing.iter().zip(missing.iter().skip(1)).all(|(one, next)| one + 1 == *next)
                && missing.iter().all(|&position| written.told(position).presence);
            let is_expected = missing.len() <= most || most > 0 && is_run;
            assert!(is_expected, "{context}: {missing:?} are missing");
        }
    }
}
