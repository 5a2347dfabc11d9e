//! What stands for the ring in a build without `io_uring`: nobody can have one.

use std::convert::Infallible;
use std::io;

use crate::sending::Parcel;
use crate::socket::Wrote;

pub(crate) struct Ring(Infallible);

impl Ring {
    pub(crate) fn new() -> io::Result<Self> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this build is without it"))
    }

    pub(crate) fn start(&mut self) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn send(&mut self, _: &[Parcel<'_>], _: &mut Vec<Wrote>) {
        match self.0 {}
    }

    pub(crate) fn forget(&mut self, _: usize) {
        match self.0 {}
    }
}
