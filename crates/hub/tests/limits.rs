//! What the hub refuses, and that refusing costs nobody else anything.

mod support;

use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "uri-template")]
use fanfare_hub::SubscribeError;
use fanfare_hub::{BuildError, Health, Hub, IdempotencyKey, Publication, PublishError};
use fanfare_wire::Event;
use support::toy::{NextAnswer, Toy};
use support::{TestClock, now, topic};

#[test]
fn every_setting_is_checked_when_the_hub_is_built() {
    assert!(matches!(Hub::builder().history_events(0).build(), Err(BuildError::NoHistory)));
    assert!(matches!(Hub::builder().gap_event("a\nb").build(), Err(BuildError::EventName { .. })));
    assert!(matches!(Hub::builder().close_event("").build(), Err(BuildError::EventName { .. })));
}

#[test]
fn a_key_that_was_used_for_another_publication_is_refused() {
    let hub = Hub::builder().build().expect("a hub");
    let attempt = |key: &str, to: &str, data: &'static str| {
        let publication = Publication::to([topic(to)]).event(Event::new(data));
        now(hub.publish_all(publication.idempotency_key(IdempotencyKey::new(key))))
    };
    assert!(attempt("order 41", "a", "paid").is_ok());
    for (to, data) in [("a", "refunded"), ("b", "paid")] {
        let error = attempt("order 41", to, data).expect_err("a refusal");
        assert!(matches!(error, PublishError::KeyReused));
        assert_eq!(error.to_string(), "the idempotency key was used before for another publication");
    }
    assert!(attempt("order 42", "a", "refunded").is_ok());
    assert_eq!(hub.counts().publications, 2);
}

#[test]
fn keys_are_remembered_within_the_limits_of_count_and_age() {
    let clock = Arc::new(TestClock::default());
    let hub =
        Hub::builder().clock(clock.clone()).idempotency_keys(2).idempotency_age(Duration::from_secs(60));
    let hub = hub.build().expect("a hub");
    let is_duplicate = |key: &str| {
        let publication = Publication::to([topic("a")]).event(Event::new("x"));
        let publication = publication.idempotency_key(IdempotencyKey::new(key));
        now(hub.publish_all(publication)).expect("published").duplicate
    };
    assert_eq!(["1", "2", "1", "3", "2", "1"].map(is_duplicate), [false, false, true, false, true, false]);
    clock.advance(Duration::from_secs(59));
    assert!(is_duplicate("1"));
    clock.advance(Duration::from_secs(1));
    assert!(!is_duplicate("1"));
}

/// P4: who publishes learns whether it was not stored, or nobody knows.
#[test]
fn a_refusal_and_not_knowing_are_told_apart() {
    let toy = Toy::new(Arc::new(TestClock::default()));
    let hub = Hub::builder().engine(toy.clone()).build().expect("a hub");
    let publish = || {
        futures_util::FutureExt::now_or_never(async {
            // The toy answers at the second asking.
            let mut attempt = std::pin::pin!(hub.publish("a", Event::new("x")));
            assert!(futures_util::poll!(attempt.as_mut()).is_pending());
            attempt.await
        })
    };
    toy.answer_next(NextAnswer::Refused);
    assert!(matches!(publish(), Some(Err(PublishError::NotStored(_)))));
    toy.answer_next(NextAnswer::UnknownLost);
    assert!(matches!(publish(), Some(Err(PublishError::MaybeStored(_)))));
    toy.stall();
    assert!(matches!(hub.health(), Health::Stalled(_)));
    toy.recover();
    assert!(matches!(hub.health(), Health::Ready));
}

/// Handlers move their streams between threads.
#[test]
fn hubs_and_subscriptions_can_be_sent_between_threads() {
    fn sendable<T: Send>(_: &T) {}
    let hub = Hub::builder().build().expect("a hub");
    sendable(&hub.subscribe("a"));
    sendable(&hub);
    sendable(&hub.publish("a", Event::new("x")));
}

/// P5: each pattern may cost every publication something, so subscribers may not bring any number of them.
#[cfg(feature = "uri-template")]
#[test]
fn a_hub_refuses_patterns_beyond_its_limit_and_takes_those_that_it_knows_m049() {
    let hub = Hub::builder().patterns_max(2).build().expect("a hub");
    let subscribe = |names: &[&str]| {
        let template = |name: &&str| fanfare_hub::Matcher::topic_selector(format!("{name}/{{id}}"));
        let matchers = names.iter().map(|name| template(name).expect("a template"));
        hub.subscribe(matchers.collect::<fanfare_hub::Selection>())
    };
    let both = subscribe(&["a", "b"]);
    assert!(now(subscribe(&["b"]).opened()).is_ok());
    let refused = now(subscribe(&["a", "c"]).opened()).map(|_| ());
    assert!(matches!(refused, Err(SubscribeError::TooManyPatterns { limit: 2 })));
    assert!(now(hub.subscribe("c/1").opened()).is_ok());
    drop(both);
    assert!(now(subscribe(&["a", "c"]).opened()).is_ok());
}
