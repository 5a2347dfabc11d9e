//! Server-sent events for Rust: one stream in your own handler, or a hub in your own process.
//!
//! This crate is the door: it re-exports and has no code of its own.
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
//! | feature | adds |
//! |---|---|
//! | `json` | `Event::json` |
//! | `tokio` | [`channel`], and the timer that keeps an [`Sse`] alive; the adapters imply it |
//! | `axum-08` | [`Sse`] is a response of axum 0.8, [`LastEventId`] an extractor |
//!
//! None is on by default.

// The pages name what a feature adds; without it they have nothing to link to.
#![cfg_attr(not(feature = "tokio"), allow(rustdoc::broken_intra_doc_links))]

pub use fanfare_stream::*;
pub use fanfare_wire::*;
