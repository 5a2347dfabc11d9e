//! What publishers hand in, perhaps several times, and what they must be answered. It knows nobody who reads.

use fanfare_hub::engine::Engine;
use fanfare_hub::{IdempotencyKey, Position, Publication, PublishError};
use fanfare_wire::{Event, EventId};

use super::{World, index, mask, soon};

#[derive(Clone)]
pub struct Accepted {
    pub topics: u8,
    pub private: bool,
    pub chosen: Option<EventId>,
    pub data: String,
    /// A mask of the names whom it is not for.
    pub except: u8,
    /// What its publisher was answered, if it was.
    pub id: Option<EventId>,
}

/// A publication that is tried under a key, perhaps several times.
#[derive(Clone)]
pub struct Attempt {
    pub what: Accepted,
    pub key: Option<IdempotencyKey>,
    /// Where it stands, if it does.
    pub stored: Option<(u32, Position)>,
}

impl World {
    pub fn publish(&mut self, mut attempt: Attempt) {
        let before = self.told();
        let Accepted { topics, private, chosen, data, except, .. } = attempt.what.clone();
        let mut event = Event::new(data.clone());
        if let Some(chosen) = &chosen {
            event = event.id(chosen.clone());
        }
        let named = mask(topics).filter_map(|matcher| fanfare_hub::Topic::parse(matcher.as_str()).ok());
        let addressed = Publication::to(named);
        let mut publication = if private { addressed.private(event) } else { addressed.event(event) };
        for name in (0..2).filter(|name| except & (1 << name) != 0) {
            publication = publication.except(name.to_string());
        }
        if let Some(key) = &attempt.key {
            publication = publication.idempotency_key(key.clone());
        }
        // A log that begins anew remembers no keys.
        if attempt.stored.is_some_and(|(of, _)| of != self.epoch) {
            (attempt.stored, attempt.what.id) = (None, None);
        }
        let known = attempt.stored.map(|(_, position)| position);
        let is_other =
            self.attempt.as_ref().is_some_and(|last| last.key == attempt.key && last.what.data != data);
        let next = self.log.len() as Position + 1;
        let stored = match soon(self.hub.publish_all(publication), self.disk.is_some()) {
            Ok(published) => {
                assert!(known.is_none() || !is_other, "a key was taken for another publication");
                assert_eq!(published.duplicate, known.is_some(), "one key is stored once");
                assert_eq!(published.position, known.unwrap_or(next), "positions are given in order");
                if known.is_some() && attempt.what.id.is_some() {
                    assert_eq!(
                        Some(&published.id),
                        attempt.what.id.as_ref(),
                        "a retry is answered with the first id"
                    );
                }
                if let Some(chosen) = &chosen {
                    assert_eq!(&published.id, chosen);
                }
                attempt.what.id = Some(published.id.clone());
                self.published = Some((published.id, (self.epoch, published.position)));
                !published.duplicate
            }
            Err(PublishError::NotStored(_)) => false,
            Err(PublishError::KeyReused) => {
                assert!(known.is_some() && is_other, "only another publication under a known key is refused");
                return;
            }
            // The publisher cannot know; the model asks the log.
            Err(PublishError::MaybeStored(_)) => self.toy.as_ref().is_some_and(|toy| {
                toy.told() > 0 && soon(Engine::bounds(&**toy), false).expect("bounds").next > next
            }),
            Err(error) => panic!("{error}"),
        };
        if stored {
            assert!(known.is_none(), "one key is stored once");
            attempt.stored = Some((self.epoch, next));
            if let Some(chosen) = &chosen {
                *self.uses.entry(chosen.clone()).or_default() += 1;
            }
            self.log.push(attempt.what.clone());
        }
        // What was not stored under a key leaves it to what was.
        if attempt.key.is_some() && (stored || !is_other) {
            self.attempt = Some(attempt);
        }
        self.check_bells(before);
    }

    /// Who waits and wants something that has become visible must have been woken.
    pub fn check_bells(&mut self, before: Position) {
        // Over a disk they may wait for something else, and are waited for in their turn.
        if self.disk.is_some() {
            return;
        }
        let (told, epoch) = (self.told(), self.epoch);
        for client in &mut self.clients {
            let wants = |position| client.wants(&self.log[index(position)], epoch, position);
            let wanted = (before..told).any(wants);
            if client.waiting && wanted {
                assert!(client.bell.was_rung(), "a doorbell was not rung");
                client.waiting = false;
            }
        }
    }
}
