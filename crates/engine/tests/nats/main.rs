//! The log on JetStream, over servers of its own.

#![allow(missing_docs, unreachable_pub)]

mod losing;
mod nodes;
mod rewinding;
mod server;
mod setting_up;
mod support;
