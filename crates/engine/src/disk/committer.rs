//! The one thread that writes: takes what publishers have handed in, commits it as a group, and tells the hub and them.
//!
//! Nothing is acknowledged or shown to anybody before the disk has it. Order of positions is order in the file is order of
//! delivery. It reads nothing and never waits for a subscriber.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, UNIX_EPOCH};

use fanfare_hub::engine::{AppendError, Appended, CheckSource, EngineFault, Followed, Keys, Logged};
use fanfare_hub::{Check, Position};

use super::clerks::Clerks;
use super::error::DiskFault;
use super::file;
use super::group::{Group, Pending, Request, Stamps, Waiting};
use super::housekeeping::Chore;
use super::index::GrowingIndex;
use super::manifest::FORMAT;
use super::options::Durability;
use super::queue::{Queue, Taken};
use super::reading::time;
use super::retention::Retention;
use super::segment::{self, ENTRIES_MAX, HEADER_BYTES, Header, SEGMENT_BYTES_MAX};
use super::state::{Sealed, Shared, Tail};
use super::writer::GroupWriter;

/// How many bytes are committed together at most; a single entry may be larger.
const GROUP_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// By how much the newest segment is made longer at once.
const STRETCH_BYTES: u64 = 1024 * 1024;
/// How often the thread looks up when nothing is published: for retention, and for a disk that has room again.
const LOOK_UP: Duration = Duration::from_secs(1);
/// What has to fit before a disk that was full counts as having room again.
const ROOM_BYTES: usize = 256 * 1024;

pub(super) struct Committer {
    pub(super) shared: Arc<Shared>,
    pub(super) queue: Arc<Queue<Request>>,
    pub(super) chores: Clerks<Chore>,
    pub(super) retention: Retention,
    pub(super) durability: Durability,
    pub(super) segment_bytes: u64,
    pub(super) keys: Keys,
    pub(super) checks: CheckSource,
    pub(super) file: Arc<File>,
    /// Where the next group goes: the end of the last durable one.
    pub(super) end: u64,
    /// How long the file is: zeros follow behind `end`.
    pub(super) length: u64,
    pub(super) next: Position,
    pub(super) newest_at: u64,
    pub(super) newest_check: Check,
    pub(super) trouble: Option<Trouble>,
    pub(super) room: Vec<u8>,
}

/// Why nothing is taken.
pub(super) struct Trouble {
    fault: DiskFault,
    /// Whether a sync failed, so that the file has to be looked at before it is trusted again.
    in_doubt: bool,
}

/// What became of a group that was not committed.
enum Failed {
    /// Nothing of it is in the log.
    NotStored(DiskFault),
    /// Nobody can know.
    InDoubt(DiskFault),
}

impl Committer {
    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let mut looked_up = Instant::now();
        loop {
            let Taken { items, is_closed } = self.queue.take(LOOK_UP);
            if looked_up.elapsed() >= LOOK_UP {
                looked_up = Instant::now();
                self.look_up();
            }
            let is_done = is_closed && items.is_empty();
            let mut items = items.into_iter().peekable();
            while items.peek().is_some() {
                self.commit(&mut items);
            }
            if is_done {
                return;
            }
        }
    }

    /// What time does without anybody's doing.
    fn look_up(&mut self) {
        if let Some(Trouble { fault: DiskFault::Full(_), in_doubt }) = &self.trouble {
            let in_doubt = *in_doubt;
            match self.find_room(in_doubt) {
                Ok(()) => {
                    self.trouble = None;
                    self.tell([Followed::Recovered]);
                }
                Err(error) if file::is_full(&error) => {}
                Err(error) => self.fail(DiskFault::Broken(Arc::new(error)), in_doubt),
            }
        }
        self.trim(true);
    }

    /// Drops what is not kept. Whether something is too old is only looked at when asked for.
    pub(super) fn trim(&mut self, by_age: bool) {
        let now = self.now();
        for removed in self.retention.trim(&self.shared, by_age.then_some(now)) {
            self.chores.hand(Chore::Remove(removed));
        }
    }

    /// Commits as many of `items` as go together, and answers them.
    fn commit(&mut self, items: &mut impl Iterator<Item = Request>) {
        if let Some(Trouble { fault, .. }) = &self.trouble {
            for item in items {
                item.promise.keep(Err(AppendError::Refused(Arc::new(fault.clone()))));
            }
            return;
        }
        let mut writer = GroupWriter::begin(
            self.shared.hasher.checksum(FORMAT),
            std::mem::take(&mut self.room),
            self.next,
        );
        let bytes_max = GROUP_BYTES_MAX.min(self.segment_bytes / 2);
        let mut stamps = Stamps { at: self.now(), checks: &mut self.checks, keys: &mut self.keys };
        let group = Group::gather(items, &mut writer, bytes_max, &mut stamps);
        if writer.is_empty() {
            return;
        }
        match self.write(writer) {
            Ok((begins_at, room)) => {
                self.room = room;
                self.publish(begins_at, group);
            }
            Err(failed) => {
                let (error, fault, in_doubt) = match failed {
                    Failed::NotStored(fault) => {
                        (AppendError::Refused(Arc::new(fault.clone()) as EngineFault), fault, false)
                    }
                    Failed::InDoubt(fault) => {
                        (AppendError::Unknown(Arc::new(fault.clone()) as EngineFault), fault, true)
                    }
                };
                self.fail(fault, in_doubt);
                group.waiting.into_iter().for_each(|waiting| waiting.promise.keep(Err(error.clone())));
            }
        }
    }

    /// Makes a group durable; returns where it begins in the segment, and the room that it took in memory.
    fn write(&mut self, writer: GroupWriter) -> Result<(u64, Vec<u8>), Failed> {
        let not_stored = |error: io::Error| Failed::NotStored(fault_of(error));
        let entries = self.shared.lock().tail.index.entries();
        let is_full = self.end >= self.segment_bytes.max(HEADER_BYTES as u64 + 1)
            || !fits(self.end, writer.len(), entries, writer.entries());
        if is_full {
            self.begin_segment().map_err(not_stored)?;
        }
        let begins_at = self.end;
        let bytes = writer.finish(match self.durability {
            Durability::Fsync => begins_at,
            // Nothing is known to be on the disk but what was there when the segment was opened.
            Durability::Os => HEADER_BYTES as u64,
        });
        let written = self
            .lengthen(begins_at + bytes.len() as u64)
            .and_then(|()| file::write_all_at(&self.file, &bytes, begins_at));
        if let Err(error) = written {
            // What part of it was written is no valid group; cutting it off only makes room.
            return Err(match self.cut(begins_at) {
                Ok(()) => not_stored(error),
                Err(_) => Failed::NotStored(DiskFault::Broken(Arc::new(error))),
            });
        }
        if let Err(error) = self.sync() {
            // So that no later sync can make durable what nobody was told is stored.
            let _ = self.cut(begins_at);
            return Err(Failed::InDoubt(fault_of(error)));
        }
        self.end = begins_at + bytes.len() as u64;
        self.shared.tally.groups.fetch_add(1, Ordering::Relaxed);
        Ok((begins_at, bytes))
    }

    /// Makes sure that the file is so long; by a stretch at a time, for a sync that need not write the file's length is shorter.
    fn lengthen(&mut self, needed: u64) -> io::Result<()> {
        if needed > self.length {
            let length = needed.next_multiple_of(STRETCH_BYTES);
            self.file.set_len(length)?;
            self.length = length;
        }
        Ok(())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.length = length;
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        match self.durability {
            Durability::Fsync => self.file.sync_data(),
            Durability::Os => Ok(()),
        }
    }

    /// Goes on in a new segment.
    fn begin_segment(&mut self) -> io::Result<()> {
        // A complete segment is always on the disk, all of it and nothing behind, so that only the newest one can be torn.
        self.cut(self.end)?;
        self.file.sync_data()?;
        let (epoch, check_before) = (self.shared.epoch, self.newest_check);
        let header = Header { format: FORMAT, epoch, first: self.next, check_before };
        let file = Arc::new(create_segment(&self.shared.folder, &header)?);
        let mut state = self.shared.lock();
        let tail = Tail {
            header,
            file: file.clone(),
            end: HEADER_BYTES as u64,
            index: GrowingIndex::default(),
            newest_at: self.newest_at,
            newest_check: self.newest_check,
        };
        let full = std::mem::replace(&mut state.tail, tail);
        let (outline, checksum) = (full.outline(), self.shared.hasher.checksum(full.header.format));
        let sealed = Arc::new(Sealed::with_growing(&self.shared.folder, outline, checksum, full.index));
        state.sealed.push_back(sealed.clone());
        drop(state);
        self.chores.hand(Chore::Index(sealed));
        self.file = file;
        self.end = HEADER_BYTES as u64;
        self.length = self.end;
        Ok(())
    }

    /// Shows a group that is durable to readers, the hub and its publishers, in this order.
    fn publish(&mut self, begins_at: u64, group: Group) {
        let Group { entries, waiting, .. } = group;
        {
            let mut state = self.shared.lock();
            for entry in &entries {
                let offset = u32::try_from(begins_at + entry.begins as u64).unwrap_or(u32::MAX);
                let index = &mut state.tail.index;
                if entry.is_place {
                    index.push_places(offset, 1);
                } else {
                    index.push(offset, entry.hashes.iter().copied(), entry.key.is_some());
                }
            }
            state.tail.end = self.end;
            if let Some(newest) = entries.last() {
                (state.tail.newest_at, state.tail.newest_check) = (newest.at, newest.check);
                (self.newest_at, self.newest_check) = (newest.at, newest.check);
            }
        }
        self.trim(false);
        let mut answers = Vec::with_capacity(entries.len());
        let follower = self.shared.follower.get();
        for Pending { content, key, check, at, .. } in entries {
            let position = self.next;
            self.next += 1;
            let id = self.shared.id_of(&content, position, check);
            let appended = Appended { position, id, duplicate: false };
            if let Some((key, fingerprint)) = key {
                self.keys.remember(key, fingerprint, time(at), appended.clone());
            }
            answers.push(appended);
            if let Some(follower) = follower {
                follower.accept(Followed::Entry(Logged { position, check, at: time(at), content }));
            }
        }
        if let Some(follower) = follower {
            follower.ring();
        }
        for Waiting { promise, entry, duplicate } in waiting {
            promise.keep(Ok(Appended { duplicate, ..answers[entry].clone() }));
        }
    }

    /// Takes nothing from now on.
    fn fail(&mut self, fault: DiskFault, in_doubt: bool) {
        self.trouble = Some(Trouble { fault: fault.clone(), in_doubt });
        self.tell([Followed::Stalled { fault: Arc::new(fault) }]);
    }

    fn tell(&self, news: impl IntoIterator<Item = Followed>) {
        let Some(follower) = self.shared.follower.get() else { return };
        news.into_iter().for_each(|news| follower.accept(news));
        follower.ring();
    }

    /// Tries whether a disk that was full has room.
    fn find_room(&mut self, in_doubt: bool) -> io::Result<()> {
        if in_doubt {
            self.open_again()?;
        }
        // Zeros are no group, so it does no harm if the process ends here.
        let found = file::write_all_at(&self.file, &vec![0; ROOM_BYTES], self.end).and_then(|()| self.sync());
        self.cut(self.end)?;
        found
    }

    /// Looks at the newest segment as a new process would: a sync has failed, so the kernel's word for what is in it does not count.
    fn open_again(&mut self) -> io::Result<()> {
        let (path, header) = {
            let state = self.shared.lock();
            (segment::path(&self.shared.folder, state.tail.header.first), state.tail.header)
        };
        let file = file::open_to_write(&path)?;
        file.set_len(self.end)?;
        self.length = self.end;
        file.sync_all()?;
        let scanned = segment::scan(&path, &header, &fs::read(&path)?, &self.shared.hasher)
            .map_err(io::Error::other)?;
        if scanned.end != self.end || scanned.newest_check != self.newest_check {
            return Err(io::Error::other("the newest entries of the log are not as they were written"));
        }
        self.file = Arc::new(file);
        self.shared.lock().tail.file = self.file.clone();
        Ok(())
    }

    /// Microseconds since 1970, never less than before.
    fn now(&self) -> u64 {
        let now = self.shared.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(now.as_micros()).unwrap_or(u64::MAX).max(self.newest_at)
    }
}

impl Drop for Committer {
    /// Whatever ended it: nobody waits for an answer that nobody gives.
    fn drop(&mut self) {
        self.queue.close();
        drop(self.queue.take(Duration::ZERO));
        // Where this is not done, the next start does it.
        if self.trouble.is_none() {
            let _ = self.cut(self.end);
        }
    }
}

/// Whether a group of so many bytes and entries has room in a segment that has so many already.
fn fits(end: u64, bytes: usize, entries: u32, more: u32) -> bool {
    end + bytes as u64 <= SEGMENT_BYTES_MAX && u64::from(entries) + u64::from(more) <= ENTRIES_MAX
}

fn fault_of(error: io::Error) -> DiskFault {
    let is_full = file::is_full(&error);
    let error = Arc::new(error);
    if is_full { DiskFault::Full(error) } else { DiskFault::Broken(error) }
}

/// Makes a segment without entries, durably.
pub(super) fn create_segment(folder: &Path, header: &Header) -> io::Result<File> {
    let path = segment::path(folder, header.first);
    // One that was begun and not finished has no entries.
    let _ = fs::remove_file(&path);
    let file = file::create(&path)?;
    let written = file::write_all_at(&file, &header.bytes(), 0)
        .and_then(|()| file.sync_all())
        .and_then(|()| file::sync_folder(folder));
    if let Err(error) = written {
        let _ = fs::remove_file(&path);
        return Err(error);
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_full_of_bytes_or_of_entries() {
        assert!(fits(1_000, 4_000, 5, 7));
        assert!(!fits(SEGMENT_BYTES_MAX - 10, 11, 5, 7));
        let most = u32::try_from(ENTRIES_MAX).expect("it fits");
        assert!(fits(1_000, 100, most - 7, 7));
        assert!(!fits(1_000, 100, most - 6, 7));
    }
}
