//! Losing the server: nothing wrong is told meanwhile, and everything goes on by itself.

use std::time::Duration;

use fanfare_hub::{GapReason, Health, PublishError};
use fanfare_wire::Event;

use crate::server::{Server, options};
use crate::support::{gap, hub, hub_at_once, next_data, publish, publish_until_taken, ready, soon, until};

fn is_stalled(health: &Health) -> bool {
    matches!(health, Health::Stalled(_))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_starts_before_its_server_waits_and_says_so() {
    let mut server = Server::start();
    server.kill();
    let node = hub_at_once(options(&server)).await;
    until(&node, is_stalled).await;
    let refused = node.publish("a", Event::new("early")).await;
    assert!(matches!(refused, Err(PublishError::NotStored(_))), "{refused:?}");
    server.go_on();
    ready(&node).await;
    assert_eq!(publish(&node, "a", "first").await.position, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_stay_while_the_server_is_gone_and_get_everything_afterwards_p2_p3_p4() {
    let mut server = Server::start();
    let (one, other) = (hub(options(&server)).await, hub(options(&server)).await);
    let mut subscription = other.subscribe("a").bookmarks(false);
    soon("opening", subscription.opened()).await.expect("opened");
    publish(&one, "a", "before").await;
    assert_eq!(next_data(&mut subscription, 1).await, ["before"]);
    for round in 0..3 {
        server.kill();
        until(&one, is_stalled).await;
        let refused = one.publish("a", Event::new("meanwhile")).await;
        assert!(matches!(refused, Err(PublishError::NotStored(_))), "{refused:?}");
        server.go_on();
        let data = format!("after {round}");
        publish_until_taken(&one, "a", &data).await;
        assert_eq!(next_data(&mut subscription, 1).await, [data]);
        ready(&one).await;
        ready(&other).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_without_an_answer_may_be_stored_and_is_stored_once_when_it_is_sent_again() {
    let server = Server::start();
    let node = hub(options(&server).ack_timeout(Duration::from_millis(300))).await;
    let mut subscription = node.subscribe("a").bookmarks(false);
    soon("opening", subscription.opened()).await.expect("opened");
    server.freeze();
    let keyed = || {
        crate::support::to("a", Event::new("once")).idempotency_key(fanfare_hub::IdempotencyKey::new("once"))
    };
    let unknown = soon("publishing", node.publish_all(keyed())).await;
    assert!(matches!(unknown, Err(PublishError::MaybeStored(_))), "{unknown:?}");
    server.thaw();
    publish_until_taken(&node, "a", "once").await;
    publish_until_taken(&node, "a", "last").await;
    assert_eq!(next_data(&mut subscription, 2).await, ["once", "last"]);
}

/// Goal: a node that was away while everything grew too old is not behind for ever.
/// Method: it is cut off; another node publishes, and lets it age; nothing more is published.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_away_while_everything_grew_too_old_is_ready_although_nothing_comes_p2() {
    let mut server = Server::start();
    let brief = |server: &Server| options(server).history_age(Duration::from_millis(500));
    let away = hub(brief(&server)).await;
    let mut subscription = away.subscribe("a").bookmarks(false);
    publish(&away, "a", "1").await;
    assert_eq!(next_data(&mut subscription, 1).await, ["1"]);
    server.kill();
    let address = std::mem::replace(&mut server.address, ([127, 0, 0, 1], 0).into());
    server.go_on();
    {
        let other = hub(brief(&server)).await;
        publish(&other, "a", "2").await;
        let aged = async {
            while other.bounds().await.expect("bounds").oldest < 3 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        soon("ageing", aged).await;
    }
    server.kill();
    server.address = address;
    server.go_on();
    assert_eq!(gap(&mut subscription).await.reason(), GapReason::Trimmed);
    ready(&away).await;
    // For as long as it would take to find that nothing comes.
    for _ in 0..2 {
        let bounds = soon("the end", away.bounds()).await.expect("bounds");
        assert_eq!((bounds.oldest, bounds.next), (3, 3));
        assert!(matches!(away.health(), Health::Ready), "{:?}", away.health());
    }
}
