//! Reads the log from the store itself, entry by entry, while it is written: what all that hubs say is measured by.
//!
//! It is fast enough to have each entry before retention drops it; if it is not, the run says so.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use fanfare_hub::{Check, IdKey, Place, Position};

use crate::history::{Entry, Log};
use crate::payload;
use crate::store::{Ask, Stands};

/// How long to wait for the next entry.
const NOTHING_NEW: Duration = Duration::from_millis(50);
/// In how many such times it is asked whether there was something that is gone.
const LOOKS_BACK_EVERY: u64 = 20;

/// How the ids begin that publishers choose.
const OWN_ID: &[u8] = b"urn:crash:";

pub(crate) struct Witness {
    read: Mutex<Read>,
    is_over: AtomicBool,
}

struct Read {
    logs: Vec<Log>,
    next: Position,
    /// What was gone before it was read.
    missed: Option<Position>,
}

impl Witness {
    pub(crate) fn new() -> Self {
        let read = Read { logs: vec![Log::default()], next: 1, missed: None };
        Self { read: Mutex::new(read), is_over: AtomicBool::new(false) }
    }

    /// Reads until it is over.
    pub(crate) fn watch(&self, mut asker: Box<dyn Ask>) {
        let mut waited = 0;
        while !self.is_over.load(SeqCst) {
            if self.read_one(&mut *asker, waited % LOOKS_BACK_EVERY == LOOKS_BACK_EVERY - 1) {
                waited = 0;
            } else {
                waited += 1;
                thread::sleep(NOTHING_NEW);
            }
        }
    }

    /// The place that it reads next.
    pub(crate) fn next(&self) -> Position {
        self.read.lock().expect("nobody panics with it").next
    }

    /// Whether it has read an entry that begins so; others may stand behind it, which nobody knew to be stored.
    pub(crate) fn has_read(&self, beginning: &str) -> bool {
        let read = self.read.lock().expect("nobody panics with it");
        let entries = read.logs.last().map_or(&[][..], |log| &log.entries);
        entries.iter().any(|entry| entry.data.starts_with(beginning))
    }

    /// Another log begins, in place of this one or with what is left of it, and is read from its beginning.
    pub(crate) fn begin_another(&self) {
        let mut read = self.read.lock().expect("nobody panics with it");
        if let Some(log) = read.logs.last_mut() {
            log.whole = true;
        }
        read.logs.push(Log::default());
        read.next = 1;
    }

    /// What was gone before it was read.
    pub(crate) fn missed(&self) -> Option<Position> {
        self.read.lock().expect("nobody panics with it").missed
    }

    /// All that it has read.
    pub(crate) fn end(&self) -> Vec<Log> {
        self.is_over.store(true, SeqCst);
        let mut read = self.read.lock().expect("nobody panics with it");
        let mut logs = std::mem::take(&mut read.logs);
        if let Some(log) = logs.last_mut() {
            log.whole = true;
        }
        logs
    }

    /// Says whether there was something.
    fn read_one(&self, asker: &mut dyn Ask, looks_back: bool) -> bool {
        let (number, next, is_known) = {
            let read = self.read.lock().expect("nobody panics with it");
            (read.logs.len(), read.next, read.logs.last().is_some_and(|log| log.key.is_some()))
        };
        if !is_known {
            let Some(key) = asker.log().map(|said| (said.key, said.epoch)) else { return false };
            let mut read = self.read.lock().expect("nobody panics with it");
            let is_another =
                !read.logs.iter().filter_map(|log| log.key.as_ref()).any(|(_, epoch)| *epoch == key.1);
            if let Some(log) = read.logs.last_mut().filter(|_| is_another) {
                log.key = Some(key);
            }
            return is_another;
        }
        let stands = asker.entry(next);
        let mut read = self.read.lock().expect("nobody panics with it");
        if read.logs.len() != number || read.next != next {
            return true;
        }
        let Stands::Entry(bytes) = stands else {
            if looks_back && matches!(stands, Stands::Nothing) {
                drop(read);
                return self.pass_over_what_is_gone(number, next, asker);
            }
            return false;
        };
        let log = read.logs.last_mut().expect("there is one");
        if let Some((key, epoch)) = log.key.as_ref() {
            log.entries.extend(entry(&bytes, next, key, *epoch));
        }
        read.next = next + 1;
        true
    }

    fn pass_over_what_is_gone(&self, number: usize, next: Position, asker: &mut dyn Ask) -> bool {
        let first = asker.log().map(|said| said.first);
        let Some(first) = first.filter(|first| *first > next) else { return false };
        let mut read = self.read.lock().expect("nobody panics with it");
        if read.logs.len() == number && read.next == next {
            read.missed = Some(next);
            read.next = first;
        }
        true
    }
}

/// A player's publication as the store holds it: behind a version stand five bytes of the check, and at the end is the frame.
fn entry(bytes: &[u8], position: Position, key: &IdKey, epoch: u32) -> Option<Entry> {
    let mut check = [0; 8];
    check[..5].copy_from_slice(bytes.get(1..6)?);
    let place = Place { epoch, position, check: Check::from_random(u64::from_le_bytes(check)) };
    // What operators revoke stands there, too, as an object.
    let data = line_behind(bytes, b"data: ").filter(|data| !data.starts_with('{'))?;
    let id = chosen_id(bytes).map_or_else(|| key.encipher(place).as_str().to_owned(), str::to_owned);
    Some(Entry { id, data: payload::name_of(data).to_owned(), position })
}

/// The rest of the line behind a mark.
fn line_behind<'a>(bytes: &'a [u8], mark: &[u8]) -> Option<&'a str> {
    let at = bytes.windows(mark.len()).position(|window| window == mark)?;
    let line = &bytes[at + mark.len()..];
    let end = line.iter().position(|byte| *byte == b'\n')?;
    std::str::from_utf8(&line[..end]).ok()
}

/// What a publisher chose stands in front of the frame, behind its length.
fn chosen_id(bytes: &[u8]) -> Option<&str> {
    let at = bytes.windows(OWN_ID.len()).position(|window| window == OWN_ID)?;
    let length = bytes.get(at.checked_sub(2)?..at)?;
    let length = u16::from_le_bytes([length[0], length[1]]);
    std::str::from_utf8(bytes.get(at..at + usize::from(length))?).ok()
}
