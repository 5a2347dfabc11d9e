//! A hub's subscription as a response: what one crate makes and another sends.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use fanfare::testing::{EventSource, Heard, Reader, every_cut_resumes};
use fanfare::{Event, Hub, LastEventId, Sse, SseBody, SubscribeError};
use http::{HeaderValue, Request, Response};

/// A handler of `rooms/7`.
fn room(hub: &Hub, request: &Request<()>) -> Response<SseBody> {
    let last = LastEventId::from_request(request.headers(), request.uri());
    Sse::new(hub.subscribe("rooms/7").after(last)).response()
}

#[tokio::test(start_paused = true)]
async fn p2_who_comes_back_gets_what_it_missed_and_nothing_twice() {
    let hub = Hub::builder().history_events(1_000).build().unwrap();
    let mut page = EventSource::open(async |request| room(&hub, &request), "/").await;
    hub.publish("rooms/7", Event::new("one")).await.unwrap();
    assert_eq!(page.expect_event().await.data, "one");
    page.cut();
    hub.publish("rooms/7", Event::new("two")).await.unwrap();
    hub.publish("rooms/8", Event::new("elsewhere")).await.unwrap();
    hub.publish("rooms/7", Event::new("three")).await.unwrap();

    page.reconnect().await;

    assert_eq!(page.expect_event().await.data, "two");
    assert_eq!(page.expect_event().await.data, "three");
    page.nothing_for(Duration::from_secs(3_600)).await;
}

#[tokio::test(start_paused = true)]
async fn p2_who_comes_for_the_first_time_gets_what_is_published_from_then_on() {
    let hub = Hub::builder().history_events(1_000).build().unwrap();
    hub.publish("rooms/7", Event::new("before")).await.unwrap();
    let mut page = EventSource::open(async |request| room(&hub, &request), "/").await;
    hub.publish("rooms/7", Event::new("after")).await.unwrap();
    assert_eq!(page.expect_event().await.data, "after");
    page.nothing_for(Duration::from_secs(3_600)).await;
}

#[tokio::test(start_paused = true)]
async fn p1_p2_p3_a_connection_that_is_cut_behind_any_byte_resumes_exactly() {
    let hub = Hub::builder().history_events(1_000).build().unwrap();
    for n in 0..5 {
        hub.publish("rooms/7", Event::new(format!("line {n}\nof two"))).await.unwrap();
        hub.publish("rooms/8", Event::new("elsewhere")).await.unwrap();
    }
    // Who has seen nothing yet asks for all that there is.
    let handler = async |mut request: Request<()>| {
        let headers = request.headers_mut();
        headers.entry("last-event-id").or_insert(HeaderValue::from_static("earliest"));
        room(&hub, &request)
    };
    let events = every_cut_resumes(handler, "/", 5).await;
    assert_eq!(events[4].data, "line 4\nof two");
}

#[tokio::test]
async fn p2_an_id_that_cannot_be_used_is_answered_with_a_gap_and_not_as_a_first_visit() {
    let hub = Hub::builder().build().unwrap();
    let last = LastEventId::parse(&[b'x'; 600]);
    let mut reader = Reader::of_body(Sse::new(hub.subscribe("rooms/7").after(last)));
    let gap = reader.expect_event().await;
    assert_eq!(gap.name, "fanfare.gap");
    assert!(gap.data.contains(r#""reason":"unknown""#), "{gap}");
}

#[tokio::test]
async fn a_refused_subscription_is_reported_to_the_application() {
    let hub = Hub::builder().build().unwrap();
    let (report, reported) = std::sync::mpsc::channel();
    let sse = Sse::new(hub.subscribe("*")).on_error(move |error| report.send(error).unwrap());
    assert_eq!(Reader::of_body(sse).rest().await, [Heard::End]);
    let error = reported.recv().unwrap().downcast::<SubscribeError>().unwrap();
    assert!(matches!(*error, SubscribeError::Topic(_)), "{error}");
}

/// Goal: nothing of a hub needs a runtime, whoever reads it.
#[cfg(feature = "blocking")]
#[test]
fn p1_a_thread_that_waits_for_a_hub_is_woken_by_what_is_published() {
    use futures_util::FutureExt;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    let hub = Hub::builder().build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let sse = room(&hub, &Request::new(()));
    let server = listener.accept().unwrap().0;
    let serving = std::thread::spawn(move || fanfare::blocking::serve(server, &http::Method::GET, sse));
    let mut read = String::new();
    for data in ["one", "two"] {
        hub.publish("rooms/7", Event::new(data)).now_or_never().expect("memory does not wait").unwrap();
        while !read.ends_with(&format!("data: {data}\n\n")) {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            read.push(byte[0].into());
        }
    }
    hub.close();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    serving.join().unwrap().unwrap();
}
