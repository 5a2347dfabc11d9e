//! What is asked of a store. Nothing here is measured.

use crate::event::Event;
use std::path::Path;

/// Somebody who keeps a log.
pub(crate) trait Store {
    /// Appends events that are published together; they are on the disk when it returns.
    fn append(&mut self, group: &[Event]) -> anyhow::Result<()>;

    /// Reads `most` events from a position on, in order; gives how many, and how many bytes of data they had.
    fn read(&mut self, from: u64, most: usize) -> anyhow::Result<(usize, usize)>;

    /// Finds the position of an id.
    fn find(&mut self, id: &str) -> anyhow::Result<Option<u64>>;

    /// Reads all events of a topic; gives how many.
    fn topic(&mut self, topic: &str, next: u64) -> anyhow::Result<u64>;

    /// Drops what stands before a position.
    fn trim(&mut self, oldest: u64) -> anyhow::Result<()>;
}

/// Opens a store in a folder. It keeps so many events, if that has to be known beforehand.
pub(crate) type Open = fn(&Path, Option<u64>) -> anyhow::Result<Box<dyn Store>>;

/// A store that can be opened.
pub(crate) struct Candidate {
    pub(crate) name: &'static str,
    pub(crate) open: Open,
    /// Whether it can only append: the floor.
    pub(crate) appends_only: bool,
}
