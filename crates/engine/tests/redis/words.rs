//! What is Redis' own about presence and about what nodes say to each other: its scripts, its channels and its connections.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use fanfare_engine::RedisEngine;
use fanfare_hub::IdempotencyKey;
use fanfare_hub::engine::KeyLimits;
use fanfare_wire::Event;

use crate::presence::{listening, of, say_until_heard, watch};
use crate::server::{Server, options};
use crate::support::{hub, next_data, publish, soon, to};

#[tokio::test(flavor = "multi_thread")]
async fn presence_keeps_its_order_when_redis_has_forgotten_the_script() {
    let server = Server::start();
    let node = hub(options(&server)).await;
    let first = publish(&node, "a", "before").await;
    let mut answers = Vec::new();
    for number in 0..900 {
        answers.push(node.announce(of("x", &number.to_string())));
        // Once: what is refused because it was flushed again would be handed in again, by its hub.
        if number == 300 {
            server.tell(&["SCRIPT", "FLUSH"]).await;
        }
    }
    for answer in answers {
        soon("announcing", answer).await.expect("announced");
    }
    let expected: Vec<_> = (0..900).map(|number| number.to_string()).collect();
    assert_eq!(next_data(&mut watch(&node, first.id.as_str()), 900).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_presence_displace_none_of_a_publication_s() {
    let server = Server::start();
    let node = hub(options(&server).idempotency(KeyLimits { count: 3, ..KeyLimits::default() })).await;
    let publication = || to("a", Event::new("1")).idempotency_key(IdempotencyKey::new("1"));
    let first = soon("publishing", node.publish_all(publication())).await.expect("published");
    for number in 0..50 {
        let gone = of("x", "gone").idempotency_key(IdempotencyKey::new(format!("gone {number}")));
        soon("announcing", node.announce(gone)).await.expect("announced");
    }
    let again = soon("publishing", node.publish_all(publication())).await.expect("published");
    assert_eq!((again.position, again.duplicate), (first.position, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn hubs_of_another_name_or_in_another_database_hear_nothing() {
    let server = Server::start();
    let one = hub(options(&server)).await;
    let there = hub(RedisEngine::options(format!("{}/2", server.url()))).await;
    for other in [hub(options(&server).hub("other")).await, there] {
        let (mut here, mut other_s) = (listening(&one), listening(&other));
        say_until_heard(&other, b"first", &mut other_s).await;
        say_until_heard(&one, b"of one", &mut here).await;
        // What was said before would have come before.
        other.peers().expect("peers").say(b"last".to_vec());
        let mut heard = Vec::new();
        while heard.last().is_none_or(|word| word != b"last") {
            heard.push(soon("a word", other_s.recv()).await.expect("it goes on"));
        }
        assert!(!heard.contains(&b"of one".to_vec()), "{heard:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_does_so_again_when_the_connection_was_closed() {
    let server = Server::start();
    let node = hub(options(&server)).await;
    let mut words = listening(&node);
    say_until_heard(&node, b"first", &mut words).await;
    assert_eq!(server.tell(&["CLIENT", "KILL", "TYPE", "pubsub"]).await, "int(1)");
    say_until_heard(&node, b"second", &mut words).await;
}

/// A connection that is open at both ends and brings nothing: what a machine on the way leaves that forgot it.
#[tokio::test(flavor = "multi_thread")]
async fn who_listens_on_a_connection_that_brings_nothing_any_more_does_so_on_another() {
    let server = Server::start();
    let between = Between::start(server.address);
    let other = hub(options(&server)).await;
    let node = hub(RedisEngine::options(format!("redis://{}", between.address))).await;
    let mut words = listening(&node);
    say_until_heard(&other, b"first", &mut words).await;
    between.forget();
    say_until_heard(&other, b"second", &mut words).await;
    publish(&other, "a", "1").await;
    soon("what comes after it", async {
        while node.bounds().await.map_or(0, |bounds| bounds.next) != 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// What stands between a hub and its server, and forgets its connections.
struct Between {
    address: SocketAddr,
    forgotten: Arc<AtomicUsize>,
    begun: Arc<AtomicUsize>,
}

impl Between {
    fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (forgotten, begun) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (forgets, counts) = (forgotten.clone(), begun.clone());
        std::thread::spawn(move || {
            while let Ok((near, _)) = listener.accept() {
                let number = counts.fetch_add(1, SeqCst);
                let Ok(far) = TcpStream::connect(server) else { return };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
                    let forgets = forgets.clone();
                    std::thread::spawn(move || pass_on(from, to, || forgets.load(SeqCst) > number));
                }
            }
        });
        Self { address, forgotten, begun }
    }

    /// Nothing passes any more on the connections that there are. New ones are as they were.
    fn forget(&self) {
        self.forgotten.store(self.begun.load(SeqCst), SeqCst);
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, is_forgotten: impl Fn() -> bool) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        if !is_forgotten() && to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    if !is_forgotten() {
        let _ = to.shutdown(Shutdown::Write);
    }
}
