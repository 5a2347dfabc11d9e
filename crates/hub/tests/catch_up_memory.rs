//! What those who catch up and stall keep in memory: what is kept for all of them, and a place each (P5).
//!
//! Live heap is counted. A binary of its own: there is one allocator for all tests in one.

mod support;

use std::alloc::System;

use cap::Cap;
use fanfare_hub::Hub;
use support::shelf::{Answers, Shelf};
use support::{next_event, topic};

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

const SUBSCRIBERS: u64 = 1_000;
/// A page of so many entries is some 40 kB.
const PAGE: u64 = 100;
const BUDGET: usize = 2 * 1024 * 1024;

#[test]
fn a_thousand_who_stall_in_as_many_places_keep_no_more_than_the_budget() {
    let shelf = Shelf::of((0..SUBSCRIBERS * PAGE).map(|_| vec![topic("a")]), PAGE, Answers::AtOnce, false);
    let hub = Hub::builder().engine(shelf).catch_up_bytes(BUDGET).build().expect("a hub");
    let before = HEAP.allocated();
    let mut subscriptions: Vec<_> =
        (0..SUBSCRIBERS).map(|n| hub.subscribe("a").after(Shelf::id_of(n * PAGE)).bookmarks(false)).collect();
    for subscription in &mut subscriptions {
        next_event(subscription);
    }
    let kept = HEAP.allocated() - before;
    let counted = usize::try_from(hub.counts().catch_up_bytes).expect("a number of bytes");
    println!("{kept} bytes of heap, {counted} counted");
    assert!(counted <= BUDGET);
    // With a place of some hundred bytes for each.
    assert!(kept <= BUDGET + 1_024 * 1_024, "{kept} bytes");
    assert!(counted >= kept / 2, "{counted} bytes are counted of {kept}");
}
