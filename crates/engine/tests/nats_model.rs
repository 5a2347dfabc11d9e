//! The hub's own model over the log on JetStream.

#![allow(missing_docs, unreachable_pub)]

#[path = "../../hub/tests/support/mod.rs"]
mod support;
use support::polled as reader;
#[path = "cluster/model.rs"]
mod model;
#[path = "cluster/process.rs"]
#[allow(dead_code)]
mod process;
#[path = "nats/server.rs"]
#[allow(dead_code)]
mod server;
#[path = "../../hub/tests/scenarios/world/mod.rs"]
mod world;
