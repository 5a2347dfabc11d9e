//! A page of the log: entries that were read from the engine once and encoded once, for whoever comes by.
//!
//! It knows no subscriber. Who reads it comes with a position and what it asks for, and keeps nothing but that position.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use fanfare_wire::CodedForms;

use crate::engine::Batch;
use crate::log::Entry;
use crate::sieve::Newer;
use crate::{Grant, IdKey, Position, Selection, Topic};

/// What an engine gave for the positions from `first` to `through`.
///
/// INVARIANT: `entries` are in the order of their positions, each once.
pub(crate) struct Page {
    pub(crate) first: Position,
    pub(crate) through: Position,
    /// The topics whose entries are all here; `None` for every topic there is.
    pub(crate) topics: Option<Arc<[Topic]>>,
    /// What it costs to keep besides the coded forms of its entries, in bytes.
    pub(crate) cost: usize,
    entries: Box<[Arc<Entry>]>,
    /// Where the entries of each topic stand; made when somebody first asks for topics alone.
    by_topic: OnceLock<HashMap<Topic, Vec<u32>>>,
}

impl Page {
    /// What a page costs besides its entries, in round numbers.
    const OVERHEAD: usize = 512;

    /// Encodes what was read for `topics` from `first` on.
    pub(crate) fn encode(
        batch: Batch,
        first: Position,
        topics: Option<Arc<[Topic]>>,
        epoch: u32,
        key: &IdKey,
        forms: &Arc<CodedForms>,
    ) -> Self {
        let through = batch.through;
        let mut entries: Vec<Arc<Entry>> = Vec::with_capacity(batch.entries.len());
        let mut next = first;
        for logged in batch.entries {
            // An engine that reads a position twice, or one that was not asked for, reads nothing new.
            if (next..=through).contains(&logged.position) {
                next = logged.position + 1;
                let entry = Entry::encode(logged, epoch, key, forms);
                // Whoever might have been sent it was told of a gap.
                if !entry.is_forgotten() {
                    entries.push(Arc::new(entry));
                }
            }
        }
        let topics = topics.filter(|_| !batch.all);
        let names =
            topics.iter().flat_map(|topics| topics.iter()).map(|topic| topic.as_str().len()).sum::<usize>();
        let cost = Self::OVERHEAD + names + entries.iter().map(|entry| entry.cost()).sum::<usize>();
        Self { first, through, topics, cost, entries: entries.into(), by_topic: OnceLock::new() }
    }

    /// What the coded forms of its entries take now, in bytes.
    pub(crate) fn coded_bytes(&self) -> usize {
        self.entries.iter().map(|entry| entry.frame().coded_bytes()).sum()
    }

    pub(crate) fn covers(&self, position: Position) -> bool {
        (self.first..=self.through).contains(&position)
    }

    /// The entry at a position.
    pub(crate) fn at(&self, position: Position) -> Option<&Arc<Entry>> {
        let place = self.entries.binary_search_by_key(&position, |entry| entry.position()).ok()?;
        self.entries.get(place)
    }

    /// The first entry at `from` or behind it that is asked for and may be read.
    ///
    /// Where topics alone are asked for, this costs a look-up for each of them; otherwise it is linear in the entries that
    /// are passed over.
    pub(crate) fn next_for(
        &self,
        selection: &Selection,
        grant: &Grant,
        from: Position,
    ) -> Option<&Arc<Entry>> {
        let may_read =
            |entry: &Entry| !grant.excepts(entry) && (!entry.is_private() || grant.allows(&entry.topics));
        let mut from = self.entries.partition_point(|entry| entry.position() < from);
        if selection.exact_topics().is_none() {
            let is_wanted = |entry: &&Arc<Entry>| selection.matches(&entry.topics) && may_read(entry);
            return self.entries[from..].iter().find(is_wanted);
        }
        loop {
            let at = selection.exact_topics()?.filter_map(|topic| self.next_of(topic, from)).min()?;
            let entry = &self.entries[at];
            if may_read(entry) {
                return Some(entry);
            }
            from = at + 1;
        }
    }

    /// The newest entries of the page, at most `most`, that are asked for, may be read, have the same topic in front as `entry`, end no
    /// stream, and stand behind it and before `until`.
    pub(crate) fn newest_like(
        &self,
        selection: &Selection,
        grant: &Grant,
        entry: &Entry,
        until: Position,
        most: usize,
    ) -> Newer {
        let Some(topic) = entry.topics.first().filter(|_| most > 0) else { return Newer::new() };
        let places = self.by_topic().get(topic).into_iter().flatten().rev();
        let entries = places.map(|&place| &self.entries[place as usize]);
        let behind = entries
            .filter(|newer| newer.position() < until)
            .take_while(|newer| newer.position() > entry.position());
        let is_for = |newer: &&Arc<Entry>| {
            newer.topics.first() == Some(topic)
                && !newer.is_end()
                && selection.matches(&newer.topics)
                && !grant.excepts(newer)
                && (!newer.is_private() || grant.allows(&newer.topics))
        };
        behind.filter(is_for).take(most).cloned().collect()
    }

    /// Where the first entry of a topic stands, at `from` or behind it.
    fn next_of(&self, topic: &str, from: usize) -> Option<usize> {
        let places = self.by_topic().get(topic)?;
        let at = places.partition_point(|&place| (place as usize) < from);
        places.get(at).map(|&place| place as usize)
    }

    fn by_topic(&self) -> &HashMap<Topic, Vec<u32>> {
        self.by_topic.get_or_init(|| {
            let mut by_topic: HashMap<Topic, Vec<u32>> = HashMap::new();
            for (place, entry) in (0..).zip(&self.entries) {
                for topic in &*entry.topics {
                    match by_topic.get_mut(topic) {
                        Some(places) => places.push(place),
                        None => drop(by_topic.insert(topic.clone(), vec![place])),
                    }
                }
            }
            by_topic
        })
    }
}
