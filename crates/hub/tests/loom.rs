//! The lock, the doorbell and the seam between replay and live, in every interleaving that loom finds.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p fanfare-hub --test loom`. The types are the
//! shipped ones; only the lock is loom's.
#![cfg(loom)]

mod support;

use std::sync::Arc;
use std::task::Wake;

use fanfare_hub::{
    Batch, Crowd, Delivery, Due, Framing, Hub, IdempotencyKey, Look, Member, Publication, Subscription, Topic,
};
use fanfare_wire::{Event, EventId, Sum};
use futures_util::{FutureExt, StreamExt};
use loom::future::block_on;
use loom::sync::Notify;
use loom::thread;
use support::shelf::{Answers, Shelf};
use support::topic;

fn hub() -> Hub {
    Hub::builder().history_events(8).build().expect("a hub")
}

fn publish(hub: &Hub, topic: &'static str, text: &'static str) -> EventId {
    block_on(hub.publish(topic, Event::new(text))).expect("published").id
}

/// The positions of the next `count` events; waits for them.
fn positions(mut subscription: Subscription, count: usize) -> Vec<u64> {
    block_on(async {
        let mut positions = Vec::new();
        while positions.len() < count {
            match subscription.next().await {
                Some(Ok(Delivery::Event(entry))) => positions.push(entry.position()),
                other => panic!("expected an event, got {other:?}"),
            }
        }
        positions
    })
}

/// Explores interleavings in which a thread is pre-empted at most three times, which is where such bugs show.
fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// P2.
#[test]
fn an_event_that_arrives_while_a_subscriber_goes_to_sleep_wakes_it() {
    explore(|| {
        let hub = hub();
        let subscription = hub.subscribe("a").bookmarks(false);
        let publisher = thread::spawn(move || publish(&hub, "a", "1"));
        assert_eq!(positions(subscription, 1), [1]);
        publisher.join().expect("published");
    });
}

/// P1, P3.
#[test]
fn two_publishers_at_once_are_read_in_one_order_without_gap_or_repetition() {
    explore(|| {
        let hub = hub();
        let subscription = hub.subscribe("a").bookmarks(false);
        let publishers = ["1", "2"].map(|text| {
            let hub = hub.clone();
            thread::spawn(move || publish(&hub, "a", text))
        });
        assert_eq!(positions(subscription, 2), [1, 2]);
        for publisher in publishers {
            publisher.join().expect("published");
        }
    });
}

/// P3: looking a key up and remembering it must be one step.
#[test]
fn of_two_attempts_at_once_with_one_key_one_is_stored() {
    explore(|| {
        let hub = hub();
        let attempts = [(); 2].map(|()| {
            let hub = hub.clone();
            thread::spawn(move || {
                let publication =
                    Publication::to([Topic::parse("a").expect("a topic")]).event(Event::new("once"));
                let publication = publication.idempotency_key(IdempotencyKey::new("order 41"));
                block_on(hub.publish_all(publication)).expect("published")
            })
        });
        let [one, other] = attempts.map(|attempt| attempt.join().expect("published"));
        assert_eq!((one.position, &one.id), (1, &other.id));
        assert_ne!(one.duplicate, other.duplicate);
        assert_eq!(hub.counts().publications, 1);
    });
}

/// P2, P3: the seam between what is replayed and what is live.
#[test]
fn an_event_published_while_a_client_resumes_arrives_exactly_once_m066_m138() {
    explore(|| {
        let hub = hub();
        let cursor = publish(&hub, "a", "1");
        publish(&hub, "a", "2");
        let publisher = {
            let hub = hub.clone();
            thread::spawn(move || publish(&hub, "a", "3"))
        };
        let subscription = hub.subscribe("a").bookmarks(false).after(cursor);
        assert_eq!(positions(subscription, 2), [2, 3]);
        publisher.join().expect("published");
    });
}

/// P5: leaving is no matter of anybody else's.
#[test]
fn a_subscriber_that_leaves_while_an_event_arrives_disturbs_nobody() {
    explore(|| {
        let hub = hub();
        let stays = hub.subscribe("a").bookmarks(false);
        let leaves = hub.subscribe("a").bookmarks(false);
        let leaver = thread::spawn(move || drop(leaves));
        let publisher = {
            let hub = hub.clone();
            thread::spawn(move || publish(&hub, "a", "1"))
        };
        assert_eq!(positions(stays, 1), [1]);
        leaver.join().expect("left");
        publisher.join().expect("published");
        assert_eq!(hub.counts().subscribers, 0);
    });
}

#[test]
fn closing_the_hub_wakes_who_waits() {
    explore(|| {
        let hub = hub();
        let mut subscription = hub.subscribe("a").bookmarks(false);
        let closer = thread::spawn(move || hub.close());
        assert!(block_on(subscription.next()).is_none());
        closer.join().expect("closed");
    });
}

/// The bell of a crowd, for a thread that sleeps until it rings.
struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

fn member(hub: &Hub, crowd: &mut Crowd, topic: &'static str) -> Member {
    let mut subscription = hub.subscribe(topic).bookmarks(false);
    assert!(subscription.next().now_or_never().is_none());
    crowd.admit_as(subscription, Framing::Bare, 0).expect("it is live")
}

/// What one thread reads for its members until `count` events have come: it looks at those alone whose group has news,
/// and sleeps when none has.
fn read(crowd: &mut Crowd, bell: &Bell, members: &mut [Member], count: usize) -> Vec<String> {
    let (mut batch, mut news, mut all) = (Batch::new(), Vec::new(), Vec::new());
    while all.len() < count {
        crowd.news(&mut news);
        if news.is_empty() {
            bell.0.wait();
            continue;
        }
        for member in members.iter_mut().filter(|member| news.contains(&member.group())) {
            let due = crowd.read(&mut batch).due(member, Look::News);
            let Due::Write(share) = due else { panic!("news of nothing: {due:?}") };
            let bytes = batch.bytes(&share);
            let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
            all.extend(text.lines().filter_map(|line| line.strip_prefix("data: ")).map(str::to_owned));
            let written = bytes.len();
            crowd.wrote(&batch, member, &share, written, &mut Sum::default());
        }
    }
    all
}

/// P1, P2, P3: the doorbell between a publisher and the thread that reads for many.
#[test]
fn a_crowd_that_goes_to_sleep_while_events_arrive_is_woken_for_them() {
    explore(|| {
        let hub = hub();
        let bell = Arc::new(Bell(Notify::new()));
        let mut crowd = hub.crowd(bell.clone().into());
        let mut members = [member(&hub, &mut crowd, "a")];
        let publisher = thread::spawn({
            let hub = hub.clone();
            move || {
                publish(&hub, "a", "1");
                publish(&hub, "a", "2");
            }
        });
        assert_eq!(read(&mut crowd, &bell, &mut members, 2), ["1", "2"]);
        publisher.join().expect("published");
        members.into_iter().for_each(|member| crowd.leave(member));
    });
}

/// P2, P3: a group forgets its news with its last member, and nobody else's.
#[test]
fn members_that_come_and_go_while_an_event_arrives_take_no_news_with_them() {
    explore(|| {
        let hub = hub();
        let bell = Arc::new(Bell(Notify::new()));
        let mut crowd = hub.crowd(bell.clone().into());
        let leaves = member(&hub, &mut crowd, "a");
        let mut stays = [member(&hub, &mut crowd, "b")];
        let publisher = thread::spawn({
            let hub = hub.clone();
            move || {
                publish(&hub, "a", "1");
                publish(&hub, "b", "2");
            }
        });
        crowd.leave(leaves);
        assert_eq!(read(&mut crowd, &bell, &mut stays, 1), ["2"]);
        publisher.join().expect("published");
        stays.into_iter().for_each(|member| crowd.leave(member));
        assert_eq!(hub.counts().subscribers, 0);
    });
}

/// P2: an engine that answers while the load that asked it is still being put down, and one of two who wait for it leaves.
#[test]
fn who_waits_for_a_page_is_woken_whenever_the_engine_answers() {
    explore(|| {
        let shelf = Shelf::of([vec![topic("a")]], 1, Answers::WhenTold, false);
        let hub = Hub::builder().engine(shelf.clone()).build().expect("a hub");
        let behind_nothing = || hub.subscribe("a").bookmarks(false).after(Shelf::id_of(0));
        let (stays, mut leaves) = (behind_nothing(), behind_nothing());
        let engine = thread::spawn(move || {
            while !shelf.answer(0) {
                thread::yield_now();
            }
        });
        let other = thread::spawn(move || drop(leaves.next().now_or_never()));
        assert_eq!(positions(stays, 1), [1]);
        engine.join().expect("answered");
        other.join().expect("left");
    });
}
