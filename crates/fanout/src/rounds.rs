//! Whose turn it is: the members of groups with news, one after the other, and those who are ready for another reason.
//!
//! Each group is a ring through its connections, so that news in the middle of a round does not begin it anew: everybody
//! is visited once more, from where the round is. Groups take turns. It writes nothing and knows no hub.

use std::collections::VecDeque;

use slab::Slab;

/// A place in the ring of a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    previous: u32,
    next: u32,
}

impl Link {
    pub(crate) const NONE: Self = Self { previous: NOBODY, next: NOBODY };
}

/// What stands in a ring.
pub(crate) trait Linked {
    fn link(&mut self) -> &mut Link;
    /// Whether it stands in the queue of those who are ready.
    fn queued(&mut self) -> &mut bool;
}

const NOBODY: u32 = u32::MAX;

/// How many of one group are visited before another has its turn.
const TURN: u32 = 256;

/// INVARIANT: a group is in `due` if and only if its `left` is not 0.
#[derive(Default)]
pub(crate) struct Rounds {
    groups: Vec<Group>,
    due: VecDeque<u32>,
    ready: VecDeque<u32>,
    /// How many visits the first of `due` has had in this turn.
    turn: u32,
    /// Whether those who are ready had the last visit.
    ready_was_last: bool,
}

#[derive(Clone, Copy)]
struct Group {
    /// Who is next; some member, if there are any.
    at: u32,
    members: u32,
    /// How many have yet to be visited.
    left: u32,
}

const EMPTY: Group = Group { at: NOBODY, members: 0, left: 0 };

impl Rounds {
    /// Puts a connection into the ring of its group.
    pub(crate) fn join<T: Linked>(&mut self, connections: &mut Slab<T>, key: usize, group: u32) {
        if self.groups.len() <= group as usize {
            self.groups.resize(group as usize + 1, EMPTY);
        }
        let group = &mut self.groups[group as usize];
        let own = number(key);
        if group.members == 0 {
            *connections[key].link() = Link { previous: own, next: own };
            group.at = own;
        } else {
            // Before the next one, so at the end of the round.
            let next = group.at;
            let previous = std::mem::replace(&mut connections[next as usize].link().previous, own);
            connections[previous as usize].link().next = own;
            *connections[key].link() = Link { previous, next };
        }
        group.members += 1;
    }

    /// Takes a connection out of its group.
    pub(crate) fn leave<T: Linked>(&mut self, connections: &mut Slab<T>, key: usize, group: u32) {
        let number_of_group = group;
        let group = &mut self.groups[group as usize];
        let Link { previous, next } = std::mem::replace(connections[key].link(), Link::NONE);
        group.members -= 1;
        if group.members == 0 {
            if group.left > 0 {
                self.due.retain(|&each| each != number_of_group);
                self.turn = 0;
            }
            *group = EMPTY;
            return;
        }
        connections[previous as usize].link().next = next;
        connections[next as usize].link().previous = previous;
        if group.at == number(key) {
            group.at = next;
        }
        group.left = group.left.min(group.members);
    }

    /// Everybody in this group is to be visited.
    pub(crate) fn news(&mut self, group: u32) {
        let Some(state) = self.groups.get_mut(group as usize).filter(|group| group.members > 0) else {
            return;
        };
        if std::mem::replace(&mut state.left, state.members) == 0 {
            self.due.push_back(group);
        }
    }

    /// This connection is to be visited.
    pub(crate) fn ready<T: Linked>(&mut self, connections: &mut Slab<T>, key: usize) {
        if !std::mem::replace(connections[key].queued(), true) {
            self.ready.push_back(number(key));
        }
    }

    /// Whose turn it is. A key may be of a connection that has gone.
    pub(crate) fn next<T: Linked>(&mut self, connections: &mut Slab<T>) -> Option<usize> {
        // In turn: those who are ready may be many who catch up, and their next visit makes them ready again.
        let ready_is_next = self.due.is_empty() || !self.ready_was_last;
        self.ready_was_last = ready_is_next;
        if let Some(key) = ready_is_next.then(|| self.ready.pop_front()).flatten() {
            if let Some(connection) = connections.get_mut(key as usize) {
                *connection.queued() = false;
            }
            return Some(key as usize);
        }
        let first = *self.due.front()?;
        let group = &mut self.groups[first as usize];
        let key = group.at;
        group.at = connections[key as usize].link().next;
        group.left -= 1;
        self.turn += 1;
        if group.left == 0 {
            self.due.pop_front();
            self.turn = 0;
        } else if self.turn == TURN {
            self.due.rotate_left(1);
            self.turn = 0;
        }
        Some(key as usize)
    }

    /// Whether nobody is due.
    pub(crate) fn is_idle(&self) -> bool {
        self.due.is_empty() && self.ready.is_empty()
    }
}

/// A slab's key is an index, and there are never four thousand million connections.
fn number(key: usize) -> u32 {
    u32::try_from(key).unwrap_or(NOBODY)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) struct Plain(Link, bool);

    impl Linked for Plain {
        fn link(&mut self) -> &mut Link {
            &mut self.0
        }

        fn queued(&mut self) -> &mut bool {
            &mut self.1
        }
    }

    pub(crate) fn table(keys: usize) -> Slab<Plain> {
        (0..keys).map(|key| (key, Plain(Link::NONE, false))).collect()
    }

    fn visits(rounds: &mut Rounds, connections: &mut Slab<Plain>, most: usize) -> Vec<usize> {
        std::iter::from_fn(|| rounds.next(connections)).take(most).collect()
    }

    #[test]
    fn news_in_the_middle_of_a_round_go_on_from_where_it_is() {
        let (mut rounds, mut connections) = (Rounds::default(), table(4));
        (0..4).for_each(|key| rounds.join(&mut connections, key, 0));
        rounds.news(0);
        assert_eq!(visits(&mut rounds, &mut connections, 2), [0, 1]);
        rounds.news(0);
        assert_eq!(visits(&mut rounds, &mut connections, 9), [2, 3, 0, 1]);
        assert!(rounds.is_idle());
    }

    #[test]
    fn a_large_group_does_not_keep_a_small_one_waiting() {
        let (mut rounds, mut connections) = (Rounds::default(), table(1_001));
        (0..1_000).for_each(|key| rounds.join(&mut connections, key, 0));
        rounds.join(&mut connections, 1_000, 1);
        rounds.news(0);
        rounds.news(1);
        let seen = visits(&mut rounds, &mut connections, TURN as usize + 1);
        assert_eq!(seen.last(), Some(&1_000));
    }

    #[test]
    fn those_who_are_ready_all_the_time_do_not_keep_a_group_waiting() {
        let (mut rounds, mut connections) = (Rounds::default(), table(2));
        rounds.join(&mut connections, 1, 0);
        rounds.ready(&mut connections, 0);
        rounds.news(0);
        let mut seen = Vec::new();
        for _ in 0..2 {
            let key = rounds.next(&mut connections).expect("somebody");
            seen.push(key);
            rounds.ready(&mut connections, 0);
        }
        assert!(seen.contains(&1), "{seen:?}");
    }

    #[test]
    fn who_is_ready_twice_is_visited_once() {
        let (mut rounds, mut connections) = (Rounds::default(), table(1));
        rounds.ready(&mut connections, 0);
        rounds.ready(&mut connections, 0);
        assert_eq!(visits(&mut rounds, &mut connections, 9), [0]);
    }

    proptest! {
        /// Goal: after news, everybody who stays is visited, whoever comes and goes meanwhile.
        /// Method: random joins, leaves, news and visits over three groups, beside a plain list of who is owed a visit.
        #[test]
        fn nobody_who_stays_is_forgotten(steps in proptest::collection::vec((0..4_u8, 0..12_usize), 1..200)) {
            let (mut rounds, mut connections) = (Rounds::default(), table(12));
            let mut joined = [false; 12];
            let mut owed = [false; 12];
            for (action, key) in steps {
                let group = u32::try_from(key % 3).expect("small");
                match action {
                    0 if !joined[key] => {
                        rounds.join(&mut connections, key, group);
                        joined[key] = true;
                    }
                    1 if joined[key] => {
                        rounds.leave(&mut connections, key, group);
                        (joined[key], owed[key]) = (false, false);
                    }
                    2 => {
                        rounds.news(group);
                        for other in (key % 3..12).step_by(3) {
                            owed[other] = joined[other];
                        }
                    }
                    3 => {
                        if let Some(visited) = rounds.next(&mut connections) {
                            prop_assert!(joined[visited]);
                            owed[visited] = false;
                        }
                    }
                    _ => {}
                }
            }
            while let Some(visited) = rounds.next(&mut connections) {
                owed[visited] = false;
            }
            prop_assert_eq!(owed, [false; 12]);
            prop_assert!(rounds.is_idle());
        }
    }
}
