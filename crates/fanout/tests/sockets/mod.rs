//! What a fan-out promises, over real sockets.
#![allow(clippy::unwrap_used)]

mod behind;
#[cfg(not(unix))]
#[path = "../../../hub/tests/support/chunks.rs"]
mod chunks;
#[path = "../../../hub/tests/support/decompressed.rs"]
mod decompressed;
mod ends;
mod faults;
mod model;
#[cfg(unix)]
mod scenarios;
mod slow;
mod streams;
mod support;

#[cfg(unix)]
use scenarios::support::chunks;
