//! What travels: the stamp inside an event, and just enough HTTP and event stream to read every byte of an answer.
//!
//! Nothing here opens a socket or reads a clock. It is no client library: it refuses what a server under test has
//! no reason to send.

pub(crate) mod chunked;
pub(crate) mod events;
pub(crate) mod payload;
pub(crate) mod response;
