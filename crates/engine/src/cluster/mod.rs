//! What is the same for logs that several nodes share, wherever they live: the form of an entry and of a log's identity, where
//! publishers' ids stand, and what a node that follows decides.
//!
//! It knows no store, and does nothing by itself.

mod announcing;
mod doubts;
pub(crate) mod envelope;
mod finding;
pub(crate) mod following;
pub(crate) mod identity;
pub(crate) mod ids;
mod known;
mod naming;
mod peers;
mod running;
pub(crate) mod tail;

pub(crate) use announcing::Announcing;
pub(crate) use doubts::Doubts;
pub use finding::Finding;
pub(crate) use known::{KnownLog, carried, logged};
pub(crate) use naming::{is_hub_name, redacted};
#[cfg(feature = "nats")]
pub(crate) use running::AskingForBounds;
pub(crate) use running::{Running, SharedLog};
