//! Active subscriptions as the hub and the crowd see them: every coming and going once, and nothing left behind.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use common::socket::{Client, Server};
use common::{Answer, HUB, PATIENCE, send, until};
use fanfare_engine::DiskEngine;
use fanfare_engine::disk::Durability;
use fanfare_http::{Access, Authorize, ConnectionLimits, Denied, Drain, Mercure, Payloads, Rights, Role};
use fanfare_hub::{Delivery, Entry, Grant, Hub, Matcher, Subscription, SubscriptionHandle};
use fanfare_stream::Sse;
use fanfare_wire::Event;
use futures_util::StreamExt;
use http::request::Parts;
use http::{Method, Request};
use serde_json::json;
use tower::ServiceExt;

fn mercure(hub: &Hub) -> Mercure {
    Mercure::new(hub.clone()).subscriptions(true)
}

/// Everybody may read the same, and of everybody the same is said.
struct Everybody(Rights);

impl Authorize for Everybody {
    fn authorize<'a>(&'a self, _: &'a Parts, _: Role) -> fanfare_http::Answer<'a, Result<Rights, Denied>> {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }
}

fn may_read(grant: Grant) -> Access {
    Access::by(Everybody(Rights::nothing().read(grant)))
}

/// Everybody may read everything, and of everybody the same is said.
fn open(mercure: &Mercure) -> Router {
    let payloads = Payloads::default()
        .detail([Matcher::exact("b").unwrap()], None)
        .detail([Matcher::any()], Some(json!({"desk": "north"})));
    let everything = Rights::nothing().read(Grant::everything()).payloads(payloads);
    mercure.clone().access(Access::by(Everybody(everything))).router()
}

fn house() -> (Hub, Router, Server) {
    let hub = common::hub();
    let app = open(&mercure(&hub));
    let server = Server::start(app.clone(), ConnectionLimits::default(), Drain::new());
    (hub, app, server)
}

#[tokio::test]
async fn nobody_subscribes_with_a_matcher_that_cannot_be_told_of_m144() {
    let (hub, app, _server) = house();
    let ask = |path: String| {
        let query = format!("{HUB}?match_urlpattern={}", path.replace('/', "%2F"));
        send(&app, Request::get(query).body(Body::empty()).unwrap())
    };
    let answer = ask(format!("https://shop.test/41{{{}}}%3F", "/a".repeat(1_200))).await;
    assert_eq!((answer.status.as_u16(), hub.counts().subscribers), (400, 0), "{}", answer.text);
    assert!(answer.text.starts_with("The matcher of "), "{}", answer.text);
    let silent = Mercure::new(hub.clone()).access(Access::open()).router();
    let query = format!("{HUB}?match={}", "a".repeat(4_090));
    assert_eq!(send(&silent, Request::head(query).body(Body::empty()).unwrap()).await.status, 200);
}

/// Reads all there is of presence, from before the first on.
fn watch(hub: &Hub) -> Subscription {
    hub.subscribe(Matcher::any()).grant(&Grant::everything()).bookmarks(false)
}

/// The frame of the next event, without its id.
async fn told(watch: &mut Subscription) -> String {
    let next = tokio::time::timeout(PATIENCE, watch.next()).await.expect("an event comes");
    let Some(Ok(Delivery::Event(entry))) = next else { panic!("no event: {next:?}") };
    assert!(entry.is_private() && entry.topics().len() == 1);
    let frame = String::from_utf8(entry.frame().as_bytes().to_vec()).unwrap();
    let frame = frame.split_once('\n').unwrap().1.to_owned();
    assert!(frame.contains(&format!(r#""id":"{}""#, entry.topics()[0].as_str())), "{frame}");
    frame
}

/// A client that subscribes, once its stream has begun.
async fn subscribed(server: &Server, query: &str) -> Client {
    let mut client = server.connect().await;
    client.request(&format!("{HUB}?{query}")).await;
    client.until("\r\n\r\n").await;
    client
}

async fn ask(app: &Router, below: &str) -> Answer {
    ask_with(app, Method::GET, below, &[]).await
}

async fn ask_with(app: &Router, method: Method, below: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(format!("{HUB}/subscriptions{below}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(app, request.body(Body::empty()).unwrap()).await
}

fn subscriber_of(frame: &str) -> String {
    let (_, rest) = frame.split_once(r#""subscriber":""#).unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

#[tokio::test]
async fn each_matcher_is_announced_when_a_connection_comes_and_when_it_is_gone_m144_m147_m151() {
    let (hub, _, server) = house();
    let mut watch = watch(&hub);
    let client = subscribed(&server, "match=a&match_urlpattern=%2Fb%2F%3Aid&match_exact=b&match=a").await;
    let came = [told(&mut watch).await, told(&mut watch).await, told(&mut watch).await];
    let subscriber = subscriber_of(&came[0]);
    assert!(subscriber.starts_with("urn:uuid:"));
    let encoded = subscriber.replace(':', "%3A");
    let event = |kind: &str, path: &str, text: &str, active: bool, payload: &str| {
        format!(
            "event: mercure\ndata: {{\"id\":\"{HUB}/subscriptions/{kind}/{path}/{encoded}\",\"type\":\"subscription\",\"match_type\":\"{kind}\",\"match\":\"{text}\",\"subscriber\":\"{subscriber}\",\"active\":{active}{payload}}}\n\n"
        )
    };
    let payload = r#","payload":{"desk":"north"}"#;
    let expected = |active| {
        [
            event("exact", "a", "a", active, payload),
            event("urlpattern", "%2Fb%2F%3Aid", "/b/:id", active, payload),
            event("exact", "b", "b", active, ""),
        ]
    };
    assert_eq!(came, expected(true));
    drop(client);
    let gone = [told(&mut watch).await, told(&mut watch).await, told(&mut watch).await];
    assert_eq!(gone, expected(false));
}

#[tokio::test]
async fn who_asked_by_topic_is_announced_in_the_older_shape_without_a_name_m203_m206() {
    let (hub, app, server) = house();
    let mut watch = watch(&hub);
    let client = subscribed(&server, "topic=%2Fb%2F%7Bid%7D").await;
    let came = told(&mut watch).await;
    let path = format!("{HUB}/subscriptions/%2Fb%2F%7Bid%7D");
    let start = format!("data: {{\"@context\":\"https://mercure.rocks/\",\"id\":\"{path}/urn%3Auuid%3A");
    assert!(came.starts_with(&start), "{came}");
    assert!(came.contains(r#""type":"Subscription","topic":"/b/{id}","subscriber":"urn:uuid:"#), "{came}");

    let list = ask(&app, "/%2Fb%2F%7Bid%7D").await;
    assert_eq!(
        (list.status.as_u16(), &list.headers["content-type"]),
        (200, &"application/ld+json".parse().unwrap())
    );
    assert!(list.text.starts_with(&format!("{{\"@context\":\"https://mercure.rocks/\",\"id\":\"{path}\",\"type\":\"Subscriptions\",\"lastEventID\":\"#1")));
    assert_eq!(list.text.matches("@context").count(), 1);
    let encoded = subscriber_of(&came).replace(':', "%3A");
    let one = ask(&app, &format!("/%2Fb%2F%7Bid%7D/{encoded}")).await;
    assert!(
        one.text.contains("\"active\":true,\"payload\":{\"desk\":\"north\"},\"lastEventID\":\"#1"),
        "{}",
        one.text
    );
    // One path lists either shape.
    assert!(ask(&app, "").await.text.ends_with("\"subscriptions\":[]}"));
    let older = ask_with(&app, Method::GET, "", &[("accept", "application/ld+json")]).await;
    assert!(
        older.text.contains("\"type\":\"Subscriptions\"") && older.text.contains("\"topic\":\"/b/{id}\"")
    );

    drop(client);
    assert!(told(&mut watch).await.contains("\"active\":false"));
    assert_eq!(ask(&app, &format!("/%2Fb%2F%7Bid%7D/{encoded}")).await.status, 404);
}

#[tokio::test]
async fn what_is_listed_is_what_was_announced_m157_m158_m159_m160() {
    let (hub, app, server) = house();
    let mut watch = watch(&hub);
    let _clients = [subscribed(&server, "match=a").await, subscribed(&server, "match=a&match=b").await];
    let mut came = Vec::new();
    for _ in 0..3 {
        came.push(told(&mut watch).await);
    }
    let documents: Vec<_> =
        came.iter().map(|frame| frame.strip_prefix("event: mercure\ndata: ").unwrap().trim_end()).collect();
    let list = |path: &str, all: &[&str]| {
        format!(
            "{{\"id\":\"{HUB}/subscriptions{path}\",\"type\":\"subscriptions\",\"subscriptions\":[{}]}}",
            all.join(",")
        )
    };
    let all = ask(&app, "").await;
    assert_eq!(all.text, list("", &documents));
    assert_eq!(ask(&app, "/exact/a").await.text, list("/exact/a", &documents[..2]));
    assert_eq!(ask(&app, "/exact/nothing").await.text, list("/exact/nothing", &[]));
    let encoded = subscriber_of(&came[2]).replace(':', "%3A");
    let one = ask(&app, &format!("/exact/b/{encoded}")).await;
    assert_eq!((one.status.as_u16(), one.text.as_str()), (200, documents[2]));
    assert_eq!(ask(&app, "/exact/b/urn%3Auuid%3A5a8f2f0e-91c9-4a86-bb5b-6f0f5f8f6d02").await.status, 404);
    assert_eq!(ask(&app, &format!("/exact/c/{encoded}")).await.status, 404);

    let bookmark = hub.bookmark().unwrap();
    let link = format!(
        "<http://localhost{HUB}>; rel=\"mercure\"; last-event-id=\"{}\"; type=\"mercure\"; content-type=\"application/json\"",
        bookmark.as_str()
    );
    for answer in [&all, &one] {
        assert_eq!(answer.headers["link"], link);
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(answer.headers["etag"], format!("\"{}\"", bookmark.as_str()));
        assert!(answer.headers["cache-control"].to_str().unwrap().contains("must-revalidate"));
    }
    let tag = format!("\"{}\"", bookmark.as_str());
    let again = ask_with(&app, Method::GET, "", &[("if-none-match", &tag)]).await;
    assert_eq!(
        (again.status.as_u16(), again.text.as_str(), &again.headers["etag"]),
        (304, "", &all.headers["etag"])
    );
    hub.publish("a", Event::new("x")).await.unwrap();
    assert_eq!(ask_with(&app, Method::GET, "", &[("if-none-match", &tag)]).await.status, 200);
}

#[tokio::test]
async fn who_reads_on_from_a_list_hears_of_all_that_changes() {
    let (hub, app, server) = house();
    let mut watch = watch(&hub);
    let client = subscribed(&server, "match=a").await;
    let came = told(&mut watch).await;
    let listed = ask(&app, "").await;
    assert!(listed.text.contains(&subscriber_of(&came)));
    let tag = listed.headers["etag"].to_str().unwrap().trim_matches('"').to_owned();
    drop(client);
    assert!(told(&mut watch).await.contains("\"active\":false"));
    let after = fanfare_wire::EventId::parse(tag).unwrap();
    let mut reader = hub.subscribe(Matcher::any()).grant(&Grant::everything()).after(after).bookmarks(false);
    let gone = told(&mut reader).await;
    assert!(gone.contains("\"active\":false") && subscriber_of(&gone) == subscriber_of(&came));
}

#[tokio::test]
async fn a_list_is_for_those_whose_grant_covers_its_path_m155_m161() {
    let hub = common::hub();
    let mercure = mercure(&hub);
    let anonymous = mercure.router();
    assert_eq!(ask(&anonymous, "").await.status, 401);
    let list = format!("{HUB}/subscriptions/exact/:m");
    let grant = Matcher::url_pattern(list, &format!("http://localhost{HUB}")).unwrap();
    let narrow = mercure.clone().access(may_read([grant].into_iter().collect())).router();
    assert_eq!(ask(&narrow, "/exact/a%2Fb").await.status, 200);
    assert_eq!(ask(&narrow, "/exact/a%2Fb?x=1").await.status, 200);
    for path in ["", "/urlpattern/a", "/exact/a/b"] {
        assert_eq!(ask(&narrow, path).await.status, 403, "{path}");
    }
    let open = open(&mercure);
    for (path, status) in
        [("/regexp/a/s", 400), ("/exact/%zz", 400), ("/exact/a/b/c", 404), ("/exact/a/b", 404)]
    {
        assert_eq!(ask(&open, path).await.status, status, "{path}");
    }
    let head = ask_with(&open, Method::HEAD, "", &[]).await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
    assert!(head.headers.contains_key("link"));
    for method in [Method::POST, Method::DELETE, Method::from_bytes(b"QUERY").unwrap()] {
        let answer = ask_with(&open, method, "", &[]).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.headers["allow"]),
            (405, &"GET, HEAD, OPTIONS".parse().unwrap())
        );
    }
    assert_eq!(ask_with(&open, Method::OPTIONS, "", &[]).await.status, 204);
    // Off, there is nothing.
    let off = Mercure::new(hub.clone()).access(may_read(Grant::everything())).router();
    assert_eq!(ask(&off, "").await.status, 404);
}

#[tokio::test]
async fn a_grant_is_about_the_whole_path_where_the_routes_are_nested() {
    let hub = common::hub();
    let url = url::Url::parse("http://localhost/app/events").unwrap();
    let inner = url::Url::parse("http://localhost/events").unwrap();
    let grant: Grant = [Matcher::exact("/app/events/subscriptions").unwrap()].into_iter().collect();
    let nested =
        Router::new().nest("/app", mercure(&hub).hub_url(inner).access(may_read(grant.clone())).router());
    let get = |path: &str| Request::get(path.to_owned()).body(Body::empty()).unwrap();
    // It takes itself to be elsewhere, so nothing is here.
    assert_eq!(send(&nested, get("/app/events/subscriptions")).await.status, 404);
    let whole = mercure(&hub).hub_url(url).access(may_read(grant)).router();
    assert_eq!(send(&whole, get("/app/events/subscriptions")).await.status, 200);
}

#[tokio::test]
async fn a_head_and_a_refused_subscriber_are_announced_to_nobody() {
    let hub = Hub::builder().subscribers_max(1).build().unwrap();
    let app = open(&mercure(&hub));
    let head = Request::head(format!("{HUB}?match=a")).body(Body::empty()).unwrap();
    assert_eq!(send(&app, head).await.status, 200);
    let _watch = watch(&hub);
    assert_eq!(common::get(&app, "match=a").await.status, 503);
    assert_eq!((hub.counts().announcements, hub.counts().log_next), (0, 1));
}

/// P5: what is listed of a subscriber is its own, whoever asks for the same.
#[tokio::test]
async fn what_is_listed_of_subscribers_counts_with_what_they_ask_for_until_they_have_gone() {
    let hub = Hub::builder().selections_bytes_max(100_000).build().unwrap();
    let app = open(&mercure(&hub));
    let query =
        (0..10).map(|number| format!("match={number}{}", "x".repeat(1_000))).collect::<Vec<_>>().join("&");
    let before = hub.counts().selections_bytes;
    let mut streams = Vec::new();
    let refused = loop {
        let answer =
            app.clone().oneshot(common::subscription(&query).body(Body::empty()).unwrap()).await.unwrap();
        if answer.status() != 200 {
            break answer;
        }
        streams.push(answer);
    };
    assert_eq!(refused.status(), 503);
    assert!((5..10).contains(&streams.len()), "{} were taken", streams.len());
    let head = Request::head(format!("{HUB}?{query}")).body(Body::empty()).unwrap();
    assert_eq!(send(&app, head).await.status, 200, "of a HEAD nothing is listed");
    drop(streams);
    until(|| hub.counts().selections_bytes == before).await;
}

#[tokio::test]
async fn a_drain_ends_subscriptions_too() {
    let (hub, app, server) = house();
    let mut watch = watch(&hub);
    let _client = subscribed(&server, "match=a").await;
    assert!(told(&mut watch).await.contains("\"active\":true"));
    server.drain.begin(Duration::ZERO);
    assert!(told(&mut watch).await.contains("\"active\":false"));
    assert!(ask(&app, "").await.text.ends_with("\"subscriptions\":[]}"));
}

/// The storm: everybody comes back at once, and goes again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_come_and_go_at_once_and_nothing_is_left_of_them_but_the_history_m142() {
    const CLIENTS: usize = 2_000;
    let hub = Hub::builder().history_events(500).build().unwrap();
    let app = open(&mercure(&hub));
    let server = Server::start(app.clone(), ConnectionLimits::default(), Drain::new());
    let first = hub.publish("news", Event::new("first")).await.unwrap().id;
    for number in 0..400 {
        hub.publish("news", Event::new(number.to_string())).await.unwrap();
    }
    // It keeps up, so it is told of each.
    let watching = {
        let mut watch = watch(&hub);
        tokio::spawn(async move {
            let (mut there, mut ends) = (BTreeSet::new(), 0);
            while ends < CLIENTS {
                let Some(Ok(delivery)) = watch.next().await else { panic!("it ended") };
                // Who falls behind presence is told so, and counts no further.
                let Delivery::Event(entry) = delivery else { return None };
                let frame = String::from_utf8(entry.frame().as_bytes().to_vec()).unwrap();
                let subscriber = subscriber_of(&frame);
                if frame.contains("\"active\":true") {
                    assert!(there.insert(subscriber), "it came twice");
                } else {
                    assert!(there.remove(&subscriber), "it went before it came");
                    ends += 1;
                }
            }
            Some(there.len())
        })
    };
    let mut clients = Vec::with_capacity(CLIENTS);
    for _ in 0..CLIENTS {
        let mut client = server.connect().await;
        client.request(&format!("{HUB}?match=rooms%2F1")).await;
        clients.push(client);
    }
    for client in &mut clients {
        client.until("\r\n\r\n").await;
    }
    let until_listed = async |count: usize| {
        let listed = async || ask(&app, "/exact/rooms%2F1").await.text.matches("\"active\":true").count();
        let waiting = async {
            while listed().await != count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("all are listed");
    };
    until_listed(CLIENTS).await;
    drop(clients);
    until_listed(0).await;
    until(|| hub.counts().announcements >= 2 * CLIENTS as u64).await;
    assert_eq!(hub.counts().announcements, 2 * CLIENTS as u64);
    let left = tokio::time::timeout(PATIENCE, watching).await.expect("it ends").unwrap();
    assert!(matches!(left, None | Some(0)), "{left:?}");
    let counts = hub.counts();
    assert_eq!((counts.log_entries, counts.log_oldest), (401, 1));
    assert!(counts.log_presence_entries <= 50);
    let mut reader = hub.subscribe("news").grant(&Grant::everything()).after(first).bookmarks(false);
    for number in 0..400 {
        let Some(Ok(Delivery::Event(entry))) = reader.next().await else { panic!("history is missing") };
        assert!(entry.frame().as_bytes().ends_with(format!("data: {number}\n\n").as_bytes()));
    }
}

/// Goal: however often everybody comes back, nothing that was published leaves the disk for it.
/// Method: a log that keeps just what was published, and 15,000 streams that come and go, twice 15,000 entries of presence; then a
/// restart, and a reader from the first event on.
#[tokio::test]
async fn fifteen_thousand_reconnects_leave_the_history_on_disk_whole_over_a_restart_m142() {
    const EVENTS: usize = 1_000;
    const ROUNDS: usize = 15;
    const TOGETHER: usize = 1_000;
    let folder = tempfile::tempdir().unwrap();
    let open_log = || {
        let options = DiskEngine::options(folder.path()).durability(Durability::Os);
        let engine = Arc::new(options.history_events(EVENTS as u64).open().unwrap());
        let builder = Hub::builder().clock(engine.clock()).history_events(20_000);
        (Arc::downgrade(&engine), builder.engine(engine).build().unwrap())
    };
    let (engine, hub) = open_log();
    let first = hub.publish("news", Event::new("0")).await.unwrap();
    for number in 1..EVENTS {
        hub.publish("news", Event::new(number.to_string())).await.unwrap();
    }
    let mut watch = watch(&hub);
    let app = open(&mercure(&hub));
    for _ in 0..ROUNDS {
        let mut streams = Vec::new();
        for _ in 0..TOGETHER {
            let request = Request::get(format!("{HUB}?match=news")).body(Body::empty()).unwrap();
            streams.push(app.clone().oneshot(request).await.unwrap());
        }
        for _ in 0..TOGETHER {
            assert!(told(&mut watch).await.contains("\"active\":true"));
        }
        drop(streams);
        for _ in 0..TOGETHER {
            assert!(told(&mut watch).await.contains("\"active\":false"));
        }
    }
    drop((watch, app, hub));
    until(|| engine.strong_count() == 0).await;

    let (_, hub) = open_log();
    let mut reader = hub.subscribe("news").after(first.id).bookmarks(false);
    for number in 1..EVENTS {
        let next = tokio::time::timeout(PATIENCE, reader.next()).await.expect("an event comes");
        let Some(Ok(Delivery::Event(entry))) = next else { panic!("no event, but {next:?}") };
        let frame = String::from_utf8(entry.frame().as_bytes().to_vec()).unwrap();
        assert!(frame.ends_with(&format!("data: {number}\n\n")), "{number}: {frame}");
    }
}

/// The process ends without a word to anybody, over a log that outlives it.
#[tokio::test]
async fn after_a_restart_nobody_of_before_is_listed_m153() {
    let folder = tempfile::tempdir().unwrap();
    let open_log = || {
        let engine = Arc::new(DiskEngine::options(folder.path()).open().unwrap());
        (Arc::downgrade(&engine), Hub::builder().clock(engine.clock()).engine(engine).build().unwrap())
    };
    let (engine, hub) = open_log();
    let app = open(&mercure(&hub));
    let mut watch = watch(&hub);
    let request = Request::get(format!("{HUB}?match=a")).body(Body::empty()).unwrap();
    let stream = app.clone().oneshot(request).await.unwrap();
    let before = subscriber_of(&told(&mut watch).await);
    assert!(ask(&app, "").await.text.contains(&before));
    // What is written of its going is dropped with the folder's owner, or is about nobody afterwards.
    drop((stream, watch, app, hub));
    until(|| engine.strong_count() == 0).await;

    let (_, hub) = open_log();
    let app = open(&mercure(&hub));
    let list = ask(&app, "").await;
    assert!(list.text.ends_with("\"subscriptions\":[]}"), "{}", list.text);
    assert_eq!(ask(&app, &format!("/exact/a/{}", before.replace(':', "%3A"))).await.status, 404);
}

/// What is told of an event of presence: whether it came, and what is asked for.
fn of(frame: &str) -> (bool, String) {
    let document = frame.split_once("data: ").unwrap().1;
    let document: serde_json::Value = serde_json::from_str(document.trim_end()).unwrap();
    let text =
        format!("{} {}", document["match_type"].as_str().unwrap(), document["match"].as_str().unwrap());
    (document["active"].as_bool().unwrap(), text)
}

/// An application's own stream of `a`, announced, which stays with the HTTP library if it is told to; gives its handle to whoever has
/// the other end.
fn own_stream(
    mercure: &Mercure,
    hub: &Hub,
    keeps: bool,
) -> (Router, tokio::sync::mpsc::UnboundedReceiver<SubscriptionHandle>) {
    let (give, given) = tokio::sync::mpsc::unbounded_channel();
    let (mercure, hub) = (mercure.clone(), hub.clone());
    let payloads = Payloads::default().detail([Matcher::any()], Some(json!({"desk": "north"})));
    let stream = move || async move {
        let mut subscription = mercure.announce(hub.subscribe("a").bookmarks(false), &payloads);
        give.send(subscription.handle()).unwrap();
        let sse = Sse::new(subscription);
        if keeps { sse.keep_on_http() } else { sse }
    };
    (Router::new().route("/own", axum::routing::get(stream)), given)
}

/// The lists say the same as what was announced, and other nodes read both.
#[tokio::test]
async fn what_a_live_subscription_leaves_is_gone_and_what_it_joins_comes_wherever_its_stream_is() {
    for keeps in [false, true] {
        let hub = common::hub();
        let mercure = mercure(&hub);
        let (own, mut handles) = own_stream(&mercure, &hub, keeps);
        let app = open(&mercure).merge(own);
        let server = Server::start(app.clone(), ConnectionLimits::default(), Drain::new());
        let mut watch = watch(&hub).filter(Entry::is_private);
        let mut client = server.connect().await;
        client.request("/own").await;
        client.until("\r\n\r\n").await;
        let came = told(&mut watch).await;
        assert!(came.contains(r#""payload":{"desk":"north"}"#), "{came}");
        let subscriber = subscriber_of(&came);
        assert_eq!(of(&came), (true, "exact a".to_owned()));
        let handle = handles.recv().await.unwrap();
        hub.publish("a", Event::new("one")).await.unwrap();
        client.until("data: one\n").await;

        let pattern = Matcher::url_pattern("/c/:id", "https://push.test/").unwrap();
        let no_change = || handle.join("b");
        handle.select("b").unwrap();
        no_change().unwrap();
        for expected in [(false, "exact a"), (true, "exact b")] {
            let told = told(&mut watch).await;
            assert_eq!(
                (of(&told), subscriber_of(&told)),
                ((expected.0, expected.1.to_owned()), subscriber.clone())
            );
        }
        handle.join(pattern.clone()).unwrap();
        assert_eq!(of(&told(&mut watch).await), (true, "urlpattern /c/:id".to_owned()));
        let listed = ask(&app, "").await.text;
        assert!(listed.contains(r#""match":"b""#) && listed.contains(r#""match":"/c/:id""#), "{listed}");
        assert_eq!(listed.matches(r#""subscriber":"#).count(), 2, "{listed}");
        hub.publish("b", Event::new("two")).await.unwrap();
        client.until("data: two\n").await;

        // Whoever has left everything is nowhere, and comes again; and goes with what it has then.
        handle.leave("b").unwrap();
        assert_eq!(of(&told(&mut watch).await), (false, "exact b".to_owned()));
        handle.leave(pattern).unwrap();
        assert_eq!(of(&told(&mut watch).await), (false, "urlpattern /c/:id".to_owned()));
        let listed = ask(&app, "").await.text;
        assert!(listed.ends_with(r#""subscriptions":[]}"#), "{listed}");
        handle.join("b").unwrap();
        assert_eq!(of(&told(&mut watch).await), (true, "exact b".to_owned()));
        drop(client);
        assert_eq!(of(&told(&mut watch).await), (false, "exact b".to_owned()));
        assert!(handle.join("c").is_err());
        mercure.leave().await;
    }
}

#[tokio::test]
async fn a_hub_that_announces_nobody_gives_a_subscription_back_as_it_is() {
    let hub = common::hub();
    let silent = Mercure::new(hub.clone());
    let subscription = silent.announce(hub.subscribe("a"), &Payloads::default());
    assert_eq!(subscription.key(), None);
    // One that was refused is announced by nobody.
    hub.close();
    let refused = mercure(&hub).announce(hub.subscribe("a"), &Payloads::default());
    assert_eq!(refused.key(), None);
}
