//! What tells of presence: in the one order of the log, on every node, and once although several nodes say it.

use std::time::Duration;

use fanfare_hub::engine::{AppendError, Appended, Engine};
use fanfare_hub::{Grant, Hub, IdempotencyKey, Matcher, Publication, PublishError, Subscription};
use fanfare_wire::Event;
use tokio::sync::mpsc;

use crate::server::{self, Server, options};
use crate::support::{events, gap, hub, id, next_data, publish, ready, soon, topic};

const THERE: &str = "/there/";

pub fn of(who: &str, what: &str) -> Publication {
    Publication::to([topic(&format!("{THERE}{who}"))]).private(Event::new(what.to_owned()))
}

/// Reads all presence, and one topic besides.
pub fn watch(hub: &Hub, after: &str) -> Subscription {
    let all = Grant::from_iter([Matcher::any()]);
    hub.subscribe_with(Matcher::any(), &all).bookmarks(false).after(id(after))
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_stands_in_the_one_order_as_it_was_handed_in_and_every_node_tells_it() {
    let server = Server::start();
    let (one, other) = (hub(options(&server)).await, hub(options(&server)).await);
    let first = publish(&one, "a", "before").await;
    // No more than a hub keeps of presence in memory.
    let handed_in: Vec<_> = (0..900).map(|number| one.announce(of("x", &number.to_string()))).collect();
    let mut ids = Vec::new();
    for (number, answer) in (0..).zip(handed_in) {
        let announced = soon("announcing", answer).await.expect("announced");
        assert_eq!(announced.position, first.position + 1 + number);
        ids.push(announced.id);
    }
    publish(&other, "a", "behind").await;
    for node in [&one, &other] {
        let mut subscription = watch(node, first.id.as_str());
        let told = events(&mut subscription, 901).await;
        let (data, told): (Vec<_>, Vec<_>) = told.into_iter().unzip();
        assert_eq!(data[..900], (0..900).map(|number| number.to_string()).collect::<Vec<_>>());
        assert_eq!(data[900], "behind");
        assert_eq!(told[..900], ids, "as they were answered");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_of_presence_is_still_there_for_a_node_that_starts_later() {
    let server = Server::start();
    let one = hub(options(&server)).await;
    for number in 0..20 {
        soon("announcing", one.announce(of("x", &number.to_string()))).await.expect("announced");
    }
    // It has none of it in memory, or all.
    for warm in [0, 100] {
        let late = hub(options(&server).warm_events(warm)).await;
        let mut subscription = watch(&late, "earliest");
        let expected: Vec<_> = (0..20).map(|number| number.to_string()).collect();
        assert_eq!(next_data(&mut subscription, 20).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_that_is_void_is_a_gap_to_those_who_read_it() {
    let server = Server::start();
    let one = hub(options(&server)).await;
    one.begin_presence(THERE).await.expect("begun");
    let seen = soon("announcing", one.announce(of("x", "1"))).await.expect("announced");
    // What a hub says that begins over this log.
    let late = hub(options(&server)).await;
    late.begin_presence(THERE).await.expect("begun");
    soon("announcing", late.announce(of("y", "2"))).await.expect("announced");
    for node in [&one, &late] {
        let mut reader = watch(node, seen.id.as_str());
        gap(&mut reader).await;
        assert_eq!(next_data(&mut reader, 1).await, ["2"]);
        let mut other = node.subscribe("a").bookmarks(false).after(seen.id.clone());
        publish(node, "a", "3").await;
        assert_eq!(next_data(&mut other, 1).await, ["3"], "no gap for who reads no presence");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_nodes_say_under_one_key_is_stored_once() {
    let server = Server::start();
    let (one, other) = (hub(options(&server)).await, hub(options(&server)).await);
    let first = publish(&one, "a", "before").await;
    let said = |what: &str| of("x", what).idempotency_key(IdempotencyKey::new("gone x"));
    let (left, right) = tokio::join!(one.announce(said("gone")), other.announce(said("gone")));
    let (left, right) = (left.expect("announced"), right.expect("announced"));
    assert_eq!((left.position, &left.id), (right.position, &right.id));
    assert_ne!(left.duplicate, right.duplicate);
    assert!(matches!(other.announce(said("something else")).await, Err(PublishError::KeyReused)));
    // It is no key of a publication's.
    let publication = Publication::to([topic("a")]).event(Event::new("behind"));
    one.publish_all(publication.idempotency_key(IdempotencyKey::new("gone x"))).await.expect("published");
    let mut subscription = watch(&one, first.id.as_str());
    assert_eq!(next_data(&mut subscription, 2).await, ["gone", "behind"]);
}

/// What a node hears, for whoever waits for it.
pub fn listening(hub: &Hub) -> mpsc::UnboundedReceiver<Vec<u8>> {
    let (pass_on, words) = mpsc::unbounded_channel();
    let peers = hub.peers().expect("nodes share this log");
    peers.listen(Box::new(move |word| pass_on.send(word.to_vec()).is_ok()));
    words
}

/// Says a word until it is heard, for nobody knows from when on somebody listens.
pub async fn say_until_heard(hub: &Hub, word: &[u8], words: &mut mpsc::UnboundedReceiver<Vec<u8>>) {
    let peers = hub.peers().expect("nodes share this log");
    let heard = async {
        loop {
            peers.say(word.to_vec());
            let wait = tokio::time::timeout(Duration::from_millis(50), words.recv()).await;
            if wait.is_ok_and(|heard| heard.expect("it goes on") == word) {
                return;
            }
        }
    };
    soon("being heard", heard).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_hear_each_other_and_themselves_beside_the_log_and_again_when_the_server_is_back() {
    let mut server = Server::start();
    let (one, other) = (hub(options(&server)).await, hub(options(&server)).await);
    let mut heard = [listening(&one), listening(&other)];
    for words in &mut heard {
        say_until_heard(&one, b"first", words).await;
    }
    server.kill();
    server.go_on();
    for words in &mut heard {
        say_until_heard(&other, b"second", words).await;
    }
    assert_eq!(soon("the log", one.bounds()).await.expect("bounds").next, 1, "nothing of it is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_presence_is_refused_when_too_much_of_it_waits() {
    let server = Server::start();
    let log = std::sync::Arc::new(server::connect(options(&server)).await);
    let hub = Hub::builder().engine(log.clone()).build().expect("a hub");
    ready(&hub).await;
    let flood =
        |engine: &server::Engine| (0..40_000).map(|_| engine.announce(None, None)).collect::<Vec<_>>();
    let mut stored: Vec<Appended> = Vec::new();
    let mut refused = 0;
    for answer in flood(&log) {
        match soon("announcing", answer).await {
            Ok(appended) => stored.push(appended),
            Err(AppendError::Refused(_)) => refused += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(refused > 0 && stored.len() >= 16_384, "{} stored, {refused} refused", stored.len());
    assert!(stored.windows(2).all(|pair| pair[0].position < pair[1].position), "in order");
}

/// Goal: what waits for room does not keep from being heard what would give it back.
#[tokio::test(flavor = "multi_thread")]
async fn more_presence_than_may_be_on_its_way_at_once_is_stored_bit_by_bit() {
    let server = Server::start();
    let one = hub(options(&server)).await;
    let large = "x".repeat(250 * 1024);
    let handed_in: Vec<_> = (0..600).map(|_| one.announce(of("x", &large))).collect();
    for (answer, position) in handed_in.into_iter().zip(1..) {
        assert_eq!(soon("announcing", answer).await.expect("announced").position, position);
    }
}
