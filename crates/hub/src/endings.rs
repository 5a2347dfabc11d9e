//! What is to be done when subscriptions end, kept for those few that have something.
//!
//! It calls nobody itself: who ends a subscription takes its ending out under the lock and calls it after the lock is given
//! back. A subscription without one costs nothing here, and a small number where it is kept.

use std::num::NonZeroU32;

use slab::Slab;

use crate::interned::{self, number};

/// What is to be done when a subscription ends.
pub(crate) type Ending = Box<dyn FnOnce() + Send>;

/// Tells a subscription that has something to be done at its end from the others of its hub, while it lives.
///
/// Once it has ended another one may get its key. It is where the ending is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionKey(NonZeroU32);

#[derive(Default)]
pub(crate) struct Endings(Slab<Ending>);

impl Endings {
    /// Keeps an ending; for a subscription that has one already, behind that one and under the same key.
    pub(crate) fn add(&mut self, key: Option<SubscriptionKey>, ending: Ending) -> SubscriptionKey {
        if let Some((key, kept)) = key.and_then(|key| Some((key, self.0.get_mut(place(key))?))) {
            let before = std::mem::replace(kept, Box::new(|| ()));
            *kept = Box::new(move || {
                before();
                ending();
            });
            return key;
        }
        let place = number(interned::insert(&mut self.0, ending));
        SubscriptionKey(NonZeroU32::MIN.saturating_add(place))
    }

    /// Takes the ending of a subscription that ends, if it has one.
    pub(crate) fn take(&mut self, key: Option<SubscriptionKey>) -> Option<Ending> {
        self.0.try_remove(place(key?))
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

fn place(key: SubscriptionKey) -> usize {
    key.0.get() as usize - 1
}

/// Calls an ending, if there is one. Not under the hub's lock: it may do anything but wait.
pub(crate) fn call(ending: Option<Ending>) {
    if let Some(ending) = ending {
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
        call(endings.take(Some(key)));
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn an_ending_is_taken_once_and_its_place_is_used_again() {
        let mut endings = Endings::default();
        let first = endings.add(None, Box::new(|| ()));
        assert!(endings.take(Some(first)).is_some());
        assert!(endings.take(Some(first)).is_none());
        let second = endings.add(None, Box::new(|| ()));
        assert_eq!(endings.len(), 1);
        assert!(endings.take(None).is_none());
        assert!(endings.take(Some(second)).is_some());
    }
}
