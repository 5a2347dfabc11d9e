//! One HTTP response that is an event stream.
//!
//! [`Sse`] turns any `Stream` of events into a response body with the right head, keeps it alive while
//! nothing happens, and ends it cleanly. [`channel`] is the same for those who push, [`LastEventId`] says
//! where a client that comes back left off, [`Accept`] whether it wants a stream at all, [`AcceptEncoding`] in which coding, and `blocking` serves a connection of your own from a thread. How a stream ended,
//! [`Closed`] says, to whoever wants to hear it.
//! This crate knows no topics and keeps no history: that is the hub's, whose subscriptions are streams like
//! any other here.
//!
//! # Features
//!
//! | feature | adds | costs |
//! |---|---|---|
//! | `tokio` | [`channel`] and [`outliving`]; the timers of an [`Sse`]: keep-alive, lifetime, write deadline; [`WriteDeadline`] for a connection; [`Shutdown`] | tokio's `rt`, `sync` and `time` |
//! | `actix-4` | [`Sse`] and [`Negotiated`] are responders of actix-web 4, [`LastEventId`] and [`Accept`] extractors; implies `tokio` | `actix-web` without its default features |
//! | `axum-08` | [`Sse`] and [`Negotiated`] are responses of axum 0.8, [`LastEventId`] and [`Accept`] extractors; implies `tokio` | `axum-core` |
//! | `hyper-1` | `hyper_1::service`, a plain `Service` of hyper 1; implies `tokio` | `hyper` without features |
//! | `tcp` | `tcp::cut_stalled`: the kernel cuts a connection whose peer takes nothing (Linux) | `socket2` |
//! | `blocking` | `blocking::serve` and `blocking::Connection`: a thread for each connection, on a `TcpStream` or anything that writes | nothing |
//! | `testing` | [`testing`]: a kit for your tests, without sockets and with a clock that can be stopped; implies `tokio` | tokio's `test-util` |
//! | `gzip` | [`Sse::compress`] in gzip | `flate2`, in Rust |
//! | `zstd` | [`Sse::compress`] in zstd | the C library |
//!
//! Without `tokio` an [`Sse`] sends no keep-alive by itself, but where `blocking::serve` writes it: give it a stream that now and then yields
//! [`KeepAliveStyle::to_frame`], timed by a [`KeepAliveState`].

// The pages name what a feature adds; without it they have nothing to link to.
#![cfg_attr(not(all(feature = "tokio", feature = "testing")), allow(rustdoc::broken_intra_doc_links))]

mod accept;
mod accept_encoding;
#[cfg(feature = "actix-4")]
mod actix_4;
mod around;
#[cfg(feature = "axum-08")]
mod axum_08;
#[cfg(feature = "blocking")]
pub mod blocking;
mod body;
#[cfg(feature = "tokio")]
mod capacity;
#[cfg(feature = "tokio")]
mod channel;
mod closed;
#[cfg(any(feature = "tokio", feature = "blocking"))]
mod closing;
mod compressed;
#[cfg(feature = "blocking")]
mod date;
mod head;
#[cfg(feature = "hyper-1")]
pub mod hyper_1;
#[cfg(any(feature = "hyper-1", feature = "blocking"))]
mod into_response;
mod item;
mod keep_alive;
mod last_event_id;
mod life;
#[cfg(feature = "tokio")]
mod limits;
mod negotiated;
mod offer;
#[cfg(feature = "tokio")]
mod outliving;
#[cfg(feature = "tokio")]
mod shutdown;
mod source;
mod sse;
mod sync;
#[cfg(feature = "tcp")]
pub mod tcp;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tokio")]
mod timer;
#[cfg(feature = "tokio")]
mod write_deadline;

pub use accept::Accept;
pub use accept_encoding::AcceptEncoding;
#[cfg(feature = "tokio")]
pub use capacity::Capacity;
#[cfg(feature = "tokio")]
pub use channel::{SendError, Sender, TrySendError, channel};
pub use closed::{Closed, Closing};
pub use item::{Fallible, IntoFrame, Plain};
pub use keep_alive::{KeepAlive, KeepAliveState, KeepAliveStyle};
pub use last_event_id::{LastEventId, UnusableId};
pub use negotiated::{Negotiated, NegotiatedBody, NotAcceptable};
pub use offer::{Offer, SseBody};
#[cfg(feature = "tokio")]
pub use outliving::outliving;
#[cfg(feature = "tokio")]
pub use shutdown::{Shutdown, ShutdownBuilder};
pub use sse::{Sse, SseParts};
#[cfg(feature = "tokio")]
pub use write_deadline::WriteDeadline;

/// Any error that can travel between threads.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
