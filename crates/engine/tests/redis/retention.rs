//! What is kept, in events, bytes and time.

use std::time::Duration;

use fanfare_hub::{GapReason, IdempotencyKey};
use fanfare_wire::Event;

use crate::server::{Server, options};
use crate::support::{gap, hub, id, publish, soon, to};

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_kept_as_many_as_was_said_and_no_entry_more_than_was_appended_since_they_were_counted_p5() {
    let server = Server::start();
    let node = hub(options(&server).history_bytes(100_000)).await;
    for number in 0..300 {
        publish(&node, "a", &format!("{number} {}", "x".repeat(900))).await;
    }
    // Each takes some 1,000 bytes; 64 may come before it is looked again.
    let bounds = node.bounds().await.expect("bounds");
    let kept = bounds.next - bounds.oldest;
    assert!((90..=90 + 20 + 64).contains(&kept), "{kept}");
    assert_eq!(server.tell(&["XLEN", "fanfare:{default}:log"]).await, format!("int({kept})"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_go_with_their_entries_p5() {
    let server = Server::start();
    let node = hub(options(&server).history_events(5)).await;
    for number in 0..20 {
        let event = Event::new(number.to_string()).id(id(&format!("id {number}")));
        soon("publishing", node.publish_all(to("a", event))).await.expect("published");
    }
    assert_eq!(server.tell(&["XLEN", "fanfare:{default}:ids"]).await, "int(5)");
    let late = hub(options(&server).warm_events(0)).await;
    let mut subscription = late.subscribe("a").bookmarks(false).after(id("id 3"));
    assert_eq!(gap(&mut subscription).await.reason(), GapReason::Unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_forgotten_by_their_number_and_by_their_age() {
    let server = Server::start();
    let limits = |count, age| fanfare_hub::engine::KeyLimits { count, age: Duration::from_secs(age) };
    let keyed = |key: &str| to("a", Event::new("same")).idempotency_key(IdempotencyKey::new(key));
    {
        let node = hub(options(&server).idempotency(limits(3, 3600))).await;
        for key in ["1", "2", "3", "4"] {
            soon("publishing", node.publish_all(keyed(key))).await.expect("published");
        }
        let again = async |key: &str| node.publish_all(keyed(key)).await.expect("published").duplicate;
        assert!(again("2").await && again("4").await);
        // It is used anew, and so the oldest of those that are left goes.
        assert!(!again("1").await);
        assert!(!again("2").await);
        assert_eq!(server.tell(&["HLEN", "fanfare:{default}:keys"]).await, "int(3)");
        assert_eq!(server.tell(&["LLEN", "fanfare:{default}:order"]).await, "int(3)");
    }
    let node = hub(options(&server).idempotency(limits(3, 0))).await;
    for _ in 0..2 {
        assert!(!node.publish_all(keyed("2")).await.expect("published").duplicate);
    }
    assert_eq!(server.tell(&["HLEN", "fanfare:{default}:keys"]).await, "int(0)");
}
