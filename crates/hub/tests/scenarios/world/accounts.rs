//! Clients that account for everything that they asked for and may read: each delivery has to move a client's frontier without
//! leaving anything out. It polls nothing.

use std::sync::Arc;

use fanfare_hub::{GapReason, Position, SubscriptionHandle};
use fanfare_wire::EventId;

use super::publishing::Accepted;
use super::steps::{ClientPlan, is_even};
use super::{Bell, Got, Reader, What, World, index};

pub struct Client {
    pub plan: ClientPlan,
    pub reader: Option<Reader>,
    /// By which what it asks for is changed while it reads.
    pub handle: Option<SubscriptionHandle>,
    /// What it asked for since it came: in which log, from which position on. The newest is its plan's.
    pub asked: Vec<(u32, Position, u8)>,
    pub last_event_id: Option<EventId>,
    /// Everything up to here, in the log of that epoch, is accounted for.
    pub frontier: Option<(u32, Position)>,
    /// What it has seen: id, and the frontier it stood for.
    pub seen: Vec<(EventId, Option<(u32, Position)>)>,
    /// What a gap may be told for at the start, besides retention and a new epoch.
    pub excuse: Option<GapReason>,
    pub asked_earliest: bool,
    pub is_new: bool,
    /// The log that it came to, and the end of it then.
    pub came_to: (u32, Position),
    pub bell: Arc<Bell>,
    pub waiting: bool,
}

impl Client {
    /// Whether it is to get what stands at `position` of log `epoch`.
    pub fn wants(&self, accepted: &Accepted, epoch: u32, position: Position) -> bool {
        let counts = |&&(of, from, _): &&(u32, Position, u8)| of != epoch || from <= position;
        let asks = self.asked.iter().rev().find(counts).map_or(self.plan.asks, |&(_, _, asks)| asks);
        let passes = self.plan.sieve.as_ref().is_none_or(|sieve| {
            let is_excepted = sieve.name.is_some_and(|name| accepted.except & (1 << name) != 0);
            !is_excepted && (!sieve.is_picky || is_even(accepted.data.as_bytes()))
        });
        (asks == 15 || asks & accepted.topics != 0) && self.may_read(accepted) && passes
    }

    /// Whether something newer stands for it, of those at these positions.
    pub fn has_newer(&self, log: &[Accepted], epoch: u32, position: Position, told: Position) -> bool {
        let key = |at: Position| log[index(at)].topics.trailing_zeros();
        self.plan.sieve.as_ref().is_some_and(|sieve| sieve.conflates)
            && (position + 1..told)
                .any(|newer| key(newer) == key(position) && self.wants(&log[index(newer)], epoch, newer))
    }

    pub fn may_read(&self, accepted: &Accepted) -> bool {
        !accepted.private || self.plan.grants & accepted.topics != 0
    }
}

impl World {
    /// The gap that a client with an id that nobody gave it is told before anything else.
    pub fn certain_gap(&self, client: usize) -> Option<GapReason> {
        let known = &self.clients[client];
        match known.last_event_id.as_ref().filter(|_| known.is_new)?.as_str() {
            "nobody's" => Some(GapReason::Unknown),
            other => self.foreign.contains(other).then_some(GapReason::Rewound),
        }
    }

    /// Whether something is kept that this client has yet to get, or to be told a gap for.
    pub fn is_owed(&self, client: usize) -> bool {
        if self.certain_gap(client).is_some() {
            return true;
        }
        let (known, epoch) = (&self.clients[client], self.epoch);
        let from = match known.frontier {
            Some((of, frontier)) if of == self.epoch => frontier + 1,
            // It has seen another log, and is told so if what it saw last can still be looked up.
            Some((_, frontier)) if frontier >= self.oldest() => return true,
            Some(_) => 1,
            None if known.asked_earliest => 1,
            _ => return false,
        };
        (from.max(self.oldest())..self.told())
            .any(|position| known.wants(&self.log[index(position)], epoch, position))
    }

    pub fn account(&mut self, client: usize, got: &Got) {
        let (oldest, epoch) = (self.oldest(), self.epoch);
        self.forget_the_place_of_a_reused_id(client);
        self.check_secrecy(client, got);
        if let Some(reason) = self.certain_gap(client) {
            let is_told = matches!(got.what, What::Gap { reason: told, .. } if told == reason);
            assert!(is_told, "P6: the id is {reason:?}, but {got:?} comes");
        }
        let known = &self.clients[client];
        let to = self.position(got);
        let same_log = known.frontier.filter(|(of, _)| *of == epoch).map(|(_, position)| position);
        let told = self.told();
        let wanted = |from: Position, to: Position| {
            let wants = |&position: &Position| {
                known.wants(&self.log[index(position)], epoch, position)
                    && !known.has_newer(&self.log, epoch, position, told)
            };
            (from..to).filter(wants).collect::<Vec<_>>()
        };
        match &got.what {
            What::Event { data } => {
                let accepted = &self.log[index(to)];
                assert!(known.wants(accepted, epoch, to), "P7: {to} was not asked for, or may not be read");
                if let Some(id) = accepted.id.as_ref().or(accepted.chosen.as_ref()) {
                    assert_eq!(&got.id, id, "{to} has another id than its publisher was told");
                }
                assert_eq!(data, &accepted.data, "{to} is not what was published");
                Self::check_nothing_left_out(known, same_log, oldest, to, wanted);
            }
            What::Bookmark => {
                assert!(known.plan.bookmarks);
                Self::check_nothing_left_out(known, same_log, oldest, to + 1, wanted);
            }
            What::Gap { reason, .. } => {
                let rewound = known.frontier.is_some_and(|(of, _)| of != epoch) || known.came_to.0 != epoch;
                match reason {
                    GapReason::Trimmed => {
                        let behind = same_log.unwrap_or(0) + 1;
                        assert!(
                            behind < oldest,
                            "a gap though everything from {behind} on is kept (oldest {oldest})"
                        );
                        let lost = wanted(behind.max(oldest), to + 1);
                        assert!(lost.is_empty(), "P2: {lost:?} are kept, but the gap swallows them");
                    }
                    GapReason::Rewound => assert!(rewound || known.excuse == Some(GapReason::Rewound)),
                    GapReason::Unknown => assert_eq!(known.excuse, Some(GapReason::Unknown)),
                    _ => panic!("no such reason is known here"),
                }
                // Whatever the gap is for, it does not swallow what came after the client did, as long as that is kept.
                if known.is_new && known.came_to.0 == epoch {
                    let lost = wanted((known.came_to.1 + 1).max(oldest), to + 1);
                    assert!(lost.is_empty(), "P2: {lost:?} came after the client, but the gap swallows them");
                }
            }
        }
        let known = &mut self.clients[client];
        known.is_new = false;
        known.excuse = None;
        known.frontier = Some((epoch, to));
        known.last_event_id = Some(got.id.clone());
        known.seen.push((got.id.clone(), known.frontier));
    }

    /// P7: nobody resumes from a publisher's id whose entry they may not read.
    pub fn check_secrecy(&self, client: usize, got: &Got) {
        let known = &self.clients[client];
        let Some(last) = known.last_event_id.as_ref().filter(|_| known.is_new) else { return };
        let mut entries =
            self.log.iter().filter(|accepted| accepted.chosen.as_ref() == Some(last)).peekable();
        let is_secret = entries.peek().is_some() && !entries.any(|accepted| known.may_read(accepted));
        if is_secret && known.came_to.0 == self.epoch {
            let is_unknown = matches!(got.what, What::Gap { reason: GapReason::Unknown, .. });
            assert!(is_unknown, "P7: {last:?} is of an entry that may not be read, but {got:?} comes");
        }
    }

    /// A publisher's id that was used again before it was looked up: the promise does not hold for it (M-134).
    pub fn forget_the_place_of_a_reused_id(&mut self, client: usize) {
        let known = &mut self.clients[client];
        let uses = known.last_event_id.as_ref().and_then(|last| self.uses.get(last));
        if known.is_new && uses.is_some_and(|&uses| uses > 1) {
            known.frontier = None;
        }
    }

    /// P1, P2, P3: everything that was wanted between the frontier and `to` (exclusive) is accounted for.
    pub fn check_nothing_left_out(
        client: &Client,
        same_log: Option<Position>,
        oldest: Position,
        to: Position,
        wanted: impl Fn(Position, Position) -> Vec<Position>,
    ) {
        match (client.frontier, same_log) {
            (Some(_), Some(frontier)) => {
                assert!(to > frontier, "P1, P3: {to} comes behind {frontier}");
                let left_out = wanted(frontier + 1, to);
                assert!(left_out.is_empty(), "P2: {left_out:?} were left out before {to}");
            }
            // What stood there is not kept, so nobody can tell whether it was another entry.
            (Some((_, lost)), None) if client.is_new && lost < oldest => {}
            (Some(_), None) => panic!("P6: the log was rewound and nobody was told"),
            (None, _) if client.asked_earliest => {
                let left_out = wanted(oldest, to.max(oldest));
                assert!(left_out.is_empty(), "P2: {left_out:?} are kept, but the replay begins at {to}");
            }
            // A publisher's id that was used twice: the promise does not hold for it (M-134).
            (None, _) => {}
        }
    }
}
