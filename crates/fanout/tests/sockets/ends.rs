//! How streams end, and that a seat in the hub is given back however they do.

use std::net::Shutdown;
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use fanfare_fanout::{Ended, Fanout, Settings, Terms};
use fanfare_hub::SubscriptionKey;

use super::support::{Client, Got, House, block_on, house, hub, send, settings, shut};

#[test]
fn a_client_that_closes_is_gone_at_once() {
    let house = house();
    let clients = [house.subscribe("a").served(), house.subscribe("a").served()];
    drop(clients);
    block_on(house.fanout.emptied());
    assert_eq!(house.hub.counts().subscribers, 0);
    assert_eq!(house.fanout.counts().ended(Ended::ByClient), 2);
}

#[test]
fn a_client_that_closes_its_side_is_gone_and_its_body_breaks_off() {
    let house = house();
    let [mut chunked, mut bare] = [house.subscribe("a").served(), house.subscribe("a").served()];
    for client in [&chunked, &bare] {
        shut(client, Shutdown::Write);
    }
    assert_eq!((chunked.next(), bare.next()), (Got::Broken, Got::End));
    house.until_subscribers(0);
}

#[test]
fn one_client_s_end_touches_nobody_else() {
    let house = house();
    let mut stays = house.subscribe("a").served();
    for number in 0..50 {
        let leaves = house.subscribe("a").served();
        house.publish("a", &number.to_string());
        drop(leaves);
    }
    assert_eq!(stays.events(50), (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn a_closed_hub_ends_streams_behind_what_was_published_before() {
    let house = house();
    let mut clients: Vec<_> = (0..10).map(|_| house.subscribe("a")).collect();
    house.publish("a", "last");
    house.hub.close();
    for client in &mut clients {
        assert_eq!(client.next_event(), "last");
        assert_eq!(client.next(), Got::End);
    }
    assert_eq!(house.fanout.counts().ended(Ended::ByHub), 10);
}

#[test]
fn a_drain_sends_everybody_away_in_order_and_whoever_comes_later() {
    let house = house();
    let mut early: Vec<_> = (0..10).map(|_| house.subscribe("a").served()).collect();
    house.publish("a", "last");
    for client in &mut early {
        assert_eq!(client.next_event(), "last");
    }
    house.fanout.drain(Duration::from_millis(500));
    let late = house.subscribe("a");
    for mut client in early.into_iter().chain([late]) {
        assert_eq!(client.next(), Got::Retry);
        assert_eq!(client.next(), Got::End);
    }
    block_on(house.fanout.emptied());
    assert_eq!(house.fanout.counts().ended(Ended::Drained), 11);
    assert_eq!(house.hub.counts().subscribers, 0);
}

/// P7.
#[test]
fn a_stream_ends_when_its_time_is_over() {
    let house = house();
    let terms = Terms { ends_at: Some(Instant::now()), ..Terms::default() };
    let mut client = house.adopt(house.hub.subscribe("a").bookmarks(false), terms);
    assert_eq!(client.next(), Got::Retry);
    assert_eq!(client.next(), Got::End);
    assert_eq!(house.fanout.counts().ended(Ended::Expired), 1);
}

/// P7: the wall clock was set past the end of what may be read, which by the other one is far away; or back.
#[test]
fn a_stream_ends_by_whichever_of_the_two_clocks_comes_first() {
    let (hour, now) = (Duration::from_secs(3_600), SystemTime::now());
    let far = Instant::now() + hour;
    for (ends_at, expires_at) in
        [(far, now - Duration::from_secs(1)), (far, now - hour), (Instant::now(), now + hour)]
    {
        let house = house();
        let terms = Terms { ends_at: Some(ends_at), expires_at: Some(expires_at), ..Terms::default() };
        let mut client = house.adopt(house.hub.subscribe("a").bookmarks(false), terms);
        assert_eq!(client.next(), Got::Retry);
        assert_eq!(client.next(), Got::End);
        assert_eq!(house.fanout.counts().ended(Ended::Expired), 1);
    }
}

/// P7: not even what was published before the end, and had not gone out.
#[test]
fn nothing_is_written_to_a_stream_whose_time_is_over() {
    let house = house();
    let first = house.publish("a", "first");
    house.publish("a", "too late");
    let terms = Terms { ends_at: Instant::now().checked_sub(Duration::from_secs(1)), ..Terms::default() };
    let mut client = house.adopt(house.hub.subscribe("a").after(first).bookmarks(false), terms);
    assert_eq!(client.next(), Got::Retry);
    assert_eq!(client.next(), Got::End);
}

/// A stream that can be ended by the key that comes with it.
fn keyed(house: &House, topic: &str) -> (Client, SubscriptionKey) {
    let subscription = house.hub.subscribe(topic).bookmarks(false).on_end(|| ());
    let key = subscription.key().unwrap();
    (house.adopt(subscription, Terms::default()), key)
}

#[test]
fn streams_are_ended_by_their_keys_and_nobody_else_s_p7() {
    let house = House::new(hub().build().unwrap(), &Settings { workers: None, ..settings() });
    let mut ended: Vec<_> = (0..10).map(|_| keyed(&house, "a")).collect();
    let mut others: Vec<_> = (0..10).map(|_| keyed(&house, "a").0).collect();
    others.push(house.subscribe("a"));
    house.publish("a", "before");
    for client in ended.iter_mut().map(|(client, _)| client).chain(&mut others) {
        assert_eq!(client.next_event(), "before");
    }
    house.fanout.end(&house.hub, ended.iter().map(|(_, key)| *key));
    for (client, _) in &mut ended {
        assert_eq!((client.next(), client.next()), (Got::Retry, Got::End));
    }
    house.until_subscribers(11);
    house.publish("a", "after");
    for client in &mut others {
        assert_eq!(client.next_event(), "after");
    }
    assert_eq!(house.fanout.counts().ended(Ended::Expired), 10);
}

#[test]
fn a_stream_that_was_adopted_a_moment_ago_is_ended_too_p7() {
    let house = house();
    let (mut client, key) = keyed(&house, "a");
    house.fanout.end(&house.hub, [key]);
    assert_eq!((client.next(), client.next()), (Got::Retry, Got::End));
}

#[test]
fn a_key_of_one_hub_ends_nobody_at_another_p7() {
    let house = house();
    let other = hub().build().unwrap();
    let (mut client, key) = keyed(&house, "a");
    assert_eq!(other.subscribe("a").on_end(|| ()).key(), Some(key));
    house.fanout.end(&other, [key]);
    house.publish("a", "still there");
    assert_eq!(client.next_event(), "still there");
}

/// P7: what it was sent and has not taken is what may not be read any more.
#[test]
fn who_cannot_take_its_end_is_reset_although_it_was_leaving_in_order_p7() {
    for is_draining in [false, true] {
        let house = house();
        let (mut client, key) = keyed(&house, "a");
        while house.fanout.counts().full == 0 {
            house.publish("a", &"x".repeat(100 * 1024));
            std::thread::yield_now();
        }
        if is_draining {
            house.fanout.drain(Duration::ZERO);
        }
        house.fanout.end(&house.hub, [key]);
        house.until_subscribers(0);
        let last = std::iter::from_fn(|| Some(client.next())).find(|got| !matches!(got, Got::Event { .. }));
        assert_eq!(last, Some(Got::Broken));
        assert_eq!(house.fanout.counts().ended(Ended::Expired), 1);
    }
}

#[test]
fn what_a_client_sends_is_thrown_away_up_to_a_bound_and_beyond_it_the_connection() {
    let house = House::new(hub().build().unwrap(), &Settings { input_bytes_max: 10_000, ..settings() });
    let mut client = house.subscribe("a").served();
    send(&mut client, &[b'x'; 10_000]).unwrap();
    house.publish("a", "still there");
    assert_eq!(client.next_event(), "still there");
    send(&mut client, b"x").unwrap();
    assert_eq!(client.next(), Got::Broken);
    assert_eq!(house.fanout.counts().ended(Ended::TooMuchInput), 1);
}

#[test]
fn all_can_be_cut() {
    let house = house();
    let mut clients: Vec<_> = (0..10).map(|_| house.subscribe("a").served()).collect();
    house.fanout.cut_all();
    for client in &mut clients {
        assert_eq!(client.next(), Got::Broken);
    }
    block_on(house.fanout.emptied());
    assert_eq!((house.hub.counts().subscribers, house.fanout.counts().ended(Ended::Cut)), (0, 10));
}

#[test]
fn with_the_last_handle_all_is_cut() {
    let house = house();
    let mut client = house.subscribe("a").served();
    let House { hub, fanout, .. } = house;
    drop(fanout);
    assert_eq!(client.next(), Got::Broken);
    super::support::until(|| hub.counts().subscribers == 0);
}

#[test]
fn a_fan_out_without_connections_does_not_keep_a_hub() {
    struct Told(std::sync::mpsc::Sender<()>);
    impl fanfare_hub::Clock for Told {
        fn now(&self) -> std::time::SystemTime {
            std::time::SystemTime::UNIX_EPOCH
        }
    }
    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (told, hears) = std::sync::mpsc::channel();
    let House { hub, fanout, .. } = {
        let house = House::new(hub().clock(Told(told)).build().unwrap(), &settings());
        drop(house.subscribe("a").served());
        block_on(house.fanout.emptied());
        house
    };
    drop(hub);
    hears.recv_timeout(Duration::from_secs(60)).expect("the hub is gone");
    drop(fanout);
}

#[test]
fn a_subscription_that_was_refused_ends_with_its_head() {
    let house = House::new(hub().subscribers_max(1).build().unwrap(), &settings());
    let _first = house.subscribe("a").served();
    let mut second = house.subscribe("a").served();
    assert_eq!(second.next(), Got::End);
}

#[test]
fn as_many_workers_as_asked_for_share_the_connections() {
    let settings = Settings { workers: std::num::NonZeroUsize::new(3), ..Settings::default() };
    let house = House::new(hub().build().unwrap(), &settings);
    let mut clients: Vec<_> = (0..30).map(|_| house.subscribe("a").served()).collect();
    for number in 0..20 {
        house.publish("a", &number.to_string());
    }
    for client in &mut clients {
        assert_eq!(client.events(20), (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
    }
    let listed = block_on(house.fanout.subscribers(100));
    assert_eq!(listed.len(), 30);
    let another: &Fanout = &house.fanout.clone();
    assert_eq!(another.counts().adopted, 30);
}

/// A client that says what it does with its stream, and how the stream then ends.
fn check_that_the_end_is_told(
    settings: &Settings,
    terms: Terms,
    end: impl FnOnce(&House, Client),
    how: Ended,
) {
    let house = House::new(hub().build().unwrap(), settings);
    let (tell, told) = mpsc::channel();
    let subscription = house.hub.subscribe("a").bookmarks(false).on_end(move || tell.send(()).unwrap());
    let client = house.adopt(subscription, terms);
    end(&house, client);
    told.recv_timeout(Duration::from_secs(60)).expect("the end is told");
    block_on(house.fanout.emptied());
    assert_eq!(house.fanout.counts().ended(how), 1);
    assert!(told.try_recv().is_err(), "the end was told twice");
}

#[test]
fn however_a_stream_ends_that_is_told_once() {
    let keep = || Terms::default();
    check_that_the_end_is_told(&settings(), keep(), |_, client| drop(client.served()), Ended::ByClient);
    let close = |house: &House, client: Client| {
        kept_open(client.served());
        house.hub.close();
    };
    check_that_the_end_is_told(&settings(), keep(), close, Ended::ByHub);
    let drain = |house: &House, client: Client| {
        kept_open(client.served());
        house.fanout.drain(Duration::ZERO);
    };
    check_that_the_end_is_told(&settings(), keep(), drain, Ended::Drained);
    let terms = Terms { ends_at: Some(Instant::now()), ..keep() };
    check_that_the_end_is_told(&settings(), terms, |_, client| kept_open(client), Ended::Expired);
}

/// M-152: of a peer that is gone without a word the kernel takes bytes until its buffer is full, and then nobody does.
#[test]
fn the_end_of_a_peer_that_is_gone_without_a_word_is_told() {
    let settings = Settings { write_timeout: Duration::from_millis(500), ..settings() };
    let fill = |house: &House, client: Client| {
        kept_open(client.served());
        super::slow::fill(house);
    };
    check_that_the_end_is_told(&settings, Terms::default(), fill, Ended::WriteTimeout);
}

/// Leaves the connection as it is until the test program ends.
fn kept_open(client: Client) {
    std::mem::forget(client);
}
