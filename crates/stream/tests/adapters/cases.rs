//! What every adapter has to do. Names no framework.

use std::io::Read;

use fanfare_stream::Closed;
use fanfare_wire::Event;

use crate::client::Client;
use crate::hosts::Host;

pub(crate) fn the_head_says_what_it_is_before_the_first_event(host: &Host) {
    let mut client = Client::get(host, "/", &[]);
    let head = client.head();
    assert_eq!(head.status, "HTTP/1.1 200 OK");
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    assert_eq!(head.header("cache-control"), Some("no-cache, no-transform"));
    assert_eq!(head.header("x-accel-buffering"), Some("no"));
    assert_eq!(head.header("content-length"), None);
    assert!(head.header("date").is_some());
    drop(host.visit());
}

pub(crate) fn each_event_arrives_when_it_is_sent(host: &Host) {
    let mut client = Client::get(host, "/", &[]);
    let visit = host.visit();
    for n in 0..3 {
        visit.stream.send(Event::new(format!("event {n}")));
        client.read_until(&format!("data: event {n}\n\n"));
    }
}

pub(crate) fn the_last_event_id_is_that_of_the_header_or_else_of_the_query(host: &Host) {
    let check = |target: &str, headers: &[&str], expected: Option<&str>| {
        let _client = Client::get(host, target, headers);
        assert_eq!(host.visit().last.as_deref(), expected, "{target} {headers:?}");
    };
    check("/", &[], None);
    check("/?last_event_id=", &["Last-Event-ID: "], None);
    check("/?last_event_id=from+the%20query", &[], Some("from the query"));
    check("/?last_event_id=8", &["Last-Event-ID: 7"], Some("7"));
    // As browsers send it: the bytes of its UTF-8.
    check("/", &["Last-Event-ID: é7…"], Some("é7…"));
}

pub(crate) fn a_last_event_id_that_cannot_be_used_is_not_none(host: &Host) {
    let long = format!("Last-Event-ID: {}", "x".repeat(600));
    let _client = Client::get(host, "/", &[&long]);
    assert_eq!(host.visit().last.as_deref(), Some("#unusable"));
    let _client = Client::get(host, "/?last_event_id=%ff", &[]);
    assert_eq!(host.visit().last.as_deref(), Some("#unusable"));
}

pub(crate) fn a_quiet_stream_is_kept_alive_by_comment_lines(host: &Host) {
    let mut client = Client::get(host, "/kept-alive-every-millisecond", &[]);
    let _visit = host.visit();
    client.read_until(":\n");
    client.read_until(":\n");
}

pub(crate) fn close_says_goodbye_and_ends_the_response_whole(host: &Host) {
    let mut client = Client::get(host, "/", &["Connection: close"]);
    let visit = host.visit();
    visit.stream.send(Event::new("last words"));
    visit.stream.close();
    assert_eq!(client.whole_body(), "data: last words\n\nevent: close\ndata: Closing the connection\n\n");
}

pub(crate) fn a_sender_that_is_dropped_ends_the_response_whole_and_without_a_word(host: &Host) {
    let mut client = Client::get(host, "/", &["Connection: close"]);
    let visit = host.visit();
    visit.stream.send(Event::new("last words"));
    drop(visit);
    assert_eq!(client.whole_body(), "data: last words\n\n");
}

/// actix-web does not look whether somebody is there while it has nothing to write.
pub(crate) fn a_client_that_leaves_is_found_out_by_a_keep_alive(host: &Host) {
    let mut client = Client::get(host, "/kept-alive-every-millisecond", &[]);
    let visit = host.visit();
    client.read_until(":\n");
    drop(client);
    assert_eq!(visit.stream.closed(), Closed::ByClient);
}

/// Goal: what is sent is bounded, the producer hears why, and the client does not take what it got for all there is.
pub(crate) fn a_client_that_takes_nothing_is_given_up(host: &Host) {
    let mut client = Client::get(host, "/given-up-after-a-moment", &["Connection: close"]);
    assert_eq!(host.visit().stream.flood(), Closed::WriteDeadline);
    assert!(!client.gets_all());
}

pub(crate) fn a_head_request_gets_the_head_alone_and_its_stream_ends(host: &Host) {
    let mut client = Client::ask(host, "HEAD", "/kept-alive-every-millisecond", &["Connection: close"]);
    let head = client.head();
    assert_eq!(head.status, "HTTP/1.1 200 OK");
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    assert_eq!(head.header("cache-control"), Some("no-cache, no-transform"));
    assert_eq!(head.header("content-length"), None);
    assert_eq!(client.rest(), b"");
    assert_eq!(host.visit().stream.closed(), Closed::ByClient);
}

pub(crate) fn a_shutdown_sends_its_clients_away_for_a_while(host: &Host) {
    let mut client = Client::get(host, "/until-the-shutdown", &["Connection: close"]);
    let visit = host.visit();
    visit.stream.send(Event::new("before"));
    let head = client.head();
    client.read_until("data: before\n\n");
    host.shutdown.begin();
    let farewell = client.rest_of_body(&head);
    let retry = farewell.strip_prefix("retry: ").unwrap().strip_suffix("\n\nevent: bye\ndata: \n\n").unwrap();
    assert!((1_000..5_000).contains(&retry.parse::<u32>().unwrap()));
    assert_eq!(visit.stream.closed(), Closed::Shutdown);
}

/// Goal: neither the thread nor the task that writes to such a client holds a shutdown up.
pub(crate) fn a_shutdown_cuts_a_client_that_takes_nothing(host: &Host) {
    let _client = Client::get(host, "/until-the-shutdown", &[]);
    let visit = host.visit();
    let shutdown = host.shutdown.clone();
    let flooding = std::thread::spawn(move || visit.stream.flood());
    shutdown.begin();
    assert_eq!(flooding.join().unwrap(), Closed::Shutdown);
}

pub(crate) fn a_stream_ends_in_order_when_its_time_is_over(host: &Host) {
    let mut client = Client::get(host, "/for-a-moment", &["Connection: close"]);
    assert_eq!(host.visit().stream.closed(), Closed::Expired);
    assert_eq!(client.whole_body(), "");
}

pub(crate) fn whoever_is_too_far_behind_is_sent_off_while_it_takes_nothing(host: &Host) {
    let mut client = Client::get(host, "/", &["Connection: close"]);
    let visit = host.visit();
    let head = client.head();
    visit.stream.send(Event::new("first"));
    client.read_until("data: first\n\n");
    visit.stream.overflow();
    assert_eq!(visit.stream.closed(), Closed::TooSlow);
    // What was on its way is whole: a client that reads on sees an end between two events.
    let rest = client.rest_of_body(&head);
    assert!(rest.is_empty() || rest.ends_with("x\n\n"));
}

pub(crate) fn a_stream_is_compressed_event_by_event_if_its_client_takes_that(host: &Host) {
    let mut client = Client::get(host, "/compressed", &["Accept-Encoding: gzip", "Connection: close"]);
    let visit = host.visit();
    let head = client.head();
    assert_eq!(head.header("content-encoding"), Some("gzip"));
    assert_eq!(head.header("vary"), Some("Accept-Encoding"));
    // The head of gzip comes with the first event. A short one is not compressed, and can be found.
    visit.stream.send(Event::new("short"));
    let read = client.bytes_until(b"data: short\n\n");
    visit.stream.send(Event::new("long ".repeat(100)));
    visit.stream.close();
    let body = client.rest_of_body_after(&head, read);
    let mut said = String::new();
    // It checks the end, too.
    flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut said).unwrap();
    let long = "long ".repeat(100);
    assert_eq!(
        said,
        format!("data: short\n\ndata: {long}\n\nevent: close\ndata: Closing the connection\n\n")
    );

    let mut client = Client::get(host, "/compressed", &["Accept-Encoding: br", "Connection: close"]);
    drop(host.visit());
    let head = client.head();
    assert_eq!((head.header("content-encoding"), head.header("vary")), (None, Some("Accept-Encoding")));
}

/// Checks an answer of `/orders`, which is a stream or JSON, or of `/orders-as-they-come`, which is a stream.
fn check_negotiated(host: &Host, target: &str, accept: &[&str], status: &str, kind: &str, body: &str) {
    let mut client = Client::get(host, target, &[accept, &["Connection: close"]].concat());
    let head = client.head();
    assert_eq!(head.status, status, "{accept:?}");
    assert_eq!(head.header("content-type"), Some(kind), "{accept:?}");
    assert_eq!(head.header("vary"), Some("Accept"), "{accept:?}");
    assert_eq!(client.body_under(&head), body, "{accept:?}");
}

const OK: &str = "HTTP/1.1 200 OK";

pub(crate) fn one_handler_answers_with_a_stream_or_with_json_as_its_client_wishes(host: &Host) {
    let streamed = |accept: &[&str]| {
        check_negotiated(host, "/orders", accept, OK, "text/event-stream", "data: an order\n\n");
    };
    let listed = |accept: &[&str]| {
        check_negotiated(host, "/orders", accept, OK, "application/json", "[\"an order\"]");
    };
    streamed(&["Accept: text/event-stream"]);
    streamed(&["Accept: application/json;q=0.5, text/event-stream;q=0.6"]);
    streamed(&["Accept: application/json;q=0.5", "Accept: text/event-stream"]);
    listed(&["Accept: application/json, text/event-stream;q=0.9"]);
    listed(&["Accept: */*"]);
    listed(&[]);
}

pub(crate) fn who_takes_neither_hears_what_there_is(host: &Host) {
    let sentence = "This is there as application/json or text/event-stream.\n";
    for accept in ["Accept: image/png", "Accept: text/event-stream;q=0, application/json;q=0.0"] {
        let status = "HTTP/1.1 406 Not Acceptable";
        check_negotiated(host, "/orders", &[accept], status, "text/plain; charset=utf-8", sentence);
    }
}

pub(crate) fn a_handler_of_streams_alone_refuses_whoever_takes_none(host: &Host) {
    let check = |accept: &[&str], status, kind, body| {
        check_negotiated(host, "/orders-as-they-come", accept, status, kind, body);
    };
    check(&["Accept: text/*"], OK, "text/event-stream", "data: an order\n\n");
    check(&[], OK, "text/event-stream", "data: an order\n\n");
    let refused = "HTTP/1.1 406 Not Acceptable";
    let sentence = "This is there as text/event-stream.\n";
    check(&["Accept: application/json"], refused, "text/plain; charset=utf-8", sentence);
}
