//! A stream that is removed under a hub: P6.

use fanfare_hub::GapReason;
use fanfare_wire::Event;

use crate::server::{Server, options};
use crate::support::{gap, hub, next_data, publish, publish_until_taken, ready};

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_removed_is_created_again_and_everybody_is_told_p6() {
    let server = Server::start();
    let (one, other) = (hub(options(&server)).await, hub(options(&server)).await);
    let mut subscription = one.subscribe("a").bookmarks(false);
    let seen = publish(&one, "a", "before").await.id;
    assert_eq!(next_data(&mut subscription, 1).await, ["before"]);
    let client = async_nats::connect(server.url()).await.expect("connected");
    async_nats::jetstream::new(client).delete_stream("FANFARE_default").await.expect("deleted");
    assert_eq!(gap(&mut subscription).await.reason(), GapReason::Rewound);
    publish_until_taken(&other, "a", "after").await;
    assert_eq!(next_data(&mut subscription, 1).await, ["after"]);
    for node in [&one, &other] {
        ready(node).await;
        let mut subscription = node.subscribe("a").bookmarks(false).after(seen.clone());
        assert_eq!(gap(&mut subscription).await.reason(), GapReason::Rewound);
    }
}

/// Goal: an id is of the log that holds the entry, or it is not given out.
/// Method: the stream is made anew under a node, and published to before that has noticed.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_answered_with_an_id_of_a_stream_that_is_gone_p4() {
    let server = Server::start();
    let node = hub(options(&server)).await;
    let mut subscription = node.subscribe("a").bookmarks(false);
    for data in ["1", "2", "3"] {
        publish(&node, "a", data).await;
    }
    assert_eq!(next_data(&mut subscription, 3).await, ["1", "2", "3"]);
    let context = async_nats::jetstream::new(async_nats::connect(server.url()).await.expect("connected"));
    let mut config =
        context.get_stream("FANFARE_default").await.expect("it is there").cached_info().config.clone();
    config.metadata.insert("fanfare.epoch".to_owned(), "00000001".to_owned());
    context.delete_stream("FANFARE_default").await.expect("deleted");
    context.create_stream(config).await.expect("created");
    let published = node.publish("a", Event::new("into the other")).await;
    ready(&node).await;
    assert_eq!(gap(&mut subscription).await.reason(), GapReason::Rewound);
    // It may have been noticed at once.
    if let Ok(published) = published {
        let mut subscription = node.subscribe("a").bookmarks(false).after(published.id);
        publish(&node, "a", "behind it").await;
        assert_eq!(next_data(&mut subscription, 1).await, ["behind it"]);
    }
}
