//! Active subscriptions over real sockets: announced when somebody comes or goes, and listed (sections 13, 14 and 20.4).
#![allow(clippy::unwrap_used)]

mod common;

use axum::Router;
use common::socket::{Client, Server};
use common::{HUB, hub};
use fanfare_http::{
    Access, Answer, Authorize, ConnectionLimits, Denied, Drain, Mercure, Payloads, Rights, Role,
};
use fanfare_hub::{Grant, Hub, Matcher};
use http::request::Parts;
use serde_json::{Value, json};
use url::Url;

const HUB_URL: &str = "https://push.test/.well-known/mercure";

/// Whoever says in a header what it may read may read that; the others are nobody.
struct Said;

impl Authorize for Said {
    fn authorize<'a>(&'a self, request: &'a Parts, role: Role) -> Answer<'a, Result<Rights, Denied>> {
        Box::pin(async move {
            let said = |name: &str| request.headers.get(name).map(|value| value.to_str().unwrap());
            let Some(reads) = said("reads") else { return Err(Denied::NoToken) };
            let grant = Grant::from_iter([Matcher::url_pattern(reads, HUB_URL).unwrap()]);
            let payload = said("payload").map(|text| serde_json::from_str(text).unwrap());
            let payloads = Payloads::default().detail([Matcher::any()], payload);
            Ok(match role {
                Role::Publisher => Rights::nothing().publish(Grant::everything()),
                Role::Subscriber => Rights::nothing().read(grant).payloads(payloads),
            })
        })
    }
}

fn app(hub: &Hub) -> Router {
    Mercure::new(hub.clone())
        .hub_url(Url::parse(HUB_URL).unwrap())
        .access(Access::by(Said))
        .subscriptions(true)
        .router()
}

fn start(hub: &Hub) -> Server {
    Server::start(app(hub), ConnectionLimits::default(), Drain::new())
}

/// Opens a stream, with more header lines.
async fn open(server: &Server, query: &str, more: &str) -> Client {
    let mut client = server.connect().await;
    client.send(format!("GET {HUB}?{query} HTTP/1.1\r\nHost: push.test\r\n{more}\r\n")).await;
    let head = client.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    client
}

/// Somebody who sees all announcements.
async fn watcher(server: &Server) -> Client {
    let mut watcher =
        open(server, "match_urlpattern=/.well-known/mercure/subscriptions/*", "reads: /*\r\n").await;
    let own = announcement(&mut watcher).await;
    assert_eq!(
        (&own["match_type"], &own["active"]),
        (&json!("urlpattern"), &json!(true)),
        "it sees itself come (M-151)"
    );
    watcher
}

/// The next announcement of the modern shape.
async fn announcement(watcher: &mut Client) -> Value {
    watcher.until("event: mercure\ndata: ").await;
    document(watcher).await
}

async fn document(watcher: &mut Client) -> Value {
    serde_json::from_str(watcher.until("\n").await.trim()).unwrap()
}

/// Asks for a list: status, head and document.
async fn list(server: &Server, path: &str, more: &str) -> (u16, String, Value) {
    let request = format!(
        "GET {HUB}/subscriptions{path} HTTP/1.1\r\nHost: push.test\r\nConnection: close\r\n{more}\r\n"
    );
    let answer = server.answer(request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head[9..12].parse().unwrap();
    (status, head.to_ascii_lowercase(), serde_json::from_str(body).unwrap_or(Value::Null))
}

const READS: &str = "reads: /*\r\n";

#[tokio::test]
async fn one_announcement_for_each_matcher_when_it_begins_and_when_it_ends_m144_m145_m146_m148_m149() {
    let hub = hub();
    let server = start(&hub);
    let mut watcher = watcher(&server).await;
    let asked = "match=https%3A%2F%2Fshop.test%2Forders%2F41&match_exact=b&match_urlpattern=%2Fbooks%2F%3Aid";
    let subscriber = open(&server, asked, "reads: /none\r\npayload: {\"desk\":\"north\"}\r\n").await;
    let mut began = Vec::new();
    for (of, text, encoded) in [
        ("exact", "https://shop.test/orders/41", "exact/https%3A%2F%2Fshop.test%2Forders%2F41"),
        ("exact", "b", "exact/b"),
        ("urlpattern", "/books/:id", "urlpattern/%2Fbooks%2F%3Aid"),
    ] {
        let document = announcement(&mut watcher).await;
        let id = document["subscriber"].as_str().unwrap().to_owned();
        let encoded_id = id.replace(':', "%3A");
        assert_eq!(
            document,
            json!({
                "id": format!("{HUB}/subscriptions/{encoded}/{encoded_id}"),
                "type": "subscription",
                "match_type": of,
                "match": text,
                "subscriber": id,
                "active": true,
                "payload": {"desk": "north"},
            })
        );
        began.push(document);
    }
    assert!(
        began.iter().all(|each| each["subscriber"] == began[0]["subscriber"]),
        "one id for a connection (M-147)"
    );
    drop(subscriber);
    for began in began {
        let ended = announcement(&mut watcher).await;
        assert_eq!((&ended["id"], &ended["active"]), (&began["id"], &json!(false)));
    }
}

#[tokio::test]
async fn announcements_are_private_and_reach_only_who_is_granted_their_topics_m148() {
    let hub = hub();
    let server = start(&hub);
    let mut stranger = open(&server, "match=*", "reads: /none\r\n").await;
    let mut watcher = watcher(&server).await;
    drop(open(&server, "match=a", READS).await);
    announcement(&mut watcher).await;
    announcement(&mut watcher).await;
    hub.publish("public", fanfare_wire::Event::new("for all")).await.unwrap();
    let read = stranger.until("data: for all\n").await;
    assert!(!read.contains("mercure"), "{read}");
}

#[tokio::test]
async fn who_is_there_is_listed_in_collections_and_singly_m154_m156_m157_m158() {
    let server = start(&hub());
    let mut watcher = watcher(&server).await;
    let subscriber = open(&server, "match=a%2Fb&match_urlpattern=%2Fc", READS).await;
    let (one, other) = (announcement(&mut watcher).await, announcement(&mut watcher).await);
    let (status, head, all) = list(&server, "", READS).await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/json\r\n"), "{head}");
    assert_eq!((&all["type"], &all["id"]), (&json!("subscriptions"), &json!(format!("{HUB}/subscriptions"))));
    let listed = all["subscriptions"].as_array().unwrap();
    assert!(listed.len() == 3 && listed.contains(&one) && listed.contains(&other), "{all}");
    let (status, _, some) = list(&server, "/exact/a%2Fb", READS).await;
    assert_eq!((status, &some["subscriptions"]), (200, &json!([one])));
    let path = one["id"].as_str().unwrap().strip_prefix(&format!("{HUB}/subscriptions")).unwrap().to_owned();
    assert_eq!(list(&server, &path, READS).await.2, one);
    assert_eq!(list(&server, "/exact/nobody", READS).await.2["subscriptions"], json!([]));
    assert_eq!(list(&server, "/exact/a%2Fb/urn%3Auuid%3A0", READS).await.0, 404);
    drop(subscriber);
    announcement(&mut watcher).await;
    announcement(&mut watcher).await;
    assert_eq!(list(&server, &path, READS).await.0, 404, "it has ended");
}

#[tokio::test]
async fn a_list_needs_a_grant_for_its_path_m155_m161() {
    let server = start(&hub());
    assert_eq!(list(&server, "", "").await.0, 401);
    assert_eq!(list(&server, "", "reads: /elsewhere/*\r\n").await.0, 403);
    let narrow = "reads: /.well-known/mercure/subscriptions/exact/:match\r\n";
    assert_eq!(list(&server, "/exact/a%2Fb", narrow).await.0, 200);
    assert_eq!(list(&server, "/urlpattern/a", narrow).await.0, 403);
    assert_eq!(list(&server, "/regexp/a/b", READS).await.0, 400);
    assert_eq!(list(&server, "/exact/%zz", READS).await.0, 400);
}

#[tokio::test]
async fn a_list_names_the_place_from_which_a_stream_goes_on_m159_m160() {
    let server = start(&hub());
    let mut watcher = watcher(&server).await;
    let (_, head, _) = list(&server, "", READS).await;
    let quoted = |from: &str| head.split_once(from).unwrap().1.split('"').next().unwrap().to_owned();
    assert!(
        head.contains("link: <https://push.test/.well-known/mercure>; rel=\"mercure\"; last-event-id=\""),
        "{head}"
    );
    assert!(head.contains("type=\"mercure\"; content-type=\"application/json\""), "{head}");
    assert!(head.contains("cache-control: private, must-revalidate"), "{head}");
    let tag = quoted("etag: \"");
    // The head was read in lower case, so the place is asked for once more as it is.
    let answer = server
        .answer(format!(
            "GET {HUB}/subscriptions HTTP/1.1\r\nHost: push.test\r\nConnection: close\r\n{READS}\r\n"
        ))
        .await;
    let place = answer.split_once("last-event-id=\"").unwrap().1.split('"').next().unwrap().to_owned();
    assert_eq!(place.to_ascii_lowercase(), tag);
    let (status, ..) = list(&server, "", &format!("{READS}If-None-Match: \"{place}\"\r\n")).await;
    assert_eq!(status, 304);
    let _subscriber = open(&server, "match=a", READS).await;
    announcement(&mut watcher).await;
    let (status, ..) = list(&server, "", &format!("{READS}If-None-Match: \"{place}\"\r\n")).await;
    assert_eq!(status, 200, "somebody has come since");
    // Nothing between the list and the stream is lost.
    let query = format!(
        "match_urlpattern=/.well-known/mercure/subscriptions/*&last_event_id={}",
        place.replace('#', "%23")
    );
    let mut later = open(&server, &query, READS).await;
    let missed = announcement(&mut later).await;
    assert_eq!((&missed["match"], &missed["active"]), (&json!("a"), &json!(true)));
}

#[tokio::test]
async fn what_was_asked_for_by_topic_is_told_as_older_clients_know_it_m203_m204_m205_m206_m208() {
    let server = start(&hub());
    let mut watcher = watcher(&server).await;
    let _subscriber = open(&server, "topic=books%2F1", "reads: /none\r\npayload: 7\r\n").await;
    // No name: old pages read them with `onmessage`.
    let event = watcher.until("\"@context\"").await;
    assert!(!event.rsplit("\n\n").next().unwrap().contains("event:"), "{event}");
    let (status, head, all) = list(&server, "/books%2F1", READS).await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/ld+json"), "{head}");
    assert_eq!((&all["@context"], &all["type"]), (&json!("https://mercure.rocks/"), &json!("Subscriptions")));
    assert!(all["lastEventID"].is_string());
    let one = &all["subscriptions"][0];
    assert_eq!(
        (&one["topic"], &one["type"], &one["payload"]),
        (&json!("books/1"), &json!("Subscription"), &json!(7))
    );
    assert!(one.get("match").is_none() && one.get("@context").is_none());
    let path = one["id"].as_str().unwrap().strip_prefix(&format!("{HUB}/subscriptions")).unwrap().to_owned();
    let (status, _, single) = list(&server, &path, READS).await;
    assert_eq!((status, &single["@context"]), (200, &json!("https://mercure.rocks/")));
}

#[tokio::test]
async fn nobody_is_announced_whose_request_was_no_stream_m151() {
    let hub = hub();
    let server = start(&hub);
    let mut watcher = watcher(&server).await;
    let heads = format!("HEAD {HUB}?match=a HTTP/1.1\r\nHost: push.test\r\nConnection: close\r\n{READS}\r\n");
    assert!(server.answer(heads).await.starts_with("HTTP/1.1 200"));
    let refused = format!("GET {HUB}?match=a HTTP/1.1\r\nHost: push.test\r\nConnection: close\r\n\r\n");
    assert!(server.answer(refused).await.starts_with("HTTP/1.1 401"));
    let _subscriber = open(&server, "match=b", READS).await;
    assert_eq!(announcement(&mut watcher).await["match"], "b");
}

#[tokio::test]
async fn a_crowd_that_comes_and_goes_leaves_nobody_behind_and_the_history_of_events_whole_m152() {
    let hub = Hub::builder().history_events(100).build().unwrap();
    let server = start(&hub);
    for number in 0..100 {
        hub.publish("news", fanfare_wire::Event::new(number.to_string())).await.unwrap();
    }
    for _ in 0..5 {
        let mut crowd = Vec::new();
        for number in 0..100 {
            crowd.push(open(&server, &format!("match=user/{number}"), READS).await);
        }
    }
    // They are noticed one after the other; the last one, some time after this.
    loop {
        let (_, _, all) = list(&server, "", READS).await;
        let left = all["subscriptions"].as_array().unwrap();
        if left.iter().all(|each| !each["match"].as_str().unwrap().starts_with("user/")) {
            break;
        }
        tokio::task::yield_now().await;
    }
    let mut late = open(&server, "match=news&last_event_id=earliest", READS).await;
    for number in 0..100 {
        late.until(&format!("data: {number}\n")).await;
    }
}
