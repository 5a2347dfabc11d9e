//! The sockets of a hub's subscribers, and the few threads that write to all of them.
//!
//! A [`Fanout`] is handed a connection after its request was answered for good: it writes the head, and from then on what
//! the hub has for the subscription, until one side ends it. An idle subscriber costs a few words and no task, buffer or
//! timer of its own; one that is behind is a place in the hub's log. It parses no request, decides nobody's rights and
//! needs no runtime.

mod adoption;
mod bell;
mod clock;
mod collected;
mod connection;
mod counts;
mod ending;
mod fanout;
mod inbox;
mod report;
// The same condition stands in Cargo.toml: elsewhere the crate io-uring does not build.
#[cfg_attr(
    not(all(
        feature = "io-uring",
        target_os = "linux",
        target_pointer_width = "64",
        any(
            target_arch = "x86_64",
            target_arch = "aarch64",
            target_arch = "riscv64",
            target_arch = "loongarch64",
            target_arch = "powerpc64"
        )
    )),
    path = "no_ring.rs"
)]
mod ring;
mod room;
mod rounds;
mod sending;
mod settings;
mod socket;
mod sync;
mod tending;
mod worker;
mod writing;

pub use adoption::{Adoption, Client, Terms};
pub use counts::{Counts, Ended};
pub use fanout::Fanout;
pub use report::Subscriber;
pub use sending::NoIoUring;
pub use settings::{IoUring, Settings};
