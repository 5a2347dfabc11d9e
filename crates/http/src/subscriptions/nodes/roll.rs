//! Who is there on all nodes, and which nodes live: what a node knows of the others, and what it is to do about it.
//!
//! A pure state machine: it is told what stands in the log, what the others say and that time goes by, and has no clock, no log
//! and no way to speak. What it knows is what all announcements in the log add up to, which is what every reader of them knows,
//! too; so a list of it and what is announced behind it lose nobody. Who does not know that sum (after a start, or where some
//! of the log was missed) asks the others by a note in the log, and is told what they knew there. Where nobody is left to tell,
//! everybody begins anew: readers are told of a gap, and every node announces its subscribers again.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::said::{Beginning, Life, Node, Note, Since, Word};
use crate::subscriptions::document::Subscriber;

/// How long a node may be silent before it is dead. All times here are ticks, of a second each.
const LEASE: u32 = 5;
/// For how long one node does what others would do, too, before the next one does it.
const TURN: u32 = 2;
/// How long a node that knows nothing listens for one that does.
const ALONE: u32 = 3;
/// How long an answer is waited for, and how often it is asked for.
const ANSWERED_WITHIN: u32 = 2;
const QUESTIONS: u32 = 6;
/// How long our own words may not have come back before nothing is announced and nothing listed.
const LINKED: u32 = 3;
/// How long nodes that are gone are remembered, so that a late word of theirs is known as one.
const REMEMBERED: u32 = 60;
/// How many subscribers are buried at a time.
const TOGETHER: usize = 500;
/// How much of the log is held for a node that does not know what was before it.
const HELD_MAX: usize = 200_000;

/// Somebody who is there, and in which life of its node it was announced last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) life: Life,
    pub(super) subscriber: Arc<Subscriber>,
}

/// What is to be done. None of it may be waited for; what comes to nothing is asked for again.
#[derive(Debug)]
pub(super) enum Do {
    /// Say it to the other nodes.
    Say(Word),
    /// Put the question into the log who is there.
    Ask { attempt: u64, again: bool },
    /// Make void what was announced, and then have everybody begin anew by a note in the log.
    BeginAnew(Beginning),
    /// Tell a node who is there, as of its question.
    Tell { to: Node, attempt: u64, since: Option<Since>, known: Vec<Known> },
    /// Announce the ends of those, and say when that is done: [`Roll::buried`].
    Bury(Vec<Known>),
    /// Announce all subscribers of this node again, for a new life has begun; and then say by a note that they are all there,
    /// if everybody does.
    AnnounceAll(Option<Beginning>),
}

#[derive(Debug)]
pub(super) struct Roll {
    me: Node,
    /// Which of this node's lives it is.
    life: u64,
    rebirth: Rebirth,
    /// INVARIANT: where `asking` is `None`, what all notes of the log add up to.
    known: BTreeMap<String, Known>,
    asking: Option<Asking>,
    /// Counts questions and beginnings of ours.
    attempts: u64,
    /// Whether who is there was ever known, so that somebody may have been announced by this node.
    has_served: bool,
    /// When everybody began anew last, and who has announced all of its subscribers since.
    since: Option<Since>,
    others: BTreeMap<Node, Other>,
    /// How long ago our own words came back.
    echo: u32,
    /// Whether they did not at the last tick.
    was_cut: bool,
    leaving: Leaving,
    burying: bool,
}

/// Whether a new life is to begin, and how long ago the last one did.
#[derive(Debug)]
struct Rebirth {
    is_due: bool,
    ago: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    No,
    Said,
    Heard,
}

/// What a node holds that does not know who is there.
#[derive(Debug, Default)]
struct Asking {
    /// What stands in the log since it was missed.
    held: Vec<Note>,
    /// Whether our question is part of that: then the answer and what is held know all there is.
    has_asked: bool,
    /// The answers, as far as they are there: all of one node's is enough.
    answers: BTreeMap<Node, Answer>,
    /// Of whose answer nothing is missing.
    answered_by: Option<Node>,
    waited: u32,
    questions: u32,
    alone: u32,
}

/// What one node answers.
#[derive(Debug, Default)]
struct Answer {
    since: Option<Since>,
    parts: BTreeMap<usize, Vec<Known>>,
}

/// What is known of another node.
#[derive(Debug, Default)]
struct Other {
    silent: u32,
    /// Whether it says that it knows who is there.
    knows: bool,
    has_served: bool,
    left: bool,
}

impl Other {
    fn lives(&self) -> bool {
        !self.left && self.silent < LEASE
    }
}

impl Roll {
    pub(super) fn new(me: Node) -> Self {
        Self {
            me,
            life: 1,
            rebirth: Rebirth { is_due: false, ago: LEASE },
            known: BTreeMap::new(),
            asking: Some(Asking::default()),
            attempts: 0,
            has_served: false,
            since: None,
            others: BTreeMap::new(),
            echo: u32::MAX,
            was_cut: true,
            leaving: Leaving::No,
            burying: false,
        }
    }

    /// In which life this node announces its subscribers.
    pub(super) fn life(&self) -> Life {
        Life { node: self.me, number: self.life }
    }

    /// Whether our words come back, and who is there is known: so that others hear of who is announced here, and lists are whole.
    pub(super) fn is_whole(&self) -> bool {
        self.asking.is_none() && self.echo < LINKED && !self.is_incomplete()
    }

    /// Whether nodes that live have yet to announce their subscribers.
    fn is_incomplete(&self) -> bool {
        let is_there = |node: &Node| self.since.as_ref().is_some_and(|since| since.there.contains(node));
        let mut serving = self.others.iter().filter(|(_, other)| other.lives() && other.has_served);
        !is_there(&self.me) || serving.any(|(node, _)| !is_there(node))
    }

    /// Whether somebody who comes or goes here can be announced now.
    pub(super) fn may_announce(&self) -> bool {
        self.asking.is_none() && self.echo < LINKED
    }

    fn lives(&self) -> Do {
        Do::Say(Word::Lives { node: self.me, knows: self.asking.is_none(), has_served: self.has_served })
    }

    /// Everybody who is there on all nodes.
    pub(super) fn known(&self) -> impl Iterator<Item = &Known> {
        self.known.values()
    }

    /// A second has gone by.
    pub(super) fn tick(&mut self) -> Vec<Do> {
        let mut does = Vec::new();
        if self.leaving == Leaving::No {
            does.push(self.lives());
        }
        let hears = self.echo == 0;
        self.echo = self.echo.saturating_add(1);
        self.rebirth.ago = self.rebirth.ago.saturating_add(1);
        self.be_reborn(&mut does);
        if !hears {
            self.was_cut = true;
            return does;
        }
        self.listen();
        if self.asking.is_some() {
            self.ask(&mut does);
        } else {
            self.bury(&mut does);
        }
        does
    }

    /// Counts who is silent; from the beginning where we could not have heard them.
    fn listen(&mut self) {
        let was_cut = std::mem::take(&mut self.was_cut);
        for other in self.others.values_mut() {
            other.silent = if was_cut && other.lives() { 0 } else { other.silent.saturating_add(1) };
        }
        let known = &self.known;
        self.others.retain(|node, other| {
            other.silent < REMEMBERED || known.values().any(|known| known.life.node == *node)
        });
    }

    /// How many nodes that live would do the same before us.
    fn turn(&self) -> u32 {
        let knows = self.asking.is_none();
        let before = self.others.range(..self.me).filter(|(_, other)| other.lives() && other.knows == knows);
        u32::try_from(before.count()).unwrap_or(u32::MAX)
    }

    fn ask(&mut self, does: &mut Vec<Do>) {
        let is_answered = self.others.values().any(|other| other.lives() && other.knows);
        let turn = self.turn();
        let Some(asking) = &mut self.asking else { return };
        if !is_answered {
            asking.alone += 1;
            if asking.alone >= ALONE.saturating_add(TURN.saturating_mul(turn)) {
                asking.alone = 0;
                self.attempts += 1;
                does.push(Do::BeginAnew(Beginning { node: self.me, number: self.attempts }));
            }
            return;
        }
        asking.alone = 0;
        asking.waited += 1;
        if asking.questions > 0 && asking.waited < ANSWERED_WITHIN {
            return;
        }
        (asking.has_asked, asking.waited) = (false, 0);
        (asking.answers, asking.answered_by) = (BTreeMap::new(), None);
        self.attempts += 1;
        if asking.questions == QUESTIONS {
            asking.questions = 0;
            does.push(Do::BeginAnew(Beginning { node: self.me, number: self.attempts }));
            return;
        }
        asking.questions += 1;
        does.push(Do::Ask { attempt: self.attempts, again: asking.questions > 1 });
    }

    fn bury(&mut self, does: &mut Vec<Do>) {
        if self.burying {
            return;
        }
        let since = LEASE.saturating_add(TURN.saturating_mul(self.turn()));
        let is_dead =
            |node: Node| self.others.get(&node).is_some_and(|other| !other.lives() && other.silent >= since);
        let dead = self.known.values().filter(|known| is_dead(known.life.node));
        let dead: Vec<_> = dead.take(TOGETHER).cloned().collect();
        if !dead.is_empty() {
            self.burying = true;
            does.push(Do::Bury(dead));
        }
    }

    /// The ends that were to be announced were, or could not be.
    pub(super) fn buried(&mut self) {
        self.burying = false;
    }

    /// Begins a new life, not too soon after the last one began.
    fn be_reborn(&mut self, does: &mut Vec<Do>) {
        if self.rebirth.is_due && self.rebirth.ago >= LEASE {
            (self.rebirth.is_due, self.rebirth.ago) = (false, 0);
            self.life += 1;
            does.push(Do::AnnounceAll(self.since.as_ref().map(|since| since.begun)));
        }
    }

    /// A node said something.
    pub(super) fn hear(&mut self, word: Word) -> Vec<Do> {
        let mut does = Vec::new();
        match word {
            Word::Lives { node, .. } if node == self.me => self.echo = 0,
            Word::Lives { node, knows, has_served } => {
                let is_new = !self.others.contains_key(&node);
                let other = self.others.entry(node).or_default();
                if !other.left {
                    (other.silent, other.knows) = (0, knows);
                    other.has_served |= has_served;
                }
                // So that it need not wait to know that we are there.
                if is_new && self.leaving == Leaving::No {
                    does.push(self.lives());
                }
            }
            Word::Leaves { node } if node == self.me => {
                if self.leaving == Leaving::Said {
                    self.leaving = Leaving::Heard;
                }
            }
            Word::Leaves { node } => {
                let other = self.others.entry(node).or_default();
                (other.left, other.silent) = (true, other.silent.max(LEASE));
            }
            Word::List { from, to, attempt, since, part, parts, known } => {
                if let Some(asking) = &mut self.asking
                    && (to, attempt) == (self.me, self.attempts)
                {
                    let answer = asking.answers.entry(from).or_default();
                    answer.since = since;
                    answer.parts.insert(part, known);
                    if answer.parts.len() == parts {
                        asking.answered_by = Some(from);
                        self.learn(&mut does);
                    }
                }
            }
        }
        does
    }

    /// Takes over what was answered, if that is all there, and what stands in the log behind the question.
    fn learn(&mut self, does: &mut Vec<Do>) {
        let is_known = |asking: &mut Asking| asking.has_asked && asking.answered_by.is_some();
        let Some(mut asking) = self.asking.take_if(is_known) else { return };
        let answer = asking.answered_by.and_then(|node| asking.answers.remove(&node)).unwrap_or_default();
        let known = answer.parts.into_values().flatten();
        self.known = known.map(|known| (known.subscriber.id.clone(), known)).collect();
        (self.has_served, self.since) = (true, answer.since);
        // Whoever has somebody has served, also one of which nothing more is heard: no list is whole without it while it may live.
        for Known { life, .. } in self.known.values().filter(|known| known.life.node != self.me) {
            self.others.entry(life.node).or_default().has_served = true;
        }
        // What the answer has of it already is none the worse for being taken once more, in order.
        for note in asking.held {
            self.take(note);
        }
        // Whoever of ours was called dead meanwhile is not among them.
        self.rebirth.is_due = true;
        self.be_reborn(does);
    }

    /// What comes next in the log.
    pub(super) fn follow(&mut self, note: Note) -> Vec<Do> {
        let mut does = Vec::new();
        if let Note::Came { life: Life { node, .. }, .. } = note
            && node != self.me
        {
            self.others.entry(node).or_default().has_served = true;
        }
        match (note, &mut self.asking) {
            (Note::Anew(beginning), asking) => {
                // What stands between the gap that readers were told of and this they know.
                let held = asking.take().map_or(Vec::new(), |asking| asking.held);
                self.known.clear();
                (self.has_served, self.since) = (true, Some(Since::begun(beginning)));
                for note in held {
                    self.take(note);
                }
                (self.rebirth.is_due, self.rebirth.ago) = (false, 0);
                self.life += 1;
                does.push(Do::AnnounceAll(Some(beginning)));
            }
            (Note::Asks { node, attempt, .. }, Some(asking)) => {
                if (node, attempt) == (self.me, self.attempts) {
                    asking.has_asked = true;
                    // The answer may have been faster.
                    self.learn(&mut does);
                }
            }
            (Note::Asks { node, attempt, again }, None) => {
                if node != self.me && (again || self.turn() == 0) {
                    let known = self.known.values().cloned().collect();
                    does.push(Do::Tell { to: node, attempt, since: self.since.clone(), known });
                }
            }
            (note, Some(asking)) => {
                if asking.held.len() == HELD_MAX {
                    *asking = Asking::default();
                }
                asking.held.push(note);
            }
            (note, None) => self.take(note),
        }
        self.be_reborn(&mut does);
        does
    }

    /// Some of the log was missed.
    pub(super) fn lose(&mut self) {
        self.known.clear();
        self.asking = Some(Asking::default());
    }

    /// Adds what a note says.
    fn take(&mut self, note: Note) {
        let life = self.life();
        match note {
            Note::Came { life, subscriber, subscription } => {
                let nobody = || Subscriber { id: subscriber.clone(), subscriptions: Vec::new() };
                let known = self.known.entry(subscriber.clone());
                let known = known.or_insert_with(|| Known { life, subscriber: Arc::new(nobody()) });
                known.life = life;
                let subscriptions = &mut Arc::make_mut(&mut known.subscriber).subscriptions;
                match subscriptions.iter_mut().find(|known| known.asked == subscription.asked) {
                    Some(known) => *known = subscription,
                    None => subscriptions.push(subscription),
                }
            }
            Note::Gone { subscriber, asked, of_dead } => {
                let Some(known) = self.known.get_mut(&subscriber) else { return };
                // Whoever called us dead did so after we had announced it.
                self.rebirth.is_due |= of_dead && known.life == life;
                let subscriptions = &mut Arc::make_mut(&mut known.subscriber).subscriptions;
                subscriptions.retain(|known| known.asked != asked);
                if subscriptions.is_empty() {
                    self.known.remove(&subscriber);
                }
            }
            Note::There { node, since } => {
                if let Some(Since { there, .. }) = self.since.as_mut().filter(|known| known.begun == since) {
                    there.insert(node);
                }
            }
            Note::Asks { .. } | Note::Anew(_) => {}
        }
    }

    /// Whether another node is taken for one that lives.
    #[cfg(test)]
    pub(super) fn hears(&self, node: Node) -> bool {
        self.others.get(&node).is_some_and(Other::lives)
    }

    /// Says that this node is gone for good.
    pub(super) fn leave(&mut self) -> Do {
        if self.leaving == Leaving::No {
            self.leaving = Leaving::Said;
        }
        Do::Say(Word::Leaves { node: self.me })
    }

    /// Whether the others have heard it, as far as can be known.
    pub(super) fn has_left(&self) -> bool {
        self.leaving == Leaving::Heard
    }
}
