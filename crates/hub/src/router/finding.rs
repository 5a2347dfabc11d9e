//! What comes next for a seat: looked for by the index of topics, among newest matches, or entry by entry with patience that ends.
//!
//! It rings nobody and remembers nothing.

use std::sync::Arc;

use super::{Router, Seat, Selected};
use crate::interned::number;
use crate::log::{Entry, Log};
use crate::sieve::Newer;
use crate::{Grant, Position};

/// What comes next for a readership.
pub(crate) enum Found {
    /// An entry that was asked for and may be read.
    Entry(Arc<Entry>),
    /// Entries up to this position are lost; nothing of the readership's is before them.
    Hole(Position),
    /// Nothing up to the end of the log.
    Nothing,
    /// Nothing up to this position; a long search has been broken off there, for others to have their turn.
    SearchFrom(Position),
}

impl Router {
    /// Whether an entry that was dropped from memory at `from` or behind it may have been for this seat.
    pub(crate) fn may_have_missed(&self, log: &Log, seat: Seat, from: Position) -> bool {
        let (selection, grant) = (&self.selected(seat).selection, self.grant(seat));
        let trimmed = log.trimmed();
        // A private entry was for this seat only if it had a topic that was asked for, and one that may be read.
        trimmed.is_unknown(from)
            || trimmed.has(false, selection.exact_topics(), from)
            || trimmed.has(true, selection.exact_topics(), from)
                && trimmed.has(true, grant.exact_topics(), from)
    }

    /// Whether an entry of presence that is missing in memory, at `from` or behind it, may have been for this seat.
    pub(crate) fn may_miss_presence(&self, log: &Log, seat: Seat, from: Position) -> bool {
        from <= log.presence_gone_through()
            && self
                .presence
                .as_ref()
                .is_some_and(|presence| presence.is_seen_by(&self.selected(seat).selection, self.grant(seat)))
    }

    /// Bounds how long one subscriber holds the lock while it searches: so many positions or topics are looked at, or patterns that take
    /// about so many microseconds.
    const PATIENCE: u64 = 1_000;

    /// How many entries are held against a selection one by one.
    const SCAN_MAX: u64 = 4;

    /// How many positions are collected at once.
    const WALK_MAX: usize = 256;

    /// Collects the positions of all entries for a seat from `from` on, which is not before the log's oldest. It gives up,
    /// for [`find`](Self::find) to go step by step, where the selection is more than topics, the log has a hole, or there
    /// is very much.
    pub(crate) fn walk(&self, log: &Log, seat: Seat, from: Position, positions: &mut Vec<Position>) -> bool {
        positions.clear();
        let selection = &self.selected(seat).selection;
        let Some(topics) = selection.exact_topics() else { return false };
        if log.first_hole(from).is_some() {
            return false;
        }
        if log.next() - from <= Self::SCAN_MAX {
            // To compare is quicker than to look topics up.
            let may_get = |entry: &Entry| selection.matches(&entry.topics) && self.may_read(seat, entry);
            positions
                .extend((from..log.next()).filter(|&at| log.get(at).is_some_and(|entry| may_get(entry))));
            return true;
        }
        let mut chains = 0;
        for chain in topics.filter_map(|topic| log.chain(topic, from)) {
            if positions.len() + chain.len() > Self::WALK_MAX {
                return false;
            }
            chains += usize::from(chain.len() > 0);
            positions.extend(chain);
        }
        if chains > 1 {
            positions.sort_unstable();
            positions.dedup();
        }
        positions.retain(|&position| log.get(position).is_some_and(|entry| self.may_read(seat, entry)));
        true
    }

    /// Finds the first entry for a seat at `from` or behind it; `from` is not before the log's oldest.
    pub(crate) fn find(&mut self, log: &Log, seat: Seat, from: Position) -> Found {
        let mut patience = Self::PATIENCE;
        let mut from = log.skip_gone_presence(from);
        let hole = log.first_hole(from);
        loop {
            let candidate = match self.candidate(log, seat, from, &mut patience) {
                Candidate::At(position) => position,
                Candidate::None => log.next(),
                Candidate::SearchFrom(position) => {
                    let passed = hole.filter(|(start, _)| *start < position);
                    return passed.map_or(Found::SearchFrom(position), |(_, through)| Found::Hole(through));
                }
            };
            if let Some((_, through)) = hole.filter(|(start, _)| *start <= candidate) {
                return Found::Hole(through);
            }
            if candidate >= log.next() {
                return Found::Nothing;
            }
            if let Some(entry) = log.get(candidate) {
                if self.may_read(seat, entry) {
                    return Found::Entry(entry.clone());
                }
            }
            from = log.skip_gone_presence(candidate + 1);
            patience = patience.saturating_sub(self.matchers(seat));
            if patience == 0 {
                return Found::SearchFrom(from);
            }
        }
    }

    /// The newest entries for a seat, at most `most`, that have the same topic in front as `entry`, end no stream, and stand behind it and before
    /// `until`. Few are looked at: mostly the first is it.
    pub(crate) fn newest_like(
        &self,
        log: &Log,
        seat: Seat,
        entry: &Entry,
        until: Position,
        most: usize,
    ) -> Newer {
        let Some(topic) = entry.topics.first().filter(|_| most > 0) else { return Newer::new() };
        let Some(behind) = log.chain(topic.as_str(), entry.position() + 1) else { return Newer::new() };
        let behind = behind.rev().filter(|&at| at < until).take(Self::NEWEST_MAX);
        let selection = &self.selected(seat).selection;
        let is_for = |newer: &&Arc<Entry>| {
            newer.topics.first() == Some(topic)
                && !newer.is_end()
                && selection.matches(&newer.topics)
                && self.may_read(seat, newer)
        };
        behind.filter_map(|position| log.get(position)).filter(is_for).take(most).cloned().collect()
    }

    /// How many entries of a topic are looked at for one that stands for those before it.
    const NEWEST_MAX: usize = 8;

    fn candidate(&mut self, log: &Log, seat: Seat, from: Position, patience: &mut u64) -> Candidate {
        let selected = &self.selections[self.readerships[number(seat.readership)].terms.0];
        if selected.selection.is_any() {
            return Candidate::At(from);
        }
        if let Some(topics) = selected.selection.exact_topics() {
            return topics.filter_map(|topic| log.first_of(topic, from)).min().into();
        }
        let mut position = from;
        if let Some(recent) = &selected.recent {
            while position < recent.complete_from.min(log.next()) {
                let entry = log.get(position);
                let evaluated = self.patterns.evaluations().micros;
                let matchers = selected.selection.matchers();
                if entry.is_some_and(|entry| self.patterns.evaluate_all(matchers, entry.topics())) {
                    return Candidate::At(position);
                }
                position = log.skip_gone_presence(position + 1);
                *patience = patience.saturating_sub((self.patterns.evaluations().micros - evaluated).max(1));
                if *patience == 0 {
                    return Candidate::SearchFrom(position);
                }
            }
            return recent.first(position).into();
        }
        Candidate::None
    }

    fn selected(&self, seat: Seat) -> &Selected {
        &self.selections[self.readerships[number(seat.readership)].terms.0]
    }

    fn grant(&self, seat: Seat) -> &Grant {
        &self.grants[self.readerships[number(seat.readership)].terms.1].grant
    }

    fn matchers(&self, seat: Seat) -> u64 {
        self.selected(seat).selection.matchers().len() as u64
    }

    fn may_read(&self, seat: Seat, entry: &Entry) -> bool {
        if self.grant(seat).excepts(entry) {
            return false;
        }
        if !entry.is_private() {
            return true;
        }
        match &self.readerships[number(seat.readership)].allowed {
            Some(recent) if recent.complete_from <= entry.position() => {
                recent.positions.binary_search(&entry.position()).is_ok()
            }
            _ => self.grant(seat).allows(&entry.topics),
        }
    }

    /// Whether this seat's grant lets it read an entry, matched or not.
    pub(crate) fn grant_allows(&self, seat: Seat, entry: &Entry) -> bool {
        !entry.is_private() || self.grant(seat).allows(&entry.topics)
    }
}

enum Candidate {
    At(Position),
    None,
    SearchFrom(Position),
}

impl From<Option<Position>> for Candidate {
    fn from(position: Option<Position>) -> Self {
        position.map_or(Self::None, Self::At)
    }
}
