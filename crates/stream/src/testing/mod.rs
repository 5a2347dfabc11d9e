//! A kit for testing whatever answers with an event stream: no sockets, no waiting, and connections that are cut on purpose.
//!
//! | what you want to know | what shows it |
//! |---|---|
//! | whether the head of a response is right, in any framework | [`assert_event_stream`], [`head_faults`] |
//! | what a page is told, and when | [`Reader`]: [`expect_event`](Reader::expect_event), [`nothing_for`](Reader::nothing_for), … |
//! | whether a client that lost its connection goes on where it was | [`EventSource`], [`every_cut_resumes`] |
//! | what a slow client, or a proxy that holds back, makes of it | [`Reader::slowly`], [`Between`] |
//! | whether bytes mean the same wherever the network cuts them | [`every_split`] |
//!
//! Whatever is an [`http_body::Body`] can be read: an [`Sse`](crate::Sse), and the body of any framework that is made of `http`. A
//! framework that is not
//! (actix-web) gives its bytes to [`every_split`].
//!
//! # Time
//!
//! Every wait ends. The clock is tokio's, and in a test with `#[tokio::test(start_paused = true)]` it is a virtual one: it moves
//! when every task waits, so an
//! hour passes at once, and a keep-alive comes after exactly its 15 s. A virtual clock does not see what runs elsewhere: over a log on
//! disk, or over sockets, leave it running.
//!
//! ```
//! use std::time::Duration;
//!
//! use fanfare_stream::{channel, testing::Reader};
//! use fanfare_wire::Event;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let (sender, sse) = channel(16);
//! let mut reader = Reader::of(sse.response());
//!
//! sender.send(Event::new("hi")).await.unwrap();
//! assert_eq!(reader.expect_event().await.data, "hi");
//! reader.nothing_for(Duration::from_secs(14)).await;
//! reader.expect_comment().await;
//!
//! drop(sender);
//! reader.expect_end().await;
//! # }
//! ```
//!
//! What is expected and does not come is a panic that says where it was expected, what came instead, and all that came before.

mod between;
mod event_source;
mod head;
mod heard;
mod reader;
mod splits;

pub use between::Between;
pub use event_source::EventSource;
pub use head::{HeadFault, assert_event_stream, head_faults};
pub use heard::{Dispatched, Heard};
pub use reader::Reader;
pub use splits::{every_cut_resumes, every_split};
