//! Publishing over HTTP, against section 6 of the protocol.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use axum::body::Body;
use common::{FORM, HUB, Stream, app, hub, post, publication, send};
use fanfare_http::{Access, Mercure, RequestLimits};
use fanfare_hub::Hub;
use http::{HeaderValue, Request};

/// Each line: a form, the status, a part of the sentence.
async fn check(cases: &[(&str, u16, &str)]) {
    let hub = hub();
    let app = app(&hub);
    for (form, status, sentence) in cases {
        let answer = post(&app, form).await;
        assert_eq!(answer.status, *status, "{form}: {}", answer.text);
        assert!(answer.text.contains(sentence), "{form}: {}", answer.text);
        if answer.status != 200 {
            assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
            assert!(
                answer.text.ends_with(".\n") && answer.text.lines().count() == 1,
                "one sentence: {}",
                answer.text
            );
        }
    }
    let published = cases.iter().filter(|(_, status, _)| *status == 200).count();
    assert_eq!(hub.counts().publications, published as u64, "what was refused left nothing in the log");
}

#[tokio::test]
async fn a_publication_is_answered_with_exactly_its_id_m081() {
    let hub = hub();
    let answer = post(&app(&hub), "topic=a&data=x&id=urn%3Aorder%3A41").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(answer.text, "urn:order:41");
}

#[tokio::test]
async fn without_an_id_the_hub_makes_one_m076_m080() {
    let hub = hub();
    for form in ["topic=a&data=x", "topic=a&data=x&id="] {
        let answer = post(&app(&hub), form).await;
        assert_eq!(answer.status, 200);
        assert!(answer.text.starts_with("#1") && answer.text.len() == 24, "{}", answer.text);
    }
}

#[tokio::test]
async fn the_fields_reach_the_subscriber_m055_m056_m057() {
    let hub = hub();
    let app = app(&hub);
    let mut stream = Stream::open(&app, "match=a").await;
    post(&app, "topic=a&data=one%0Atwo%0D%0A+three&id=7&type=order&retry=2500").await;
    let frame = stream.until("\n\n").await;
    for line in ["id: 7\n", "event: order\n", "retry: 2500\n", "data: one\ndata: two\ndata:  three\n"] {
        assert!(frame.contains(line), "{line:?} in {frame:?}");
    }
}

#[tokio::test]
async fn absent_data_is_empty_data_that_a_browser_dispatches_m069_m056() {
    let hub = hub();
    let app = app(&hub);
    let mut stream = Stream::open(&app, "match=a").await;
    post(&app, "topic=a&id=7").await;
    let frame = stream.until("\n\n").await;
    assert!(frame.ends_with("id: 7\ndata: \n\n"), "{frame}");
}

/// And so an encrypted one arrives as it was encrypted.
#[tokio::test]
async fn data_is_any_text_and_opaque_to_the_hub_m014_m181() {
    let app = app(&hub());
    let mut stream = Stream::open(&app, "match=a").await;
    for data in [
        "\u{0}\u{1}\u{7f}\u{9b}\u{202e}\u{feff}\u{fffd}\u{10ffff}",
        "eyJhbGciOiJFQ0RILUVTK0EyNTZLVyJ9.6KB7.RkY.Qs7p.s5w",
        ": data: id: 7",
    ] {
        let encoded: String = url::form_urlencoded::byte_serialize(data.as_bytes()).collect();
        assert_eq!(post(&app, &format!("topic=a&data={encoded}")).await.status, 200);
        stream.until(&format!("\ndata: {data}\n\n")).await;
    }
}

#[tokio::test]
async fn of_repeated_fields_the_first_counts_m069() {
    let hub = hub();
    let app = app(&hub);
    let mut stream = Stream::open(&app, "match=a").await;
    let answer =
        post(&app, "topic=a&data=first&data=second&id=1&id=%0A&type=t&type=mercure&retry=1&retry=x").await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, "1"));
    let frame = stream.until("\n\n").await;
    assert!(frame.contains("data: first\n") && !frame.contains("second"), "{frame}");
}

#[tokio::test]
async fn a_subscriber_of_any_topic_gets_the_event_once_m071_m030() {
    let hub = hub();
    let app = app(&hub);
    let mut stream = Stream::open(&app, "match=a&match=b&match=c").await;
    post(&app, "topic=a&topic=b&data=both").await;
    post(&app, "topic=c&data=next").await;
    let text = stream.until("data: next\n\n").await;
    assert_eq!(text.matches("data: both").count(), 1, "{text}");
}

#[tokio::test]
async fn presence_alone_makes_a_publication_private_and_nobody_may_read_it_yet_m069_m126() {
    let hub = hub();
    let app = app(&hub);
    let mut stream = Stream::open(&app, "match=*").await;
    for private in ["private", "private=", "private=on", "private=false", "private=0"] {
        assert_eq!(post(&app, &format!("topic=a&data=secret&{private}")).await.status, 200);
    }
    post(&app, "topic=a&data=open").await;
    let text = stream.until("data: open\n\n").await;
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test]
async fn what_the_table_forbids_is_refused_with_a_sentence_m069_m070_m073() {
    check(&[
        ("data=x", 400, "`topic` is missing"),
        ("", 400, "`topic` is missing"),
        ("topic=", 400, "empty"),
        ("topic=*&data=x", 400, "stands for every topic"),
        ("topic=a&topic=*", 400, "stands for every topic"),
        ("topic=a%0Ab", 400, "control or format character"),
        ("topic=a%E2%80%8Db", 400, "control or format character"),
        ("topic=%FF", 400, "`topic` is not valid UTF-8"),
        ("topic=a&data=%C3%28", 400, "`data` is not valid UTF-8"),
        ("topic=a&id=%FF", 400, "`id` is not valid UTF-8"),
        ("topic=a&type=%FF", 400, "`type` is not valid UTF-8"),
        ("topic=a&%FF=x", 400, "name of a field is not valid UTF-8"),
        ("topic=a&id=%237", 400, "reserved"),
        ("topic=a&id=earliest", 400, "reserved"),
        ("topic=a&id=a%0Ab", 400, "control or format character"),
        ("topic=a&id=a%00b", 400, "control or format character"),
        ("topic=a&id=a%C2%85b", 400, "control or format character"),
        ("topic=a&type=mercure", 400, "reserved"),
        ("topic=a&type=fanfare.gap", 400, "reserved"),
        ("topic=a&type=fanfare.close", 400, "reserved"),
        ("topic=a&type=a%0Db", 400, "control or format character"),
        ("topic=a&retry=1e3", 400, "digits"),
        ("topic=a&retry=%2B5", 400, "digits"),
        ("topic=a&retry=5.0", 400, "digits"),
        ("topic=a&retry=+5", 400, "digits"),
        ("topic=a&retry=0x5", 400, "digits"),
        ("topic=a&retry=-1", 400, "digits"),
        ("topic=a&retry=%D9%A3", 400, "digits"),
        ("topic=a&retry=18446744073709551616", 400, "too large"),
    ])
    .await;
}

#[tokio::test]
async fn what_clients_send_without_harm_is_accepted_m069_m073_m080() {
    check(&[
        ("topic=a&retry=", 200, "#1"),
        ("topic=a&retry=0", 200, "#1"),
        ("topic=a&retry=18446744073709551615", 200, "#1"),
        ("topic=a&type=", 200, "#1"),
        ("topic=a&unknown=1&unknown=%FF", 200, "#1"),
        ("topic=caf%C3%A9+%F0%9F%8E%BA&id=caf%C3%A9", 200, "café"),
        ("topic=a&data=%00%01%7F", 200, "#1"),
    ])
    .await;
}

#[tokio::test]
async fn the_hubs_own_topics_are_refused_whatever_their_form_m072() {
    check(&[
        ("topic=mercure&data=x", 400, "reserved for the hub"),
        ("topic=%2F.well-known%2Fmercure", 400, "reserved for the hub"),
        (
            "topic=https%3A%2F%2Fother.test%2F.well-known%2Fmercure%2Fsubscriptions",
            400,
            "reserved for the hub",
        ),
        ("topic=%2F.well-known%2F%256Dercure%2Fx", 400, "reserved for the hub"),
        ("topic=%3Fq", 400, "reserved for the hub"),
        ("topic=chat&topic=mercure%2Fx", 400, "reserved for the hub"),
        ("topic=%2F.well-known%2FmercureX", 200, "#1"),
        ("topic=https%3A%2F%2F%5Bbad", 200, "#1"),
    ])
    .await;
}

fn with_key(key: &str, form: &str) -> Request<Body> {
    let mut request = publication(form);
    request.headers_mut().append("idempotency-key", key.parse().unwrap());
    request
}

/// P3: one publication, however often it is sent.
#[tokio::test]
async fn a_publication_sent_again_with_its_key_is_stored_once_and_answered_with_the_first_id_m086() {
    let hub = hub();
    let app = app(&hub);
    let mut stream = Stream::open(&app, "match=a").await;
    for form in ["topic=a&data=made", "topic=a&data=chosen&id=41"] {
        let first = send(&app, with_key(form, form)).await;
        assert_eq!(first.status, 200);
        assert!(!first.headers.contains_key("idempotent-replayed"));
        // Bare and quoted, and with what means nothing.
        for (key, form) in
            [(form, form), (&format!("\"{form}\""), form), (form, &format!("{form}&unknown=1"))]
        {
            let again = send(&app, with_key(key, form)).await;
            assert_eq!((again.status.as_u16(), &again.text), (200, &first.text));
            assert_eq!(again.headers["idempotent-replayed"], "true");
        }
    }
    post(&app, "topic=a&data=last").await;
    let text = stream.until("data: last\n\n").await;
    assert_eq!(
        (text.matches("data: made\n").count(), text.matches("data: chosen\n").count()),
        (1, 1),
        "{text}"
    );
}

#[tokio::test]
async fn publications_with_other_keys_or_none_are_others() {
    let hub = hub();
    let app = app(&hub);
    for request in
        [with_key("1", "topic=a"), with_key("2", "topic=a"), publication("topic=a"), publication("topic=a")]
    {
        let answer = send(&app, request).await;
        assert_eq!(
            (answer.status.as_u16(), answer.headers.contains_key("idempotent-replayed")),
            (200, false)
        );
    }
    assert_eq!(hub.counts().publications, 4);
}

#[tokio::test]
async fn another_publication_under_the_same_key_is_422() {
    let hub = hub();
    let app = app(&hub);
    assert_eq!(send(&app, with_key("k", "topic=a&data=x")).await.status, 200);
    for form in [
        "topic=a&data=y",
        "topic=b&data=x",
        "topic=a&topic=b&data=x",
        "topic=a&data=x&private=on",
        "topic=a&data=x&id=1",
        "topic=a&data=x&type=t",
        "topic=a&data=x&retry=1",
    ] {
        let answer = send(&app, with_key("k", form)).await;
        assert_eq!(answer.status, 422, "{form}");
        assert_eq!(
            answer.text,
            "The Idempotency-Key was used before, for another publication; this one was not stored.\n"
        );
    }
    assert_eq!(send(&app, with_key("k", "topic=a&data=x")).await.status, 200);
    assert_eq!(hub.counts().publications, 1);
}

/// What was refused for another reason has not used its key.
#[tokio::test]
async fn a_refused_publication_leaves_its_key_free() {
    let app = app(&hub());
    assert_eq!(send(&app, with_key("k", "topic=a&id=%23")).await.status, 400);
    let answer = send(&app, with_key("k", "topic=a&id=1")).await;
    assert_eq!((answer.status.as_u16(), answer.headers.contains_key("idempotent-replayed")), (200, false));
}

#[tokio::test]
async fn what_is_no_idempotency_key_is_400() {
    let hub = hub();
    let app = app(&hub);
    let long = "x".repeat(256);
    for (keys, sentence) in [
        (&[""][..], "is empty"),
        (&["\"\""], "is empty"),
        (&[&long], "has 256 bytes; at most 255"),
        (&["a b"], "visible ASCII"),
        (&["caf\u{e9}"], "visible ASCII"),
        (&["\"a"], "one string in quotation marks"),
        (&["a", "b"], "several headers"),
    ] {
        let mut request = publication("topic=a&data=x");
        for key in keys {
            request.headers_mut().append("idempotency-key", HeaderValue::from_bytes(key.as_bytes()).unwrap());
        }
        let answer = send(&app, request).await;
        assert_eq!(answer.status, 400, "{keys:?}");
        assert!(answer.text.contains(sentence) && answer.text.ends_with(".\n"), "{}", answer.text);
    }
    assert_eq!(hub.counts().publications, 0);
    assert_eq!(send(&app, with_key(&long[1..], "topic=a&data=x")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_attempts_at_once_with_one_key_one_is_stored() {
    let hub = hub();
    let app = app(&hub);
    for round in 0..50 {
        let barrier = Arc::new(tokio::sync::Barrier::new(4));
        let attempts: Vec<_> = (0..4)
            .map(|_| {
                let (app, barrier) = (app.clone(), barrier.clone());
                tokio::spawn(async move {
                    barrier.wait().await;
                    send(&app, with_key(&format!("k{round}"), &format!("topic=a&data={round}"))).await
                })
            })
            .collect();
        let mut answers = Vec::new();
        for attempt in attempts {
            answers.push(attempt.await.unwrap());
        }
        assert!(answers.iter().all(|answer| answer.status == 200 && answer.text == answers[0].text));
        let first = answers.iter().filter(|answer| !answer.headers.contains_key("idempotent-replayed"));
        assert_eq!(first.count(), 1);
    }
    assert_eq!((hub.counts().publications, hub.counts().publications_duplicate), (50, 150));
}

#[tokio::test]
async fn topics_are_judged_before_the_other_fields_m075() {
    check(&[("topic=*&id=%237", 400, "stands for every topic"), ("id=%237", 400, "`topic` is missing")])
        .await;
}

#[tokio::test]
async fn only_forms_are_read_m067() {
    let hub = hub();
    let app = app(&hub);
    let request = |content_type: &str| {
        Request::post(HUB).header("content-type", content_type).body(Body::from("topic=a&data=x")).unwrap()
    };
    for content_type in
        [FORM, "application/x-www-form-urlencoded; charset=UTF-8", "Application/X-WWW-Form-URLEncoded"]
    {
        assert_eq!(send(&app, request(content_type)).await.status, 200, "{content_type}");
    }
    for content_type in ["application/json", "multipart/form-data; boundary=x", "text/plain", ""] {
        let answer = send(&app, request(content_type)).await;
        assert_eq!(answer.status, 400, "{content_type}");
        assert_eq!(answer.text, "The body has to be of the type application/x-www-form-urlencoded.\n");
    }
}

#[tokio::test]
async fn fields_in_the_query_do_not_count_m068() {
    let hub = hub();
    let request = Request::post(format!("{HUB}?topic=a"))
        .header("content-type", FORM)
        .body(Body::from("data=x"))
        .unwrap();
    assert_eq!(send(&app(&hub), request).await.status, 400);
}

#[tokio::test]
async fn what_is_too_large_is_413_m083() {
    let hub = Hub::builder().event_bytes_max(2_000).build().unwrap();
    let limits = RequestLimits { body_bytes_max: 6_000, topics_max: 3, ..RequestLimits::default() };
    let app = Mercure::new(hub.clone()).access(Access::open()).limits(limits).router();
    for (form, sentence) in [
        (format!("topic=a&data={}", "x".repeat(6_000)), "The body is larger than 6000 bytes.\n"),
        ("topic=a&topic=b&topic=c&topic=d".to_owned(), "A publication may have at most 3 topics.\n"),
        (format!("topic={}", "x".repeat(4_097)), "The topic has 4097 bytes; at most 4096 are allowed.\n"),
        (format!("topic=a&id={}", "x".repeat(513)), "The id has 513 bytes; at most 512 are allowed.\n"),
        (
            format!("topic=a&type={}", "x".repeat(257)),
            "The event name has 257 bytes; at most 256 are allowed.\n",
        ),
        (
            format!("topic=a&id=1&data={}", "x".repeat(2_000)),
            "The encoded event has 2014 bytes; at most 2000 are allowed.\n",
        ),
    ] {
        let answer = post(&app, &form).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (413, sentence));
    }
    assert_eq!(post(&app, "topic=a&topic=b&topic=c").await.status, 200);
    assert_eq!(hub.counts().publications, 1);
}
