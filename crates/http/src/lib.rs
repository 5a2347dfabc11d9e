//! The hub over HTTP, as a library: the Mercure protocol as an axum router, and a serve loop around it.
//!
//! Requests become publications and subscriptions of a hub, and its deliveries become responses; who gets what is the
//! hub's matter, and so is every event's form. [`Mercure`] is the endpoint; [`serve()`] bounds and drains connections, for
//! whoever has no server yet.

mod body;
mod bookmarks;
mod caller;
mod cursor;
mod drain;
mod form;
mod idempotency;
mod jitter;
mod json;
mod limits;
mod mercure;
mod patterns;
mod publish;
mod refusal;
mod reserved;
mod serve;
mod stream;
mod subscribe;
mod subscriptions;
mod text;

pub use bookmarks::Bookmarks;
pub use caller::{Caller, Payloads};
pub use drain::Drain;
pub use limits::RequestLimits;
pub use mercure::Mercure;
pub use serve::{ConnectionLimits, Listeners, Serve, ServeCounts, listen, serve};
