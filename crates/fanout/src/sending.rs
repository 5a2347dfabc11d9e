//! How a batch of writes reaches the kernel: one call for each socket, or one for all of them.
//!
//! Both ask the kernel once for each parcel and tell what it took. What follows from that is nobody's business here.

use std::error::Error;
use std::{fmt, io};

use mio::net::TcpStream;

use crate::ring::Ring;
use crate::settings::IoUring;
use crate::socket::{self, Wrote};

/// Why a fan-out that is to write through `io_uring` at any rate did not start; it stands in the [`io::Error`].
#[derive(Debug)]
pub struct NoIoUring(io::Error);

impl fmt::Display for NoIoUring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "io_uring is asked for and not to be had: {}", self.0)
    }
}

impl Error for NoIoUring {}

/// Bytes for one socket.
pub(crate) struct Parcel<'a> {
    /// The key of its connection, which a ring remembers it by.
    #[allow(dead_code)] // In a build without a ring nobody reads it.
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
    /// Asks the kernel for what is wanted. It is of no use before it was [started](Self::start).
    ///
    /// # Errors
    /// [`NoIoUring`]: a ring is wanted at any rate, and this build or this kernel has none to give.
    pub(crate) fn new(wanted: IoUring) -> io::Result<Self> {
        if wanted == IoUring::Off {
            return Ok(Self::OneByOne);
        }
        Ring::new().map(|ring| Self::Ring(Box::new(ring))).or_else(|error| Self::without(wanted, error))
    }

    /// Makes the calling thread the one that sends.
    ///
    /// # Errors
    /// As before: what was granted may not be used.
    pub(crate) fn start(mut self, wanted: IoUring) -> io::Result<Self> {
        let started = match &mut self {
            Self::OneByOne => Ok(()),
            Self::Ring(ring) => ring.start(),
        };
        started.map_or_else(|error| Self::without(wanted, error), |()| Ok(self))
    }

    /// Goes on without a ring, if that is allowed.
    fn without(wanted: IoUring, error: io::Error) -> io::Result<Self> {
        match wanted {
            IoUring::On => Err(io::Error::new(error.kind(), NoIoUring(error))),
            IoUring::Auto | IoUring::Off => Ok(Self::OneByOne),
        }
    }

    pub(crate) fn is_ring(&self) -> bool {
        matches!(self, Self::Ring(_))
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
