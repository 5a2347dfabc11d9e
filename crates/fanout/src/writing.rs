//! Events to sockets: who is due is looked up for a few hundred at once, then each gets one write of all that waits.
//!
//! The hub's lock is held while looking and never while writing.

use std::sync::atomic::Ordering::Relaxed;

use fanfare_hub::{Due, Look, Share};

use crate::connection::Aside;
use crate::sending::Parcel;
use crate::socket::Wrote;
use crate::worker::Worker;

/// How many connections are written to before everything else is looked at again. Publications that come in between go
/// out together; a larger number puts more of them together and lets a single one wait longer.
const WRITES: usize = 256;
/// How many connections are looked at for that many writes, while the hub is locked.
const LOOKS: usize = 1_024;
/// How many long searches through the log are begun in one batch.
const SEARCHES: usize = 8;
/// How many bytes are made ready for one batch.
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// What one connection gets in a batch.
pub(crate) enum Pick {
    Share(Share),
    KeepAlive,
    /// It cannot go on from the log in memory.
    Elsewhere,
    /// The hub was closed.
    End,
    /// It ends between two events, which is here.
    Leave,
    TimeIsOver,
}

impl Worker {
    /// Writes one batch for each hub that has something for somebody.
    pub(crate) fn write(&mut self) {
        for room in 0..self.rooms.capacity() {
            if self.rooms.get(room).is_some_and(|room| !room.rounds.is_idle()) {
                let (mut picks, mut wrote) =
                    (std::mem::take(&mut self.picks), std::mem::take(&mut self.wrote));
                self.pick(room, &mut picks);
                self.send(&picks, &mut wrote);
                let mut went = wrote.drain(..);
                for (key, pick) in picks.drain(..) {
                    self.connections[key].state.in_batch = false;
                    match pick {
                        Pick::Share(share) => {
                            // There is one for each; without it nobody would come back to this connection.
                            let wrote = went.next().unwrap_or(Wrote::Again);
                            self.note(room, key, &share, wrote);
                        }
                        Pick::KeepAlive => self.write_keep_alive(key),
                        Pick::Elsewhere => self.send_elsewhere(key),
                        Pick::End => self.end_in_order(key),
                        Pick::Leave => self.farewell(key),
                        Pick::TimeIsOver => self.time_is_over(key),
                    }
                }
                drop(went);
                (self.picks, self.wrote) = (picks, wrote);
            }
        }
    }

    /// Finds out what the next connections are due.
    fn pick(&mut self, room: usize, picks: &mut Vec<(usize, Pick)>) {
        let Self { rooms, connections, batch, clock, .. } = self;
        let room_key = room;
        let room = &mut rooms[room];
        let mut searching = Vec::new();
        let mut reading = room.crowd.read(batch);
        for _ in 0..LOOKS {
            if picks.len() == WRITES || reading.bytes() > BATCH_BYTES_MAX || searching.len() == SEARCHES {
                break;
            }
            let Some(key) = room.rounds.next(connections) else { break };
            // Its slot may be another connection's by now, of another hub even.
            let Some(connection) = connections.get_mut(key).filter(|each| each.room as usize == room_key)
            else {
                continue;
            };
            if !connection.takes_events() {
                continue;
            }
            let is_over = connection.is_over(clock);
            let Some(member) = &mut connection.member else { continue };
            let quiet = std::mem::take(&mut connection.state.quiet);
            let pick = if connection.state.leaving && !member.is_mid_frame() {
                Pick::Leave
            } else if is_over && !connection.state.leaving {
                Pick::TimeIsOver
            } else {
                match reading.due(member, if quiet { Look::Quiet } else { Look::News }) {
                    Due::Write(share) => Pick::Share(share),
                    Due::Nothing if quiet => Pick::KeepAlive,
                    Due::Nothing => continue,
                    Due::Later => {
                        searching.push(key);
                        continue;
                    }
                    Due::Elsewhere => Pick::Elsewhere,
                    Due::End => Pick::End,
                }
            };
            connection.state.in_batch = true;
            picks.push((key, pick));
        }
        drop(reading);
        // Those who wait for it look again.
        batch.compress_wanted();
        for key in searching {
            room.rounds.ready(connections, key);
        }
    }

    /// Writes what is due to members of the crowd, to each once.
    fn send(&mut self, picks: &[(usize, Pick)], wrote: &mut Vec<Wrote>) {
        let Self { connections, batch, sending, totals, .. } = self;
        let parcels: Vec<Parcel<'_>> = picks
            .iter()
            .filter_map(|(key, pick)| match pick {
                Pick::Share(share) => {
                    Some(Parcel { key: *key, socket: &connections[*key].socket, bytes: batch.bytes(share) })
                }
                _ => None,
            })
            .collect();
        // Before anybody can see what they bring.
        totals.writes.fetch_add(parcels.len() as u64, Relaxed);
        sending.send(&parcels, wrote);
        self.has_written |= !wrote.is_empty();
    }

    /// Draws the consequences of a write.
    fn note(&mut self, room: usize, key: usize, share: &Share, wrote: Wrote) {
        let Self { connections, rooms, batch, .. } = self;
        let connection = &mut connections[key];
        let Some(member) = &mut connection.member else { return };
        let bytes = batch.bytes(share);
        match wrote {
            Wrote::Bytes(written) => {
                rooms[room].crowd.wrote(batch, member, share, written, &mut connection.sum);
                connection.progress_at = self.clock.now();
                connection.state.asked_again = false;
                if written < bytes.len() {
                    if !share.is_of_events() {
                        let mut aside = Aside::default();
                        aside.owe(&bytes[written..]);
                        connection.aside = Some(Box::new(aside));
                    }
                    self.is_full(key);
                } else if share.has_more_behind() {
                    self.make_ready(key);
                }
            }
            Wrote::Full => self.is_full(key),
            Wrote::Again => self.make_ready(key),
            Wrote::Gone(how) => self.end(key, how),
        }
    }

    pub(crate) fn write_keep_alive(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        let Some(keep_alive) = connection.keep_alive.clone() else { return };
        let stalled =
            self.rooms.get(connection.room as usize).and_then(|room| room.crowd.hub().stall_comment());
        let frame = stalled.as_ref().unwrap_or(&keep_alive.frame);
        connection.aside.get_or_insert_default().owe_frame(frame, connection.form, &mut connection.sum);
        self.tend(key);
    }

    /// The socket took less than it was offered; since when counts from the last byte that it took.
    pub(crate) fn is_full(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        if !std::mem::replace(&mut connection.state.full, true) {
            if !connection.state.asked_again {
                connection.progress_at = self.clock.now();
            }
            self.totals.full.fetch_add(1, Relaxed);
            // It is not asked again before the client takes something, so nothing is to be kept for it.
            if let Some(Aside { subscription: Some(subscription), .. }) = connection.aside.as_deref_mut() {
                subscription.pause();
            }
        }
    }
}
