//! Opens a log: makes the folder this process's own, and starts the threads over what is in it.
//!
//! What that is is found by `recovery.rs`.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use fanfare_hub::engine::{Appended, CheckSource, Content, Keys, Logged};
use fanfare_hub::{Clock, IdKey, Position, SystemClock};

use super::DiskEngine;
use super::clerks::Clerks;
use super::committer::Committer;
use super::error::OpenError;
use super::housekeeping::Housekeeper;
use super::options::DiskOptions;
use super::queue::Queue;
use super::reading::time;
use super::recovery::{self, Contents};
use super::retention::Retention;
use super::state::{Shared, State, Tally};
use crate::copy::LogOutline;

/// How many bytes of publications wait for the disk at most.
const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long whoever had the folder before may take to leave it: a process that is being replaced, or a thread that still has a
/// handle of an engine that was dropped.
const LEAVING: Duration = Duration::from_secs(1);
/// How many threads read.
const READERS: usize = 2;

pub(super) fn open(options: &DiskOptions) -> Result<DiskEngine, OpenError> {
    open_as(options, None)
}

/// Where there is no log, `new` says which one begins.
pub(super) fn open_as(options: &DiskOptions, new: Option<LogOutline>) -> Result<DiskEngine, OpenError> {
    let folder = options.folder.join(&options.hub);
    create_folder(&options.folder)?;
    create_folder(&folder)?;
    let lock = lock(&folder)?;
    let Contents { manifest, hasher, sealed, tail } = recovery::contents(&folder, new)?;

    let clock =
        options.clock.clone().unwrap_or_else(|| Arc::new(SystemClock::not_before(time(tail.newest_at))));
    let oldest = sealed.first().map_or(tail.header.first, |first| first.outline.first);
    let (file, end) = (tail.file.clone(), tail.end);
    let (next, newest_at, newest_check) = (tail.next(), tail.newest_at, tail.newest_check);
    let shared = Arc::new(Shared {
        folder: folder.clone(),
        epoch: manifest.epoch,
        key: manifest.key,
        id_key: IdKey::new(manifest.key),
        hasher,
        clock,
        follower: OnceLock::new(),
        state: Mutex::new(State { sealed: sealed.into(), tail, oldest }),
        tally: Tally::default(),
    });
    let system = |error| OpenError::System { what: "start a thread", error };
    let housekeeper = Housekeeper::new(folder);
    let chores = Clerks::start("fanfare-keep", 1, move |chore| housekeeper.work(chore)).map_err(system)?;
    let reading = shared.clone();
    let readers = Clerks::start("fanfare-read", READERS, move |read: super::Read| read.answer(&reading))
        .map_err(system)?;
    let queue = Arc::new(Queue::new(QUEUE_BYTES_MAX));
    let committer = Committer {
        shared: shared.clone(),
        queue: queue.clone(),
        chores,
        retention: Retention {
            events: options.events,
            bytes: options.bytes.max(2 * 1024 * 1024),
            age: options.age,
        },
        durability: options.durability,
        segment_bytes: options.segment_end(),
        keys: remembered(&shared, options),
        checks: CheckSource::default(),
        file,
        end,
        length: end,
        next,
        newest_at,
        newest_check,
        trouble: None,
        room: Vec::new(),
    };
    DiskEngine::start(shared, queue, readers, committer, options.warm_events, lock).map_err(system)
}

fn create_folder(folder: &Path) -> Result<(), OpenError> {
    let missing = folder.ancestors().take_while(|above| !above.as_os_str().is_empty() && !above.exists());
    let missing = missing.count();
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| OpenError::io("create", folder, error))?;
    // Also one that was there: perhaps a process made it that ended before it came this far.
    for (above, made) in folder.ancestors().take(missing.max(1)).enumerate() {
        let Some(parent) = made.parent() else { continue };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        match super::file::sync_folder(parent) {
            Err(error) if above < missing => return Err(OpenError::io("write", parent, error)),
            // Of one that was there, the parent may be closed to us.
            _ => {}
        }
    }
    Ok(())
}

/// Makes sure that no other process uses the folder, for as long as the file is open.
fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join("lock");
    let failed = |error| OpenError::io("write", &path, error);
    let file = file_to_lock(&path).map_err(failed)?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if begun.elapsed() < LEAVING => thread::sleep(LEAVING / 100),
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { folder: folder.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
}

fn file_to_lock(path: &Path) -> io::Result<File> {
    match super::file::create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => super::file::open_to_write(path),
        created => created,
    }
}

/// The idempotency keys of the newest entries, oldest first.
fn remembered(shared: &Shared, options: &DiskOptions) -> Keys {
    let mut keys = Keys::new(options.keys);
    let mut positions = Vec::new();
    let (sealed, tail) = {
        let state = shared.lock();
        let tail: Vec<_> =
            state.tail.index.keyed().iter().map(|&n| state.tail.header.first + Position::from(n)).collect();
        (state.sealed.clone(), tail)
    };
    positions.extend(tail.into_iter().rev());
    for segment in sealed.iter().rev() {
        let newest = time(segment.outline.newest_at);
        let is_over = shared.clock.now().duration_since(newest).is_ok_and(|age| age >= options.keys.age);
        if is_over || positions.len() >= options.keys.count {
            break;
        }
        let keyed =
            segment.lookup(&shared.hasher).ok().and_then(|lookup| lookup.keyed().ok()).unwrap_or_default();
        positions
            .extend(keyed.into_iter().rev().map(|number| segment.outline.first + Position::from(number)));
    }
    positions.truncate(options.keys.count);
    for position in positions.into_iter().rev() {
        // A damaged one is forgotten.
        let Some((key, Logged { check, at, content, .. })) = shared.keyed_at(position) else { continue };
        let id = shared.id_of(&content, position, check);
        let Content::Publication(submission) = content else { continue };
        keys.remember(key, submission.fingerprint(), at, Appended { position, id, duplicate: false });
    }
    keys
}
