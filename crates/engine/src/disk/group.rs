//! Puts together what is committed at once: the entries, who waits for each, and what of it was published before.
//!
//! It writes into memory alone. Whoever needs no entry is answered here.

use std::collections::HashMap;
use std::sync::Arc;

use fanfare_hub::engine::{AppendError, Appended, CheckSource, Content, Found, Keys};
use fanfare_hub::{Check, IdempotencyKey};

use super::error::DiskFault;
use super::reading::time;
use super::record::{RECORD_BYTES_MAX, RECORD_STAMP_BYTES};
use super::writer::GroupWriter;
use crate::payload::PLACE;
use crate::promise::Promise;

/// What a publisher's thread has made ready.
pub(super) struct Request {
    pub(super) content: Content,
    /// With the fingerprint of what is published under it.
    pub(super) key: Option<(IdempotencyKey, u128)>,
    /// Its record, but for what is only known when it is committed. Presence has none: only its place is stored.
    pub(super) payload: Option<Vec<u8>>,
    /// What the index finds it by.
    pub(super) hashes: Vec<u64>,
    /// What a copy of an entry is stamped with, which another log has had.
    pub(super) stamp: Option<Stamp>,
    pub(super) promise: Promise<Answer>,
}

/// What is only known of an entry when it is committed, but for its position.
#[derive(Clone, Copy)]
pub(super) struct Stamp {
    pub(super) check: Check,
    /// Microseconds since 1970.
    pub(super) at: u64,
}

pub(super) type Answer = Result<Appended, AppendError>;

/// A group on its way.
#[derive(Default)]
pub(super) struct Group {
    pub(super) entries: Vec<Pending>,
    pub(super) waiting: Vec<Waiting>,
    /// The keys in it: which entry, and what it holds.
    keys: HashMap<IdempotencyKey, (usize, u128)>,
}

/// An entry on its way.
pub(super) struct Pending {
    pub(super) content: Content,
    pub(super) key: Option<(IdempotencyKey, u128)>,
    pub(super) hashes: Vec<u64>,
    pub(super) check: Check,
    pub(super) at: u64,
    /// Whether only its place is stored.
    pub(super) is_place: bool,
    /// Where in the group its record begins.
    pub(super) begins: usize,
}

/// Who waits for a group.
pub(super) struct Waiting {
    pub(super) promise: Promise<Answer>,
    /// Which entry of the group answers.
    pub(super) entry: usize,
    pub(super) duplicate: bool,
}

/// What entries are stamped with, and what is known of earlier ones.
pub(super) struct Stamps<'a> {
    /// Microseconds since 1970.
    pub(super) at: u64,
    pub(super) checks: &'a mut CheckSource,
    pub(super) keys: &'a mut Keys,
}

impl Group {
    /// Takes from `requests` as many as go together, and writes their entries.
    pub(super) fn gather(
        requests: &mut impl Iterator<Item = Request>,
        writer: &mut GroupWriter,
        bytes_max: u64,
        stamps: &mut Stamps<'_>,
    ) -> Self {
        let mut group = Self::default();
        while (writer.len() as u64) < bytes_max {
            let Some(request) = requests.next() else { break };
            let Some(request) = group.without_entry(request, stamps) else { continue };
            let Request { content, key, payload, hashes, stamp, promise } = request;
            let at = stamp.map_or(stamps.at, |stamp| stamp.at);
            let is_place = payload.is_none();
            let written = match (payload, stamp) {
                (payload, Some(Stamp { check, .. })) => {
                    Ok((writer.push(at, check, payload.as_deref().unwrap_or(&PLACE)), check))
                }
                (Some(payload), None) => {
                    stamps.checks.draw().map(|check| (writer.push(at, check, &payload), check))
                }
                (None, None) => writer.push_place(at, || stamps.checks.draw_seed()),
            };
            let (begins, check) = match written {
                Ok(written) => written,
                Err(error) => {
                    promise.keep(Err(AppendError::Refused(Arc::new(error))));
                    continue;
                }
            };
            let entry = group.entries.len();
            if let Some((key, fingerprint)) = &key {
                group.keys.insert(key.clone(), (entry, *fingerprint));
            }
            group.entries.push(Pending { content, key, hashes, check, at, is_place, begins });
            group.waiting.push(Waiting { promise, entry, duplicate: false });
        }
        group
    }

    /// Answers what was published before, now or in this group, and what has no room in the format; gives back the others.
    fn without_entry(&mut self, request: Request, stamps: &mut Stamps<'_>) -> Option<Request> {
        let payload = request.payload.as_ref().map_or(0, Vec::len);
        if payload + RECORD_STAMP_BYTES > RECORD_BYTES_MAX {
            request.promise.keep(Err(AppendError::Refused(Arc::new(DiskFault::TooLarge))));
            return None;
        }
        // A copy has every entry that there was, under whatever key.
        let Some((key, fingerprint)) = request.key.as_ref().filter(|_| request.stamp.is_none()) else {
            return Some(request);
        };
        match (stamps.keys.find(key, *fingerprint, time(stamps.at)), self.keys.get(key)) {
            (Found::New, None) => return Some(request),
            (Found::Same(appended), _) => request.promise.keep(Ok(appended)),
            (Found::New, Some(&(entry, same))) if same == *fingerprint => {
                self.waiting.push(Waiting { promise: request.promise, entry, duplicate: true });
            }
            _ => request.promise.keep(Err(AppendError::KeyReused)),
        }
        None
    }
}
