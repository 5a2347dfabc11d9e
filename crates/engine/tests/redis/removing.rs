//! Keys that are removed under a hub, or filled by others: P6.

use fanfare_engine::redis::RedisFault;
use fanfare_hub::{GapReason, Health};

use crate::server::{Server, options};
use crate::support::{gap, hub, next_data, publish, publish_until_taken, ready, soon, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_flushed_is_begun_again_and_everybody_is_told_p6() {
    let server = Server::start();
    let (one, other) = (hub(options(&server)).await, hub(options(&server)).await);
    let mut subscription = one.subscribe("a").bookmarks(false);
    let seen = publish(&one, "a", "before").await.id;
    assert_eq!(next_data(&mut subscription, 1).await, ["before"]);
    server.tell(&["FLUSHALL"]).await;
    assert_eq!(gap(&mut subscription).await.reason(), GapReason::Rewound);
    publish_until_taken(&other, "a", "after").await;
    assert_eq!(next_data(&mut subscription, 1).await, ["after"]);
    for node in [&one, &other] {
        ready(node).await;
        let mut subscription = node.subscribe("a").bookmarks(false).after(seen.clone());
        assert_eq!(gap(&mut subscription).await.reason(), GapReason::Rewound);
    }
}

/// Goal: a tail that waits on a connection which never breaks must not splice another log to what it told.
/// Method: a log is flushed and filled beyond the place where the tail waits before the tail asks what it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_flushed_and_filled_at_once_is_not_spliced_to_the_one_before_p6() {
    let (server, source) = (Server::start(), Server::start());
    let node = hub(options(&server)).await;
    let mut subscription = node.subscribe("a").bookmarks(false);
    publish(&node, "a", "1").await;
    publish(&node, "a", "2").await;
    assert_eq!(next_data(&mut subscription, 2).await, ["1", "2"]);
    let other = hub(options(&source)).await;
    for number in 0..5 {
        publish(&other, "a", &format!("other {number}")).await;
    }
    // Everything at once: no moment at which the log is not there.
    let keys = ["meta", "log"].map(|kind| format!("fanfare:{{default}}:{kind}"));
    server.tell(&["FLUSHALL"]).await;
    let migrate = [
        "MIGRATE",
        "127.0.0.1",
        &server.address.port().to_string(),
        "",
        "0",
        "5000",
        "COPY",
        "REPLACE",
        "KEYS",
    ];
    source.tell(&[&migrate[..], &keys.each_ref().map(String::as_str)].concat()).await;
    assert_eq!(gap(&mut subscription).await.reason(), GapReason::Rewound);
    publish_until_taken(&node, "a", "after").await;
    assert_eq!(next_data(&mut subscription, 1).await, ["after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_were_removed_alone_are_told_as_lost_and_positions_go_on_p2() {
    let server = Server::start();
    let node = hub(options(&server)).await;
    let seen = publish(&node, "a", "1").await.id;
    publish(&node, "a", "2").await;
    server.tell(&["DEL", "fanfare:{default}:log"]).await;
    assert_eq!(publish(&node, "a", "3").await.position, 3);
    let late = hub(options(&server).warm_events(0)).await;
    let mut subscription = late.subscribe("a").bookmarks(false).after(seen);
    assert_eq!(gap(&mut subscription).await.reason(), GapReason::Trimmed);
    assert_eq!(next_data(&mut subscription, 1).await, ["3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_has_lost_what_tells_which_it_is_is_left_alone_until_somebody_decides() {
    let server = Server::start();
    let node = hub(options(&server)).await;
    publish(&node, "a", "1").await;
    server.tell(&["DEL", "fanfare:{default}:meta"]).await;
    until(&node, needs_hands).await;
    let refused = soon("publishing", node.publish("a", fanfare_wire::Event::new("2"))).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(server.tell(&["XLEN", "fanfare:{default}:log"]).await, "int(1)");
    server.tell(&["DEL", "fanfare:{default}:log"]).await;
    ready(&node).await;
    assert_eq!(publish_until_taken(&node, "a", "again").await.position, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_somebody_else_has_put_into_the_stream_is_told_to_nobody() {
    let server = Server::start();
    let node = hub(options(&server)).await;
    let mut subscription = node.subscribe("a").bookmarks(false);
    publish(&node, "a", "1").await;
    assert_eq!(next_data(&mut subscription, 1).await, ["1"]);
    server.tell(&["XADD", "fanfare:{default}:log", "*", "e", "theirs"]).await;
    until(&node, needs_hands).await;
}

fn needs_hands(health: &Health) -> bool {
    matches!(health, Health::Stalled(fault) if fault.downcast_ref::<RedisFault>().is_some_and(RedisFault::needs_hands))
}
