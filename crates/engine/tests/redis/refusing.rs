//! What Redis does not take, and what publishers are told then.

use std::time::Duration;

use fanfare_engine::redis::RedisFault;
use fanfare_hub::engine::{AppendError, Engine};
use fanfare_hub::{Health, IdempotencyKey, PublishError};
use fanfare_wire::Event;

use crate::presence::{listening, say_until_heard};
use crate::server::{Server, options};
use crate::support::{hub, hub_at_once, next_data, publish, publish_until_taken, ready, soon, to, until};

/// Why a publication was refused, in the words that are logged.
async fn refusal(node: &fanfare_hub::Hub) -> String {
    match soon("publishing", node.publish("a", Event::new("x".repeat(100_000)))).await {
        Err(PublishError::NotStored(fault)) => {
            let cause = std::error::Error::source(&*fault).map(ToString::to_string).unwrap_or_default();
            format!("{fault}: {cause}")
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_memory_stores_nothing_and_says_so_until_it_has_some() {
    let server = Server::start();
    let node = hub(options(&server)).await;
    let mut subscription = node.subscribe("a").bookmarks(false);
    publish(&node, "a", "1").await;
    server.tell(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let said = refusal(&node).await;
    assert!(said.contains("maxmemory") && said.contains("OOM"), "{said}");
    let keyed = to("a", Event::new("2")).idempotency_key(IdempotencyKey::new("2"));
    assert!(matches!(node.publish_all(keyed).await, Err(PublishError::NotStored(_))));
    server.tell(&["CONFIG", "SET", "maxmemory", "0"]).await;
    // Neither an entry nor its key was half written.
    let stored = publish_until_taken(&node, "a", "2").await;
    assert_eq!((stored.position, stored.duplicate), (2, false));
    assert_eq!(next_data(&mut subscription, 2).await, ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lacks_replicas_or_became_one_takes_nothing() {
    let server = Server::start();
    let node = hub(options(&server)).await;
    server.tell(&["CONFIG", "SET", "min-replicas-to-write", "1"]).await;
    let said = refusal(&node).await;
    assert!(said.contains("min-replicas-to-write"), "{said}");
    server.tell(&["CONFIG", "SET", "min-replicas-to-write", "0"]).await;
    publish(&node, "a", "1").await;
    let primary = Server::start();
    server.tell(&["REPLICAOF", "127.0.0.1", &primary.address.port().to_string()]).await;
    let is_replica = |health: &Health| matches!(health, Health::Stalled(fault) if matches!(fault.downcast_ref(), Some(RedisFault::Replica)));
    until(&node, is_replica).await;
    // Its data is that of the other one by now, which has none: the log is begun anew.
    server.tell(&["REPLICAOF", "NO", "ONE"]).await;
    ready(&node).await;
    publish_until_taken(&node, "a", "2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_were_flushed_are_loaded_again() {
    let server = Server::start();
    let node = hub(options(&server)).await;
    publish(&node, "a", "1").await;
    server.tell(&["SCRIPT", "FLUSH"]).await;
    assert_eq!(publish(&node, "a", "2").await.position, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_the_hub_s_that_holds_something_else_is_an_error_before_anything_is_written() {
    let server = Server::start();
    let node = hub(options(&server)).await;
    for (kind, publication) in [
        ("ids", to("a", Event::new("1").id(crate::support::id("mine")))),
        ("keys", to("a", Event::new("1")).idempotency_key(IdempotencyKey::new("1"))),
        ("order", to("a", Event::new("1")).idempotency_key(IdempotencyKey::new("1"))),
    ] {
        let key = format!("fanfare:{{default}}:{kind}");
        server.tell(&["SET", &key, "theirs"]).await;
        let refused = soon("publishing", node.publish_all(publication)).await;
        assert!(matches!(refused, Err(PublishError::NotStored(_))), "{kind}: {refused:?}");
        server.tell(&["DEL", &key]).await;
    }
    assert_eq!(publish(&node, "a", "1").await.position, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_redis_does_not_know_is_told_so() {
    let server = Server::start_with(&["--requirepass", "right"]);
    for wrong in [options(&server), options(&server).password("wrong".to_owned())] {
        let engine = wrong.clone().connect().expect("an engine");
        let fault = soon("checking", engine.check()).await.expect_err("nobody knows it");
        assert!(matches!(fault, RedisFault::Login(_)) && fault.needs_hands(), "{fault:?}");
        let node = hub_at_once(wrong).await;
        until(&node, |health| matches!(health, Health::Stalled(_))).await;
    }
    let node = hub(options(&server).password("right".to_owned())).await;
    publish(&node, "a", "1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_what_the_guide_names_can_do_everything_and_no_more() {
    let server = Server::start();
    let mut user = vec![
        "ACL",
        "SETUSER",
        "hub",
        "on",
        ">secret",
        "resetchannels",
        "~fanfare:{shop}:*",
        "&fanfare:{shop}:*",
    ];
    user.extend(crate::setting_up::ALLOWED);
    server.tell(&user).await;
    let named = || options(&server).user("hub".to_owned()).password("secret".to_owned());
    let node = hub(named().hub("shop").history_events(3).history_age(Duration::from_secs(3600))).await;
    for number in 0..5 {
        let event = Event::new(number.to_string()).id(crate::support::id(&format!("id {number}")));
        let keyed = to("a", event).idempotency_key(IdempotencyKey::new(number.to_string()));
        soon("publishing", node.publish_all(keyed)).await.expect("published");
    }
    let late = hub(named().hub("shop").warm_events(0)).await;
    let mut subscription = late.subscribe("a").bookmarks(false).after(crate::support::id("id 3"));
    assert_eq!(next_data(&mut subscription, 1).await, ["4"]);
    let there = to("a", Event::new("there")).idempotency_key(IdempotencyKey::new("there"));
    soon("announcing", node.announce(there)).await.expect("announced");
    say_until_heard(&node, b"a word", &mut listening(&late)).await;
    let engine = named().hub("other").connect().expect("an engine");
    let fault = soon("checking", engine.check()).await.expect_err("not its keys");
    assert!(fault.needs_hands() && fault.to_string().contains("may not"), "{fault:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_blocks_the_server_stores_nothing_of_ours() {
    let server = Server::start_with(&["--lua-time-limit", "50"]);
    let engine = options(&server).connect().expect("an engine");
    let node = hub(options(&server)).await;
    publish(&node, "a", "1").await;
    let url = server.url();
    let busy = tokio::spawn(async move {
        let client = redis::Client::open(url).expect("an address");
        let mut connection = client.get_multiplexed_async_connection().await.expect("connected");
        let endless =
            redis::cmd("EVAL").arg("while true do end").arg(0).query_async::<()>(&mut connection).await;
        endless.expect_err("killed")
    });
    let is_busy = async {
        loop {
            match engine.check().await {
                Err(RedisFault::Answered(error)) if error.code() == Some("BUSY") => break,
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    soon("being busy", is_busy).await;
    assert!(refusal(&node).await.contains("busy"));
    server.tell(&["SCRIPT", "KILL"]).await;
    busy.await.expect("no panic");
    ready(&node).await;
    publish_until_taken(&node, "a", "2").await;
    let gone = Engine::append(&engine, submission(), None).await;
    assert!(matches!(gone, Err(AppendError::Refused(_))), "nobody follows it: {gone:?}");
}

fn submission() -> fanfare_hub::Submission {
    fanfare_hub::Submission {
        topics: [crate::support::topic("a")].into(),
        private: false,
        chosen_id: None,
        draft: fanfare_wire::Draft::new(&Event::new("x"), 24),
    }
}
