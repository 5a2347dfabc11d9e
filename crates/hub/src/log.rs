//! The hub's entries in order, as many as are kept, and the indexes that find among them.
//!
//! A pure state machine: it is told the time and holds no lock. Readers come with a position and walk;
//! the log knows nothing of subscribers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fanfare_wire::{CodedForms, EventId};

use crate::engine::Origin;
pub(crate) use crate::entry::Entry;
use crate::id::Place;
use crate::lane::{Lane, Owner};
use crate::trimmed::Trimmed;
use crate::{Check, IdKey, Position, Topic};

/// How much is kept. Whichever is reached first counts.
#[derive(Clone, Debug)]
pub(crate) struct Retention {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
    pub(crate) age: Option<Duration>,
    /// What the coded forms of entries take, which counts as well.
    pub(crate) forms: Arc<CodedForms>,
    /// And those of presence.
    pub(crate) presence_forms: Arc<CodedForms>,
}

impl Retention {
    /// How many entries of presence are kept besides.
    pub(crate) fn presence_events(&self) -> usize {
        self.events.div_ceil(10)
    }

    /// How many bytes these may cost.
    pub(crate) fn presence_bytes(&self) -> usize {
        self.bytes.div_ceil(10)
    }

    pub(crate) fn is_over_age(&self, entry: &Entry, now: SystemTime) -> bool {
        self.age.is_some_and(|age| now.duration_since(entry.at).is_ok_and(|old| old > age))
    }
}

enum Slot {
    Entry(Arc<Entry>),
    /// Lost before it was told; see [`Followed::Hole`](crate::engine::Followed::Hole).
    Hole,
}

/// What is known of the check at a position.
#[derive(Clone, Copy)]
enum Known {
    Check(Check),
    /// The entry was lost, and with it its check, which may have been any.
    Lost,
}

/// INVARIANT: each position of `oldest..next` is either presence's, in `lane`, or has a slot, in the same order.
pub(crate) struct Log {
    epoch: u32,
    key: IdKey,
    /// What stands before it was in the engine's log when that was opened.
    opened_at: Position,
    retention: Retention,
    slots: VecDeque<Slot>,
    /// How many positions before that of the first slot are not presence's.
    slots_before: u64,
    lane: Lane,
    oldest: Position,
    next: Position,
    /// The check of the position before `oldest`, so that a cursor there can be told from a rewound one.
    check_before_oldest: Known,
    bytes: usize,
    entries: usize,
    /// The positions of each topic's entries, in order.
    chains: HashMap<Topic, VecDeque<Position>>,
    /// The positions of the entries that have a publisher's id, earliest first.
    chosen_ids: HashMap<EventId, VecDeque<Position>>,
    /// The runs of lost positions that are still in `slots`, in order: the first and the last of each.
    holes: VecDeque<(Position, Position)>,
    trimmed: Trimmed,
}

impl Log {
    pub(crate) fn begin(origin: Origin, retention: Retention) -> Self {
        // The first position is 1, whatever an engine says.
        let from = origin.from.max(1);
        let is_known = from == 1 || origin.check_before != Check::START;
        Self {
            epoch: origin.epoch,
            key: origin.key,
            opened_at: origin.next,
            retention,
            slots: VecDeque::new(),
            slots_before: from,
            lane: Lane::default(),
            oldest: from,
            next: from,
            check_before_oldest: if is_known { Known::Check(origin.check_before) } else { Known::Lost },
            bytes: 0,
            entries: 0,
            chains: HashMap::new(),
            chosen_ids: HashMap::new(),
            holes: VecDeque::new(),
            trimmed: Trimmed::before(from),
        }
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(crate) fn key(&self) -> &IdKey {
        &self.key
    }

    /// Whether there were entries in the engine's log when it opened it.
    pub(crate) fn had_entries(&self) -> bool {
        self.opened_at > 1
    }

    /// Whether an entry was published since the engine opened its log.
    pub(crate) fn is_new(&self, position: Position) -> bool {
        position >= self.opened_at
    }

    /// The oldest position that is kept; equal to `next` when nothing is.
    pub(crate) fn oldest(&self) -> Position {
        self.oldest
    }

    /// The position of the next entry.
    pub(crate) fn next(&self) -> Position {
        self.next
    }

    pub(crate) fn entries(&self) -> usize {
        self.entries
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.retention.forms.bytes()
    }

    /// How many entries of presence are kept besides.
    pub(crate) fn presence_entries(&self) -> usize {
        self.lane.entries()
    }

    /// What these cost, in bytes.
    pub(crate) fn presence_bytes(&self) -> usize {
        self.lane.bytes() + self.retention.presence_forms.bytes()
    }

    pub(crate) fn append(&mut self, entry: Arc<Entry>) {
        debug_assert_eq!(entry.position, self.next());
        self.next += 1;
        for topic in &*entry.topics {
            match self.chains.get_mut(topic) {
                Some(chain) => chain.push_back(entry.position),
                None => drop(self.chains.insert(topic.clone(), VecDeque::from([entry.position]))),
            }
        }
        if entry.is_of_presence() {
            for forgotten in self.lane.append(entry) {
                self.unindex(&forgotten);
            }
            return;
        }
        if entry.id_is_chosen {
            self.chosen_ids.entry(entry.id.clone()).or_default().push_back(entry.position);
        }
        self.bytes += entry.cost();
        self.entries += 1;
        self.slots.push_back(Slot::Entry(entry));
    }

    /// Takes an entry of presence that is kept no longer out of the indexes.
    fn unindex(&mut self, entry: &Entry) {
        for topic in &*entry.topics {
            let Some(chain) = self.chains.get_mut(topic) else { continue };
            // It is the first of its chain, unless somebody publishes to such topics.
            if let Ok(at) = chain.binary_search(&entry.position) {
                chain.remove(at);
            }
            if chain.is_empty() {
                self.chains.remove(topic);
            }
        }
    }

    /// Marks everything up to `through` as lost.
    pub(crate) fn append_hole(&mut self, through: Position) {
        if through.saturating_sub(self.next()) >= self.retention.events as Position {
            // More than would be kept anyway: begin again behind it.
            while self.drop_oldest() {}
            while self.drop_run() {}
            self.slots_before += through + 1 - self.next;
            self.oldest = through + 1;
            self.next = self.oldest;
            self.check_before_oldest = Known::Lost;
            self.trimmed = Trimmed::before(self.oldest);
            return;
        }
        let from = self.next();
        if from > through {
            return;
        }
        match self.holes.back_mut() {
            Some((_, last)) if *last + 1 == from => *last = through,
            _ => self.holes.push_back((from, through)),
        }
        self.slots.extend((from..=through).map(|_| Slot::Hole));
        self.next = through + 1;
    }

    /// Drops what is not to be kept any longer.
    pub(crate) fn trim(&mut self, now: SystemTime) {
        while self.slots.len() > self.retention.events
            || self.bytes() > self.retention.bytes && self.slots.len() > 1
            || self.oldest_is_over_age(now)
        {
            if !self.drop_oldest() {
                break;
            }
        }
        while let Some(dropped) = self.lane.trim(&self.retention, now) {
            self.unindex(&dropped);
        }
    }

    fn oldest_is_over_age(&self, now: SystemTime) -> bool {
        if self.retention.age.is_none() {
            return false;
        }
        // A hole has no age; it goes with what is behind it.
        let behind_hole = || {
            let (first, last) = self.holes.front()?;
            self.slots.get(usize::try_from(last - first + 1).ok()?)
        };
        match self.slots.front() {
            None => false,
            Some(Slot::Entry(entry)) => self.retention.is_over_age(entry, now),
            Some(Slot::Hole) => match behind_hole() {
                Some(Slot::Entry(entry)) => self.retention.is_over_age(entry, now),
                _ => true,
            },
        }
    }

    /// Drops the run of presence that the log begins with, if it does.
    fn drop_run(&mut self) -> bool {
        let Some((last, check)) = self.lane.run_from(self.oldest) else { return false };
        for dropped in self.lane.drop_run() {
            self.unindex(&dropped);
        }
        self.oldest = last + 1;
        self.check_before_oldest = Known::Check(check);
        true
    }

    fn drop_oldest(&mut self) -> bool {
        if self.slots.is_empty() {
            return false;
        }
        self.drop_run();
        let position = self.oldest;
        self.slots_before += 1;
        match self.slots.pop_front() {
            None => return false,
            Some(Slot::Hole) => {
                match self.holes.front_mut() {
                    Some((first, last)) if *first < *last => *first += 1,
                    _ => drop(self.holes.pop_front()),
                }
                self.check_before_oldest = Known::Lost;
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
                self.check_before_oldest = Known::Check(entry.check);
                self.bytes -= entry.cost();
                self.entries -= 1;
            }
        }
        self.oldest += 1;
        true
    }

    pub(crate) fn get(&self, position: Position) -> Option<&Arc<Entry>> {
        let slot = match self.lane.owner(position) {
            Owner::Presence(number) => return self.lane.get(number),
            Owner::Other { before } => self.slot(position, before),
        };
        match slot? {
            Slot::Entry(entry) => Some(entry),
            Slot::Hole => None,
        }
    }

    /// The slot of a position that has `before` of presence before it.
    fn slot(&self, position: Position, before: u64) -> Option<&Slot> {
        if position < self.oldest {
            return None;
        }
        self.slots.get(usize::try_from((position - before).checked_sub(self.slots_before)?).ok()?)
    }

    /// Up to which position entries of presence are missing; what else there is is kept from `oldest` on.
    pub(crate) fn presence_gone_through(&self) -> Position {
        self.lane.gone_through()
    }

    /// The first position at `from` or behind it that is not of presence which is missing.
    pub(crate) fn skip_gone_presence(&self, from: Position) -> Position {
        if from < self.oldest { from } else { self.lane.skip_gone(from) }
    }

    /// The first entry of `topic` at `from` or behind it.
    pub(crate) fn first_of(&self, topic: &str, from: Position) -> Option<Position> {
        let chain = self.chains.get(topic)?;
        chain.get(place_in(chain, from)).copied()
    }

    /// The positions of `topic` from `from` on, in order; `None` if the topic has no entry at all.
    pub(crate) fn chain(
        &self,
        topic: &str,
        from: Position,
    ) -> Option<impl ExactSizeIterator<Item = Position> + DoubleEndedIterator> {
        let chain = self.chains.get(topic)?;
        Some(chain.range(place_in(chain, from)..).copied())
    }

    /// The first lost position at `from` or behind it, with the last of its run.
    pub(crate) fn first_hole(&self, from: Position) -> Option<(Position, Position)> {
        let (first, last) = *self.holes.get(self.holes.partition_point(|(_, last)| *last < from))?;
        Some((first.max(from), last))
    }

    /// The entries with a publisher's id, earliest first.
    pub(crate) fn find(&self, chosen_id: &EventId) -> impl Iterator<Item = &Arc<Entry>> {
        let positions = self.chosen_ids.get(chosen_id);
        positions.into_iter().flatten().filter_map(|&position| self.get(position))
    }

    /// The check of a position from `oldest - 1` to `next - 1`; `None` for any other, and within presence that is missing. Lost entries have that of the start.
    pub(crate) fn check_at(&self, position: Position) -> Option<Check> {
        Some(match self.known_at(position)? {
            Known::Check(check) => check,
            Known::Lost => Check::START,
        })
    }

    /// Whether an id with this check can be of the entry at a position from `oldest - 1` to `next - 1`; `None` for any
    /// other, and within presence that is missing.
    pub(crate) fn agrees(&self, position: Position, check: Check) -> Option<bool> {
        Some(match self.known_at(position)? {
            Known::Check(known) => check.may_be(known),
            Known::Lost => true,
        })
    }

    fn known_at(&self, position: Position) -> Option<Known> {
        if position + 1 == self.oldest {
            return Some(self.check_before_oldest);
        }
        if !(self.oldest..self.next).contains(&position) {
            return None;
        }
        let before = match self.lane.owner(position) {
            Owner::Presence(number) => return self.lane.check_at(position, number).map(Known::Check),
            Owner::Other { before } => before,
        };
        Some(match self.slot(position, before)? {
            Slot::Entry(entry) => Known::Check(entry.check),
            Slot::Hole => Known::Lost,
        })
    }

    /// The hub's own id of a position from `oldest - 1` to `next - 1`.
    pub(crate) fn id_at(&self, position: Position) -> Option<EventId> {
        let check = self.check_at(position)?;
        Some(self.key.encipher(Place { epoch: self.epoch, position, check }))
    }

    /// What retention has taken.
    pub(crate) fn trimmed(&self) -> &Trimmed {
        &self.trimmed
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

/// Where the first position that is not before `from` stands in a chain. Who asks is mostly near the end, so it looks from
/// there, in steps that double.
fn place_in(chain: &VecDeque<Position>, from: Position) -> usize {
    let mut step = 1;
    while step < chain.len() && chain[chain.len() - step] >= from {
        step *= 2;
    }
    let (mut low, mut high) = (chain.len().saturating_sub(step), chain.len() - step / 2);
    while low < high {
        let middle = usize::midpoint(low, high);
        if chain[middle] < from { low = middle + 1 } else { high = middle }
    }
    low
}
