//! What is to be done when a subscription ends is done once, whoever has the subscription then and why ever it ends.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

use fanfare_hub::{Framing, Grant, Hub, Subscription};
use support::{assert_ended, assert_waiting, now};

/// How often an ending was called, and how many subscribers the hub had then.
#[derive(Clone, Default)]
struct Told(Arc<AtomicU64>, Arc<AtomicU64>);

impl Told {
    fn hang(&self, hub: &Hub, subscription: Subscription) -> Subscription {
        let (told, hub) = (self.clone(), hub.clone());
        subscription.on_end(move || {
            told.0.fetch_add(1, Ordering::Relaxed);
            // Under the hub's lock this would never return.
            told.1.store(hub.counts().subscribers, Ordering::Relaxed);
        })
    }

    fn times(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn hub() -> Hub {
    Hub::builder().build().expect("a hub")
}

/// Ends a subscription in some way and looks whether that was told once, after the hub had forgotten it.
fn check(end: impl FnOnce(&Hub, Subscription, &Told)) {
    let (hub, told) = (hub(), Told::default());
    let other = hub.subscribe("b");
    let subscription = told.hang(&hub, hub.subscribe("a").bookmarks(false));
    assert_eq!(told.times(), 0);
    end(&hub, subscription, &told);
    assert_eq!(told.times(), 1);
    assert_eq!(told.1.load(Ordering::Relaxed), 1);
    drop(other);
}

#[test]
fn a_dropped_subscription_has_ended() {
    check(|_, subscription, _| drop(subscription));
}

#[test]
fn a_subscription_that_the_hub_ended_has_ended_before_it_is_dropped() {
    check(|hub, mut subscription, told| {
        hub.close();
        assert_ended(&mut subscription);
        assert_eq!(told.times(), 1);
    });
}

#[test]
fn a_member_that_leaves_its_crowd_has_ended_and_one_that_joins_has_not() {
    check(|hub, mut subscription, told| {
        assert_waiting(&mut subscription);
        let mut crowd = hub.crowd(Waker::noop().clone());
        let member = crowd.admit_as(subscription, Framing::Bare, 0).expect("it is live");
        assert_eq!(told.times(), 0);
        crowd.leave(member);
    });
}

#[test]
fn a_member_that_goes_on_as_a_subscription_takes_its_ending_along() {
    check(|hub, mut subscription, told| {
        assert_waiting(&mut subscription);
        let mut crowd = hub.crowd(Waker::noop().clone());
        let member = crowd.admit_as(subscription, Framing::Bare, 0).expect("it is live");
        let released = crowd.release(member);
        assert_eq!(told.times(), 0);
        drop(released);
    });
}

#[test]
fn another_grant_leaves_the_ending_alone() {
    check(|_, subscription, told| {
        let subscription = subscription.grant(&Grant::everything());
        assert_eq!(told.times(), 0);
        drop(subscription);
    });
}

#[test]
fn a_refused_subscription_has_ended_already() {
    let hub = Hub::builder().subscribers_max(0).build().expect("a hub");
    let told = Told::default();
    let mut subscription = told.hang(&hub, hub.subscribe("a"));
    assert_eq!(told.times(), 1);
    assert!(now(subscription.opened()).is_err());
    drop(subscription);
    assert_eq!(told.times(), 1);
}

#[test]
fn several_endings_are_called_in_the_order_in_which_they_were_given() {
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let hub = hub();
    let note = |number: u32| {
        let order = order.clone();
        move || order.lock().expect("no panic").push(number)
    };
    drop(hub.subscribe("a").on_end(note(1)).on_end(note(2)).on_end(note(3)));
    assert_eq!(*order.lock().expect("no panic"), [1, 2, 3]);
}

#[test]
fn a_key_stays_the_same_into_a_crowd_and_out_of_it_p7() {
    let hub = hub();
    assert_eq!(hub.subscribe("a").key(), None);
    let other = hub.subscribe("a").on_end(|| ());
    let mut subscription = hub.subscribe("a").bookmarks(false).on_end(|| ());
    let key = subscription.key().expect("it has an ending");
    assert_ne!(other.key(), Some(key));
    subscription = subscription.on_end(|| ()).grant(&Grant::everything());
    assert_eq!(subscription.key(), Some(key));
    assert_waiting(&mut subscription);
    let mut crowd = hub.crowd(Waker::noop().clone());
    let member = crowd.admit_as(subscription, Framing::Bare, 0).expect("it is live");
    assert_eq!(member.key(), Some(key));
    assert_eq!(crowd.release(member).key(), Some(key));
}
