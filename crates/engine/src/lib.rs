//! Where a hub's log lives when it must outlive the process.
//!
//! An engine here implements [`fanfare_hub::engine::Engine`] and nothing else: it gives positions, stores entries and tells them
//! to the hub in order. Who reads them, and what HTTP says about it, is not known here.

#[cfg(any(feature = "nats", feature = "redis"))]
mod cluster;
#[cfg(any(feature = "disk", feature = "nats", feature = "redis"))]
pub mod copy;
#[cfg(feature = "disk")]
pub mod disk;
#[cfg(any(feature = "disk", feature = "nats", feature = "redis"))]
mod fault;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(any(feature = "disk", feature = "nats", feature = "redis"))]
mod payload;
#[cfg(feature = "disk")]
mod promise;
#[cfg(feature = "redis")]
pub mod redis;

#[cfg(feature = "disk")]
pub use disk::DiskEngine;
#[cfg(feature = "nats")]
pub use nats::NatsEngine;
#[cfg(feature = "redis")]
pub use redis::RedisEngine;
