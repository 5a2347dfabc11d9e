//! The hub over HTTP, as a library: the Mercure protocol as an axum router, and a serve loop around it.
//!
//! Requests become publications and subscriptions of a hub, and its deliveries become responses; who gets what is the
//! hub's matter, and so is every event's form. [`Mercure`] is the endpoint; [`serve()`] bounds and drains connections, for
//! whoever has no server yet.

mod access;
mod body;
mod bookmarks;
mod causes;
mod cors;
mod cursor;
#[cfg(feature = "zstd")]
mod dictionary;
mod drain;
mod expiry;
mod form;
mod idempotency;
mod lease;
mod lifetime;
mod limits;
mod mercure;
mod metadata;
mod patterns;
mod publish;
mod rate;
mod refusal;
mod reserved;
mod revocation;
mod serve;
mod stall;
mod stream;
mod subscribe;
mod subscriptions;
mod text;
pub mod token;

pub use access::{Access, Answer, Authorize, Denied, OriginError, Origins, Payloads, Rights, TokenAccess};
pub use bookmarks::Bookmarks;
pub use drain::Drain;
pub use limits::RequestLimits;
pub use mercure::Mercure;
pub use rate::PublishRate;
pub use revocation::{
    HeldRevocation, Revocation, RevocationCounts, RevocationId, Revocations, RevokeError, Revoked,
};
pub use serve::{
    ClientInfo, ConnectionLimits, ForwardedHeaders, Listeners, Serve, ServeCounts, TrustedProxies,
    TrustedProxiesError, listen, serve,
};
#[cfg(feature = "tls")]
pub use serve::{Tls, TlsError};
pub use token::Role;
