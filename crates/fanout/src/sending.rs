//! How a batch of writes reaches the kernel: one call for each socket, or one for all of them.
//!
//! Both ask the kernel once for each parcel and tell what it took. What follows from that is nobody's business here.

use std::io;

use mio::net::TcpStream;

use crate::ring::Ring;
use crate::settings::IoUring;
use crate::socket::{self, Wrote};

/// Bytes for one socket.
pub(crate) struct Parcel<'a> {
    /// The key of its connection, which a ring remembers it by.
    #[cfg_attr(not(all(feature = "io-uring", target_os = "linux")), allow(dead_code))]
    pub(crate) key: usize,
    pub(crate) socket: &'a TcpStream,
    /// At least one.
    pub(crate) bytes: &'a [u8],
}

pub(crate) enum Sending {
    OneByOne,
    Ring(Box<Ring>),
}

impl Sending {
    /// Asks the kernel for what is wanted.
    ///
    /// # Errors
    /// A ring is wanted at any rate, and this build or this kernel has none to give.
    pub(crate) fn new(wanted: IoUring) -> io::Result<Self> {
        if wanted == IoUring::Off {
            return Ok(Self::OneByOne);
        }
        match Ring::new() {
            Ok(ring) => Ok(Self::Ring(Box::new(ring))),
            Err(error) if wanted == IoUring::On => {
                let said = format!("io_uring is asked for and not to be had: {error}");
                Err(io::Error::new(error.kind(), said))
            }
            Err(_) => Ok(Self::OneByOne),
        }
    }

    pub(crate) fn is_ring(&self) -> bool {
        matches!(self, Self::Ring(_))
    }

    /// Makes the calling thread the one that sends.
    pub(crate) fn start(&mut self) {
        if let Self::Ring(ring) = self
            && ring.start().is_err()
        {
            // It was granted and cannot be used; the other way always can.
            *self = Self::OneByOne;
        }
    }

    /// Asks the kernel once for each parcel to take its bytes; adds how it went to `wrote`, in their order.
    pub(crate) fn send(&mut self, parcels: &[Parcel<'_>], wrote: &mut Vec<Wrote>) {
        match self {
            Self::OneByOne => {
                wrote.extend(parcels.iter().map(|parcel| socket::write(parcel.socket, parcel.bytes)));
            }
            Self::Ring(ring) => ring.send(parcels, wrote),
        }
    }

    /// To be told before the socket of a connection is dropped.
    pub(crate) fn forget(&mut self, key: usize) {
        if let Self::Ring(ring) = self {
            ring.forget(key);
        }
    }
}
