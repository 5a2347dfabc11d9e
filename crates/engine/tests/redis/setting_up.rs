//! Servers that a hub finds, and what it says about them.

use fanfare_engine::RedisEngine;
use fanfare_engine::redis::{ConnectError, Finding, RedisFault};

use crate::server::{Server, options};
use crate::support::{hub, publish, soon};

/// What a user of Redis has to be allowed, as docs/guide/cluster.md says it.
pub const ALLOWED: [&str; 10] = [
    "+@read",
    "+@write",
    "+@scripting",
    "+@connection",
    "+publish",
    "+subscribe",
    "+time",
    "+info",
    "+role",
    "+config|get",
];

async fn findings(server: &Server) -> Result<Vec<Finding>, RedisFault> {
    let engine = options(server).connect().expect("an engine");
    soon("checking", engine.check()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_syncs_at_once_is_fit_and_one_that_does_not_is_told_of() {
    let server = Server::start();
    assert_eq!(findings(&server).await.expect("findings"), []);
    assert_eq!(server.tell(&["DBSIZE"]).await, "int(0)", "it is looked at and not changed");
    server.tell(&["CONFIG", "SET", "appendfsync", "everysec"]).await;
    let found = findings(&server).await.expect("findings");
    assert!(matches!(&found[..], [Finding::Warning(text)] if text.contains("everysec")), "{found:?}");
    server.tell(&["CONFIG", "SET", "appendonly", "no"]).await;
    let found = findings(&server).await.expect("findings");
    assert!(matches!(&found[..], [Finding::Warning(text)] if text.contains("appendonly no")), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_may_drop_the_log_is_refused() {
    let server = Server::start_with(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]);
    let refused = findings(&server).await.expect_err("refused");
    assert!(refused.needs_hands() && refused.to_string().contains("noeviction"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_and_a_replica_are_refused() {
    let server = Server::start_with(&["--cluster-enabled", "yes"]);
    let refused = findings(&server).await.expect_err("refused");
    assert!(refused.needs_hands() && refused.to_string().contains("Cluster"), "{refused}");
    let primary = Server::start();
    let server = Server::start_with(&["--replicaof", &format!("127.0.0.1 {}", primary.address.port())]);
    let refused = findings(&server).await.expect_err("refused");
    assert!(refused.needs_hands() && refused.to_string().contains("replica"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hubs_of_other_names_share_a_server_and_nothing_else() {
    let server = Server::start();
    let (one, other) = (hub(options(&server)).await, hub(options(&server).hub("other")).await);
    publish(&one, "a", "1").await;
    assert_eq!(other.bounds().await.expect("bounds").next, 1);
    assert_eq!(publish(&other, "a", "1").await.position, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_work_with_any_server_is_refused_at_once() {
    let server = Server::start();
    let wrong = options(&server).hub("a}b").connect();
    assert!(matches!(wrong, Err(ConnectError::HubName { .. })), "{wrong:?}");
    for text in ["http://x", "redis://", "rediss://host/#insecure", "", "redis://host/first"] {
        let wrong = RedisEngine::options(text).connect();
        assert!(matches!(wrong, Err(ConnectError::Server { .. })), "{text}: {wrong:?}");
    }
    let wrong = RedisEngine::options("redis://me:hunter2@host:x").connect().expect_err("no port");
    assert!(!wrong.to_string().contains("hunter2"), "{wrong}");
    let nowhere = || Some("/nowhere/at/all.pem".into());
    let wrong = RedisEngine::options("rediss://host").root_certificates(nowhere()).connect();
    assert!(matches!(wrong, Err(ConnectError::File { .. })), "{wrong:?}");
    let folder = tempfile::tempdir().expect("a folder");
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").expect("written");
    let plain = options(&server).root_certificates(empty).connect();
    assert!(matches!(plain, Err(ConnectError::Tls(_))), "{plain:?}");
}
