//! The log on disk, through its public face: P2, P3, P4 and P6 over restarts.

#![allow(missing_docs, unreachable_pub)]

mod formats;
mod gate;
mod internal;
mod opening;
mod presence;
mod producing;
mod reading;
mod restarts;
mod runs;
mod support;
mod torn;
