//! What the hub refuses, and that refusing costs nobody else anything.

mod support;

use std::sync::Arc;
use std::time::Duration;

use fanfare_hub::{
    BuildError, Grant, Health, Hub, IdempotencyKey, Matcher, Publication, PublishError, Selection,
    SubscribeError, Subscription, Topic,
};
use fanfare_wire::Event;
#[cfg(feature = "urlpattern")]
use futures_core::Stream as _;
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

/// Twenty topics of a thousand bytes.
fn long_topics(name: &str) -> Vec<Matcher> {
    let topic = |number| Matcher::exact(format!("{name}/{number}/{}", "x".repeat(990))).expect("a topic");
    (10..30).map(topic).collect()
}

fn opened(mut subscription: Subscription) -> Result<Subscription, SubscribeError> {
    now(subscription.opened()).map(|_| ()).map(|()| subscription)
}

/// P5: a subscriber may name very many long topics, so what all of them name is bounded together.
#[test]
fn a_hub_refuses_selections_beyond_its_limit_in_bytes_and_counts_what_several_ask_for_once() {
    let hub = Hub::builder().selections_bytes_max(100_000).build().expect("a hub");
    let ask = |names: &[&str]| {
        opened(hub.subscribe(names.iter().flat_map(|name| long_topics(name)).collect::<Selection>()))
    };
    let bytes = || hub.counts().selections_bytes;
    let first = ask(&["a"]).expect("room");
    let of_one = bytes();
    assert!((20_000..25_000).contains(&of_one), "{of_one}");
    let same: Vec<_> = (0..100).map(|_| ask(&["a"]).expect("no room is needed")).collect();
    assert_eq!(bytes(), of_one);

    let two = ask(&["a", "b"]).expect("room for what is new of it");
    assert!(bytes() < 2 * of_one + 2_000, "{}", bytes());
    let three = ask(&["c"]).expect("room");
    // Strangers leave a fourth of it to others.
    let refused = ask(&["d"]).map(|_| ());
    assert!(matches!(refused, Err(SubscribeError::SelectionsTooLarge { limit: 75_000 })), "{refused:?}");
    assert_eq!(hub.counts().subscribers_refused, 1);
    let grant = Grant::from_iter([Matcher::exact("d").expect("a topic")]);
    let guest = opened(hub.subscribe_with(long_topics("d").into_iter().collect::<Selection>(), &grant));
    let guest = guest.expect("room for who has a grant");
    let refused = ask(&["a", "c"]).map(|_| ());
    assert!(matches!(refused, Err(SubscribeError::SelectionsTooLarge { .. })), "{refused:?}");
    drop(ask(&["a"]).expect("it is there"));

    drop((three, two, guest));
    assert_eq!(bytes(), of_one);
    assert!(ask(&["c", "d"]).is_ok());
    drop((first, same));
    assert_eq!(bytes(), 0);
}

/// P5: a token may name as much.
#[test]
fn what_is_granted_counts_too_also_when_it_changes() {
    let hub = Hub::builder().selections_bytes_max(50_000).build().expect("a hub");
    let grant = |names: &[&str]| names.iter().flat_map(|name| long_topics(name)).collect::<Grant>();
    let subscription = opened(hub.subscribe("a").grant(&grant(&["a", "b"]))).expect("room");
    let of_two = hub.counts().selections_bytes;
    assert!((40_000..50_000).contains(&of_two), "{of_two}");
    let refused = opened(hub.subscribe_with("a", &grant(&["c"]))).map(|_| ());
    assert!(matches!(refused, Err(SubscribeError::SelectionsTooLarge { limit: 50_000 })), "{refused:?}");
    let subscription = subscription.grant(&Grant::nothing());
    assert!(hub.counts().selections_bytes < 1_000);
    drop(subscription);
    assert_eq!(hub.counts().selections_bytes, 0);
}

#[test]
fn what_the_hub_asks_itself_for_is_taken_without_room() {
    let hub = Hub::builder().selections_bytes_max(0).build().expect("a hub");
    let own = Matcher::from(Topic::internal("own"));
    assert!(opened(hub.subscribe_with(own.clone(), &Grant::from_iter([own]))).is_ok());
    assert!(opened(hub.subscribe("a")).is_err());
}

#[test]
fn what_others_keep_for_subscribers_counts_with_what_the_hub_keeps() {
    let hub = Hub::builder().selections_bytes_max(1_000).build().expect("a hub");
    let charge = hub.charge(750, &Grant::nothing()).expect("room");
    assert_eq!(hub.counts().selections_bytes, 750);
    assert!(hub.charge(1, &Grant::nothing()).is_err() && opened(hub.subscribe("a")).is_err());
    assert!(hub.charge(usize::MAX, &Grant::everything()).is_err());
    let more = hub.charge(250, &Grant::everything()).expect("room for who has a grant");
    drop((charge, more));
    assert!(opened(hub.subscribe("a")).is_ok());
    assert_eq!((hub.counts().selections_bytes, hub.counts().subscribers_refused), (0, 3));
    let kept = hub.charge(1, &Grant::nothing()).expect("room");
    drop(hub);
    drop(kept);
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

/// P5.
#[cfg(feature = "uri-template")]
#[test]
fn strangers_cannot_take_all_the_room_for_patterns() {
    let hub = Hub::builder().patterns_max(4).build().expect("a hub");
    let template =
        |name: &str| fanfare_hub::Matcher::topic_selector(format!("{name}/{{id}}")).expect("a template");
    let _strangers = ["a", "b", "c"].map(|name| opened(hub.subscribe(template(name))).expect("room"));
    let refused = opened(hub.subscribe(template("d"))).map(|_| ());
    assert!(matches!(refused, Err(SubscribeError::TooManyPatterns { limit: 3 })), "{refused:?}");
    let grant = fanfare_hub::Grant::from_iter([template("d")]);
    let _guest = opened(hub.subscribe_with(template("d"), &grant)).expect("room");
    let refused = opened(hub.subscribe_with(template("e"), &grant)).map(|_| ());
    assert!(matches!(refused, Err(SubscribeError::TooManyPatterns { limit: 4 })), "{refused:?}");
}

/// P5: a publication is held against all patterns that the same literals find, so these are bounded by themselves.
#[cfg(feature = "urlpattern")]
#[test]
fn a_hub_refuses_patterns_that_the_same_literals_find_beyond_its_limit_and_takes_others_m049() {
    let hub = Hub::builder().patterns_alike_max(3).build().expect("a hub");
    let pattern =
        |text: &str| fanfare_hub::Matcher::url_pattern(text, "https://hub.test/").expect("a pattern");
    let subscribe = |texts: &[&str]| {
        hub.subscribe(texts.iter().map(|text| pattern(text)).collect::<fanfare_hub::Selection>())
    };
    let opens = |texts: &[&str]| match now(subscribe(texts).opened()) {
        Ok(_) => true,
        Err(SubscribeError::PatternsTooAlike { limit: 3 }) => false,
        Err(error) => panic!("{error} for {texts:?}"),
    };
    let two = subscribe(&["/:a/:b", "/:c/:d"]);
    assert!(opens(&["/:e/:f"]));
    assert!(opens(&["/:a/:b", "/:c/:d", "/:e/:f"]), "two of them are known");
    assert!(!opens(&["/:e/:f", "/:g/:h"]), "those that come together count together");
    assert!(opens(&["/:a/1/:b", "/:a/2/:b", "/users/:id", "/users/:id/x", "/:a/x"]), "others are found");
    assert_eq!((hub.counts().patterns, hub.counts().patterns_unfound), (2, 2));

    // What takes longer to evaluate counts for more.
    let large = format!("/:a({})", "x?".repeat(60));
    assert!(pattern(&large).memory_bytes() > 2_048);
    assert!(!opens(&[&large]));
    // A grant is held against private events.
    let grant = fanfare_hub::Grant::from_iter([pattern("/:e/:f"), pattern("/:g/:h")]);
    let refused = now(hub.subscribe("x").grant(&grant).opened()).map(|_| ());
    assert!(matches!(refused, Err(SubscribeError::PatternsTooAlike { limit: 3 })), "{refused:?}");
    drop(two);
    assert!(opens(&["/:e/:f", "/:g/:h"]));
    assert_eq!((hub.counts().patterns, hub.counts().patterns_unfound), (0, 0));
}

/// P5: whoever knows a topic can have patterns found by each of its beginnings, so what takes long is bounded in all, too.
#[cfg(feature = "urlpattern")]
#[test]
fn what_all_patterns_take_to_evaluate_is_bounded_whatever_finds_them_m049() {
    let hub = Hub::builder().patterns_alike_max(400).build().expect("a hub");
    let subscribe_to = |hub: &Hub, text: &str| {
        let pattern = fanfare_hub::Matcher::url_pattern(text, "https://hub.test/").expect("a pattern");
        let mut subscription = hub.subscribe(pattern);
        now(subscription.opened()).map(|_| ()).map(|()| subscription)
    };
    let subscribe = |text: &str| subscribe_to(&hub, text);
    let many = (0..1_000).map(|n| subscribe(&format!("/{n}/:a({})", "x?".repeat(200))));
    let taken: Vec<_> = many.map_while(Result::ok).collect();
    assert!((5..200).contains(&taken.len()), "{} were taken", taken.len());
    let refused = subscribe(&format!("/x/:a({})", "x?".repeat(200))).map(|_| ());
    assert!(matches!(refused, Err(SubscribeError::PatternsTooCostly)), "{refused:?}");
    assert!(subscribe("/x/:a").is_ok(), "an ordinary one weighs nothing");
    drop(taken);
    assert!(subscribe(&format!("/x/:a({})", "x?".repeat(200))).is_ok());
    // Each of so many wildcards may go through all of a topic.
    let hub = Hub::builder().patterns_alike_max(50).build().expect("a hub");
    let chain = subscribe_to(&hub, &format!("https://*/{}#q", "*".repeat(4_000))).map(|_| ());
    assert!(matches!(chain, Err(SubscribeError::PatternsTooAlike { .. })), "{chain:?}");
}

/// P5: with segments of its own in its midst a pattern costs those publications alone that have them.
#[cfg(feature = "urlpattern")]
#[test]
fn patterns_are_found_by_whole_segments_wherever_these_stand() {
    let hub = Hub::builder().build().expect("a hub");
    let pattern =
        |text: String| fanfare_hub::Matcher::url_pattern(text, "https://hub.test/").expect("a pattern");
    let _many: Vec<_> = (0..2_000)
        .flat_map(|n| [format!("/*/{n}/*"), format!("/:lang(en|de)/users/{n}/:page(\\d+)")])
        .map(|text| {
            let mut subscription = hub.subscribe(pattern(text));
            now(subscription.opened()).expect("room");
            subscription
        })
        .collect();
    now(hub.publish("/en/users/7/42", fanfare_wire::Event::new("x"))).expect("published");
    assert_eq!(hub.counts().pattern_evaluations, 2);
    assert_eq!(hub.counts().patterns_unfound, 0);
}

/// M-049: what many matchers may cost to compile, they may cost together.
#[cfg(all(feature = "urlpattern", feature = "uri-template"))]
#[test]
fn matchers_that_share_a_budget_are_refused_when_it_is_spent_and_cost_the_same_when_they_are_kept_m049() {
    use fanfare_hub::{CompileBudget, Matcher, MatcherError};
    const HUB: &str = "https://hub.test/";
    let compile = |text: &str, budget: &mut CompileBudget| Matcher::url_pattern_within(text, HUB, budget);
    let expression = "/:a(\\w+)";
    let kept = Matcher::url_pattern(expression, HUB).expect("a pattern");

    let limit = 200;
    let (mut compiling, mut charging) =
        (CompileBudget::new(limit, usize::MAX), CompileBudget::new(limit, usize::MAX));
    let compiled = (0..1_000).take_while(|_| compile(expression, &mut compiling).is_ok()).count();
    assert_eq!((0..1_000).take_while(|_| charging.charge(&kept).is_ok()).count(), compiled);
    assert!((1..100).contains(&compiled), "{compiled}");
    assert_eq!(compile(expression, &mut compiling), Err(MatcherError::TooMuchWork { limit }));
    assert_eq!(charging.charge(&kept), Err(MatcherError::TooMuchWork { limit }));

    let bytes = kept.memory_bytes() + 10;
    let mut budget = CompileBudget::new(usize::MAX, bytes);
    assert!(compile(expression, &mut budget).is_ok());
    assert_eq!(compile("/b", &mut budget), Err(MatcherError::TooManyBytes { limit: bytes }));
    let mut budget = CompileBudget::new(50, usize::MAX);
    let template = Matcher::topic_selector_within("/{a}/{b}", &mut budget);
    assert_eq!(template, Err(MatcherError::TooMuchWork { limit: 50 }));
    assert!(Matcher::topic_selector_within("/a", &mut budget).is_ok());
}

/// P5: whoever searches what is old by a costly pattern lets go of the hub before long.
#[cfg(feature = "urlpattern")]
#[test]
fn a_costly_pattern_searches_few_entries_at_a_time() {
    let hub = Hub::builder().build().expect("a hub");
    let topic = format!("https://hub.test/{}", "a".repeat(400));
    for _ in 0..100 {
        now(hub.publish(topic.as_str(), fanfare_wire::Event::new("x"))).expect("published");
    }
    let costly = fanfare_hub::Matcher::url_pattern("*://*:*/((?:[^Z]?){400}Zx)", "https://hub.test/");
    let earliest = fanfare_wire::EventId::from_static("earliest");
    let mut subscription = hub.subscribe(costly.expect("a pattern")).after(earliest).bookmarks(false);
    now(subscription.opened()).expect("room");
    let before = hub.counts().pattern_evaluations;
    let mut poll = || {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(std::pin::Pin::new(&mut subscription).poll_next(&mut context).is_pending());
        hub.counts().pattern_evaluations - before
    };
    assert!((1..=5).contains(&poll()));
    while poll() < 100 {}
}
