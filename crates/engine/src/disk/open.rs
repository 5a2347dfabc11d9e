//! Opens a log: whose folder it is, what is in it, and what the last process left half done.
//!
//! All that can be wrong with a folder is found here or by a reader later; nothing is guessed. Only what nobody was told of is
//! cut off.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use fanfare_hub::engine::{CheckSource, Content, Keys, Logged};
use fanfare_hub::{Check, Clock, IdKey, Place, Position, SystemClock};

use super::clerks::Clerks;
use super::committer::{Committer, create_segment};
use super::error::OpenError;
use super::hash::TermHasher;
use super::index::GrowingIndex;
use super::index_file::{self, Outline};
use super::manifest::Manifest;
use super::options::DiskOptions;
use super::queue::Queue;
use super::reading::time;
use super::retention::Retention;
use super::segment::{self, HEADER_BYTES, Header, NoHeader, Scan};
use super::state::{Sealed, Shared, State, Tail, Tally};
use super::{DiskEngine, housekeeping};

/// How many bytes of publications wait for the disk at most.
const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How many threads read.
const READERS: usize = 2;

/// What is found in a folder.
struct Contents {
    sealed: Vec<Arc<Sealed>>,
    tail: Tail,
}

pub(super) fn open(options: &DiskOptions) -> Result<DiskEngine, OpenError> {
    let folder = options.folder.join(&options.hub);
    create_folder(&options.folder)?;
    create_folder(&folder)?;
    let lock = lock(&folder)?;
    let segments = segments(&folder)?;
    let manifest = match Manifest::read(&folder)? {
        Some(manifest) => manifest,
        None if segments.is_empty() => Manifest::create(&folder)?,
        None => return Err(OpenError::Missing { folder, what: "the file `log`".to_owned() }),
    };
    let hasher = TermHasher::new(manifest.salt);
    let Contents { sealed, tail } = contents(&folder, &manifest, &hasher, &segments)?;

    let clock =
        options.clock.clone().unwrap_or_else(|| Arc::new(SystemClock::not_before(time(tail.newest_at))));
    let oldest = sealed.first().map_or(tail.header.first, |first| first.outline.first);
    let (file, end) = (tail.file.clone(), tail.end);
    let (next, newest_at, newest_check) = (tail.next(), tail.newest_at, tail.newest_check);
    let shared = Arc::new(Shared {
        folder: folder.clone(),
        epoch: manifest.epoch,
        id_key: IdKey::new(manifest.key),
        hasher,
        clock,
        follower: OnceLock::new(),
        state: Mutex::new(State { sealed: sealed.into(), tail, oldest }),
        tally: Tally::default(),
    });
    let system = |error| OpenError::System { what: "start a thread", error };
    let chores = Arc::new(
        Clerks::start("fanfare-keep", 1, move |chore| housekeeping::work(&folder, &chore)).map_err(system)?,
    );
    let reading = shared.clone();
    let readers = Clerks::start("fanfare-read", READERS, move |read: super::Read| read.answer(&reading))
        .map_err(system)?;
    let queue = Arc::new(Queue::new(QUEUE_BYTES_MAX));
    let committer = Committer {
        shared: shared.clone(),
        queue: queue.clone(),
        chores: chores.clone(),
        retention: Retention {
            events: options.events,
            bytes: options.bytes.max(2 * 1024 * 1024),
            age: options.age,
        },
        durability: options.durability,
        segment_bytes: options.segment_bytes(),
        keys: remembered(&shared, options),
        checks: CheckSource::default(),
        file,
        end,
        next,
        newest_at,
        newest_check,
        trouble: None,
        room: Vec::new(),
    };
    DiskEngine::start(shared, queue, readers, committer, options.warm_events, lock).map_err(system)
}

fn create_folder(folder: &Path) -> Result<(), OpenError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| OpenError::io("create", folder, error))
}

/// Makes sure that no other process uses the folder, for as long as the file is open.
fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join("lock");
    let failed = |error| OpenError::io("write", &path, error);
    let file = match file_to_lock(&path) {
        Ok(file) => file,
        Err(error) => return Err(failed(error)),
    };
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { folder: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn file_to_lock(path: &Path) -> io::Result<File> {
    match super::file::create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => super::file::open_to_write(path),
        created => created,
    }
}

/// The segments of a folder, by their first positions. What was never finished is removed.
fn segments(folder: &Path) -> Result<Vec<Position>, OpenError> {
    let failed = |error| OpenError::io("read", folder, error);
    let mut found = Vec::new();
    for file in fs::read_dir(folder).map_err(failed)? {
        let name = file.map_err(failed)?.file_name();
        let Some(name) = name.to_str() else { continue };
        let path = folder.join(name);
        if path.extension().is_some_and(|ending| ending == "new") {
            fs::remove_file(&path).map_err(|error| OpenError::io("write", &path, error))?;
        }
        found.extend(segment::first_by_name(name));
    }
    found.sort_unstable();
    Ok(found)
}

fn contents(
    folder: &Path,
    manifest: &Manifest,
    hasher: &TermHasher,
    segments: &[Position],
) -> Result<Contents, OpenError> {
    let mut firsts = segments.to_vec();
    // A segment that was begun when the process ended has no entries yet.
    let tail = loop {
        let Some(first) = firsts.pop() else {
            break begin(folder, manifest.epoch, 1, Check::START)?;
        };
        if let Some(tail) = newest(folder, manifest, hasher, first)? {
            break tail;
        }
        let path = segment::path(folder, first);
        fs::remove_file(&path).map_err(|error| OpenError::io("write", &path, error))?;
    };
    let mut sealed: Vec<Arc<Sealed>> = Vec::with_capacity(firsts.len());
    for first in firsts {
        let path = segment::path(folder, first);
        let outline = outline(&path, manifest, first, hasher)?;
        sealed.push(Arc::new(Sealed::found(path, outline)));
    }
    let ends = sealed.iter().map(|sealed| sealed.next());
    let begins = sealed.iter().skip(1).map(|sealed| sealed.outline.first).chain([tail.header.first]);
    if let Some((end, begin)) = ends.zip(begins).find(|(end, begin)| end != begin) {
        let what = format!("a file with the entries from position {end} up to {begin}");
        return Err(OpenError::Missing { folder: folder.to_owned(), what });
    }
    Ok(Contents { sealed, tail })
}

fn begin(folder: &Path, epoch: u32, first: Position, check_before: Check) -> Result<Tail, OpenError> {
    let header = Header { epoch, first, check_before };
    let file = create_segment(folder, &header)
        .map_err(|error| OpenError::io("write", &segment::path(folder, first), error))?;
    Ok(Tail {
        header,
        file: Arc::new(file),
        end: HEADER_BYTES as u64,
        index: GrowingIndex::default(),
        newest_at: 0,
        newest_check: check_before,
    })
}

/// Opens the newest segment and cuts off what is torn; `None` if it has not even a header.
fn newest(
    folder: &Path,
    manifest: &Manifest,
    hasher: &TermHasher,
    first: Position,
) -> Result<Option<Tail>, OpenError> {
    let path = segment::path(folder, first);
    let write = |error| OpenError::io("write", &path, error);
    let bytes = fs::read(&path).map_err(|error| OpenError::io("read", &path, error))?;
    let header = match Header::parse(&bytes) {
        // A header is synced before anything is written behind it.
        Err(NoHeader::Invalid) if bytes.len() <= HEADER_BYTES => return Ok(None),
        header => checked(header, &path, manifest, first)?,
    };
    let Scan { index, end, last, newest_at, newest_check } = segment::scan(&path, &header, &bytes, hasher)?;
    let file = super::file::open_to_write(&path).map_err(write)?;
    if end < bytes.len() as u64 {
        file.set_len(end).map_err(write)?;
    }
    if let Some((begins, group)) = last {
        // Not certainly synced: after a failed sync the kernel takes pages for clean that never reached the disk.
        let from = group.synced.clamp(HEADER_BYTES as u64, begins);
        let again = usize::try_from(from).ok().zip(usize::try_from(end).ok());
        if let Some(bytes) = again.and_then(|(from, end)| bytes.get(from..end)) {
            super::file::write_all_at(&file, bytes, from).map_err(write)?;
        }
    }
    file.sync_all().and_then(|()| super::file::sync_folder(folder)).map_err(write)?;
    Ok(Some(Tail { header, file: Arc::new(file), end, index, newest_at, newest_check }))
}

fn checked(
    header: Result<Header, NoHeader>,
    path: &Path,
    manifest: &Manifest,
    first: Position,
) -> Result<Header, OpenError> {
    match header {
        Ok(header) if header.epoch == manifest.epoch && header.first == first => Ok(header),
        Err(NoHeader::Newer(format)) => {
            Err(OpenError::NewerFormat { path: path.to_owned(), format: u32::from(format) })
        }
        Ok(_) | Err(NoHeader::Invalid) => Err(OpenError::Damaged { path: path.to_owned(), at: 0 }),
    }
}

/// What a complete segment holds, by its index, or by itself where that is missing or of something else.
fn outline(
    path: &Path,
    manifest: &Manifest,
    first: Position,
    hasher: &TermHasher,
) -> Result<Outline, OpenError> {
    let read = |error| OpenError::io("read", path, error);
    let file = File::open(path).map_err(read)?;
    let length = file.metadata().map_err(read)?.len();
    let mut header = [0; HEADER_BYTES];
    let filled = super::file::read_at(&file, &mut header, 0).map_err(read)?;
    let header = checked(Header::parse(&header[..filled]), path, manifest, first)?;
    let by_index =
        File::open(path.with_extension("idx")).ok().and_then(|file| index_file::shape(&file).ok().flatten());
    if let Some(shape) = by_index {
        let outline = shape.outline;
        if (outline.epoch, outline.first, outline.segment_bytes) == (manifest.epoch, first, length) {
            return Ok(outline);
        }
    }
    let bytes = fs::read(path).map_err(read)?;
    let scan = segment::scan(path, &header, &bytes, hasher)?;
    if scan.end != length {
        return Err(OpenError::Damaged { path: PathBuf::from(path), at: scan.end });
    }
    let outline = scan.outline(&header);
    // Where it cannot be written, it is made again when it is asked for.
    let _ = index_file::write(&path.with_extension("idx"), &outline, &scan.index);
    Ok(outline)
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
        let Some((key, Logged { check, at, content: Content::Publication(submission), .. })) =
            shared.keyed_at(position)
        else {
            continue;
        };
        let fingerprint = submission.fingerprint();
        let made = || shared.id_key.encipher(Place { epoch: shared.epoch, position, check });
        let id = submission.chosen_id.unwrap_or_else(made);
        keys.remember(key, fingerprint, at, fanfare_hub::engine::Appended { position, id, duplicate: false });
    }
    keys
}
