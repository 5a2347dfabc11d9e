//! What ends by itself, whatever a client takes or keeps open.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::socket::Server;
use common::{HUB, PATIENCE, hub, until};
use fanfare_http::{Access, ConnectionLimits, Drain, Mercure};

/// Goal: nobody is subscribed, or listed, for longer than they may be.
/// Method: grant no window at all, so that hyper asks for nothing.
#[tokio::test]
async fn over_http2_a_stream_that_its_client_does_not_take_leaves_the_hub_when_its_time_is_over_m060() {
    let hub = hub();
    let lifetime = Duration::from_millis(200);
    let app = Mercure::new(hub.clone()).access(Access::open()).lifetime(lifetime).router();
    let server = Server::start(app, ConnectionLimits::default(), Drain::new());
    let mut sender = server.connect_http2(0).await;
    let request = http::Request::get(format!("http://localhost{HUB}?match=a")).body(()).unwrap();
    let (response, _) = sender.send_request(request, true).unwrap();
    let mut body = response.await.unwrap().into_body();
    until(|| hub.counts().subscribers == 0).await;
    let reset = tokio::time::timeout(PATIENCE, body.data()).await.expect("an end");
    assert!(reset.expect("no end in order").is_err());
}
