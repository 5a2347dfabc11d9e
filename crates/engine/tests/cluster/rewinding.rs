//! A log that has lost what it had acknowledged: P6.

use fanfare_hub::GapReason;

use crate::server::{Server, options};
use crate::support::{gap, hub, next_data, publish, publish_until_taken, soon};

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_its_newest_entries_is_noticed_by_its_end_p6() {
    let mut server = Server::start();
    let node = hub(options(&server)).await;
    let mut subscription = node.subscribe("a").bookmarks(false);
    let kept = publish(&node, "a", "kept").await.id;
    server.kill();
    let backup = server.back_up();
    server.go_on();
    for data in ["lost 1", "lost 2", "lost 3"] {
        publish_until_taken(&node, "a", data).await;
    }
    assert_eq!(next_data(&mut subscription, 4).await, ["kept", "lost 1", "lost 2", "lost 3"]);
    server.kill();
    server.go_back(backup.path());
    server.go_on();
    assert_eq!(gap(&mut subscription).await.reason(), GapReason::Rewound);
    publish_until_taken(&node, "a", "after").await;
    assert_eq!(next_data(&mut subscription, 1).await, ["after"]);
    let mut subscription = node.subscribe("a").bookmarks(false).after(kept);
    assert_eq!(gap(&mut subscription).await.reason(), GapReason::Rewound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_its_newest_entries_and_took_others_is_noticed_by_a_check_p6() {
    let mut server = Server::start();
    let node = hub(options(&server)).await;
    let mut subscription = node.subscribe("a").bookmarks(false);
    publish(&node, "a", "kept").await;
    server.kill();
    let backup = server.back_up();
    server.go_on();
    for data in ["lost 1", "lost 2"] {
        publish_until_taken(&node, "a", data).await;
    }
    assert_eq!(next_data(&mut subscription, 3).await, ["kept", "lost 1", "lost 2"]);
    // While this node cannot see it, another one publishes over what was lost.
    server.kill();
    server.go_back(backup.path());
    let address = std::mem::replace(&mut server.address, ([127, 0, 0, 1], 0).into());
    server.go_on();
    {
        let other = hub(options(&server)).await;
        for data in ["other 1", "other 2", "other 3", "other 4"] {
            publish(&other, "a", data).await;
        }
    }
    server.kill();
    server.address = address;
    server.go_on();
    assert_eq!(gap(&mut subscription).await.reason(), GapReason::Rewound);
    publish_until_taken(&node, "a", "after").await;
    loop {
        let data = next_data(&mut subscription, 1).await;
        if data == ["after"] {
            break;
        }
        assert!(data[0].starts_with("other"), "{data:?}");
    }
    soon("the end", node.bounds()).await.expect("bounds");
}
