//! What the hub tells itself reaches nobody else, live or replayed, whatever they ask for and may read (P7).

use std::task::Waker;

use fanfare_hub::{Due, Framing, Grant, Hub, Look, Matcher, Publication, Selection, Subscription, Topic};
use fanfare_wire::Event;

use super::reader::read;
use super::support::{assert_waiting, id, now, ready_data, topic};

fn internal() -> Topic {
    Topic::internal("x")
}

fn hub() -> Hub {
    Hub::builder().build().expect("a hub")
}

/// Publishes one event for everybody, one that is private, and one that is the hub's own.
fn publish(hub: &Hub) {
    let private = Publication::to([topic("a")]).private(Event::new("private"));
    now(hub.publish("a", Event::new("public"))).expect("published");
    now(hub.publish_all(private)).expect("published");
    // It is private although nobody says so.
    now(hub.publish(internal(), Event::new("internal"))).expect("published");
}

/// Everything that can be asked for, and everything that others can be granted.
#[allow(unused_mut)] // Without patterns nothing is added.
fn widest() -> Vec<Matcher> {
    let mut matchers = vec![Matcher::any()];
    #[cfg(feature = "urlpattern")]
    for text in ["/*", "/x", "/:any", "https://hub.test/*", "*://*/*"] {
        matchers.push(Matcher::url_pattern(text, "https://hub.test/").expect("a pattern"));
    }
    #[cfg(feature = "uri-template")]
    for text in ["{any}", "{+any}", "{+any}x"] {
        matchers.push(Matcher::topic_selector(text).expect("a template"));
    }
    matchers
}

/// Each of them as what is asked for and as what may be read, and all together.
fn terms() -> Vec<(Selection, Grant)> {
    let each = widest();
    let mut terms = vec![(Selection::from_iter(each.clone()), Grant::from_iter(each.clone()))];
    for asked in &each {
        for granted in &each {
            terms.push((asked.clone().into(), Grant::from_iter([granted.clone()])));
        }
    }
    // Without `*`, which swallows the patterns.
    terms.push((Selection::from_iter(each[1..].to_vec()), Grant::from_iter(each[1..].to_vec())));
    // Somebody in process who names it and was not granted it.
    terms.push((internal().into(), Grant::everything()));
    terms
}

fn own(hub: &Hub) -> Subscription {
    let grant = Grant::from_iter([Matcher::from(internal())]);
    hub.subscribe(internal()).grant(&grant).bookmarks(false)
}

fn check(data: &[String], terms: &(Selection, Grant)) {
    assert!(data.iter().all(|data| data != "internal"), "{terms:?}: {data:?}");
}

#[test]
fn nobody_is_sent_what_is_internal_while_it_happens_p7() {
    let hub = hub();
    let mut others: Vec<_> = terms()
        .into_iter()
        .map(|terms| (read(hub.subscribe(terms.0.clone()).grant(&terms.1).bookmarks(false)), terms))
        .collect();
    let mut own = own(&hub);
    for (subscription, _) in &mut others {
        assert_waiting(subscription);
    }
    publish(&hub);
    assert_eq!(ready_data(&mut own), ["internal"]);
    let (first, _) = &mut others[0];
    assert_eq!(ready_data(first), ["public", "private"], "the others get what is theirs");
    for (subscription, terms) in &mut others[1..] {
        check(&ready_data(subscription), terms);
    }
}

#[test]
fn nobody_is_sent_what_is_internal_from_the_log_p7() {
    let hub = hub();
    publish(&hub);
    for terms in terms() {
        let subscription = hub.subscribe(terms.0.clone()).grant(&terms.1).bookmarks(false);
        check(&ready_data(&mut read(subscription.after(id("earliest")))), &terms);
    }
    assert_eq!(ready_data(&mut own(&hub).after(id("earliest"))), ["internal"]);
}

#[test]
fn no_member_of_a_crowd_is_due_what_is_internal_p7() {
    let hub = hub();
    let mut crowd = hub.crowd(Waker::noop().clone());
    let mut members = Vec::new();
    for terms in terms() {
        let mut subscription = hub.subscribe(terms.0).grant(&terms.1).bookmarks(false);
        assert_waiting(&mut subscription);
        if let Ok(member) = crowd.admit_as(subscription, Framing::Bare, 0) {
            members.push(member);
        }
    }
    now(hub.publish(internal(), Event::new("internal"))).expect("published");
    let mut batch = fanfare_hub::Batch::new();
    for member in &mut members {
        let due = crowd.read(&mut batch).due(member, Look::News);
        assert!(matches!(due, Due::Nothing), "{due:?}");
    }
    for member in members {
        crowd.leave(member);
    }
}

#[test]
fn a_grant_of_everything_may_hold_what_is_internal_besides_p7() {
    let hub = hub();
    let grant = Grant::from_iter([Matcher::any(), Matcher::from(internal())]);
    let mut all = read(hub.subscribe(Matcher::any()).grant(&grant).bookmarks(false));
    publish(&hub);
    assert_eq!(ready_data(&mut all), ["public", "private", "internal"]);
}

#[test]
fn what_the_hub_asks_itself_for_takes_nobody_s_place() {
    let hub = Hub::builder().subscribers_max(1).build().expect("a hub");
    let subscriber = hub.subscribe("a");
    let own = own(&hub);
    publish(&hub);
    assert_eq!(hub.counts().subscribers, 1);
    let mut crowd = hub.crowd(Waker::noop().clone());
    let mut own = crowd.admit_as(own, Framing::Bare, 0).expect_err("nobody who is counted");
    assert_eq!(ready_data(&mut own), ["internal"]);
    drop(own);
    assert_eq!(hub.counts().subscribers, 1);
    drop(subscriber);
    assert_eq!(hub.counts().subscribers, 0);
}
