//! The log that a node follows, and its entries as the hub is told them.

use std::time::SystemTime;

use fanfare_hub::engine::Logged;
use fanfare_hub::{Check, IdKey, IdempotencyKey, Place, Position};
use fanfare_wire::EventId;

use super::envelope::Envelope;
use super::identity::Identity;
use crate::copy::Carried;

/// Which log is followed, and by what its ids are made.
#[derive(Clone)]
pub(crate) struct KnownLog {
    pub(crate) epoch: u32,
    pub(crate) key: IdKey,
}

impl KnownLog {
    pub(crate) fn of(identity: &Identity) -> Self {
        Self { epoch: identity.epoch, key: identity.id_key() }
    }

    /// The id of an entry: its publisher's, or the hub's own.
    pub(crate) fn id(&self, position: Position, check: Check, chosen: Option<&EventId>) -> EventId {
        let place = Place { epoch: self.epoch, position, check };
        chosen.cloned().unwrap_or_else(|| self.key.encipher(place))
    }
}

/// An entry as the hub is told it; `None` if a text in it is none that the hub would have let in.
pub(crate) fn logged(position: Position, taken: SystemTime, entry: &Envelope<'_>) -> Option<Logged> {
    let content = entry.payload.content()?;
    Some(Logged { position, check: entry.check, at: entry.at.unwrap_or(taken), content })
}

/// The same with its idempotency key, on its way to another store.
pub(crate) fn carried(position: Position, taken: SystemTime, entry: &Envelope<'_>) -> Option<Carried> {
    let key = entry.payload.key.map(IdempotencyKey::new);
    Some(Carried { logged: logged(position, taken, entry)?, key })
}
