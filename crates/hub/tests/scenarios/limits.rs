//! Who is refused, and how everybody's stream ends: P3.

use fanfare_hub::{Health, Hub, IdempotencyKey, Publication, PublishError, SubscribeError, TopicError};
use fanfare_wire::Event;

use super::reader::{read, rest};
use super::support::{assert_ended, assert_failed, assert_waiting, next_event, now, ready_data, topic};

#[test]
fn a_text_that_is_no_topic_is_told_by_the_first_item() {
    let hub = Hub::builder().build().expect("a hub");
    let mut subscription = read(hub.subscribe("two\nlines"));
    assert_failed(&mut subscription, |error| {
        matches!(error, SubscribeError::Topic(TopicError::Forbidden { character: '\n' }))
    });
    assert!(matches!(now(hub.publish("", Event::new("x"))), Err(PublishError::Topic(TopicError::Empty))));
    assert_eq!(hub.counts().publications, 0);
}

#[test]
fn a_full_hub_refuses_until_somebody_leaves() {
    let hub = Hub::builder().subscribers_max(1).build().expect("a hub");
    let mut first = read(hub.subscribe("a").bookmarks(false));
    assert_waiting(&mut first);
    let mut refused = read(hub.subscribe("a"));
    assert_failed(&mut refused, |error| matches!(error, SubscribeError::HubFull { limit: 1 }));
    assert_eq!(hub.counts().subscribers_refused, 1);
    drop(first);
    rest();
    let mut next = read(hub.subscribe("a").bookmarks(false));
    now(hub.publish("a", Event::new("x"))).expect("published");
    assert_eq!(ready_data(&mut next), ["x"]);
}

#[test]
fn a_closed_hub_hands_out_what_it_has_and_ends() {
    let hub = Hub::builder().build().expect("a hub");
    let mut subscription = read(hub.subscribe("a").bookmarks(false));
    now(hub.publish("a", Event::new("last"))).expect("published");
    hub.close();
    next_event(&mut subscription);
    assert_ended(&mut subscription);
    assert_ended(&mut subscription);
    assert!(matches!(now(read(hub.subscribe("a")).opened()), Err(SubscribeError::Closed)));
    assert!(matches!(hub.health(), Health::Closed));
}

/// P3: one publication, however often it is tried.
#[test]
fn a_publication_tried_again_with_its_key_is_stored_once() {
    let hub = Hub::builder().build().expect("a hub");
    let mut subscription = read(hub.subscribe("a").bookmarks(false));
    let attempt = || {
        let publication = Publication::to([topic("a")]).event(Event::new("once"));
        now(hub.publish_all(publication.idempotency_key(IdempotencyKey::new("order 41")))).expect("published")
    };
    let (first, second) = (attempt(), attempt());
    assert!(!first.duplicate && second.duplicate);
    assert_eq!(first.id, second.id);
    assert_eq!(ready_data(&mut subscription), ["once"]);
    let counts = hub.counts();
    assert_eq!((counts.publications, counts.publications_duplicate), (1, 1));
}
