//! A stream that is removed under a hub: P6.

use fanfare_hub::GapReason;

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
