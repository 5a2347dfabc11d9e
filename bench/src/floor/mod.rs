//! The floors: servers that do nothing but what the kernel must be asked for, to be measured against.
//!
//! They keep no history, know one topic, check no token and never send a keep-alive. They are no example of a server.

mod cursor;
mod door;
mod send;
mod uring;

pub(crate) use cursor::serve as serve_cursor;
pub(crate) use send::serve as serve_send;
pub(crate) use uring::{refusal as uring_refusal, serve as serve_uring};
