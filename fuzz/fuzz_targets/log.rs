//! A log on disk whose files hold anything: opening and reading it never panics, never hands out what was not published, and goes
//! on; what is published then is there after the next start.
//!
//! It begins with what releases wrote (`testdata/logs`). It syncs into memory where the system has a folder for that.

#![no_main]

mod folder;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};
use std::time::Duration;

use fanfare_engine::DiskEngine;
use fanfare_engine::disk::{DiskOptions, Durability};
use fanfare_hub::engine::{Content, Engine, Logged, ReadError, ReadRequest};
use fanfare_hub::{Hub, Topic};
use fanfare_wire::{Event, EventId};
use folder::{Change, Files, Format};
use libfuzzer_sys::fuzz_target;

#[derive(arbitrary::Arbitrary, Debug)]
struct Case<'a> {
    format: Format,
    changes: Vec<Change<'a>>,
    /// Checksums are made right again, so that what is inside is looked at. Only format 1 lets anybody do that.
    is_mended: bool,
    keeps_events: Option<u8>,
    keeps_seconds: Option<u32>,
}

/// What was published: the frame without its id, topics, whether it is private, and the publisher's id. `None` for presence, of
/// which only the place is kept.
type Published = Option<(Vec<u8>, Vec<String>, bool, Option<String>)>;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future that another thread answers.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Arc::new(Unpark(thread::current())).into();
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

fn published(logged: &Logged) -> Published {
    let Content::Publication(submission) = &logged.content else { return None };
    let id = submission.chosen_id.as_ref().map(|id| id.as_str().to_owned());
    let topics = submission.topics.iter().map(|topic| topic.as_str().to_owned()).collect();
    let frame = submission.draft.frame_without_id().to_vec();
    Some((frame, topics, submission.private, id))
}

/// Reads what can be read, of all topics or of one, and holds where it stands against `whole` if that is known.
fn read_all(engine: &DiskEngine, topic: Option<&str>, whole: Option<&BTreeMap<u64, Published>>) {
    let counts = engine.counts();
    let mut after = counts.oldest - 1;
    // Nobody asks for everything there might be in a log that says it has very many.
    for _ in 0..1_000 {
        if after + 1 >= counts.next {
            return;
        }
        let topics = topic.map(|topic| [Topic::parse(topic).expect("a topic")].into());
        let request = ReadRequest { after, before: counts.next, topics, bytes_max: 500 };
        let through = match wait(engine.read(request)) {
            Ok(batch) => {
                for logged in &batch.entries {
                    assert!(logged.position > after && logged.position <= batch.through);
                    if let Some(whole) = whole {
                        assert_eq!(Some(&published(logged)), whole.get(&logged.position), "invented");
                    }
                }
                batch.through
            }
            Err(ReadError::Trimmed { oldest }) => oldest - 1,
            // A file that is gone or shorter than it was.
            Err(_) => return,
        };
        assert!(through > after, "reading goes on");
        after = through;
    }
}

fn whole(format: Format) -> &'static BTreeMap<u64, Published> {
    static WHOLE: [OnceLock<BTreeMap<u64, Published>>; 3] = [const { OnceLock::new() }; 3];
    WHOLE[format as usize].get_or_init(|| {
        let folder = scratch();
        Files::of(format).lay(folder.path());
        let engine = DiskEngine::options(folder.path()).open().expect("a log");
        let request = ReadRequest { after: 0, before: u64::MAX, topics: None, bytes_max: 1 << 20 };
        let mut entries = BTreeMap::new();
        let mut next = 1;
        while next < engine.counts().next {
            let batch = wait(engine.read(ReadRequest { after: next - 1, ..request.clone() })).expect("read");
            entries.extend(batch.entries.iter().map(|logged| (logged.position, published(logged))));
            next = batch.through + 1;
        }
        entries
    })
}

fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    folder.expect("a folder")
}

fuzz_target!(|case: Case<'_>| {
    let whole = whole(case.format);
    let folder = scratch();
    let mut files = Files::of(case.format);
    case.changes.iter().for_each(|change| files.change(change));
    let is_mended = case.is_mended && case.format == Format::First;
    if is_mended {
        files.mend();
    }
    files.lay(folder.path());
    let options = || -> DiskOptions {
        let age = case.keeps_seconds.map(|seconds| Duration::from_secs(seconds.into()));
        let events = case.keeps_events.map(u64::from);
        let options = DiskEngine::options(folder.path()).durability(Durability::Os).segment_bytes(1_024);
        options.history_events(events).history_age(age)
    };
    // What is refused is left as it is.
    let Ok(engine) = options().open() else { return };
    let whole = (!is_mended).then_some(whole);
    read_all(&engine, None, whole);
    read_all(&engine, Some("rooms/7"), whole);
    for id in ["order-41", "last-but-two", "nobody's"] {
        if let (Ok(Some(position)), Some(whole)) =
            (wait(engine.find(EventId::parse(id).expect("an id"))), whole)
        {
            let found = whole.get(&position).and_then(Option::as_ref);
            assert_eq!(found.and_then(|published| published.3.as_deref()), Some(id));
        }
    }
    let Ok(hub) = Hub::builder().clock(engine.clock()).engine(engine).build() else { return };
    let position = wait(hub.publish("rooms/7", Event::new("after all that"))).expect("published").position;
    drop(hub);
    let engine = options().open().expect("it was opened before");
    assert_eq!(engine.counts().next, position + 1, "what was published is there");
});
