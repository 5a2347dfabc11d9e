//! Server-sent events for Rust: one stream in your own handler, or a hub in your own process.
//!
//! This crate is the door: it re-exports and has no code of its own. The guide is [with the sources](https://github.com/fanfare-rs/fanfare/tree/main/docs/guide).
//!
#![cfg_attr(feature = "axum-08", doc = "```no_run")]
#![cfg_attr(not(feature = "axum-08"), doc = "```ignore")]
//! use std::time::Duration;
//!
//! use axum::{Router, routing::get};
//! use fanfare::{Event, Sse, channel};
//!
//! async fn ticks() -> Sse {
//!     let (sender, sse) = channel(16);
//!     tokio::spawn(async move {
//!         while sender.send(Event::new("tick")).await.is_ok() {
//!             tokio::time::sleep(Duration::from_secs(1)).await;
//!         }
//!     });
//!     sse
//! }
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//!     axum::serve(listener, Router::new().route("/ticks", get(ticks))).await
//! }
//! ```
//!
//! With the hub, every reader of a topic resumes where it left off, over all its reconnections:
//!
#![cfg_attr(all(feature = "axum-08", feature = "hub"), doc = "```")]
#![cfg_attr(not(all(feature = "axum-08", feature = "hub")), doc = "```ignore")]
//! use axum::{extract::State, response::IntoResponse};
//! use fanfare::{Event, Hub, LastEventId, Sse};
//!
//! async fn room(State(hub): State<Hub>, last: LastEventId) -> impl IntoResponse {
//!     Sse::new(hub.subscribe("rooms/7").after(last))
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let hub = Hub::builder().history_events(1_000).build()?;
//! hub.publish("rooms/7", Event::new("hi")).await?;
//! # let response = room(State(hub), LastEventId::default()).await.into_response();
//! # assert_eq!(response.headers()["content-type"], "text/event-stream");
//! # Ok(())
//! # }
//! ```
//!
//! | feature | adds |
//! |---|---|
//! | `hub` (default) | [`Hub`]: topics, history, subscriptions that resume exactly |
//! | `disk` | `disk::DiskEngine`: a hub's log in a folder, which survives the process (Rust 1.89) |
//! | `nats` | `nats::NatsEngine`: the log of a hub of several machines, on NATS JetStream (Rust 1.89) |
//! | `redis` | `redis::RedisEngine`: the same on Redis or Valkey, which may lose what they had acknowledged (Rust 1.89) |
//! | `urlpattern` | `Matcher::url_pattern`: topics by URL Pattern |
//! | `uri-template` | `Matcher::topic_selector`: topics by URI Template, as Mercure before 1.0 |
//! | `json` | `Event::json` |
//! | `gzip`, `zstd` | [`Sse::compress`] in gzip and zstd, and streams of a hub so: each event compressed once, by itself |
//! | `tokio` | [`channel`], [`outliving`], the timers of an [`Sse`], `WriteDeadline` for a connection, and `Shutdown`; the adapters imply it |
//! | `actix-4` | [`Sse`] and [`Negotiated`] are responders of actix-web 4, [`LastEventId`] and [`Accept`] extractors |
//! | `axum-08` | [`Sse`] and [`Negotiated`] are responses of axum 0.8, [`LastEventId`] and [`Accept`] extractors |
//! | `hyper-1` | `hyper_1::service`, a plain `Service` of hyper 1 |
//! | `mercure` | `Mercure`: the hub over HTTP, as a router to merge into an axum 0.8 application; `serve` in place of `axum::serve`, for tens of thousands of streams |
//! | `jwks` | `token::KeySet::from_url`: the keys of an identity provider, fetched from its JWK set |
//! | `tls` | `Tls` for `serve`: TLS with a certificate from files, which is renewed when they change |
//! | `io-uring` | `serve` writes through `io_uring` where the kernel allows it (Linux) |
//! | `tcp` | `tcp::cut_stalled`: the kernel cuts a connection whose peer takes nothing (Linux) |
//! | `blocking` | `blocking::serve` and `blocking::Connection`: a thread for each connection, on a `TcpStream` or anything that writes |
//! | `testing` | `testing`: a kit for your tests, without sockets and with a clock that can be stopped |

// The pages name what a feature adds; without it they have nothing to link to.
#![cfg_attr(not(all(feature = "tokio", feature = "hub")), allow(rustdoc::broken_intra_doc_links))]

#[cfg(all(doctest, feature = "mercure"))]
mod guide;

#[cfg(feature = "disk")]
pub use fanfare_engine::disk;
#[cfg(feature = "nats")]
pub use fanfare_engine::nats;
#[cfg(feature = "redis")]
pub use fanfare_engine::redis;
#[cfg(feature = "mercure")]
pub use fanfare_fanout as fanout;
#[cfg(feature = "mercure")]
pub use fanfare_http::*;
#[cfg(feature = "hub")]
pub use fanfare_hub::*;
pub use fanfare_stream::*;
pub use fanfare_wire::*;
