//! Several hubs over one log: what one takes, all tell.

use std::sync::Arc;
use std::time::Duration;

use fanfare_hub::{GapReason, Grant, IdempotencyKey, Matcher, Publication, PublishError, Resume};
use fanfare_wire::Event;

use crate::server::{Server, options};
use crate::support::{events, gap, hub, id, next_data, publish, soon, to, topic};

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_takes_every_node_tells_in_one_order_with_the_same_ids_p1() {
    let server = Server::start();
    let nodes = [hub(options(&server)).await, hub(options(&server)).await, hub(options(&server)).await];
    let mut subscriptions: Vec<_> = nodes.iter().map(|node| node.subscribe("a").bookmarks(false)).collect();
    for subscription in &mut subscriptions {
        soon("opening", subscription.opened()).await.expect("opened");
    }
    let mut answered = Vec::new();
    for number in 0..60_usize {
        answered.push(publish(&nodes[number % 3], "a", &number.to_string()).await.id);
    }
    for subscription in &mut subscriptions {
        let events = events(subscription, 60).await;
        let ids: Vec<_> = events.iter().map(|(_, id)| id.clone()).collect();
        assert_eq!(ids, answered, "as they were answered");
        let data: Vec<_> = events.into_iter().map(|(data, _)| data).collect();
        assert_eq!(data, (0..60).map(|number| number.to_string()).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_resumes_every_subscriber_p2_p3() {
    let server = Server::start();
    let (one, other) = (hub(options(&server)).await, hub(options(&server)).await);
    let seen = publish(&one, "a", "1").await.id;
    for data in ["2", "3"] {
        publish(&one, "a", data).await;
    }
    let mut subscription = other.subscribe("a").bookmarks(false).after(seen.clone());
    assert!(matches!(soon("opening", subscription.opened()).await, Ok(Resume::Resumed { after: 1 })));
    assert_eq!(next_data(&mut subscription, 2).await, ["2", "3"]);
    publish(&other, "a", "4").await;
    assert_eq!(next_data(&mut subscription, 1).await, ["4"]);

    // One that starts later has nothing of it in memory.
    let late = hub(options(&server).warm_events(0)).await;
    let mut subscription = late.subscribe("a").bookmarks(false).after(seen);
    assert_eq!(next_data(&mut subscription, 3).await, ["2", "3", "4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_is_read_back_whole_p2() {
    let server = Server::start();
    let first = hub(options(&server)).await;
    let publishing: Vec<_> = (0..3_000)
        .map(|number| {
            first.publish_all(to(
                if number % 3 == 0 { "b" } else { "a" },
                Event::new(format!("{number} {}", "x".repeat(500))),
            ))
        })
        .collect();
    // Handed in one after the other; the answers may come in any order.
    for published in futures_util::future::join_all(publishing).await {
        published.expect("published");
    }
    let late = hub(options(&server).warm_events(10)).await;
    for (asked, count) in [("a", 2_000), ("b", 1_000)] {
        let mut subscription = late.subscribe(asked).bookmarks(false).after(id("earliest"));
        let data = next_data(&mut subscription, count).await;
        let mut numbers: Vec<usize> = data
            .iter()
            .map(|data| data.split(' ').next().unwrap_or_default().parse().expect("a number"))
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), count, "each once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_known_on_every_node_and_after_a_restart() {
    let server = Server::start();
    let attempt = |data: &str| {
        to("a", Event::new(data.to_owned())).idempotency_key(IdempotencyKey::new("order\n41 \u{fc}"))
    };
    let first = {
        let (one, other) = (hub(options(&server)).await, hub(options(&server)).await);
        let at_once = [&one, &other, &one, &other].map(|node| node.publish_all(attempt("paid")));
        let all: Vec<_> = futures_util::future::join_all(at_once)
            .await
            .into_iter()
            .map(|published| published.expect("published"))
            .collect();
        assert_eq!(all.iter().filter(|published| !published.duplicate).count(), 1, "{all:?}");
        assert!(all.iter().all(|published| published.id == all[0].id), "{all:?}");
        let reused = other.publish_all(attempt("refunded")).await;
        assert!(matches!(reused, Err(PublishError::KeyReused)), "{reused:?}");
        all[0].clone()
    };
    // It is behind what is told at the start, so only the index knows it.
    let late = hub(options(&server).warm_events(0)).await;
    let again = soon("publishing", late.publish_all(attempt("paid"))).await.expect("published");
    assert_eq!((again.id, again.duplicate), (first.id, true));
    let reused = late.publish_all(attempt("refunded")).await;
    assert!(matches!(reused, Err(PublishError::KeyReused)), "{reused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_s_own_id_is_found_on_every_node_and_the_earliest_counts_m134() {
    let server = Server::start();
    let (one, other) = (hub(options(&server)).await, hub(options(&server)).await);
    let own = |data: &str, own: &str| to("a", Event::new(data.to_owned()).id(id(own)));
    for (data, of) in [("1", "mine"), ("2", "yours"), ("3", "mine"), ("4", "theirs")] {
        soon("publishing", one.publish_all(own(data, of))).await.expect("published");
    }
    let late = hub(options(&server).warm_events(0)).await;
    for node in [&one, &other, &late] {
        let mut subscription = node.subscribe("a").bookmarks(false).after(id("mine"));
        assert_eq!(next_data(&mut subscription, 3).await, ["2", "3", "4"]);
        let mut subscription = node.subscribe("a").bookmarks(false).after(id("nobody's"));
        assert_eq!(gap(&mut subscription).await.reason(), GapReason::Unknown);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_private_is_so_on_every_node_p7() {
    let server = Server::start();
    let (one, other) = (hub(options(&server)).await, hub(options(&server)).await);
    let secret = Publication::to([topic("a")]).private(Event::new("secret"));
    soon("publishing", one.publish_all(secret)).await.expect("published");
    publish(&one, "a", "open").await;
    let mut subscription = other.subscribe("a").bookmarks(false).after(id("earliest"));
    assert_eq!(next_data(&mut subscription, 1).await, ["open"]);
    let grant = Grant::from_iter([Matcher::from(topic("a"))]);
    let mut subscription = other.subscribe("a").bookmarks(false).grant(&grant).after(id("earliest"));
    assert_eq!(next_data(&mut subscription, 2).await, ["secret", "open"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_does_not_keep_is_told_as_trimmed_p2() {
    let server = Server::start();
    let small = || options(&server).history_events(5).warm_events(0);
    let node = hub(small()).await;
    let first = publish(&node, "a", "0").await.id;
    for number in 1..20 {
        publish(&node, "a", &number.to_string()).await;
    }
    let late = hub(small()).await;
    let mut subscription = late.subscribe("a").bookmarks(false).after(first);
    assert_eq!(gap(&mut subscription).await.reason(), GapReason::Trimmed);
    assert_eq!(next_data(&mut subscription, 5).await, ["15", "16", "17", "18", "19"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_everything_is_told_no_gap_by_a_node_that_starts_when_little_is_kept_p2() {
    let server = Server::start();
    let small = || options(&server).history_events(1);
    let node = hub(small()).await;
    publish(&node, "a", "1").await;
    let seen = publish(&node, "a", "2").await.id;
    publish(&node, "a", "3").await;
    // It cannot know what stood before the one entry that is left.
    let late = hub(small()).await;
    let mut subscription = late.subscribe("a").bookmarks(false).after(seen);
    assert!(matches!(soon("opening", subscription.opened()).await, Ok(Resume::Resumed { after: 2 })));
    assert_eq!(next_data(&mut subscription, 1).await, ["3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_one_node_does_not_know_the_check_of_is_resumed_from_on_another_p2() {
    let server = Server::start();
    let brief = || options(&server).history_age(Duration::from_millis(500));
    let node = hub(brief()).await;
    for data in ["1", "2"] {
        publish(&node, "a", data).await;
    }
    let aged = async {
        while node.bounds().await.expect("bounds").oldest < 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("ageing", aged).await;
    // All that it knows of the newest place is where it is.
    let late = hub(brief()).await;
    let mark = late.bookmark().expect("a bookmark");
    for at in [&node, &late] {
        let mut subscription = at.subscribe("a").bookmarks(false).after(mark.clone());
        assert!(matches!(soon("opening", subscription.opened()).await, Ok(Resume::Resumed { .. })));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_is_polled_from_any_thread_without_a_runtime() {
    let server = Server::start();
    let node = Arc::new(hub(options(&server)).await);
    let publishing = node.clone();
    let published = std::thread::spawn(move || futures_executor(publishing.publish("a", Event::new("hi"))))
        .join()
        .expect("no panic")
        .expect("published");
    assert_eq!(published.position, 1);
}

/// Polls on this thread alone.
fn futures_executor<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = std::pin::pin!(future);
    let waker = Arc::new(Unpark(std::thread::current())).into();
    loop {
        match future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}
