//! The examples of the README and of the guide, as documentation tests: each page is a module of that name in their list.
//!
//! It is there when documentation is tested, and at no other time.

#[doc = include_str!("../../../README.md")]
mod readme {}
#[doc = include_str!("../../../docs/guide/authentication.md")]
mod authentication {}
#[doc = include_str!("../../../docs/guide/cluster.md")]
mod cluster {}
#[doc = include_str!("../../../docs/guide/coming-from.md")]
mod coming_from {}
#[doc = include_str!("../../../docs/guide/connections.md")]
mod connections {}
#[doc = include_str!("../../../docs/guide/deploy.md")]
mod deploy {}
#[doc = include_str!("../../../docs/guide/first-stream.md")]
mod first_stream {}
#[doc = include_str!("../../../docs/guide/resume.md")]
mod resume {}
#[doc = include_str!("../../../docs/guide/rooms.md")]
mod rooms {}
#[doc = include_str!("../../../docs/guide/streams.md")]
mod streams {}
#[doc = include_str!("../../../docs/guide/testing.md")]
mod testing {}
