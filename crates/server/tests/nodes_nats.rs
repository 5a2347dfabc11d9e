//! What nodes over one log on NATS know of each other.

#![cfg(unix)]
#![allow(missing_docs, unreachable_pub)]

mod common;
mod nodes;
#[path = "../../engine/tests/cluster/process.rs"]
#[allow(dead_code)] // Nothing of it is backed up here.
mod process;
#[path = "../../engine/tests/nats/server.rs"]
#[allow(dead_code)] // No engine is made here.
mod server;

/// What a node is told besides where its log is.
const FLAGS: &[&str] = &["--nats-replicas", "1"];
