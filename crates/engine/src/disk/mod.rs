//! The log on disk: append-only segments in a folder, written by one thread, read by others.
//!
//! An append is answered when its group is on the disk, and shown to nobody before. What stands in the files is laid down in
//! `docs/log-format.md`, and why they are files of our own in `docs/decisions/0001-disk-engine.md`.

mod checksum;
mod clerks;
mod committer;
mod copying;
mod error;
mod file;
mod group;
mod hash;
mod housekeeping;
mod index;
mod index_file;
mod index_search;
mod manifest;
mod open;
mod opened;
mod options;
mod places;
mod queue;
mod reading;
mod record;
mod recovery;
mod retention;
mod run;
mod salvage;
mod segment;
mod state;
mod stretches;
mod writer;

use std::fmt;
use std::fs::File;
use std::future::ready;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use fanfare_hub::engine::{
    Answer, AppendError, Appended, Batch, Bounds, Content, Engine, EngineFault, Followed, Follower, Origin,
    ReadError, ReadRequest,
};
use fanfare_hub::{Check, Clock, IdempotencyKey, Position, Submission};
use fanfare_wire::EventId;

pub use copying::DiskTarget;
pub use error::{DiskFault, OpenError};
pub use options::{DiskOptions, Durability};

use crate::promise::{Promise, Promised, promise};
use clerks::Clerks;
use committer::Committer;
use group::Request;
use hash::{Term, TermHasher};
use index_file::Outline;
use queue::{Queue, Refused};
use record::PLACE_BYTES;
use state::Shared;

/// A log in a folder, that survives the process and the loss of power.
///
/// ```
/// # use fanfare_engine::DiskEngine;
/// # use fanfare_hub::Hub;
/// # use fanfare_wire::Event;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let engine = DiskEngine::options(folder).history_bytes(64 * 1024 * 1024).open()?;
/// let hub = Hub::builder().clock(engine.clock()).engine(engine).build()?;
/// let published = hub.publish("rooms/7", Event::new("hi")).await?;
/// assert_eq!(published.position, 1);
/// # Ok(()) }
/// ```
///
/// One process uses a folder at a time. Dropping the engine commits what was handed in, and ends its threads; a hub that is dropped may
/// keep it a moment longer, until a read that is under way has ended.
pub struct DiskEngine {
    shared: Arc<Shared>,
    queue: Arc<Queue<Request>>,
    /// Taken when they are to end.
    readers: Option<Clerks<Read>>,
    committer: Option<JoinHandle<()>>,
    warm_events: u64,
    _lock: File,
}

/// What a log on disk has counted, and how large it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskCounts {
    /// The oldest position that can be read.
    pub oldest: Position,
    /// The position of the next entry.
    pub next: Position,
    /// Files of entries.
    pub segments: u64,
    /// Bytes of the segments and, about, their indexes.
    pub bytes: u64,
    /// Groups committed since the start; with [`Durability::Fsync`] each is one sync.
    pub groups: u64,
    /// How often a read came upon an entry that is damaged.
    pub damaged: u64,
}

/// Something for a reader.
enum Read {
    Batch(ReadRequest, Promise<Result<Batch, ReadError>>),
    Find(EventId, Promise<Result<Option<Position>, EngineFault>>),
}

impl Read {
    fn answer(self, shared: &Shared) {
        match self {
            Self::Batch(request, promise) => promise.keep(shared.read(&request)),
            Self::Find(id, promise) => {
                promise.keep(shared.find(&id).map_err(|fault| Arc::new(fault) as EngineFault));
            }
        }
    }
}

impl DiskEngine {
    /// Begins to configure a log in `folder`, which is created if it is not there.
    pub fn options(folder: impl AsRef<Path>) -> DiskOptions {
        DiskOptions::new(folder.as_ref())
    }

    /// The clock that entries are dated by. A hub that drops entries by age goes by the same:
    /// [`HubBuilder::clock`](fanfare_hub::HubBuilder::clock).
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.shared.clock.clone()
    }

    /// What has been counted.
    #[must_use]
    pub fn counts(&self) -> DiskCounts {
        let state = self.shared.lock();
        DiskCounts {
            oldest: state.oldest,
            next: state.next(),
            segments: state.sealed.len() as u64 + 1,
            bytes: state.bytes(),
            groups: self.shared.tally.groups.load(Ordering::Relaxed),
            damaged: self.shared.tally.damaged.load(Ordering::Relaxed),
        }
    }

    fn start(
        shared: Arc<Shared>,
        queue: Arc<Queue<Request>>,
        readers: Clerks<Read>,
        mut committer: Committer,
        warm_events: u64,
        lock: File,
    ) -> io::Result<Self> {
        committer.trim(true);
        let committer =
            thread::Builder::new().name("fanfare-commit".to_owned()).spawn(move || committer.run())?;
        Ok(Self {
            shared,
            queue,
            readers: Some(readers),
            committer: Some(committer),
            warm_events,
            _lock: lock,
        })
    }

    fn hand_in(
        &self,
        request: Request,
        promised: Promised<group::Answer>,
    ) -> Answer<'static, Result<Appended, AppendError>> {
        let payload = request.payload.as_ref().map_or(0, Vec::len);
        let frame = match &request.content {
            Content::Presence(submission) => submission.draft.frame_without_id().len(),
            // It is held as long as its entry, and about as large.
            _ => payload,
        };
        let bytes = payload + frame + 256;
        match self.queue.put(request, bytes) {
            Ok(()) => {}
            Err(Refused::Full(_)) => return refused(DiskFault::Busy),
            Err(Refused::Closed(_)) => return refused(DiskFault::Gone),
        }
        Box::pin(async {
            promised.await.unwrap_or_else(|| Err(AppendError::Unknown(Arc::new(DiskFault::Gone))))
        })
    }

    fn ask<T>(&self, read: impl FnOnce(Promise<T>) -> Read) -> Promised<T> {
        let (promise, promised) = promise();
        if let Some(readers) = &self.readers {
            readers.hand(read(promise));
        }
        promised
    }

    /// From where on the newest entries are told to a hub that starts.
    fn warm_from(&self) -> Position {
        let state = self.shared.lock();
        let (tail, sealed) = (&state.tail, state.sealed.back());
        let outlines = [Some(tail.outline()), sealed.map(|sealed| sealed.outline)];
        let fitting = warm_entries(outlines.into_iter().flatten());
        let (oldest, next) = (state.oldest, state.next());
        drop(state);
        let wanted = self.shared.oldest_of(self.warm_events).unwrap_or(oldest);
        wanted.max(next.saturating_sub(fitting)).max(oldest)
    }

    fn check_before(&self, position: Position) -> Check {
        let state = self.shared.lock();
        let by_header = match state.sealed.back() {
            _ if state.tail.header.first == position => Some(state.tail.header.check_before),
            Some(sealed) if sealed.next() == position => Some(sealed.outline.newest_check),
            _ => None,
        };
        drop(state);
        by_header.or_else(|| self.shared.check_at(position.checked_sub(1)?)).unwrap_or(Check::START)
    }
}

/// How many bytes are told to a hub that starts.
const WARM_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// How many of the newest entries have about so many bytes, where they are as long as those of some segments.
fn warm_entries(segments: impl Iterator<Item = Outline>) -> u64 {
    let (mut entries, mut bytes) = (0_u64, 1);
    for segment in segments {
        entries += u64::from(segment.entries);
        // Each place of presence is told by itself, also one that takes no room in the file.
        bytes += segment.segment_bytes + PLACE_BYTES as u64 * u64::from(segment.presence);
    }
    entries.saturating_mul(WARM_BYTES_MAX) / bytes
}

impl Engine for DiskEngine {
    fn follow(&self, follower: Arc<dyn Follower>) -> Result<(), EngineFault> {
        let from = self.warm_from();
        let next = self.shared.lock().next();
        follower.accept(Followed::NewEpoch(Origin {
            epoch: self.shared.epoch,
            key: self.shared.id_key.clone(),
            from,
            next,
            check_before: self.check_before(from),
        }));
        let mut after = from - 1;
        while after + 1 < next {
            let request = ReadRequest { after, before: next, topics: None, bytes_max: 1024 * 1024 };
            match self.shared.read(&request) {
                Ok(batch) => {
                    batch.entries.into_iter().for_each(|logged| follower.accept(Followed::Entry(logged)));
                    after = batch.through;
                }
                Err(ReadError::Trimmed { oldest }) => {
                    follower.accept(Followed::Hole { through: oldest - 1 });
                    after = oldest - 1;
                }
                Err(ReadError::Fault(fault)) => return Err(fault),
                Err(_) => return Err(Arc::new(DiskFault::Gone)),
            }
        }
        // Nobody publishes before the hub is built, so nothing was appended meanwhile.
        let _ = self.shared.follower.set(follower.clone());
        follower.ring();
        Ok(())
    }

    fn append(
        &self,
        submission: Submission,
        key: Option<IdempotencyKey>,
    ) -> Answer<'_, Result<Appended, AppendError>> {
        let Some((payload, hashes)) = stored_as(&self.shared.hasher, &submission, key.as_ref()) else {
            return refused(DiskFault::TooLarge);
        };
        let key = key.map(|key| {
            let fingerprint = submission.fingerprint();
            (key, fingerprint)
        });
        let content = Content::Publication(submission);
        let (promise, promised) = promise();
        let request = Request { content, key, payload: Some(payload), hashes, stamp: None, promise };
        self.hand_in(request, promised)
    }

    /// What it says goes to the hub, and only its place to the disk: after a restart it would be about nobody.
    fn announce(
        &self,
        presence: Option<Submission>,
        _: Option<IdempotencyKey>,
    ) -> Answer<'static, Result<Appended, AppendError>> {
        let content = presence.map_or(Content::Forgotten, Content::Presence);
        let (promise, promised) = promise();
        let request = Request { content, key: None, payload: None, hashes: Vec::new(), stamp: None, promise };
        self.hand_in(request, promised)
    }

    fn bounds(&self) -> Answer<'_, Result<Bounds, EngineFault>> {
        let state = self.shared.lock();
        Box::pin(ready(Ok(Bounds { epoch: self.shared.epoch, oldest: state.oldest, next: state.next() })))
    }

    fn read(&self, request: ReadRequest) -> Answer<'_, Result<Batch, ReadError>> {
        let promised = self.ask(|promise| Read::Batch(request, promise));
        Box::pin(async { promised.await.unwrap_or_else(|| Err(ReadError::Fault(Arc::new(DiskFault::Gone)))) })
    }

    fn find(&self, id: EventId) -> Answer<'_, Result<Option<Position>, EngineFault>> {
        let promised = self.ask(|promise| Read::Find(id, promise));
        Box::pin(async { promised.await.unwrap_or_else(|| Err(Arc::new(DiskFault::Gone))) })
    }
}

/// A publication's record, but for its stamp, and what the index finds it by; `None` if the format has no room for it.
fn stored_as(
    hasher: &TermHasher,
    submission: &Submission,
    key: Option<&IdempotencyKey>,
) -> Option<(Vec<u8>, Vec<u64>)> {
    let payload = record::payload(submission, key)?;
    let topics = submission.topics.iter().map(|topic| Term::Topic(topic.as_str()));
    let id = submission.chosen_id.iter().map(|id| Term::Id(id.as_str()));
    Some((payload, topics.chain(id).map(|term| hasher.hash(term)).collect()))
}

fn refused(fault: DiskFault) -> Answer<'static, Result<Appended, AppendError>> {
    Box::pin(ready(Err(AppendError::Refused(Arc::new(fault)))))
}

impl Drop for DiskEngine {
    fn drop(&mut self) {
        self.queue.close();
        // It may be the one that drops this: whom it wakes may hold the last handle. It ends by itself then.
        let committer =
            self.committer.take().filter(|committer| committer.thread().id() != thread::current().id());
        if let Some(committer) = committer {
            // One that panicked has said so.
            let _ = committer.join();
        }
        self.readers = None;
    }
}

impl fmt::Debug for DiskEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskEngine").field("folder", &self.shared.folder).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a start takes no longer the more presence there was, however little room that takes.
    #[test]
    fn a_hub_that_starts_is_told_of_no_more_presence_than_would_fit_one_by_one() {
        let segment = |entries: u32, presence: u32, segment_bytes: u64| Outline {
            epoch: 1,
            first: 1,
            segment_bytes,
            newest_at: 0,
            newest_check: Check::START,
            entries,
            presence,
            records: 1_000,
            presence_records: 0,
        };
        let told = |segments: &[Outline]| warm_entries(segments.iter().copied());
        assert_eq!(told(&[segment(100_000, 0, 100_000_000)]), 33_554);
        let flood = segment(1 << 30, 1 << 30, 100_000);
        assert!((900_000..960_000).contains(&told(&[flood])));
        assert!((900_000..960_000).contains(&told(&[segment(100_000, 0, 30_000_000), flood])));
    }
}
