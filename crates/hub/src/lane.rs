//! The entries of presence in the log: in one order with all others, and kept by limits of their own.
//!
//! Presence comes in floods, one entry for each subscriber that comes or goes, and nobody reads it for long. So it has a lane
//! beside the other entries: whatever of it is dropped, and however much, shortens nobody else's history. A pure state machine
//! that knows neither topics nor readers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use crate::log::{Entry, Retention};
use crate::{Check, Position};

/// INVARIANT: the runs are in order and do not touch; with the other entries they make up all positions of the log from its
/// oldest on. `kept` are the newest of the entries in the runs.
#[derive(Default)]
pub(crate) struct Lane {
    runs: VecDeque<Run>,
    kept: VecDeque<Arc<Entry>>,
    bytes: usize,
    /// How many entries there have been.
    count: u64,
    /// The newest one that is not kept any more, or never was.
    gone: Option<(Position, Check)>,
}

/// Presence without another entry in between.
struct Run {
    first: Position,
    last: Position,
    /// How many entries of presence there were before.
    before: u64,
    last_check: Check,
}

/// Whose a position is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Presence's: the entry with this number.
    Presence(u64),
    /// Another entry's, with so many of presence before it.
    Other { before: u64 },
}

impl Lane {
    /// Takes in the entry of the log's next position; hands over those that are not kept because of it.
    pub(crate) fn append(&mut self, entry: Arc<Entry>) -> VecDeque<Arc<Entry>> {
        let (position, check) = (entry.position(), entry.check());
        match self.runs.back_mut() {
            Some(run) if run.last + 1 == position => (run.last, run.last_check) = (position, check),
            _ => self.runs.push_back(Run {
                first: position,
                last: position,
                before: self.count,
                last_check: check,
            }),
        }
        self.count += 1;
        if entry.is_forgotten() {
            // What is kept is all behind what is not.
            self.bytes = 0;
            self.gone = Some((position, check));
            return std::mem::take(&mut self.kept);
        }
        self.bytes += entry.cost();
        self.kept.push_back(entry);
        VecDeque::new()
    }

    pub(crate) fn owner(&self, position: Position) -> Owner {
        let behind = self.runs.partition_point(|run| run.first <= position);
        match behind.checked_sub(1).and_then(|at| self.runs.get(at)) {
            Some(run) if position <= run.last => Owner::Presence(run.before + (position - run.first)),
            Some(run) => Owner::Other { before: run.before + (run.last - run.first + 1) },
            None => Owner::Other { before: self.runs.front().map_or(self.count, |run| run.before) },
        }
    }

    pub(crate) fn get(&self, number: u64) -> Option<&Arc<Entry>> {
        let oldest = self.count - self.kept.len() as u64;
        self.kept.get(usize::try_from(number.checked_sub(oldest)?).ok()?)
    }

    /// The check of the entry at a position of presence, if it is still known.
    pub(crate) fn check_at(&self, position: Position, number: u64) -> Option<Check> {
        let run = self.runs.get(self.runs.partition_point(|run| run.last < position))?;
        let gone = self.gone.filter(|(gone, _)| *gone == position).map(|(_, check)| check);
        let last = (run.last == position).then_some(run.last_check);
        last.or(gone).or_else(|| self.get(number).map(|entry| entry.check()))
    }

    /// Up to which position entries are missing that were here.
    pub(crate) fn gone_through(&self) -> Position {
        self.gone.map_or(0, |(position, _)| position)
    }

    /// The first position at `from` or behind it that is not of an entry which is missing.
    pub(crate) fn skip_gone(&self, from: Position) -> Position {
        let gone = self.gone_through();
        if from > gone {
            return from;
        }
        match self.runs.get(self.runs.partition_point(|run| run.last < from)) {
            Some(run) if run.first <= from => run.last.min(gone) + 1,
            _ => from,
        }
    }

    /// Where the run ends that begins at a position; with the check there.
    pub(crate) fn run_from(&self, first: Position) -> Option<(Position, Check)> {
        self.runs.front().filter(|run| run.first == first).map(|run| (run.last, run.last_check))
    }

    /// Forgets the oldest run, and hands over the entries of it that were kept.
    pub(crate) fn drop_run(&mut self) -> Vec<Arc<Entry>> {
        let Some(run) = self.runs.pop_front() else { return Vec::new() };
        let mut dropped = Vec::new();
        while self.kept.front().is_some_and(|entry| entry.position() <= run.last) {
            dropped.extend(self.drop_oldest());
        }
        dropped
    }

    /// Drops the oldest entry if more is kept than is to be.
    pub(crate) fn trim(&mut self, retention: &Retention, now: SystemTime) -> Option<Arc<Entry>> {
        let oldest = self.kept.front()?;
        let is_over_age = retention.is_over_age(oldest, now);
        let is_too_much = self.kept.len() > retention.presence_events()
            || self.bytes + retention.presence_forms.bytes() > retention.presence_bytes()
                && self.kept.len() > 1;
        if is_over_age || is_too_much { self.drop_oldest() } else { None }
    }

    fn drop_oldest(&mut self) -> Option<Arc<Entry>> {
        let entry = self.kept.pop_front()?;
        self.bytes -= entry.cost();
        self.gone = Some((entry.position(), entry.check()));
        Some(entry)
    }

    pub(crate) fn entries(&self) -> usize {
        self.kept.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}
