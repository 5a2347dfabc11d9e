//! Readers that are subscriptions and are polled by the test itself: the nearest to the hub.

use fanfare_hub::Subscription;

pub type Reader = Subscription;

/// Has somebody read a subscription.
pub fn read(subscription: Subscription) -> Reader {
    subscription
}

/// Waits until everybody who serves readers has noticed which of them are gone.
pub fn rest() {}
