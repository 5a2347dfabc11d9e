//! The hub's entries in order, as many as are kept, and the indexes that find among them.
//!
//! A pure state machine: it is told the time and holds no lock. Readers come with a position and walk;
//! the log knows nothing of subscribers.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fanfare_wire::{EventId, Frame};

use crate::engine::{Content, Logged, Origin};
use crate::id::Place;
use crate::{Check, IdKey, Position, Topic};

/// A publication that the log has accepted, encoded.
#[derive(Debug)]
pub struct Entry {
    position: Position,
    check: Check,
    at: SystemTime,
    id: EventId,
    id_is_chosen: bool,
    private: bool,
    topics: Arc<[Topic]>,
    frame: Frame,
}

impl Entry {
    /// Encodes what an engine tells. The same entry always gives the same bytes.
    pub(crate) fn encode(logged: Logged, epoch: u32, key: &IdKey) -> Self {
        let Logged { position, check, at, content: Content::Publication(submission) } = logged;
        let id_is_chosen = submission.chosen_id.is_some();
        let id = submission.chosen_id.unwrap_or_else(|| key.encipher(Place { epoch, position, check }));
        let frame = submission.draft.stamp(&id);
        Self {
            position,
            check,
            at,
            id,
            id_is_chosen,
            private: submission.private,
            topics: submission.topics,
            frame,
        }
    }

    /// Where the entry stands.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// When it was appended.
    #[must_use]
    pub fn at(&self) -> SystemTime {
        self.at
    }

    /// Its id: its publisher's, or the hub's own.
    #[must_use]
    pub fn id(&self) -> &EventId {
        &self.id
    }

    /// Whether reading it needs a grant.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// Whom it is addressed to; the canonical topic first.
    #[must_use]
    pub fn topics(&self) -> &[Topic] {
        &self.topics
    }

    /// The event as it is written to every socket.
    #[must_use]
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// What it costs to keep: its frame, its topics, and a round number for the indexes.
    fn cost(&self) -> usize {
        const INDEXES: usize = 256;
        self.frame.as_bytes().len()
            + self.topics.iter().map(|topic| topic.as_str().len()).sum::<usize>()
            + INDEXES
    }
}

/// How much is kept. Whichever is reached first counts.
#[derive(Clone, Debug)]
pub(crate) struct Retention {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
    pub(crate) age: Option<Duration>,
}

enum Slot {
    Entry(Arc<Entry>),
    /// Lost before it was told; see [`Followed::Hole`](crate::engine::Followed::Hole).
    Hole,
}

/// INVARIANT: `slots` holds the positions `oldest..oldest + slots.len()`, one each.
pub(crate) struct Log {
    epoch: u32,
    key: IdKey,
    retention: Retention,
    slots: VecDeque<Slot>,
    oldest: Position,
    /// The check of the position before `oldest`, so that a cursor there can be told from a rewound one.
    check_before_oldest: Check,
    bytes: usize,
    entries: usize,
    /// The positions of each topic's entries, in order.
    chains: HashMap<Topic, VecDeque<Position>>,
    /// The positions of the entries that have a publisher's id, earliest first.
    chosen_ids: HashMap<EventId, VecDeque<Position>>,
    /// The lost positions that are still in `slots`, in order.
    holes: VecDeque<Position>,
    trimmed: Trimmed,
}

impl Log {
    pub(crate) fn begin(origin: Origin, retention: Retention) -> Self {
        Self {
            epoch: origin.epoch,
            key: origin.key,
            retention,
            slots: VecDeque::new(),
            oldest: origin.from,
            check_before_oldest: origin.check_before,
            bytes: 0,
            entries: 0,
            chains: HashMap::new(),
            chosen_ids: HashMap::new(),
            holes: VecDeque::new(),
            trimmed: Trimmed::before(origin.from),
        }
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(crate) fn key(&self) -> &IdKey {
        &self.key
    }

    /// The oldest position that is kept; equal to `next` when nothing is.
    pub(crate) fn oldest(&self) -> Position {
        self.oldest
    }

    /// The position of the next entry.
    pub(crate) fn next(&self) -> Position {
        self.oldest + self.slots.len() as Position
    }

    pub(crate) fn entries(&self) -> usize {
        self.entries
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn append(&mut self, entry: Arc<Entry>) {
        debug_assert_eq!(entry.position, self.next());
        for topic in &*entry.topics {
            match self.chains.get_mut(topic) {
                Some(chain) => chain.push_back(entry.position),
                None => drop(self.chains.insert(topic.clone(), VecDeque::from([entry.position]))),
            }
        }
        if entry.id_is_chosen {
            self.chosen_ids.entry(entry.id.clone()).or_default().push_back(entry.position);
        }
        self.bytes += entry.cost();
        self.entries += 1;
        self.slots.push_back(Slot::Entry(entry));
    }

    /// Marks everything up to `through` as lost.
    pub(crate) fn append_hole(&mut self, through: Position) {
        if through.saturating_sub(self.next()) >= self.retention.events as Position {
            // More than would be kept anyway: begin again behind it.
            while self.drop_oldest() {}
            self.oldest = through + 1;
            self.check_before_oldest = Check::START;
            self.trimmed = Trimmed::before(self.oldest);
            return;
        }
        while self.next() <= through {
            self.holes.push_back(self.next());
            self.slots.push_back(Slot::Hole);
        }
    }

    /// Drops what is not to be kept any longer.
    pub(crate) fn trim(&mut self, now: SystemTime) {
        while self.slots.len() > self.retention.events
            || self.bytes > self.retention.bytes && self.slots.len() > 1
            || self.oldest_is_over_age(now)
        {
            if !self.drop_oldest() {
                break;
            }
        }
    }

    fn oldest_is_over_age(&self, now: SystemTime) -> bool {
        match (self.retention.age, self.slots.front()) {
            (Some(age), Some(Slot::Entry(entry))) => now.duration_since(entry.at).is_ok_and(|old| old > age),
            // A hole has no age; it goes with what is behind it.
            (Some(_), Some(Slot::Hole)) => self.entries == 0,
            _ => false,
        }
    }

    fn drop_oldest(&mut self) -> bool {
        let position = self.oldest;
        match self.slots.pop_front() {
            None => return false,
            Some(Slot::Hole) => {
                self.holes.pop_front();
                self.check_before_oldest = Check::START;
                self.trimmed.floor = position + 1;
            }
            Some(Slot::Entry(entry)) => {
                for topic in &*entry.topics {
                    pop_first(&mut self.chains, topic);
                    self.trimmed.note(topic, position, entry.private);
                }
                if entry.id_is_chosen {
                    pop_first(&mut self.chosen_ids, &entry.id);
                }
                self.check_before_oldest = entry.check;
                self.bytes -= entry.cost();
                self.entries -= 1;
            }
        }
        self.oldest += 1;
        true
    }

    pub(crate) fn get(&self, position: Position) -> Option<&Arc<Entry>> {
        let offset = usize::try_from(position.checked_sub(self.oldest)?).ok()?;
        match self.slots.get(offset)? {
            Slot::Entry(entry) => Some(entry),
            Slot::Hole => None,
        }
    }

    /// The first entry of `topic` at `from` or behind it.
    pub(crate) fn first_of(&self, topic: &str, from: Position) -> Option<Position> {
        let chain = self.chains.get(topic)?;
        chain.get(chain.partition_point(|&position| position < from)).copied()
    }

    /// The first lost position at `from` or behind it, with the last of its run.
    pub(crate) fn first_hole(&self, from: Position) -> Option<(Position, Position)> {
        let at = self.holes.partition_point(|&position| position < from);
        let start = *self.holes.get(at)?;
        let run = self.holes.iter().skip(at).zip(start..).take_while(|(hole, expected)| **hole == *expected);
        Some((start, run.last().map_or(start, |(hole, _)| *hole)))
    }

    /// Where the earliest entry with a publisher's id stands.
    pub(crate) fn find(&self, chosen_id: &EventId) -> Option<Position> {
        self.chosen_ids.get(chosen_id)?.front().copied()
    }

    /// The check of a position from `oldest - 1` to `next - 1`; `None` for any other.
    pub(crate) fn check_at(&self, position: Position) -> Option<Check> {
        if position + 1 == self.oldest {
            return Some(self.check_before_oldest);
        }
        let offset = usize::try_from(position.checked_sub(self.oldest)?).ok()?;
        Some(match self.slots.get(offset)? {
            Slot::Entry(entry) => entry.check,
            Slot::Hole => Check::START,
        })
    }

    /// The hub's own id of a position from `oldest - 1` to `next - 1`.
    pub(crate) fn id_at(&self, position: Position) -> Option<EventId> {
        let check = self.check_at(position)?;
        Some(self.key.encipher(Place { epoch: self.epoch, position, check }))
    }

    /// Whether an entry of one of `topics` may have been dropped from memory at `from` or behind it.
    ///
    /// May say yes where the truth is no, never the other way round. `private` tells whether private entries count.
    pub(crate) fn has_dropped<'a>(
        &self,
        mut topics: impl Iterator<Item = &'a str>,
        from: Position,
        private: bool,
    ) -> bool {
        from < self.trimmed.floor || topics.any(|topic| self.trimmed.newest(topic, private) >= from)
    }
}

fn pop_first<K: std::hash::Hash + Eq>(positions: &mut HashMap<K, VecDeque<Position>>, key: &K) {
    if let Some(list) = positions.get_mut(key) {
        list.pop_front();
        if list.is_empty() {
            positions.remove(key);
        } else if list.capacity() > 64 && list.len() < list.capacity() / 4 {
            list.shrink_to(list.len() * 2);
        }
    }
}

/// The highest position of each topic that was dropped, by the topic's hash: it keeps subscribers of quiet topics
/// from gaps that are none. Bounded; topics that share a bucket may get one nevertheless.
struct Trimmed {
    /// Of everything below it nothing is known.
    floor: Position,
    hasher: RandomState,
    /// For each bucket the highest position of all, and of public entries. Empty until something is dropped.
    buckets: Vec<[Position; 2]>,
}

impl Trimmed {
    const BUCKETS: usize = 1 << 14;

    fn before(floor: Position) -> Self {
        Self { floor, hasher: RandomState::new(), buckets: Vec::new() }
    }

    fn bucket(&self, topic: &str) -> usize {
        usize::try_from(self.hasher.hash_one(topic) % Self::BUCKETS as u64).unwrap_or(0)
    }

    fn note(&mut self, topic: &Topic, position: Position, private: bool) {
        if self.buckets.is_empty() {
            self.buckets = vec![[0; 2]; Self::BUCKETS];
        }
        let at = self.bucket(topic.as_str());
        self.buckets[at][0] = position;
        if !private {
            self.buckets[at][1] = position;
        }
    }

    fn newest(&self, topic: &str, private: bool) -> Position {
        self.buckets.get(self.bucket(topic)).map_or(0, |bucket| bucket[usize::from(!private)])
    }
}
