//! What every adapter has to do. Names no framework.

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
