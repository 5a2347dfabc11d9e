//! Who gets which entry: selections and grants interned, topics indexed, doorbells rung.
//!
//! Matching is done once for each entry and distinct selection, found by an index on topics; of the patterns only those
//! are evaluated whose beginning is a topic's. A grant is asked about private entries only, once for each entry and grant.
//! A pure state machine without a lock.

mod finding;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use slab::Slab;
use smallvec::SmallVec;

pub(crate) use finding::Found;

use crate::crowds::{Crowds, Station, Stations};
use crate::interned::{Interned, Keyed, number};
use crate::log::Entry;
use crate::matcher::{Kind, Matcher};
use crate::namespace::Namespace;
use crate::patterns::{Amount, Patterns, Prospect, Sought};
use crate::{Grant, Position, Selection, terms_bytes};

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

/// A few slots; up to four of them need no memory of their own.
pub(crate) type Slots = SmallVec<[u32; 4]>;

#[derive(Default)]
pub(crate) struct Router {
    selections: Interned<Selected>,
    grants: Interned<Granted>,
    readerships: Interned<Readership>,
    topics: Interned<TopicUse>,
    patterns: Patterns,
    /// Which selections ask for every topic.
    any: Slots,
    /// What selections, grants and topics take in memory.
    bytes: usize,
    crowds: Crowds,
    /// Topics of which everybody who waits has been told since anybody last looked: telling them again would be for nothing.
    told: SmallVec<[u32; 8]>,
    /// Room for the selections that an entry matches, kept between entries.
    matched: Vec<u32>,
    /// Which topics tell of presence, if any do.
    pub(crate) presence: Option<Namespace>,
}

struct Selected {
    selection: Selection,
    readerships: Slots,
    /// Newest matches, where finding them again means evaluating patterns.
    recent: Option<Box<Recent>>,
    /// The last position that was matched, so that a second matcher or topic does not match it again.
    matched_at: Position,
}

struct Granted {
    grant: Grant,
    /// Its patterns' slots.
    patterns: Box<[u32]>,
    readerships: u32,
}

struct Readership {
    /// Its selection and its grant.
    terms: (u32, u32),
    seats: u32,
    /// Newest private matches that the grant allows, where asking it again costs more. `None` until there was one.
    allowed: Option<Box<Recent>>,
    /// The doorbells of those who wait, if any do. They are rung all together, which begins a new round.
    bells: Option<Box<Slab<Waker>>>,
    round: u64,
    /// Where crowds have members of this readership.
    stations: Stations,
}

/// A topic that is asked for, and which selections name it.
struct TopicUse {
    text: Arc<str>,
    selections: Slots,
}

impl Keyed for Selected {
    type Key = [Matcher];

    fn key(&self) -> &[Matcher] {
        self.selection.matchers()
    }
}

impl Keyed for Granted {
    type Key = [Matcher];

    fn key(&self) -> &[Matcher] {
        self.grant.matchers()
    }
}

impl Keyed for Readership {
    type Key = (u32, u32);

    fn key(&self) -> &(u32, u32) {
        &self.terms
    }
}

impl Keyed for TopicUse {
    type Key = str;

    fn key(&self) -> &str {
        &self.text
    }
}

impl Readership {
    /// Moves the doorbells to `rung`; costs nothing for those who do not wait.
    fn ring(&mut self, crowds: &mut Crowds, rung: &mut Vec<Waker>) {
        crowds.tell(&mut self.stations, rung);
        if let Some(mut bells) = self.bells.take() {
            self.round += 1;
            rung.extend(bells.drain());
        }
    }

    /// Takes a seat's doorbell down, if it still hangs.
    fn take_bell(&mut self, seat: Seat) -> Option<Waker> {
        let (_, at) = seat.bell.filter(|(round, _)| *round == self.round)?;
        let bells = self.bells.as_mut()?;
        let bell = bells.try_remove(at);
        if bells.is_empty() {
            // Numbers of doorbells begin anew, so those of before must not count any more.
            self.bells = None;
            self.round += 1;
        }
        bell
    }
}

/// The selections that an entry matches, each once.
struct Matched<'a> {
    selections: &'a mut Interned<Selected>,
    found: &'a mut Vec<u32>,
    position: Position,
}

impl Sought for Matched<'_> {
    fn know(&self, selections: &[u32]) -> bool {
        selections.iter().all(|&selected| self.selections[selected].matched_at == self.position)
    }

    fn add(&mut self, selections: &[u32]) {
        for &selected in selections {
            let at = &mut self.selections[selected].matched_at;
            if *at != self.position {
                *at = self.position;
                self.found.push(selected);
            }
        }
    }
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
        self.told.clear();
        let selected =
            self.selections.find(selection.matchers()).unwrap_or_else(|| self.intern(selection, next));
        let granted = self.grants.find(grant.matchers()).unwrap_or_else(|| self.intern_grant(grant));
        let terms = (selected, granted);
        let readership = self.readerships.find(&terms).unwrap_or_else(|| {
            let (allowed, bells, stations) = (None, None, Stations::new());
            let new = Readership { terms, seats: 0, allowed, bells, round: 0, stations };
            let readership = self.readerships.insert(new);
            self.selections[selected].readerships.push(readership);
            self.grants[granted].readerships += 1;
            readership
        });
        self.readerships[readership].seats += 1;
        Seat::at(readership as usize)
    }

    /// How many patterns there are, and what they cost.
    pub(crate) fn patterns(&self) -> Amount {
        self.patterns.amount()
    }

    /// The same with those that `matchers` bring; nothing if they bring none.
    pub(crate) fn patterns_with<'m>(&self, matchers: impl Iterator<Item = &'m Matcher>) -> Prospect {
        self.patterns.prospect(matchers)
    }

    /// What selections and grants take in memory, in bytes, but for their patterns.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Counts bytes that somebody else keeps with these.
    pub(crate) fn charge(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    pub(crate) fn discharge(&mut self, bytes: usize) {
        self.bytes -= bytes;
    }

    /// The same with this selection and this grant; `None` if both are there already.
    pub(crate) fn bytes_with(&self, selection: &Selection, grant: &Grant) -> Option<usize> {
        let (mut bytes, mut is_known) = (self.bytes, true);
        if self.selections.find(selection.matchers()).is_none() {
            is_known = false;
            let new = exact_texts(selection.matchers()).filter(|topic| self.topics.find(topic).is_none());
            bytes += terms_bytes::of_selection(selection) + new.map(terms_bytes::of_topic).sum::<usize>();
        }
        if self.grants.find(grant.matchers()).is_none() {
            is_known = false;
            bytes += terms_bytes::of_grant(grant);
        }
        (!is_known).then_some(bytes)
    }

    fn intern_grant(&mut self, grant: &Grant) -> u32 {
        self.bytes += terms_bytes::of_grant(grant);
        let is_pattern = |matcher: &&Matcher| matches!(matcher.0, Kind::Pattern(_));
        let patterns =
            grant.matchers().iter().filter(is_pattern).map(|matcher| self.patterns.grant(matcher)).collect();
        let grant = grant.with_known(|matcher| self.known(matcher));
        self.grants.insert(Granted { grant, patterns, readerships: 0 })
    }

    /// An equal matcher that is shared with others, if there is one.
    fn known(&self, matcher: &Matcher) -> Option<Matcher> {
        match &matcher.0 {
            Kind::Any => None,
            Kind::Exact(text) => {
                let topic = self.topics.find(text)?;
                Some(Matcher(Kind::Exact(self.topics[topic].text.clone())))
            }
            Kind::Pattern(_) => self.patterns.known(matcher).cloned(),
        }
    }

    fn intern(&mut self, selection: &Selection, next: Position) -> u32 {
        self.bytes += terms_bytes::of_selection(selection);
        let walks_chains = selection.is_any() || selection.exact_topics().is_some();
        // One text for a topic and one compiled pattern, however many name it.
        let selection = selection.with_known(|matcher| self.known(matcher));
        let Self { selections, topics, patterns, any, bytes, .. } = self;
        let selected = selections.insert(Selected {
            selection,
            readerships: Slots::new(),
            recent: (!walks_chains).then(|| Box::new(Recent::from(next))),
            matched_at: 0,
        });
        for matcher in selections[selected].selection.matchers() {
            let users = match &matcher.0 {
                Kind::Any => &mut *any,
                Kind::Exact(text) => {
                    let topic = topics.find(text).unwrap_or_else(|| {
                        *bytes += terms_bytes::of_topic(text);
                        topics.insert(TopicUse { text: text.clone(), selections: Slots::new() })
                    });
                    &mut topics[topic].selections
                }
                Kind::Pattern(_) => {
                    patterns.ask(matcher, selected);
                    continue;
                }
            };
            users.push(selected);
        }
        selected
    }

    /// Gives a seat back; with its last subscriber a readership is forgotten, and with its last readership a selection
    /// and a grant.
    ///
    /// Returns the doorbell, which is to be dropped outside the lock: with it may go a task that holds a seat here.
    pub(crate) fn leave(&mut self, seat: Seat) -> Option<Waker> {
        let at = number(seat.readership);
        let readership = &mut self.readerships[at];
        let bell = readership.take_bell(seat);
        readership.seats -= 1;
        if readership.seats > 0 {
            return bell;
        }
        // A topic that is forgotten leaves its slot to another.
        self.told.clear();
        let (selected, granted) = self.readerships.remove(at).terms;
        self.grants[granted].readerships -= 1;
        if self.grants[granted].readerships == 0 {
            let Granted { grant, patterns, .. } = self.grants.remove(granted);
            self.bytes -= terms_bytes::of_grant(&grant);
            for pattern in patterns {
                self.patterns.ungrant(pattern);
            }
        }
        let readerships = &mut self.selections[selected].readerships;
        forget(readerships, at);
        if readerships.is_empty() {
            let Selected { selection, .. } = self.selections.remove(selected);
            self.unindex(&selection, selected);
        }
        bell
    }

    fn unindex(&mut self, selection: &Selection, selected: u32) {
        self.bytes -= terms_bytes::of_selection(selection);
        for matcher in selection.matchers() {
            match &matcher.0 {
                Kind::Any => forget(&mut self.any, selected),
                Kind::Exact(text) => {
                    let Some(topic) = self.topics.find(text) else { continue };
                    forget(&mut self.topics[topic].selections, selected);
                    if self.topics[topic].selections.is_empty() {
                        self.topics.remove(topic);
                        self.bytes -= terms_bytes::of_topic(text);
                    }
                }
                Kind::Pattern(_) => self.patterns.unask(matcher, selected),
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
                    let Granted { grant, patterns, .. } = &self.grants[readership.terms.1];
                    let allows = patterns.iter().any(|&pattern| self.patterns.has_matched(pattern, entry))
                        || grant.allows_but_for_patterns(&entry.topics);
                    if !grant.is_quick() {
                        let from = || Box::new(Recent::from(entry.position()));
                        let allowed = readership.allowed.get_or_insert_with(from);
                        if allows {
                            allowed.push(entry.position());
                        }
                    }
                    if !allows {
                        continue;
                    }
                }
                readership.ring(&mut self.crowds, rung);
            }
        }
    }

    /// Puts the selections that an entry has to be shown to into `matched`; those whose readerships have all been told are
    /// left out, and noted to be so for a public entry, which its caller tells all of them.
    fn find_selections(&mut self, entry: &Entry) {
        let Self { selections, topics, any, patterns, matched, told, .. } = self;
        matched.clear();
        let mut found = Matched { selections, found: matched, position: entry.position() };
        found.add(any);
        for topic in &*entry.topics {
            let Some(topic) = topics.find(topic.as_str()) else { continue };
            let users = &topics[topic].selections;
            // What is private is told to those alone who may read it.
            if entry.is_private() {
                found.add(users);
            } else if !told.contains(&topic) {
                found.add(users);
                // Who remembers matches is to be shown each entry. For one it is not worth the while.
                if users.len() > 1
                    && users.iter().all(|&selected| found.selections[selected].recent.is_none())
                {
                    if told.len() == told.inline_size() {
                        told.clear();
                    }
                    told.push(topic);
                }
            }
        }
        patterns.each_match(entry, &mut found);
    }

    /// Positions begin anew: what was remembered of the old log is void.
    pub(crate) fn begin_epoch(&mut self, from: Position) {
        self.told.clear();
        self.patterns.begin_epoch();
        for selected in self.selections.values_mut() {
            selected.matched_at = 0;
            if let Some(recent) = &mut selected.recent {
                **recent = Recent::from(from);
            }
        }
        for readership in self.readerships.values_mut() {
            readership.allowed = None;
        }
    }

    /// Moves all doorbells to `rung`.
    pub(crate) fn ring_all(&mut self, rung: &mut Vec<Waker>) {
        for readership in self.readerships.values_mut() {
            readership.ring(&mut self.crowds, rung);
        }
    }

    /// Leaves a doorbell: it is rung once, by the next entry for the seat's readership.
    ///
    /// Returns the one that hung there, which is to be dropped outside the lock, as in [`leave`](Self::leave).
    pub(crate) fn hang_bell(&mut self, seat: &mut Seat, waker: &Waker) -> Option<Waker> {
        self.told.clear();
        let readership = &mut self.readerships[number(seat.readership)];
        let hung = seat.bell.filter(|(round, _)| *round == readership.round);
        let bells = readership.bells.get_or_insert_default();
        match hung.and_then(|(_, at)| bells.get_mut(at)) {
            Some(bell) if bell.will_wake(waker) => None,
            Some(bell) => Some(std::mem::replace(bell, waker.clone())),
            None => {
                seat.bell = Some((readership.round, bells.insert(waker.clone())));
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
        self.told.clear();
        let readership = &mut self.readerships[number(seat.readership)];
        let bell = readership.take_bell(seat);
        (self.crowds.join(&mut readership.stations, crowd, seat.readership), bell)
    }

    /// The seat stays, with its readership.
    pub(crate) fn leave_crowd(&mut self, seat: Seat, crowd: usize) {
        self.crowds.leave(&mut self.readerships[number(seat.readership)].stations, crowd);
    }

    /// The groups of `crowd` that have something to read since it last looked.
    pub(crate) fn take_news(&mut self, crowd: usize, news: &mut Vec<u32>) {
        self.crowds.take_news(crowd, news);
        if !news.is_empty() {
            self.told.clear();
        }
        for &group in &*news {
            let readership = self.crowds.readership_of(crowd, group);
            Station::heard(&mut self.readerships[number(readership)].stations, crowd);
        }
    }

    /// Has a crowd look at one of its members, by the number that it gave it.
    pub(crate) fn call(&mut self, crowd: usize, slot: usize, rung: &mut Vec<Waker>) {
        self.crowds.call(crowd, slot, rung);
    }

    /// Whom `crowd` is to look at since it last asked.
    pub(crate) fn take_called(&mut self, crowd: usize, called: &mut Vec<usize>) {
        self.crowds.take_called(crowd, called);
    }

    /// What who sits here asked for, and may read.
    pub(crate) fn terms(&self, seat: Seat) -> (Selection, Grant) {
        let (selected, granted) = self.readerships[number(seat.readership)].terms;
        (self.selections[selected].selection.clone(), self.grants[granted].grant.clone())
    }

    pub(crate) fn evaluations(&self) -> u64 {
        self.patterns.evaluations().count
    }

    pub(crate) fn readerships(&self) -> usize {
        self.readerships.len()
    }
}

fn exact_texts(matchers: &[Matcher]) -> impl Iterator<Item = &str> {
    matchers.iter().filter_map(|matcher| match &matcher.0 {
        Kind::Exact(text) => Some(&**text),
        Kind::Any | Kind::Pattern(_) => None,
    })
}

pub(crate) fn forget(list: &mut Slots, item: u32) {
    if let Some(at) = list.iter().position(|&each| each == item) {
        list.swap_remove(at);
    }
}
