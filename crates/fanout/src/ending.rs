//! How connections end: in order, or by a reset; and what is given back then.

use std::collections::HashSet;
use std::sync::atomic::Ordering::Relaxed;

use fanfare_hub::{Hub, SubscriptionKey};

use crate::Ended;
use crate::connection::Aside;
use crate::socket;
use crate::worker::Worker;

impl Worker {
    /// Ends a connection: what it was sent arrives, then the end.
    pub(crate) fn end(&mut self, key: usize, how: Ended) {
        if !self.connections.contains(key) {
            return;
        }
        self.leave_hub(key);
        let mut connection = self.connections.remove(key);
        if let Some(room) = self.rooms.get_mut(connection.room as usize) {
            room.connections -= 1;
        }
        if connection.state.full {
            self.totals.full.fetch_sub(1, Relaxed);
        }
        // It fails only for a socket that was never registered.
        let _ = self.poll.registry().deregister(&mut connection.socket);
        self.sending.forget(key);
        // Told before the client can see it, and gone only after.
        self.totals.ended(how);
        drop(connection);
        self.totals.leave();
    }

    /// Ends a connection at once; what it has not been sent is thrown away.
    pub(crate) fn cut(&mut self, key: usize, how: Ended) {
        if let Some(connection) = self.connections.get(key) {
            socket::reset_on_drop(&connection.socket);
        }
        self.end(key, how);
    }

    /// Ends the streams of these subscriptions of a hub as those whose time is over.
    pub(crate) fn end_those_of(&mut self, hub: &Hub, keys: &HashSet<SubscriptionKey>) {
        let Some((room, _)) = self.rooms.iter().find(|(_, room)| room.is_of(hub)) else { return };
        for key in 0..self.connections.capacity() {
            let Some(connection) = self.connections.get_mut(key) else { continue };
            let is_meant = connection.room as usize == room
                && connection.subscription().is_some_and(|subscription| keys.contains(&subscription));
            if is_meant {
                connection.ends_at = self.clock.now();
                // Whoever is on the way out may finish what was begun; these may not.
                connection.state.drained = false;
                self.time_is_over(key);
            }
        }
    }

    pub(crate) fn cut_all(&mut self) {
        for key in 0..self.connections.capacity() {
            self.cut(key, Ended::Cut);
        }
    }

    /// Ends because the hub has nothing more for it, once everything that is owed was written. Only between two events.
    pub(crate) fn end_in_order(&mut self, key: usize) {
        self.leave_hub(key);
        let connection = &mut self.connections[key];
        connection.state.by_hub = true;
        connection.aside.get_or_insert_default().owe_end(connection.form, connection.sum);
        self.tend(key);
    }

    /// Gives its place in the hub back; the connection stays.
    pub(crate) fn leave_hub(&mut self, key: usize) {
        let room = self.connections[key].room as usize;
        let Some(room) = self.rooms.get_mut(room) else { return };
        if let Some(member) = room.take_out(&mut self.connections, key) {
            room.crowd.leave(member);
        }
        if let Some(Aside { subscription, .. }) = self.connections[key].aside.as_deref_mut() {
            *subscription = None;
        }
    }
}
