//! What is kept beside subscriptions, for those few that have something: what is to be done when they end, and what others
//! change about them.
//!
//! It calls nobody itself: who ends a subscription takes its ending out under the lock and calls it after the lock is given
//! back. A subscription without anything costs nothing here, and a small number where it is kept.

use std::num::NonZeroU32;

use slab::Slab;

use crate::interned::{self, number};
use crate::live::{Live, Until};
use crate::router::{Router, Seat};

/// What is to be done when a subscription ends.
pub(crate) type Ending = Box<dyn FnOnce() + Send>;

/// Tells a subscription that has something to be done at its end, or a handle, from the others of its hub, while it lives.
///
/// Once it has ended another one may get its key. It is where what it has is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionKey(NonZeroU32);

#[derive(Default)]
pub(crate) struct Endings {
    kept: Slab<Kept>,
    /// How many changes there are in all that nobody has come to yet: mostly none, and then nobody looks for any.
    pending: usize,
    /// The serial number of the next one with handles: numbers of places are used again.
    serial: u64,
}

/// What is kept beside one subscription.
#[derive(Default)]
pub(crate) struct Kept {
    ending: Option<Ending>,
    live: Option<Box<Live>>,
}

impl Endings {
    /// Keeps an ending; for a subscription that has one already, behind that one and under the same key.
    pub(crate) fn add(&mut self, key: Option<SubscriptionKey>, ending: Ending) -> SubscriptionKey {
        let (key, kept) = self.keep(key);
        kept.ending = Some(match kept.ending.take() {
            None => ending,
            Some(before) => Box::new(move || {
                before();
                ending();
            }),
        });
        key
    }

    /// Notes that a subscription has handles; gives its key, and the number by which it is told from others with that key.
    pub(crate) fn has_handles(&mut self, key: Option<SubscriptionKey>, seat: Seat) -> (SubscriptionKey, u64) {
        let serial = self.serial;
        self.serial += 1;
        let (key, kept) = self.keep(key);
        let live = kept.live.get_or_insert_with(|| Box::new(Live::new(serial, seat)));
        (key, live.serial())
    }

    fn keep(&mut self, key: Option<SubscriptionKey>) -> (SubscriptionKey, &mut Kept) {
        let key = key.filter(|&key| self.kept.contains(place(key))).unwrap_or_else(|| {
            let place = number(interned::insert(&mut self.kept, Kept::default()));
            SubscriptionKey(NonZeroU32::MIN.saturating_add(place))
        });
        (key, &mut self.kept[place(key)])
    }

    pub(crate) fn live(&self, key: Option<SubscriptionKey>) -> Option<&Live> {
        self.kept.get(place(key?))?.live.as_deref()
    }

    pub(crate) fn live_mut(&mut self, key: Option<SubscriptionKey>) -> Option<&mut Live> {
        self.kept.get_mut(place(key?))?.live.as_deref_mut()
    }

    /// How far a subscription reads by the terms that it has.
    pub(crate) fn until(&self, key: Option<SubscriptionKey>, epoch: u32) -> Until {
        if self.pending == 0 {
            return Until::End;
        }
        self.live(key).map_or(Until::End, |live| live.until(epoch))
    }

    /// Somebody has to come to one thing more.
    pub(crate) fn has_to_come_to(&mut self) {
        self.pending += 1;
    }

    /// Somebody has come to one of them.
    pub(crate) fn come_to(&mut self) {
        self.pending -= 1;
    }

    /// Takes what is kept beside a subscription that ends, if it has anything.
    pub(crate) fn take(&mut self, key: Option<SubscriptionKey>, router: &mut Router) -> Option<Kept> {
        let mut kept = self.kept.try_remove(place(key?))?;
        if let Some(live) = &mut kept.live {
            self.pending -= live.pending();
            live.leave(router);
        }
        Some(kept)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }
}

fn place(key: SubscriptionKey) -> usize {
    key.0.get() as usize - 1
}

/// Calls an ending, if there is one. Not under the hub's lock: it may do anything but wait.
pub(crate) fn call(kept: Option<Kept>) {
    if let Some(ending) = kept.and_then(|kept| kept.ending) {
        ending();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Member;

    #[test]
    fn a_number_fits_into_the_room_that_a_member_has_anyway() {
        assert_eq!(size_of::<Option<SubscriptionKey>>(), 4);
        assert!(size_of::<Member>() <= 40, "{} bytes", size_of::<Member>());
    }

    #[test]
    fn a_second_ending_has_the_key_of_the_first_and_is_called_behind_it_p7() {
        let (tell, told) = std::sync::mpsc::channel();
        let telling = |number: u32| {
            let tell = tell.clone();
            Box::new(move || tell.send(number).expect("somebody listens"))
        };
        let mut endings = Endings::default();
        let key = endings.add(None, telling(1));
        assert_eq!(endings.add(Some(key), telling(2)), key);
        assert_eq!(endings.len(), 1);
        call(endings.take(Some(key), &mut Router::default()));
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn an_ending_is_taken_once_and_its_place_is_used_again() {
        let mut endings = Endings::default();
        let first = endings.add(None, Box::new(|| ()));
        assert!(endings.take(Some(first), &mut Router::default()).is_some());
        assert!(endings.take(Some(first), &mut Router::default()).is_none());
        let second = endings.add(None, Box::new(|| ()));
        assert_eq!(endings.len(), 1);
        assert!(endings.take(None, &mut Router::default()).is_none());
        assert!(endings.take(Some(second), &mut Router::default()).is_some());
    }
}
