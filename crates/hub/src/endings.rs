//! What is to be done when subscriptions end, kept for those few that have something.
//!
//! It calls nobody itself: who ends a subscription takes its ending out under the lock and calls it after the lock is given
//! back. A subscription without one costs nothing here, and a small number where it is kept.

use std::num::NonZeroU32;

use slab::Slab;

use crate::interned::{self, number};

/// What is to be done when a subscription ends.
pub(crate) type Ending = Box<dyn FnOnce() + Send>;

/// Where a subscription's ending is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndingNumber(NonZeroU32);

#[derive(Default)]
pub(crate) struct Endings(Slab<Ending>);

impl Endings {
    pub(crate) fn keep(&mut self, ending: Ending) -> EndingNumber {
        let place = number(interned::insert(&mut self.0, ending));
        EndingNumber(NonZeroU32::MIN.saturating_add(place))
    }

    /// Takes the ending of a subscription that ends, if it has one.
    pub(crate) fn take(&mut self, number: Option<EndingNumber>) -> Option<Ending> {
        self.0.try_remove(number?.0.get() as usize - 1)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
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
        assert_eq!(size_of::<Option<EndingNumber>>(), 4);
        assert!(size_of::<Member>() <= 40, "{} bytes", size_of::<Member>());
    }

    #[test]
    fn an_ending_is_taken_once_and_its_place_is_used_again() {
        let mut endings = Endings::default();
        let first = endings.keep(Box::new(|| ()));
        assert!(endings.take(Some(first)).is_some());
        assert!(endings.take(Some(first)).is_none());
        let second = endings.keep(Box::new(|| ()));
        assert_eq!(endings.len(), 1);
        assert!(endings.take(None).is_none());
        assert!(endings.take(Some(second)).is_some());
    }
}
