//! What `hyper_1::service` does that a service of one's own would have to.
#![allow(clippy::unwrap_used)]

use fanfare_stream::hyper_1::{self, IntoResponse};
use fanfare_stream::{Sender, Sse, SseBody, channel};
use fanfare_wire::Event;
use http::{Method, Request, Response, StatusCode};
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::mpsc;

/// A client of a connection on which `handler` answers over HTTP/2.
async fn connected<H, F>(handler: H) -> h2::client::SendRequest<bytes::Bytes>
where
    H: Fn(Request<hyper::body::Incoming>) -> F + Send + 'static,
    F: Future<Output: IntoResponse<Body = SseBody>> + Send + 'static,
{
    let (client, server) = tokio::io::duplex(64 * 1024);
    let service = hyper_1::service(handler);
    tokio::spawn(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(server), service));
    let (requests, connection) = h2::client::handshake(client).await.unwrap();
    tokio::spawn(connection);
    requests.ready().await.unwrap()
}

/// hyper itself would go on asking the endless body for data that `HEAD` may not have.
#[tokio::test]
async fn over_http_2_a_head_request_gets_no_body_and_its_stream_ends() {
    let (streams, mut taken) = mpsc::unbounded_channel::<Sender>();
    let mut requests = connected(move |_| {
        let (sender, sse) = channel(1);
        streams.send(sender).unwrap();
        std::future::ready(sse)
    })
    .await;

    let head = Request::builder().method(Method::HEAD).uri("http://test/").body(()).unwrap();
    let (response, _) = requests.send_request(head, true).unwrap();
    let response = response.await.unwrap();

    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert!(response.into_body().is_end_stream());
    taken.recv().await.unwrap().closed().await;
}

#[tokio::test]
async fn a_handler_may_answer_with_a_head_of_its_own() {
    let mut requests = connected(|_| {
        let head = Response::builder().status(StatusCode::ACCEPTED).header("x-mine", "yes").body(()).unwrap();
        let events = futures_util::stream::iter([Event::new("one")]);
        std::future::ready(Sse::new(events).response_with(head))
    })
    .await;

    let (response, _) = requests.send_request(Request::get("http://test/").body(()).unwrap(), true).unwrap();
    let mut response = response.await.unwrap();

    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert_eq!(response.headers()["x-mine"], "yes");
    assert_eq!(response.body_mut().data().await.unwrap().unwrap(), b"data: one\n\n"[..]);
}
