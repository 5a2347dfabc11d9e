//! Writes a small log with one of everything, and beside it what is in it: a folder of `testdata/logs`.
//!
//! It writes what this release writes and checks nothing; `tests/disk/formats.rs` holds each release against such folders.
//!
//! ```sh
//! cargo run -p fanfare-engine --example write_log -- testdata/logs/format-4
//! ```

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use fanfare_engine::DiskEngine;
use fanfare_hub::{Clock, Hub, IdempotencyKey, Publication, Published, Topic};
use fanfare_wire::{Event, EventId, EventName};
use futures_util::future::try_join_all;
use serde_json::{Value, json};

/// So small that a few dozen entries need several.
const SEGMENT_BYTES: u64 = 1_280;
/// 2026-01-01T00:00:00Z, in microseconds since 1970.
const BEGINS: u64 = 1_767_225_600_000_000;
/// Between two groups: not a whole number of seconds, for times are stored in microseconds.
const BETWEEN: u64 = 1_500_001;

/// A clock that is set by hand: the same times whenever this runs.
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_micros(self.0.load(Ordering::Relaxed))
    }
}

/// What is published.
#[derive(Clone, Default)]
struct Draft {
    topics: Vec<&'static str>,
    data: String,
    name: Option<&'static str>,
    retry_ms: Option<u64>,
    id: Option<&'static str>,
    key: Option<&'static str>,
    private: bool,
}

impl Draft {
    fn to(topics: &[&'static str], data: impl Into<String>) -> Self {
        Self { topics: topics.to_vec(), data: data.into(), ..Self::default() }
    }

    fn publication(&self) -> Result<Publication, Box<dyn Error>> {
        let mut event = Event::new(self.data.clone());
        if let Some(name) = self.name {
            event = event.event(EventName::parse(name)?);
        }
        if let Some(retry) = self.retry_ms {
            event = event.retry(Duration::from_millis(retry));
        }
        if let Some(id) = self.id {
            event = event.id(EventId::parse(id)?);
        }
        let topics = self.topics.iter().copied().map(Topic::parse).collect::<Result<Vec<_>, _>>()?;
        let addressed = Publication::to(topics);
        let publication = if self.private { addressed.private(event) } else { addressed.event(event) };
        Ok(match self.key {
            Some(key) => publication.idempotency_key(IdempotencyKey::new(key)),
            None => publication,
        })
    }
}

/// What is handed in at once.
enum Group {
    Publications(Vec<Draft>),
    /// So many subscribers come.
    Presence(usize),
}

/// Each kind of entry is in a segment that is complete, and most are in the newest as well.
fn groups() -> Vec<Group> {
    let mut groups: Vec<_> = publications().into_iter().map(Group::Publications).collect();
    // Many together, one alone, and before the newest group some in the newest segment.
    groups.insert(groups.len() - 1, Group::Presence(6));
    groups.insert(4, Group::Presence(1));
    groups.insert(2, Group::Presence(12));
    groups
}

fn publications() -> Vec<Vec<Draft>> {
    let plain = |topic: &'static str, data: &str| Draft::to(&[topic], data);
    let long: String = ('a'..='z').cycle().take(1_300).collect();
    let mut groups = vec![
        vec![plain("rooms/7", "hello")],
        vec![
            Draft { id: Some("order-41"), ..plain("orders/41", "paid") },
            Draft { key: Some("attempt 1"), ..plain("orders/41", "packed") },
            Draft { private: true, ..plain("users/ada", "for your eyes only") },
            Draft { name: Some("shipped"), retry_ms: Some(2_500), ..plain("orders/41", "by boat") },
        ],
        vec![plain("rooms/7", "first line\nsecond line\n\nfourth line, behind an empty one\n")],
        vec![Draft {
            private: true,
            id: Some("urn:uuid:1b4e28ba"),
            key: Some("publisher 3\u{1f}attempt 2"),
            ..Draft::to(&["users/ada", "users/grace", "https://example.com/users/{id}"], "both of you")
        }],
        vec![
            plain("rooms/8", ""),
            plain("rooms/8", " leading space: and a colon"),
            plain("räume/ü", "snow ☃, a face 🙂, and \u{feff} in the middle"),
        ],
        // What a group begins with, as data.
        vec![plain("rooms/8", "UORG")],
        vec![plain("rooms/7", &long)],
        // Used before: the earliest counts.
        vec![Draft { id: Some("order-41"), name: Some("again"), ..plain("orders/41", "paid again") }],
    ];
    for n in 0..8 {
        groups.push(vec![plain(
            if n % 2 == 0 { "rooms/7" } else { "rooms/8" },
            &format!("number {n}, {}", "lorem ipsum ".repeat(7)),
        )]);
    }
    groups.push(vec![
        Draft { id: Some("order-42"), key: Some("attempt 3"), ..plain("orders/42", "paid") },
        Draft { private: true, name: Some("note"), retry_ms: Some(0), ..plain("users/grace", "one\ntwo") },
        Draft { id: Some("last-but-two"), ..Draft::to(&["rooms/7", "rooms/8"], "both rooms") },
    ]);
    groups.push(vec![Draft { key: Some("attempt 4"), ..plain("räume/ü", "grüße") }]);
    groups.push(vec![plain("rooms/7", "the newest")]);
    groups
}

fn entry(draft: &Draft, Published { position, id, .. }: &Published, at: u64) -> Value {
    json!({
        "position": position,
        "presence": false,
        "id": id.as_str(),
        "publishers_id": draft.id.is_some(),
        "at_us": at,
        "topics": draft.topics,
        "private": draft.private,
        "key": draft.key,
        "name": draft.name,
        "retry_ms": draft.retry_ms,
        "data": draft.data,
    })
}

fn place(Published { position, id, .. }: &Published, at: u64) -> Value {
    json!({ "position": position, "presence": true, "id": id.as_str(), "at_us": at })
}

/// What a subscriber says who comes.
fn coming() -> Result<Publication, Box<dyn Error>> {
    Ok(Publication::to([Topic::parse("/subscriptions/rooms/7")?]).private(Event::new("somebody is here")))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("which folder? It must not have a log yet")?);
    if folder.join("default").exists() {
        return Err(format!("{} has a log already", folder.display()).into());
    }
    let clock = Arc::new(Hand(AtomicU64::new(BEGINS)));
    let engine = DiskEngine::options(&folder).segment_bytes(SEGMENT_BYTES).clock(clock.clone()).open()?;
    let hub = Hub::builder().clock(clock.clone()).engine(engine).build()?;
    let mut lines = Vec::new();
    for group in groups() {
        let at = clock.0.load(Ordering::Relaxed);
        match group {
            Group::Publications(drafts) => {
                let publications = drafts.iter().map(Draft::publication).collect::<Result<Vec<_>, _>>()?;
                let published = publications.into_iter().map(|publication| hub.publish_all(publication));
                let published = try_join_all(published).await?;
                lines.extend(drafts.iter().zip(&published).map(|(draft, told)| entry(draft, told, at)));
            }
            Group::Presence(count) => {
                let handed_in = (0..count).map(|_| Ok(hub.announce(coming()?)));
                let handed_in = handed_in.collect::<Result<Vec<_>, Box<dyn Error>>>()?;
                lines.extend(try_join_all(handed_in).await?.iter().map(|told| place(told, at)));
            }
        }
        clock.0.store(at + BETWEEN, Ordering::Relaxed);
    }
    let lines: Vec<_> = lines.iter().map(Value::to_string).collect();
    // Commits the last of it, and writes the indexes.
    drop(hub);
    // One entry a line, so that a change of this file can be read.
    std::fs::write(folder.join("entries.json"), format!("[\n{}\n]\n", lines.join(",\n")))?;
    Ok(())
}
