//! What is asked of the store itself, past all hubs: what it holds, and to do what an operator could have it do.

use fanfare_hub::{IdKey, Position};

/// What a store says of the log.
pub(crate) struct Said {
    /// What ids of the hub's are made with.
    pub(crate) key: IdKey,
    pub(crate) epoch: u32,
    /// The oldest position that is there.
    pub(crate) first: Position,
    pub(crate) next: Position,
}

/// What stands at a position.
pub(crate) enum Stands {
    /// This entry, as hubs write it.
    Entry(Vec<u8>),
    /// Nothing: it is gone, or has not come yet.
    Nothing,
    /// Nobody answers.
    Unknown,
}

/// A way to ask a store.
pub(crate) trait Ask: Send {
    /// `None` if nobody says, or there is no log.
    fn log(&mut self) -> Option<Said>;

    fn entry(&mut self, position: Position) -> Stands;

    /// The number of the server that decides, if one does.
    fn leader(&mut self) -> Option<usize>;

    /// Takes the log away. Says whether it is gone.
    fn remove(&mut self) -> bool;

    /// Has somebody else lead, or whatever comes next to that.
    fn unseat(&mut self);
}
