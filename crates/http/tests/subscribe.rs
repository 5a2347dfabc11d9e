//! Subscribing over HTTP, against sections 3, 4, 5 and 20.1 of the protocol.
#![allow(clippy::unwrap_used)]

mod common;

use axum::body::Body;
use common::{FORM, HUB, Stream, app, get, hub, post, send, subscription};
use fanfare_http::{Access, Bookmarks, Mercure, RequestLimits};
use fanfare_hub::{CompileBudget, Hub};
use http::Request;
use url::Url;

async fn check(cases: &[(&str, &str)]) {
    let hub = hub();
    let app = app(&hub);
    for (query, sentence) in cases {
        let answer = get(&app, query).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.text.contains(sentence), "{query}: {}", answer.text);
        assert!(
            answer.text.ends_with(".\n") && answer.text.lines().count() == 1,
            "one sentence: {}",
            answer.text
        );
    }
    assert_eq!(hub.counts().subscribers, 0);
}

#[tokio::test]
async fn names_in_the_match_namespace_that_are_not_known_are_refused_m024() {
    check(&[
        ("Match=a", "`Match` is not known"),
        ("MATCH_exact=a", "not known"),
        ("matching=a", "not known"),
        ("match_regexp=.*", "not known"),
        ("match_URLPattern=a", "not known"),
        ("match_=a", "not known"),
        ("matchURLPattern=a", "not known"),
        ("match=a&match%5B%5D=b", "not known"),
        ("match%FF=b", "`match\\xff` is not known"),
    ])
    .await;
}

#[tokio::test]
async fn values_that_cannot_be_meant_are_refused_m013_m025_m027() {
    check(&[
        ("", "at least one topic"),
        ("last_event_id=1", "at least one topic"),
        ("match=a%0Ab", "control or format character"),
        ("match=%FF", "`match` is not valid UTF-8"),
        ("match_exact=%C3", "`match_exact` is not valid UTF-8"),
        ("topic=%00", "control or format character"),
        ("match_urlpattern=%2F(x", "Invalid topic matcher pattern"),
        ("match_urlpattern=%2F%3Aid%2F%3Aid", "Invalid topic matcher pattern"),
        ("match_urlpattern=%2F(%3F%3Da)", "Invalid topic matcher pattern"),
        ("match=a&last_event_id=%FF", "last event ID is not valid UTF-8"),
        ("match=a&last_event_id=%00", "line break or a NUL"),
        ("match=a&lastEventID=a%0Ab", "line break or a NUL"),
    ])
    .await;
}

#[tokio::test]
async fn too_many_or_too_long_matchers_are_refused_with_400_m032() {
    let hub = hub();
    let limits = RequestLimits { matchers_max: 2, ..RequestLimits::default() };
    let app = Mercure::new(hub).access(Access::open()).limits(limits).router();
    assert_eq!(get(&app, "match=a&match=b&topic=c").await.status, 400);
    let answer = get(&app, &format!("match={}", "x".repeat(4_097))).await;
    assert_eq!(
        (answer.status.as_u16(), answer.text.as_str()),
        (400, "The matcher has 4097 bytes; at most 4096 are allowed.\n")
    );
}

#[tokio::test]
async fn unknown_parameters_and_names_in_other_case_are_ignored_m009_m023() {
    let hub = hub();
    Stream::open(&app(&hub), "cache=1&match=a&Topic=b&LAST_EVENT_ID=%FF").await;
}

/// Which of four topics reach a subscriber that asks with `query`.
async fn arriving(query: &str) -> Vec<&'static str> {
    let hub = hub();
    let app = Mercure::new(hub)
        .access(Access::open())
        .hub_url(Url::parse(&format!("https://push.test{HUB}")).unwrap())
        .router();
    let mut stream = Stream::open(&app, &format!("match=end&{query}")).await;
    let topics = ["a", "/books/1", "https://push.test/books/2", "https://x.test/books/3"];
    for topic in topics {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("topic", topic)
            .append_pair("data", topic)
            .finish();
        assert_eq!(post(&app, &form).await.status, 200);
    }
    post(&app, "topic=end&data=end").await;
    let text = stream.until("data: end\n\n").await;
    topics.into_iter().filter(|topic| text.contains(&format!("data: {topic}\n"))).collect()
}

#[tokio::test]
async fn each_kind_of_matcher_matches_what_it_should_m019_m020_m021_m040_m186_m187() {
    assert_eq!(arriving("match=a").await, ["a"]);
    assert_eq!(arriving("match_exact=%2Fbooks%2F1").await, ["/books/1"]);
    assert_eq!(
        arriving("match_urlpattern=%2Fbooks%2F%3Aid").await,
        ["/books/1", "https://push.test/books/2"]
    );
    assert_eq!(
        arriving("match_urlpattern=https%3A%2F%2Fx.test%2Fbooks%2F%3Aid&match=a").await,
        ["a", "https://x.test/books/3"]
    );
    assert_eq!(arriving("topic=https%3A%2F%2Fx.test%2Fbooks%2F%7Bid%7D").await, ["https://x.test/books/3"]);
    assert_eq!(arriving("topic=a&topic=%7Bunclosed").await, ["a"]);
    assert_eq!(arriving("match=").await, Vec::<&str>::new());
    for star in ["match=*", "match_exact=*", "match_urlpattern=*", "topic=*"] {
        assert_eq!(arriving(star).await.len(), 4, "{star}");
    }
}

#[tokio::test]
async fn with_legacy_off_a_client_of_before_is_told_what_to_send_m186() {
    let hub = hub();
    let app = Mercure::new(hub).access(Access::open()).legacy(false).router();
    let answer = get(&app, "topic=a").await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.text, "The parameter `topic` is not known here; use `match` or `match_urlpattern`.\n");
}

#[tokio::test]
async fn the_head_says_that_it_is_a_stream_that_nobody_may_keep_m051_m052_m053() {
    let hub = hub();
    let mut stream = Stream::open(&app(&hub), "match=a").await;
    let kept = &stream.headers["cache-control"];
    assert_eq!(kept, "private, no-cache, no-store, no-transform, must-revalidate, max-age=0");
    assert_eq!(
        (&stream.headers["pragma"], &stream.headers["expires"]),
        (&"no-cache".parse().unwrap(), &"0".parse().unwrap())
    );
    assert_eq!(stream.headers["x-accel-buffering"], "no");
    assert!(!stream.headers.contains_key("mercure-last-event-id"), "no cursor, no answer to it (M-054)");
    assert_eq!(stream.until("\n").await, ":\n", "the first bytes are a comment line");
}

#[tokio::test]
async fn an_accept_header_is_not_asked_for_m037() {
    let hub = hub();
    let request = subscription("match=a").header("accept", "application/json").body(Body::empty()).unwrap();
    Stream::of(&app(&hub), request).await;
}

#[tokio::test]
async fn a_query_has_its_parameters_in_url_and_body_as_one_list_m004_m005_m006() {
    let hub = hub();
    let app = app(&hub);
    post(&app, "topic=b&data=old&id=1").await;
    post(&app, "topic=b&data=new&id=2").await;
    let request = |body: &'static str| {
        Request::builder()
            .method("QUERY")
            .uri(format!("{HUB}?match=a&last_event_id=1"))
            .header("content-type", FORM)
            .body(Body::from(body))
            .unwrap()
    };
    let mut stream = Stream::of(&app, request("match=b&last_event_id=2")).await;
    assert_eq!(stream.headers["mercure-last-event-id"], "1", "the query component wins");
    assert!(stream.until("data: new\n\n").await.contains("id: 2\n"));
    post(&app, "topic=a&data=a").await;
    stream.until("data: a\n\n").await;
    assert_eq!(send(&app, request("Match=b")).await.status, 400);
    let not_a_form = Request::builder().method("QUERY").uri(HUB).body(Body::from("match=a")).unwrap();
    assert_eq!(send(&app, not_a_form).await.status, 400);
}

#[tokio::test]
async fn head_has_the_headers_of_a_get_and_no_stream_m008() {
    let hub = hub();
    let app = app(&hub);
    let request = Request::head(format!("{HUB}?match=a&last_event_id=x")).body(Body::empty()).unwrap();
    let answer = send(&app, request).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""));
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    assert_eq!(answer.headers["mercure-last-event-id"], "earliest");
    assert!(!answer.headers.contains_key("content-length"));
    assert_eq!(hub.counts().subscribers, 0);
    let bad = Request::head(HUB).body(Body::empty()).unwrap();
    assert_eq!(send(&app, bad).await.status, 400);
}

#[tokio::test]
async fn other_methods_are_told_which_there_are_m008() {
    let hub = hub();
    for method in ["PUT", "DELETE", "PATCH", "TRACE", "BREW"] {
        let request = Request::builder().method(method).uri(HUB).body(Body::empty()).unwrap();
        let answer = send(&app(&hub), request).await;
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.headers["allow"], "GET, HEAD, POST, QUERY, OPTIONS");
    }
}

#[tokio::test]
async fn bookmarks_go_to_browsers_by_default() {
    let hub = hub();
    let browser = || subscription("match=a").header("user-agent", "Mozilla/5.0").body(Body::empty()).unwrap();
    let program = || subscription("match=a").header("user-agent", "curl/8.14.1").body(Body::empty()).unwrap();
    let first = async |mercure: Mercure, request, bookmark: bool| {
        let app = mercure.router();
        let mut stream = Stream::of(&app, request).await;
        stream.until(":\n").await;
        // A bookmark needs nothing to happen; an event has to be published.
        if !bookmark {
            post(&app, "topic=a&data=x&id=mine").await;
        }
        stream.until("\n\n").await
    };
    let mercure = || Mercure::new(hub.clone()).access(Access::open());
    assert!(first(mercure(), browser(), true).await.starts_with("id: #1"));
    assert!(first(mercure(), program(), false).await.starts_with("id: mine\ndata: x"));
    assert!(first(mercure().bookmarks(Bookmarks::All), program(), true).await.starts_with("id: #1"));
    assert!(
        first(mercure().bookmarks(Bookmarks::Off), browser(), false).await.starts_with("id: mine\ndata: x")
    );
}

/// A native `EventSource` gives up for good on any status but 200.
#[tokio::test]
async fn a_full_hub_sends_an_event_source_away_for_a_while_and_tells_others_m033_m038() {
    let hub = Hub::builder().subscribers_max(1).build().unwrap();
    let app = app(&hub);
    let _stream = Stream::open(&app, "match=a").await;

    let accept =
        |accept: &'static str| subscription("match=a").header("accept", accept).body(Body::empty()).unwrap();
    let text = Stream::of(&app, accept("text/event-stream")).await.rest().await;
    let millis: u64 = text
        .strip_prefix("retry: ")
        .and_then(|rest| rest.strip_suffix("\n\n"))
        .expect("a retry alone")
        .parse()
        .unwrap();
    assert!((1_000..5_000).contains(&millis));
    Stream::of(&app, accept("text/html, Text/Event-Stream;q=0.9")).await;

    for other in ["*/*", "application/json"] {
        let answer = send(&app, accept(other)).await;
        assert_eq!(answer.status, 503);
        let seconds: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=5).contains(&seconds));
        assert_eq!(answer.text, "The hub serves as many subscribers as it may.\n");
    }
    assert_eq!(hub.counts().subscribers_refused, 4);
}

/// P5: by `QUERY` each subscriber may ask for some 64 KiB of topics.
#[tokio::test]
async fn a_hub_without_room_for_more_topics_sends_an_event_source_away_and_tells_others_m180() {
    let hub = Hub::builder().selections_bytes_max(200_000).build().unwrap();
    let app = app(&hub);
    let ask = |name: &str, accept: &'static str| {
        let topics: Vec<_> =
            (0..60).map(|number| format!("match={name}{number}{}", "x".repeat(1_000))).collect();
        let request = http::Request::builder().method("QUERY").uri(HUB).header("accept", accept);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.body(Body::from(topics.join("&"))).unwrap()
    };
    let first = Stream::of(&app, ask("a", "*/*")).await;
    let _second = Stream::of(&app, ask("b", "*/*")).await;
    let text = Stream::of(&app, ask("c", "text/event-stream")).await.rest().await;
    assert!(text.starts_with("retry: ") && text.lines().count() == 2, "{text}");
    let answer = send(&app, ask("c", "*/*")).await;
    let sentence = "What the hub's subscribers ask for takes as much memory as it may.\n";
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (503, sentence));
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(hub.counts().subscribers_refused, 2);
    // What is there takes no room.
    Stream::of(&app, ask("a", "*/*")).await;
    drop(first);
    Stream::of(&app, ask("c", "*/*")).await;
}

/// Each kind of room for patterns: whoever finds none is sent away as by a full hub, and told which it is.
#[tokio::test]
async fn a_hub_without_room_for_patterns_sends_an_event_source_away_and_tells_others_m049() {
    let builder = || Hub::builder();
    for (hub, sentence) in [
        (builder().patterns_max(1), "The hub's subscribers use as many patterns as they may.\n"),
        (
            builder().patterns_bytes_max(1_000),
            "The patterns of the hub's subscribers take as much memory as they may.\n",
        ),
        (
            builder().patterns_alike_max(1),
            "The hub's subscribers use as many patterns of this kind as they may; one with more of its path written out may have room.\n",
        ),
    ] {
        let hub = hub.build().unwrap();
        let app = app(&hub);
        let first = Stream::open(&app, "match_urlpattern=%2Fa%2F%3Ax").await;
        let ask = |accept: &'static str| {
            let request = subscription("match=b&match_urlpattern=%2Fa%2F%3Ay");
            request.header("accept", accept).body(Body::empty()).unwrap()
        };
        let text = Stream::of(&app, ask("text/event-stream")).await.rest().await;
        assert!(text.starts_with("retry: ") && text.lines().count() == 2, "{text}");
        let answer = send(&app, ask("*/*")).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (503, sentence));
        assert!(answer.headers.contains_key("retry-after"));
        assert_eq!(hub.counts().subscribers_refused, 2);
        // Who asks for one that is there takes no room.
        Stream::open(&app, "match_urlpattern=%2Fa%2F%3Ax").await;
        drop(first);
        Stream::of(&app, ask("*/*")).await;
    }
}

#[tokio::test]
async fn the_patterns_of_one_request_are_refused_with_400_beyond_what_they_may_cost_m032_m049() {
    let hub = hub();
    let app = app(&hub);
    let folded = format!("match_urlpattern=/((%3Fi){})", "%5CPL".repeat(200));
    let large = |n: usize| format!("match_urlpattern=/{n}/:a(%5Cp%7BL%7D%7B0,200%7D)");
    let many = (0..100).map(large).collect::<Vec<_>>().join("&");
    let one = app_with(&hub, CompileBudget::new(50_000, 20_000));
    let work = "The patterns take too much work to compile; use fewer and shorter ones, with fewer classes of characters in their regular expressions.\n";
    let bytes = |limit| {
        format!("Compiled, the patterns take more than {limit} bytes together; use fewer and simpler ones.\n")
    };
    for (app, query, sentence) in
        [(&app, &folded, work), (&app, &many, &bytes(524_288)), (&one, &many, &bytes(20_000))]
    {
        let request = |method: &str| Request::builder().method(method).header("content-type", FORM);
        // Also for an `EventSource`: to ask again would be for nothing.
        let get = request("GET").uri(format!("{HUB}?{query}")).header("accept", "text/event-stream");
        let query = request("QUERY").uri(HUB).body(Body::from(query.clone()));
        for request in [get.body(Body::empty()), query] {
            let answer = send(app, request.unwrap()).await;
            assert_eq!((answer.status.as_u16(), answer.text.as_str()), (400, sentence));
        }
    }
    Stream::open(&one, &large(1)).await;
    assert_eq!(hub.counts().patterns, 0);
}

fn app_with(hub: &Hub, patterns: CompileBudget) -> axum::Router {
    let limits = RequestLimits { patterns, ..RequestLimits::default() };
    Mercure::new(hub.clone()).access(Access::open()).limits(limits).router()
}

#[tokio::test]
async fn a_subscriber_that_leaves_makes_room() {
    let hub = Hub::builder().subscribers_max(1).build().unwrap();
    let app = app(&hub);
    drop(Stream::open(&app, "match=a").await);
    Stream::open(&app, "match=a").await;
}

#[tokio::test]
async fn the_endpoint_lives_in_an_application_at_a_path_of_its_choice_m003() {
    let hub = hub();
    let mercure =
        Mercure::new(hub).access(Access::open()).hub_url(Url::parse("https://shop.test/api/events").unwrap());
    let nested = axum::Router::new()
        .route("/", axum::routing::get(|| async { "mine" }))
        .nest("/api", axum::Router::new().route("/events", mercure.endpoint()));
    let merged = axum::Router::new().merge(mercure.router());
    for app in [nested, merged] {
        let request = |form: &'static str| {
            Request::post("/api/events").header("content-type", FORM).body(Body::from(form)).unwrap()
        };
        assert_eq!(send(&app, request("topic=a&data=x")).await.status, 200);
        assert_eq!(send(&app, request("topic=%2Fapi%2Fevents%2Fx")).await.status, 400);
        assert_eq!(send(&app, request("topic=%2F.well-known%2Fmercure")).await.status, 200);
    }
}
