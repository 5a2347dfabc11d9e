//! What the tests of this folder share: a hub with its endpoint, requests to it, and streams from it.
#![allow(dead_code)] // Each file uses its own part.

#[path = "../../../hub/tests/support/chunks.rs"]
mod chunks;
#[path = "../../../hub/tests/support/decompressed.rs"]
pub(crate) mod decompressed;
pub(crate) mod failing;
pub(crate) mod socket;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use decompressed::{CODINGS, Decompressed};
use fanfare_http::{Access, Mercure};
use fanfare_hub::Hub;
use fanfare_wire::Coding;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;

pub(crate) const HUB: &str = "/.well-known/mercure";
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// Only so that a broken test ends; nothing is measured with it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until something holds, giving way meanwhile.
pub(crate) async fn until(holds: impl Fn() -> bool) {
    let holding = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, holding).await.expect("it holds in the end");
}

pub(crate) fn hub() -> Hub {
    Hub::builder().build().expect("a hub")
}

pub(crate) fn app(hub: &Hub) -> Router {
    Mercure::new(hub.clone()).access(Access::open()).router()
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

/// Sends a request whose answer ends.
pub(crate) async fn send(app: &Router, request: Request<Body>) -> Answer {
    let response = app.clone().oneshot(request).await.expect("infallible");
    let (head, body) = response.into_parts();
    let bytes =
        tokio::time::timeout(PATIENCE, body.collect()).await.expect("an end").expect("a body").to_bytes();
    Answer {
        status: head.status,
        headers: head.headers,
        text: String::from_utf8(bytes.to_vec()).expect("text"),
    }
}

pub(crate) async fn post(app: &Router, form: &str) -> Answer {
    send(app, publication(form)).await
}

pub(crate) fn publication(form: &str) -> Request<Body> {
    Request::post(HUB).header("content-type", FORM).body(Body::from(form.to_owned())).expect("a request")
}

pub(crate) async fn get(app: &Router, query: &str) -> Answer {
    send(app, subscription(query).body(Body::empty()).expect("a request")).await
}

pub(crate) fn subscription(query: &str) -> http::request::Builder {
    Request::builder().method(Method::GET).uri(format!("{HUB}?{query}"))
}

/// What a head says that its body is in.
fn coding(headers: &HeaderMap) -> Coding {
    let name = headers.get("content-encoding").map(|name| name.to_str().expect("a name"));
    CODINGS.iter().copied().find(|coding| coding.name() == name).unwrap_or_default()
}

/// A stream that a subscriber reads.
pub(crate) struct Stream {
    pub(crate) headers: HeaderMap,
    body: Body,
    decompressed: Decompressed,
    read: String,
}

impl Stream {
    pub(crate) async fn open(app: &Router, query: &str) -> Self {
        Self::of(app, subscription(query).body(Body::empty()).expect("a request")).await
    }

    pub(crate) async fn of(app: &Router, request: Request<Body>) -> Self {
        let response = app.clone().oneshot(request).await.expect("infallible");
        let (head, body) = response.into_parts();
        assert_eq!(head.status, 200);
        assert_eq!(head.headers["content-type"], "text/event-stream");
        let decompressed = Decompressed::of(coding(&head.headers));
        Self { headers: head.headers, body, decompressed, read: String::new() }
    }

    /// Reads until `needle` has arrived; gives everything up to and with it, and keeps the rest.
    pub(crate) async fn until(&mut self, needle: &str) -> String {
        loop {
            if let Some(at) = self.read.find(needle) {
                let rest = self.read.split_off(at + needle.len());
                return std::mem::replace(&mut self.read, rest);
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await;
            let frame = frame.unwrap_or_else(|_| panic!("{needle:?} did not come, only {:?}", self.read));
            let data = frame.expect("no end").expect("no error").into_data().expect("data");
            let data = self.decompressed.take_in(&data);
            self.read += std::str::from_utf8(&data).expect("whole characters");
        }
    }

    /// Reads to the end and gives what was left.
    pub(crate) async fn rest(mut self) -> String {
        let bytes = tokio::time::timeout(PATIENCE, self.body.collect())
            .await
            .expect("an end")
            .expect("no error")
            .to_bytes();
        let bytes = self.decompressed.take_in(&bytes);
        assert!(self.decompressed.has_ended(), "it ends as its coding asks for");
        self.read + std::str::from_utf8(&bytes).expect("text")
    }
}
