//! The log on JetStream, over servers of its own.

#![allow(missing_docs, unreachable_pub)]

#[path = "../cluster/losing.rs"]
mod losing;
#[path = "../cluster/nodes.rs"]
mod nodes;
#[path = "../cluster/presence.rs"]
mod presence;
#[path = "../cluster/process.rs"]
mod process;
mod producing;
mod removing;
#[path = "../cluster/rewinding.rs"]
mod rewinding;
mod server;
mod setting_up;
#[path = "../cluster/support.rs"]
mod support;
