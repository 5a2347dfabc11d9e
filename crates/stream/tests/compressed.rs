//! A compressed stream: each event arrives by itself, the end is what its coding asks for, and the head says what it is.
#![allow(clippy::unwrap_used)]

use std::io::Read;
use std::time::Duration;

use bytes::Bytes;
use fanfare_stream::{AcceptEncoding, KeepAlive, Offer, Shutdown, Sse};
use fanfare_wire::{Coding, Dictionary, Event, Frame};
use futures_util::{FutureExt, stream};
use http::{HeaderMap, Method, Response, header};
use http_body::Body;
use http_body_util::BodyExt;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// All that a body has to say at once; `Err` if it broke off, and whether it has ended.
fn read<B: Body<Data = Bytes, Error = Error> + Unpin>(body: &mut B) -> (Vec<u8>, Result<bool, Error>) {
    let mut bytes = Vec::new();
    loop {
        match body.frame().now_or_never() {
            Some(Some(Ok(frame))) => bytes.extend_from_slice(&frame.into_data().unwrap()),
            Some(Some(Err(error))) => return (bytes, Err(error)),
            Some(None) => return (bytes, Ok(true)),
            None => return (bytes, Ok(false)),
        }
    }
}

/// What a strict decoder makes of a whole body.
fn decode(coding: Coding, body: &[u8]) -> std::io::Result<String> {
    let mut said = String::new();
    match coding {
        Coding::Gzip => flate2::read::GzDecoder::new(body).read_to_string(&mut said)?,
        _ => zstd::stream::read::Decoder::new(body)?.read_to_string(&mut said)?,
    };
    Ok(said)
}

/// What a client has of a body that has not ended.
fn decode_so_far(coding: Coding, body: &[u8]) -> String {
    let mut said = Vec::new();
    let mut room = [0; 256];
    let mut decoder: Box<dyn Read> = match coding {
        Coding::Gzip => Box::new(flate2::read::GzDecoder::new(body)),
        _ => Box::new(zstd::stream::read::Decoder::new(body).unwrap()),
    };
    while let Ok(read @ 1..) = decoder.read(&mut room) {
        said.extend_from_slice(&room[..read]);
    }
    String::from_utf8(said).unwrap()
}

fn accepted(value: &str) -> AcceptEncoding {
    AcceptEncoding::from_values([value.as_bytes()])
}

fn long(what: &str) -> Event {
    Event::new(what.repeat(100))
}

/// A stream that yields what `steps` says, one for each time it is let go on.
fn stepwise(events: Vec<Event>) -> (std::sync::mpsc::Sender<()>, impl futures_util::Stream<Item = Frame>) {
    let (go_on, told) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let mut events = events.into_iter();
    let stream = stream::poll_fn(move |_| match told.lock().unwrap().try_recv() {
        Ok(()) => std::task::Poll::Ready(events.next().map(|event| event.to_frame())),
        Err(_) => std::task::Poll::Pending,
    });
    (go_on, stream)
}

#[test]
fn each_event_is_there_before_the_next_and_the_end_is_whole() {
    for &coding in Coding::COMPRESSING {
        let events = vec![long("one"), Event::new("two"), long("three")];
        let (go_on, stream) = stepwise(events.clone());
        let mut sse = Sse::new(stream).opening(Frame::KEEP_ALIVE).in_coding(coding, 128);
        let (mut bytes, mut expected) = (read(&mut sse).0, String::from(":\n"));
        for event in &events {
            assert_eq!(decode_so_far(coding, &bytes), expected, "{coding:?}");
            go_on.send(()).unwrap();
            bytes.extend(read(&mut sse).0);
            expected.push_str(std::str::from_utf8(event.to_frame().as_bytes()).unwrap());
        }
        assert!(!sse.is_end_stream());
        go_on.send(()).unwrap();
        let (last, ended) = read(&mut sse);
        bytes.extend(last);
        assert!(ended.unwrap() && sse.is_end_stream());
        assert_eq!(decode(coding, &bytes).unwrap(), expected, "{coding:?}");
        assert!(read(&mut sse).0.is_empty(), "it stays ended");
    }
}

#[test]
fn a_stream_of_nothing_is_whole_too() {
    for &coding in Coding::COMPRESSING {
        let mut sse = Sse::new(stream::empty::<Event>()).in_coding(coding, 0);
        let (bytes, ended) = read(&mut sse);
        assert!(ended.unwrap());
        assert_eq!(decode(coding, &bytes).unwrap(), "");
    }
}

#[test]
fn a_stream_that_breaks_off_does_not_look_whole() {
    for &coding in Coding::COMPRESSING {
        let items = [Ok(long("one")), Err("broken")];
        let mut sse = Sse::new(stream::iter(items)).in_coding(coding, 0);
        let (bytes, ended) = read(&mut sse);
        assert!(ended.is_err());
        assert_eq!(decode_so_far(coding, &bytes), String::from_utf8_lossy(long("one").to_frame().as_bytes()));
        assert!(!bytes.ends_with(&coding.end(fanfare_wire::Sum::default())) && read(&mut sse).0.is_empty());
        if coding == Coding::Gzip {
            assert!(decode(coding, &bytes).is_err(), "its client can tell");
        }
    }
}

#[test]
fn an_error_that_somebody_hears_ends_the_stream_in_order() {
    for &coding in Coding::COMPRESSING {
        let items = [Ok(long("one")), Err("broken")];
        let mut sse = Sse::new(stream::iter(items)).on_error(|_| ()).in_coding(coding, 0);
        let (bytes, ended) = read(&mut sse);
        assert!(ended.unwrap());
        assert!(decode(coding, &bytes).is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn keep_alives_a_lifetime_and_a_farewell_are_compressed_as_well() {
    for &coding in Coding::COMPRESSING {
        let keep_alive = KeepAlive::every(Duration::from_secs(15));
        let sse = Sse::new(stream::pending::<Event>()).keep_alive(keep_alive);
        let body = sse.lifetime(Duration::from_secs(40)).in_coding(coding, 0).collect();
        let bytes = body.await.unwrap().to_bytes();
        assert_eq!(decode(coding, &bytes).unwrap(), ":\n:\n");

        let shutdown = Shutdown::builder().farewell(Event::new("bye")).build();
        let sse = Sse::new(stream::pending::<Event>()).ends_with(&shutdown);
        let body = tokio::spawn(sse.in_coding(coding, 0).collect());
        tokio::task::yield_now().await;
        shutdown.begin();
        let bytes = body.await.unwrap().unwrap().to_bytes();
        let said = decode(coding, &bytes).unwrap();
        assert!(said.starts_with("retry: ") && said.ends_with("data: bye\n\n"), "{said}");
    }
}

fn head(sse: Sse) -> HeaderMap {
    sse.response().headers().clone()
}

#[test]
fn the_head_says_what_it_is_and_what_that_depends_on() {
    let sse = || Sse::new(stream::empty::<Event>());
    assert!(!head(sse()).contains_key(header::VARY));
    for (value, coding) in
        [("gzip", Some("gzip")), ("zstd, x", Some("zstd")), ("br", None), ("gzip;q=0", None)]
    {
        let headers = head(sse().compress(&accepted(value)));
        assert_eq!(headers.get(header::CONTENT_ENCODING).map(|name| name.to_str().unwrap()), coding);
        assert_eq!(headers[header::VARY], "Accept-Encoding");
    }
    let own = Response::builder().header(header::VARY, "Origin, accept-encoding").body(()).unwrap();
    let response = sse().compress(&accepted("gzip")).response_with(own);
    assert_eq!(response.headers().get_all(header::VARY).iter().count(), 1);
    let head_alone = sse().compress(&accepted("gzip")).response_to(&Method::HEAD);
    assert_eq!(head_alone.headers()[header::CONTENT_ENCODING], "gzip");
    assert!(head_alone.body().is_end_stream());
}

#[test]
fn a_body_that_is_in_a_coding_already_is_left_as_it_is() {
    let own = Response::builder().header(header::CONTENT_ENCODING, "br").body(()).unwrap();
    let sse = Sse::new(stream::iter([Event::new("as it is")])).compress(&accepted("gzip"));
    let mut response = sse.response_with(own);
    assert_eq!(response.headers()[header::CONTENT_ENCODING], "br");
    assert_eq!(read(response.body_mut()).0, b"data: as it is\n\n");
}

/// Goal: whoever writes such a stream in the HTTP library's place does not begin it with what a dictionary's body begins with.
#[test]
fn a_stream_in_a_coding_of_its_own_refers_to_no_dictionary() {
    let own = Response::builder().header(header::CONTENT_ENCODING, "br").body(()).unwrap();
    let dictionary = Dictionary::new(&b"data: as it is"[..]).unwrap();
    let response = Sse::new(stream::empty::<Event>()).with_dictionary(&dictionary, 0).response_with(own);
    let sse = response.extensions().get::<Offer>().and_then(Offer::take).unwrap();
    assert_eq!(sse.coding(), Coding::Identity);
    let (_, parts) = sse.into_source::<stream::Empty<Event>>().unwrap();
    assert_eq!(parts.dictionary, None);
}

#[test]
fn middleware_that_compresses_leaves_a_compressed_stream_alone() {
    use axum::body::Body as AxumBody;
    use axum::routing::get;
    use tower::ServiceExt;
    let handler =
        |accepted: AcceptEncoding| async move { Sse::new(stream::iter([long("one")])).compress(&accepted) };
    let layer = tower_http::compression::CompressionLayer::new()
        .compress_when(|_: http::StatusCode, _: http::Version, _: &_, _: &http::Extensions| true);
    let router = axum::Router::new().route("/", get(handler)).layer(layer);
    let request =
        http::Request::get("/").header(header::ACCEPT_ENCODING, "gzip").body(AxumBody::empty()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let bytes = runtime.block_on(async {
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
        response.into_body().collect().await.unwrap().to_bytes()
    });
    assert_eq!(decode(Coding::Gzip, &bytes).unwrap().as_bytes(), long("one").to_frame().as_bytes());
}
