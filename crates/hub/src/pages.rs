//! The pages that are kept, found by place and topics; those that were looked for longest ago go first.
//!
//! A pure state machine: it reads nothing, wakes nobody and holds no lock. What it drops it hands to its caller, to be
//! dropped outside the lock.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use fanfare_wire::CodedForms;

use crate::page::Page;
use crate::{Position, Topic};

/// Which entries somebody wants next.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) next: Position,
    /// The topics it asks for, in one order; `None` where it has to be shown every entry.
    pub(crate) topics: Option<Arc<[Topic]>>,
}

/// A page's number, which is never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PageNumber(u64);

/// INVARIANT: `bytes` is what all pages cost and `claimed_bytes` what those cost that are claimed; each page stands once
/// in `dense` or in `selective`, and once in `by_use`.
pub(crate) struct Pages {
    bytes_max: usize,
    /// What the coded forms of their entries take.
    forms: Arc<CodedForms>,
    kept: HashMap<PageNumber, Kept>,
    /// Pages that have the entries of every topic, by their first position.
    dense: BTreeMap<Position, PageNumber>,
    /// Pages of some topics.
    selective: HashMap<Arc<[Topic]>, BTreeMap<Position, PageNumber>>,
    by_use: BTreeMap<u64, PageNumber>,
    given: u64,
    bytes: usize,
    claimed_bytes: usize,
}

struct Kept {
    page: Arc<Page>,
    /// Its place in `by_use`.
    used: u64,
    /// How many loads keep it for somebody who has not looked yet.
    claims: u32,
}

impl Pages {
    pub(crate) fn new(bytes_max: usize, forms: Arc<CodedForms>) -> Self {
        Self {
            bytes_max,
            forms,
            kept: HashMap::new(),
            dense: BTreeMap::new(),
            selective: HashMap::new(),
            by_use: BTreeMap::new(),
            given: 0,
            bytes: 0,
            claimed_bytes: 0,
        }
    }

    /// What they cost together, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.forms.bytes()
    }

    /// Whether there would be room for `bytes` more beside the pages that somebody claims.
    pub(crate) fn has_room_for(&self, bytes: usize) -> bool {
        self.claimed_bytes + bytes <= self.bytes_max
    }

    /// Whether somebody claims a page.
    pub(crate) fn is_claimed(&self) -> bool {
        self.claimed_bytes > 0
    }

    /// Finds the page to go on with, which counts as a use of it.
    pub(crate) fn find(&mut self, place: &Place) -> Option<(PageNumber, Arc<Page>)> {
        let number = self.cover(&self.dense, place.next).or_else(|| {
            let of_topics = self.selective.get(place.topics.as_ref()?)?;
            self.cover(of_topics, place.next)
        })?;
        self.given += 1;
        let kept = self.kept.get_mut(&number)?;
        self.by_use.remove(&std::mem::replace(&mut kept.used, self.given));
        self.by_use.insert(self.given, number);
        Some((number, kept.page.clone()))
    }

    /// The page that has a position, if one that has the entries of every topic does.
    pub(crate) fn find_dense(&mut self, position: Position) -> Option<Arc<Page>> {
        self.find(&Place { next: position, topics: None }).map(|(_, page)| page)
    }

    fn cover(&self, by_first: &BTreeMap<Position, PageNumber>, position: Position) -> Option<PageNumber> {
        let (_, &number) = by_first.range(..=position).next_back()?;
        self.kept[&number].page.covers(position).then_some(number)
    }

    /// Where the next page begins that serves this place too, if there is one.
    pub(crate) fn next_page(&self, place: &Place) -> Option<Position> {
        let behind = |by_first: &BTreeMap<Position, PageNumber>| {
            by_first.range(place.next + 1..).next().map(|(&first, _)| first)
        };
        let of_topics = place.topics.as_ref().and_then(|topics| self.selective.get(topics));
        [behind(&self.dense), of_topics.and_then(behind)].into_iter().flatten().min()
    }

    /// Takes a page in, in place of one that begins where it does. It makes no room: that is done when those who wait for
    /// the page have claimed it.
    pub(crate) fn insert(&mut self, page: Arc<Page>, dropped: &mut Vec<Arc<Page>>) -> PageNumber {
        let by_first = match &page.topics {
            None => &mut self.dense,
            Some(topics) => self.selective.entry(topics.clone()).or_default(),
        };
        let same =
            by_first.get(&page.first).copied().filter(|same| self.kept[same].page.covers(page.through));
        if let Some(same) = same {
            // Two have read the same, and this one is no longer.
            dropped.push(page);
            return same;
        }
        self.given += 1;
        let number = PageNumber(self.given);
        let replaced = by_first.insert(page.first, number);
        self.by_use.insert(self.given, number);
        self.bytes += page.cost;
        self.kept.insert(number, Kept { page, used: self.given, claims: 0 });
        if let Some(replaced) = replaced {
            dropped.extend(self.forget(replaced));
        }
        number
    }

    /// Keeps a page, whatever room it takes.
    pub(crate) fn claim(&mut self, number: PageNumber) {
        if let Some(kept) = self.kept.get_mut(&number) {
            kept.claims += 1;
            if kept.claims == 1 {
                self.claimed_bytes += kept.page.cost;
            }
        }
    }

    /// Gives one claim back.
    pub(crate) fn release(&mut self, number: PageNumber, dropped: &mut Vec<Arc<Page>>) {
        if let Some(kept) = self.kept.get_mut(&number) {
            kept.claims -= 1;
            if kept.claims == 0 {
                self.claimed_bytes -= kept.page.cost;
                self.make_room(dropped);
            }
        }
    }

    /// Drops all of them.
    pub(crate) fn clear(&mut self, dropped: &mut Vec<Arc<Page>>) {
        dropped.extend(self.kept.drain().map(|(_, kept)| kept.page));
        self.dense.clear();
        self.selective.clear();
        self.by_use.clear();
        self.bytes = 0;
        self.claimed_bytes = 0;
    }

    /// Drops what exceeds the budget and is not claimed.
    pub(crate) fn make_room(&mut self, dropped: &mut Vec<Arc<Page>>) {
        // What is handed over to be dropped is counted until it is.
        let mut coded_bytes = self.forms.bytes();
        while self.bytes + coded_bytes > self.bytes_max {
            let mut by_use = self.by_use.values();
            // Few are claimed: not more than there is room for.
            let Some(&number) = by_use.find(|number| self.kept[number].claims == 0) else { return };
            let page = self.forget(number);
            coded_bytes = coded_bytes.saturating_sub(page.as_ref().map_or(0, |page| page.coded_bytes()));
            dropped.extend(page);
        }
    }

    fn forget(&mut self, number: PageNumber) -> Option<Arc<Page>> {
        let Kept { page, used, claims } = self.kept.remove(&number)?;
        self.by_use.remove(&used);
        self.bytes -= page.cost;
        if claims > 0 {
            self.claimed_bytes -= page.cost;
        }
        let is_it = |by_first: &BTreeMap<Position, PageNumber>| by_first.get(&page.first) == Some(&number);
        match &page.topics {
            // Not if another one has taken its place.
            None if is_it(&self.dense) => drop(self.dense.remove(&page.first)),
            None => {}
            Some(topics) => {
                if let Some(by_first) = self.selective.get_mut(topics).filter(|by_first| is_it(by_first)) {
                    by_first.remove(&page.first);
                    if by_first.is_empty() {
                        self.selective.remove(topics);
                    }
                }
            }
        }
        Some(page)
    }
}
