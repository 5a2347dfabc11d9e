//! Streams that a hub finds, and what it says about them.

use async_nats::jetstream::{self, stream};
use fanfare_engine::nats::{ConnectError, Finding, NatsFault};
use fanfare_hub::Health;

use crate::server::{Server, options};
use crate::support::{hub, hub_at_once, publish, until};

async fn jetstream(server: &Server) -> jetstream::Context {
    jetstream::new(async_nats::connect(server.url()).await.expect("connected"))
}

fn needs_hands(health: &Health) -> bool {
    matches!(health, Health::Stalled(fault) if fault.downcast_ref::<NatsFault>().is_some_and(NatsFault::needs_hands))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_the_hub_creates_is_found_fit_but_for_its_one_replica() {
    let server = Server::start();
    let engine = options(&server).connect().await.expect("an engine");
    let check = async || loop {
        match engine.check().await {
            Ok(findings) => break findings,
            // The first attempt to connect is under way.
            Err(NatsFault::NotConnected) => tokio::task::yield_now().await,
            Err(fault) => panic!("{fault}"),
        }
    };
    assert_eq!(check().await, None, "it is looked for and not created");
    drop(hub(options(&server)).await);
    let findings = check().await.expect("the stream");
    assert!(matches!(&findings[..], [Finding::Warning(text)] if text.contains("replicas")), "{findings:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_somebody_else_s_is_left_alone() {
    let server = Server::start();
    let theirs = stream::Config {
        name: "FANFARE_default".to_owned(),
        subjects: vec!["fanfare.default.>".to_owned()],
        ..stream::Config::default()
    };
    let mut theirs = jetstream(&server).await.create_stream(theirs).await.expect("a stream");
    let node = hub_at_once(options(&server)).await;
    until(&node, needs_hands).await;
    assert!(node.publish("a", fanfare_wire::Event::new("x")).await.is_err());
    assert_eq!(theirs.info().await.expect("info").state.messages, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_takes_entries_out_of_its_middle_is_refused_until_it_does_not_any_more() {
    let server = Server::start();
    {
        let node = hub(options(&server)).await;
        publish(&node, "a", "1").await;
    }
    let jetstream = jetstream(&server).await;
    let config =
        jetstream.get_stream("FANFARE_default").await.expect("the stream").cached_info().config.clone();
    let broken = stream::Config { max_messages_per_subject: 1, ..config.clone() };
    jetstream.update_stream(broken).await.expect("updated");
    let node = hub_at_once(options(&server)).await;
    until(&node, needs_hands).await;
    jetstream.update_stream(config).await.expect("updated");
    until(&node, |health| matches!(health, Health::Ready)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_work_with_any_server_is_refused_at_once() {
    let server = Server::start();
    let wrong = options(&server).hub("a.b").connect().await;
    assert!(matches!(wrong, Err(ConnectError::HubName { .. })), "{wrong:?}");
    let wrong = fanfare_engine::NatsEngine::options(["http://x y"]).connect().await;
    assert!(matches!(wrong, Err(ConnectError::Server { .. })), "{wrong:?}");
    let none = fanfare_engine::NatsEngine::options(Vec::<String>::new()).connect().await;
    assert!(matches!(none, Err(ConnectError::Server { .. })), "{none:?}");
}
