//! Who gets which entry: selections and grants interned, topics indexed, doorbells rung.
//!
//! Matching is done once for each entry and distinct selection, found by an index on topics; a grant is
//! asked about private entries only, once for each entry and grant. A pure state machine without a lock.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use slab::Slab;

use crate::crowds::{Crowds, Station};
use crate::log::{Entry, Log};
use crate::matcher::{Kind, Matcher};
use crate::{Grant, Position, Selection, Topic};

/// A subscriber's place at a readership.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seat {
    pub(crate) readership: usize,
    /// The doorbell that was hung last: in which round, and where. In a later round it has been rung.
    bell: Option<(u64, usize)>,
}

impl Seat {
    /// A seat at a readership, without a doorbell.
    pub(crate) fn at(readership: usize) -> Self {
        Self { readership, bell: None }
    }
}

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

#[derive(Default)]
pub(crate) struct Router {
    selections: Slab<Selected>,
    selection_keys: HashMap<Selection, usize>,
    readerships: Slab<Readership>,
    readership_keys: HashMap<(usize, Grant), usize>,
    /// Which selections name a topic.
    exact: HashMap<Arc<str>, Vec<usize>>,
    /// Which selections ask for every topic.
    any: Vec<usize>,
    patterns: Slab<PatternUse>,
    pattern_keys: HashMap<Matcher, usize>,
    crowds: Crowds,
    /// How often a pattern was held against an entry's topics.
    evaluations: u64,
    /// Room for the selections that an entry matches, kept between entries.
    matched: Vec<usize>,
}

struct Selected {
    selection: Selection,
    readerships: Vec<usize>,
    /// Newest matches, where finding them again means evaluating patterns.
    recent: Option<Recent>,
    /// The last position that was matched, so that a second matcher or topic does not match it again.
    matched_at: Position,
}

struct Readership {
    selected: usize,
    grant: Grant,
    /// Newest private matches that the grant allows. `None` until there was a private match.
    allowed: Option<Recent>,
    seats: usize,
    /// The doorbells of those who wait. They are rung all together, which begins a new round.
    bells: Slab<Waker>,
    round: u64,
    /// Where crowds have members of this readership.
    stations: Vec<Station>,
}

impl Readership {
    /// Moves the doorbells to `rung`; costs nothing for those who do not wait.
    fn ring(&mut self, crowds: &mut Crowds, rung: &mut Vec<Waker>) {
        crowds.tell(&mut self.stations, rung);
        if !self.bells.is_empty() {
            self.round += 1;
            rung.extend(self.bells.drain());
        }
    }
}

struct PatternUse {
    matcher: Matcher,
    selections: Vec<usize>,
}

/// The newest positions of a kind: all of them from `complete_from` on.
struct Recent {
    complete_from: Position,
    positions: VecDeque<Position>,
}

impl Recent {
    /// Enough for subscribers that keep up; who lags walks the log.
    const POSITIONS_MAX: usize = 64;

    fn from(position: Position) -> Self {
        Self { complete_from: position, positions: VecDeque::new() }
    }

    fn push(&mut self, position: Position) {
        if self.positions.len() == Self::POSITIONS_MAX {
            if let Some(dropped) = self.positions.pop_front() {
                self.complete_from = dropped + 1;
            }
        }
        self.positions.push_back(position);
    }

    fn first(&self, from: Position) -> Option<Position> {
        self.positions.get(self.positions.partition_point(|&position| position < from)).copied()
    }
}

impl Router {
    /// Seats a subscriber. `next` is the log's.
    pub(crate) fn join(&mut self, selection: &Selection, grant: &Grant, next: Position) -> Seat {
        let selected = match self.selection_keys.get(selection) {
            Some(&selected) => selected,
            None => self.intern(selection, next),
        };
        let readership = match self.readership_keys.get(&(selected, grant.clone())) {
            Some(&readership) => readership,
            None => {
                let readership = self.readerships.insert(Readership {
                    selected,
                    grant: grant.clone(),
                    allowed: None,
                    seats: 0,
                    bells: Slab::new(),
                    round: 0,
                    stations: Vec::new(),
                });
                self.readership_keys.insert((selected, grant.clone()), readership);
                self.selections[selected].readerships.push(readership);
                readership
            }
        };
        self.readerships[readership].seats += 1;
        Seat::at(readership)
    }

    /// How many distinct patterns there would be with those that `selection` brings; none if it brings none.
    pub(crate) fn patterns_with(&self, selection: &Selection) -> usize {
        let is_new = |matcher: &&Matcher| {
            matches!(matcher.0, Kind::Pattern(_)) && !self.pattern_keys.contains_key(*matcher)
        };
        match selection.matchers().iter().filter(is_new).count() {
            0 => 0,
            new => self.patterns.len() + new,
        }
    }

    fn intern(&mut self, selection: &Selection, next: Position) -> usize {
        let walks_chains = selection.is_any() || selection.exact_topics().is_some();
        let selected = self.selections.insert(Selected {
            selection: selection.clone(),
            readerships: Vec::new(),
            recent: (!walks_chains).then(|| Recent::from(next)),
            matched_at: 0,
        });
        self.selection_keys.insert(selection.clone(), selected);
        for matcher in selection.matchers() {
            match &matcher.0 {
                Kind::Any => self.any.push(selected),
                Kind::Exact(topic) => self.exact.entry(topic.clone()).or_default().push(selected),
                Kind::Pattern(_) => match self.pattern_keys.get(matcher) {
                    Some(&pattern) => self.patterns[pattern].selections.push(selected),
                    None => {
                        let used = PatternUse { matcher: matcher.clone(), selections: vec![selected] };
                        self.pattern_keys.insert(matcher.clone(), self.patterns.insert(used));
                    }
                },
            }
        }
        selected
    }

    /// Gives a seat back; with its last subscriber a readership is forgotten, and with its last readership a selection.
    ///
    /// Returns the doorbell, which is to be dropped outside the lock: with it may go a task that holds a seat here.
    pub(crate) fn leave(&mut self, seat: Seat) -> Option<Waker> {
        let readership = &mut self.readerships[seat.readership];
        let hung = seat.bell.filter(|(round, _)| *round == readership.round);
        let bell = hung.and_then(|(_, at)| readership.bells.try_remove(at));
        readership.seats -= 1;
        if readership.seats > 0 {
            return bell;
        }
        let Readership { selected, grant, .. } = self.readerships.remove(seat.readership);
        self.readership_keys.remove(&(selected, grant));
        let readerships = &mut self.selections[selected].readerships;
        forget(readerships, seat.readership);
        if readerships.is_empty() {
            let Selected { selection, .. } = self.selections.remove(selected);
            self.selection_keys.remove(&selection);
            self.unindex(&selection, selected);
        }
        bell
    }

    fn unindex(&mut self, selection: &Selection, selected: usize) {
        for matcher in selection.matchers() {
            match &matcher.0 {
                Kind::Any => forget(&mut self.any, selected),
                Kind::Exact(topic) => {
                    if let Some(users) = self.exact.get_mut(topic) {
                        forget(users, selected);
                        if users.is_empty() {
                            self.exact.remove(topic);
                        }
                    }
                }
                Kind::Pattern(_) => {
                    let Some(&pattern) = self.pattern_keys.get(matcher) else { continue };
                    forget(&mut self.patterns[pattern].selections, selected);
                    if self.patterns[pattern].selections.is_empty() {
                        self.patterns.remove(pattern);
                        self.pattern_keys.remove(matcher);
                    }
                }
            }
        }
    }

    /// Finds whom a new entry is for and moves their doorbells to `rung`.
    pub(crate) fn route(&mut self, entry: &Entry, rung: &mut Vec<Waker>) {
        self.find_selections(entry);
        for &selected in &self.matched {
            let Selected { readerships, recent, .. } = &mut self.selections[selected];
            if let Some(recent) = recent {
                recent.push(entry.position());
            }
            for &readership in &*readerships {
                let readership = &mut self.readerships[readership];
                if entry.is_private() {
                    let allowed = readership.allowed.get_or_insert_with(|| Recent::from(entry.position()));
                    if !readership.grant.allows(entry.topics()) {
                        continue;
                    }
                    allowed.push(entry.position());
                }
                readership.ring(&mut self.crowds, rung);
            }
        }
    }

    fn find_selections(&mut self, entry: &Entry) {
        let Self { selections, exact, any, patterns, matched, evaluations, .. } = self;
        matched.clear();
        let mut add = |users: &[usize]| {
            for &selected in users {
                let at = &mut selections[selected].matched_at;
                if *at != entry.position() {
                    *at = entry.position();
                    matched.push(selected);
                }
            }
        };
        add(any);
        for topic in entry.topics() {
            if let Some(users) = exact.get(topic.as_str()) {
                add(users);
            }
        }
        for (_, PatternUse { matcher, selections }) in &*patterns {
            if evaluate(matcher, entry.topics(), evaluations) {
                add(selections);
            }
        }
    }

    /// Positions begin anew: what was remembered of the old log is void.
    pub(crate) fn begin_epoch(&mut self, from: Position) {
        for (_, selected) in &mut self.selections {
            selected.matched_at = 0;
            if let Some(recent) = &mut selected.recent {
                *recent = Recent::from(from);
            }
        }
        for (_, readership) in &mut self.readerships {
            readership.allowed = None;
        }
    }

    /// Moves all doorbells to `rung`.
    pub(crate) fn ring_all(&mut self, rung: &mut Vec<Waker>) {
        for (_, readership) in &mut self.readerships {
            readership.ring(&mut self.crowds, rung);
        }
    }

    /// Leaves a doorbell: it is rung once, by the next entry for the seat's readership.
    ///
    /// Returns the one that hung there, which is to be dropped outside the lock, as in [`leave`](Self::leave).
    pub(crate) fn hang_bell(&mut self, seat: &mut Seat, waker: &Waker) -> Option<Waker> {
        let readership = &mut self.readerships[seat.readership];
        let hung = seat.bell.filter(|(round, _)| *round == readership.round);
        match hung.and_then(|(_, at)| readership.bells.get_mut(at)) {
            Some(bell) if bell.will_wake(waker) => None,
            Some(bell) => Some(std::mem::replace(bell, waker.clone())),
            None => {
                seat.bell = Some((readership.round, readership.bells.insert(waker.clone())));
                None
            }
        }
    }

    pub(crate) fn add_crowd(&mut self, bell: Waker) -> usize {
        self.crowds.add(bell)
    }

    /// Forgets a crowd that has no members left. Returns its doorbell, which is to be dropped outside the lock.
    pub(crate) fn remove_crowd(&mut self, crowd: usize) -> Option<Waker> {
        self.crowds.remove(crowd)
    }

    /// Makes who has this seat a member of `crowd`, in the group that is returned, and takes down its doorbell.
    pub(crate) fn join_crowd(&mut self, seat: Seat, crowd: usize) -> (u32, Option<Waker>) {
        let readership = &mut self.readerships[seat.readership];
        let hung = seat.bell.filter(|(round, _)| *round == readership.round);
        let bell = hung.and_then(|(_, at)| readership.bells.try_remove(at));
        (self.crowds.join(&mut readership.stations, crowd, seat.readership), bell)
    }

    /// The seat stays, with its readership.
    pub(crate) fn leave_crowd(&mut self, seat: Seat, crowd: usize) {
        self.crowds.leave(&mut self.readerships[seat.readership].stations, crowd);
    }

    /// The groups of `crowd` that have something to read since it last looked.
    pub(crate) fn take_news(&mut self, crowd: usize, news: &mut Vec<u32>) {
        self.crowds.take_news(crowd, news);
        for &group in &*news {
            let readership = self.crowds.readership_of(crowd, group);
            Station::heard(&mut self.readerships[readership].stations, crowd);
        }
    }

    /// What who sits here asked for, and may read.
    pub(crate) fn terms(&self, seat: Seat) -> (Selection, Grant) {
        let Readership { selected, grant, .. } = &self.readerships[seat.readership];
        (self.selections[*selected].selection.clone(), grant.clone())
    }

    /// Whether an entry that was dropped from memory at `from` or behind it may have been for this seat.
    pub(crate) fn may_have_missed(&self, log: &Log, seat: Seat, from: Position) -> bool {
        let Readership { selected, grant, .. } = &self.readerships[seat.readership];
        let selection = &self.selections[*selected].selection;
        let trimmed = log.trimmed();
        // A private entry was for this seat only if it had a topic that was asked for, and one that may be read.
        trimmed.is_unknown(from)
            || trimmed.has(false, selection.exact_topics(), from)
            || trimmed.has(true, selection.exact_topics(), from)
                && trimmed.has(true, grant.exact_topics(), from)
    }

    /// Bounds how long one subscriber holds the lock while it searches: so many positions, topics or patterns are looked at.
    const PATIENCE: u64 = 1_000;

    /// Finds the first entry for a seat at `from` or behind it; `from` is not before the log's oldest.
    pub(crate) fn find(&mut self, log: &Log, seat: Seat, mut from: Position) -> Found {
        let mut patience = Self::PATIENCE;
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
            from = candidate + 1;
            patience = patience.saturating_sub(self.matchers(seat));
            if patience == 0 {
                return Found::SearchFrom(from);
            }
        }
    }

    fn candidate(&mut self, log: &Log, seat: Seat, from: Position, patience: &mut u64) -> Candidate {
        let selected = &self.selections[self.readerships[seat.readership].selected];
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
                let evaluated = self.evaluations;
                if entry.is_some_and(|entry| {
                    evaluate_all(&selected.selection, entry.topics(), &mut self.evaluations)
                }) {
                    return Candidate::At(position);
                }
                position += 1;
                *patience = patience.saturating_sub((self.evaluations - evaluated).max(1));
                if *patience == 0 {
                    return Candidate::SearchFrom(position);
                }
            }
            return recent.first(position).into();
        }
        Candidate::None
    }

    fn matchers(&self, seat: Seat) -> u64 {
        self.selections[self.readerships[seat.readership].selected].selection.matchers().len() as u64
    }

    fn may_read(&self, seat: Seat, entry: &Entry) -> bool {
        if !entry.is_private() {
            return true;
        }
        let readership = &self.readerships[seat.readership];
        match &readership.allowed {
            Some(recent) if recent.complete_from <= entry.position() => {
                recent.positions.binary_search(&entry.position()).is_ok()
            }
            _ => readership.grant.allows(entry.topics()),
        }
    }

    /// Whether this seat's grant lets it read an entry, matched or not.
    pub(crate) fn grant_allows(&self, seat: Seat, entry: &Entry) -> bool {
        !entry.is_private() || self.readerships[seat.readership].grant.allows(entry.topics())
    }

    pub(crate) fn evaluations(&self) -> u64 {
        self.evaluations
    }

    pub(crate) fn readerships(&self) -> usize {
        self.readerships.len()
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

fn forget(list: &mut Vec<usize>, item: usize) {
    if let Some(at) = list.iter().position(|&each| each == item) {
        list.swap_remove(at);
    }
}

fn evaluate(matcher: &Matcher, topics: &[Topic], evaluations: &mut u64) -> bool {
    topics.iter().any(|topic| {
        *evaluations += u64::from(matches!(matcher.0, Kind::Pattern(_)));
        matcher.matches(topic)
    })
}

fn evaluate_all(selection: &Selection, topics: &[Topic], evaluations: &mut u64) -> bool {
    selection.matchers().iter().any(|matcher| evaluate(matcher, topics, evaluations))
}
