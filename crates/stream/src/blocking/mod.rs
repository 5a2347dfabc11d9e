//! Streams on sockets of your own, each written from a thread, without a runtime.
//!
//! [`serve`] answers a request as the other adapters do: with an [`Sse`](crate::Sse) and all that can be said about one, or with what was
//! [`Negotiated`](crate::Negotiated). The thread that calls it asks the stream, sleeps until there is more, and is woken by whoever ends it.
//! A [`Connection`] is for a loop of your own that sends what it has.
//!
//! ```no_run
//! use std::net::TcpStream;
//!
//! use fanfare_stream::{Accept, AcceptEncoding, Sse, blocking};
//! # use fanfare_wire::Event;
//! # use futures_util::stream;
//! use http::{Request, Response};
//!
//! # fn prices() -> impl futures_core::Stream<Item = Event> + Send { stream::pending() }
//! // With a request that you have read.
//! fn answer(client: TcpStream, request: &Request<()>) -> std::io::Result<()> {
//!     let accept = Accept::from_headers(request.headers());
//!     let accepted = AcceptEncoding::from_headers(request.headers());
//!     let answer = accept.dual(
//!         || Sse::new(prices()).compress(&accepted).on_close(|why| println!("a stream is over: {why}")),
//!         || Response::builder().header("content-type", "application/json").body("[1, 2]".to_owned()).unwrap(),
//!     );
//!     blocking::serve(client, request.method(), answer)
//! }
//! ```
//!
//! What the types of feature `tokio` do in a runtime, they do here without one: a [`channel`](crate::channel) feeds a stream from any thread
//! ([`try_send`](crate::Sender::try_send) and [`send_or_end`](crate::Sender::send_or_end) do not wait), a [`Shutdown`](crate::Shutdown) ends it, and so does its lifetime. Keep-alives and
//! the write deadline need no feature at all. After [`Shutdown::begin`](crate::Shutdown::begin) every thread whose stream [ends with it](crate::Sse::ends_with)
//! comes back, within the window and a few seconds for those who take their end slowly; so a server stops by joining its threads.
//!
//! Three things are not here. [`outliving`](crate::outliving) needs a runtime for the task that goes on: let a thread of your own do the work, and
//! send to a channel. [`Shutdown::run`](crate::Shutdown::run) runs a future, and there is no server that is one. And a body ends with its connection, so
//! a client cannot tell a stream that was cut from one that ended, unless it is compressed; a browser reconnects after either.
//!
//! Nothing here reads a request, accepts a connection or starts a thread.

mod connection;
mod response_head;
mod serve;
mod socket;

pub use crate::into_response::IntoResponse;
pub use connection::{Connection, head_only};
pub use serve::serve;
pub use socket::Socket;
