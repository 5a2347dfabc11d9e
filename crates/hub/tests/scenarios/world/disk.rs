//! A log that outlives the hub: what the model asks of it, and its lives: it is closed, killed, backed up and put back.
//!
//! It holds no delivery against the model.

use std::sync::Arc;

use fanfare_hub::engine::Engine;
use fanfare_hub::{Hub, Position};

use super::TestClock;
use super::steps::Op;
use super::{World, build, index};

/// A log that outlives the hub. Its answers come from other threads.
pub trait Disk {
    /// Opens it, for a hub with this clock; the one before has been dropped.
    fn open(&mut self, clock: Arc<TestClock>, without_indexes: bool) -> Arc<dyn Engine>;
    /// The oldest position that it says it keeps.
    fn oldest(&self) -> Position;
    /// How many of the newest entries it was told to keep; `None` for all.
    fn keeps(&self) -> Option<u64>;
    /// Gives up what it holds of the engine.
    fn close(&mut self);
    /// Copies the log as it is now.
    fn back_up(&mut self);
    /// Puts that copy in the place of the log, which is closed.
    fn go_back(&mut self);
    /// Remembers the end: what is behind it from now on may be torn.
    fn note_end(&mut self);
    /// Copies the log while it is open, torn somewhere behind that end, and goes on with the copy once this one is closed:
    /// after `cut` of 255 parts of what is there in the newest file.
    fn tear(&mut self, cut: u8);
}

impl World {
    /// Ends the hub and all subscriptions, if the log outlives them.
    pub fn close(&mut self) -> Option<Box<dyn Disk>> {
        let mut disk = self.disk.take()?;
        for client in &mut self.clients {
            client.reader = None;
        }
        self.hub = Hub::builder().build().expect("a hub");
        disk.close();
        Some(disk)
    }

    pub fn open(&mut self, mut disk: Box<dyn Disk>, without_indexes: bool) {
        self.hub = build(self.history, &self.clock, Some(disk.open(self.clock.clone(), without_indexes)));
        // Who opens a log looks for keys only among what is kept.
        let oldest = disk.oldest();
        self.attempt.take_if(|attempt| attempt.stored.is_some_and(|(_, position)| position < oldest));
        self.disk = Some(disk);
    }

    pub fn kill(&mut self, under_way: u8, cut: u8) {
        let Some(disk) = &mut self.disk else { return };
        disk.note_end();
        let acknowledged = self.log.len();
        for topics in 0..under_way {
            self.run(Op::Publish {
                topics: topics + 1,
                private: false,
                chosen: None,
                with_key: true,
                except: 0,
            });
        }
        if let Some(disk) = &mut self.disk {
            disk.tear(cut);
            let keeps = disk.keeps();
            self.dropped = self.dropped.max(self.kept_from(keeps));
        }
        let Some(disk) = self.close() else { return };
        self.open(disk, false);
        let left = index(self.told());
        assert!((acknowledged..=self.log.len()).contains(&left), "P4: {left} of {acknowledged} are left");
        self.shorten(left);
    }

    pub fn go_back(&mut self) {
        let Some(length) = self.backup else { return };
        let Some(mut disk) = self.close() else { return };
        disk.go_back();
        self.shorten(length);
        self.open(disk, false);
        assert_eq!(index(self.told()), length, "the log is as long as it was");
    }

    /// The log goes on behind its first entries. Whoever has seen more than these has seen another log.
    pub fn shorten(&mut self, length: usize) {
        if length == self.log.len() {
            return;
        }
        self.log.truncate(length);
        let (before, now) = (self.epoch, self.epoch + 1);
        self.epoch = now;
        let stay = |place: &mut (u32, Position)| {
            if place.0 == before && place.1 <= length as Position {
                place.0 = now;
            }
        };
        for client in &mut self.clients {
            client.frontier.iter_mut().for_each(stay);
            client.seen.iter_mut().filter_map(|(_, place)| place.as_mut()).for_each(stay);
            stay(&mut client.came_to);
        }
        self.published.iter_mut().for_each(|(_, place)| stay(place));
        self.attempt.iter_mut().filter_map(|attempt| attempt.stored.as_mut()).for_each(stay);
    }
}
