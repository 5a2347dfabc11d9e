//! What the hub tells itself is on the disk as everything else is, and read back by the hub alone (P7).

use fanfare_engine::DiskEngine;
use fanfare_hub::{Grant, Matcher, Topic};
use fanfare_wire::Event;

use crate::support::{folder, hub, id, next_data, publish, publish_all, small, to, wait};

fn internal() -> Topic {
    Topic::internal("x")
}

/// Both kinds of reader, over a log of which memory has the newest 100 entries at the most.
fn check(hub: &fanfare_hub::Hub, events: usize) {
    let own = Grant::from_iter([Matcher::from(internal())]);
    let mut ours = hub.subscribe(internal()).grant(&own).bookmarks(false).after(id("earliest"));
    assert_eq!(next_data(&mut ours, 2), ["internal 1", "internal 2"]);
    let mut others =
        hub.subscribe(Matcher::any()).grant(&Grant::everything()).bookmarks(false).after(id("earliest"));
    // One more would have to be ours.
    let data = next_data(&mut others, events);
    assert!(data.iter().all(|data| !data.starts_with("internal")), "{data:?}");
    assert_eq!(data.last().map(String::as_str), Some("last"));
}

#[test]
fn what_is_internal_survives_a_restart_and_reaches_nobody_else_p7() {
    let folder = folder();
    {
        let hub = hub(DiskEngine::options(folder.path()));
        for number in 1..=2 {
            wait(hub.publish(internal(), Event::new(format!("internal {number}")))).expect("published");
        }
        publish(&hub, "a", "last");
        check(&hub, 1);
    }
    check(&hub(DiskEngine::options(folder.path())), 1);
}

#[test]
fn what_is_internal_is_found_where_memory_does_not_reach_p7() {
    let folder = folder();
    let fill = |hub: &fanfare_hub::Hub| {
        let more = (0..1_000).map(|n| to(&["a"], Event::new(format!("{n} {}", "x".repeat(1_000)))));
        publish_all(hub, more);
    };
    {
        let hub = hub(small(folder.path()));
        for number in 1..=2 {
            wait(hub.publish(internal(), Event::new(format!("internal {number}")))).expect("published");
            fill(&hub);
        }
        publish(&hub, "a", "last");
        check(&hub, 2_001);
    }
    check(&hub(small(folder.path()).warm_events(10)), 2_001);
}
