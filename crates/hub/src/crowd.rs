//! Many subscribers that one thread reads for, without a future, a doorbell or a look at the log for each.
//!
//! A [`Crowd`] takes in live [`Subscription`]s and keeps of each a [`Member`], which is a cursor. It hears once that a group of
//! members has something to read, and hands out what is due as bytes that stand next to each other, made once for all
//! who need the same. It writes to nobody: that is for whoever owns the connections.

use std::sync::Arc;
use std::task::Waker;

use fanfare_wire::{Shift, Sum};

use crate::batch::{Batch, Kind, Share};
use crate::endings::{self, SubscriptionKey};
use crate::feed::{Cursor, State};
use crate::hub::Shared;
use crate::live::Until;
use crate::router::{Found, Seat};
use crate::sync::MutexGuard;
use crate::{Form, Hub, Position, Subscription};

/// The subscribers of one hub that one thread reads for.
///
/// Its members are given back before it is dropped; one that is not keeps its place in the hub.
pub struct Crowd {
    shared: Arc<Shared>,
    id: usize,
    members: usize,
    tally: Tally,
    /// Room for those that are to be looked at, kept between two looks.
    called: Vec<usize>,
}

/// What was handed out and the hub has not counted yet.
#[derive(Default)]
struct Tally {
    deliveries: u64,
    bytes: u64,
    bookmarks: u64,
    shift: Shift,
}

/// A subscriber's place in a [`Crowd`]: a cursor of a few words. Give it back with [`Crowd::leave`].
#[derive(Debug)]
#[must_use = "a member that is not given back keeps its place in the hub"]
pub struct Member {
    readership: u32,
    group: u32,
    epoch: u32,
    pub(crate) form: Form,
    /// How many bytes of the first frame that is due were written already, with those of what stands around it.
    pub(crate) offset: u32,
    /// INVARIANT: where `offset` is not 0, the position of the entry that it counts in.
    pub(crate) next: Position,
    /// The position of the last event ID that the client has.
    pub(crate) client_at: Position,
    pub(crate) bookmarks: Bookmarks,
    /// Whether what it was handed last ends the stream of its topic.
    pub(crate) has_end: bool,
    /// Where what is to be done when it ends is kept.
    ending: Option<SubscriptionKey>,
}

/// Whether a member gets bookmarks, and whether one is due as soon as nothing else is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bookmarks {
    Off,
    On,
    Soon,
}

/// What a look at the log gave for one member.
#[derive(Debug)]
pub enum Due {
    /// Bytes to write.
    Write(Share),
    /// Nothing yet; its group will have news.
    Nothing,
    /// Others have their turn first, or something has to be [compressed](Batch::compress_wanted); look again.
    Later,
    /// Memory alone cannot serve it: the log has left it behind, lost something, or is another one. It goes on as a
    /// [`Subscription`], from [`Crowd::release`], if it is not in the middle of a frame.
    Elsewhere,
    /// It has everything: the hub was closed, or the stream of the one topic it asks for has ended.
    End,
}

/// Why a look is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// There may be something to read.
    News,
    /// The client has got nothing for so long that a bookmark should freshen its last event ID.
    Quiet,
}

/// How many bytes are made ready for one member at once; a single frame may be larger.
const SHARE_BYTES_MAX: usize = 128 * 1024;

impl Hub {
    /// Opens a crowd of no members. `bell` is woken when some group has news, once until [`Crowd::news`] is called.
    #[must_use]
    pub fn crowd(&self, bell: Waker) -> Crowd {
        let id = self.0.feed.lock().router.add_crowd(bell);
        Crowd { shared: self.0.clone(), id, members: 0, tally: Tally::default(), called: Vec::new() }
    }

    /// Whether both are handles of one hub.
    #[must_use]
    pub fn is_same(&self, other: &Hub) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Crowd {
    /// The hub.
    #[must_use]
    pub fn hub(&self) -> Hub {
        Hub(self.shared.clone())
    }

    /// How many members it has.
    #[must_use]
    pub fn members(&self) -> usize {
        self.members
    }

    /// Takes a subscription in if it is live or can go on from what is in memory; otherwise gives it back, to be polled.
    ///
    /// A new member may have something to read at once. What it is due is made ready in `form`. By the number `slot` it is found when somebody
    /// has changed by a [handle](Subscription::handle) what it reads, or has ended it: [`called`](Self::called) gives that.
    ///
    /// # Errors
    /// The subscription, unchanged: it is not open yet, has a gap to tell, has to read from the engine, was refused, is
    /// of another hub, asks for [internal](crate::Topic::internal) topics alone, or has yet to come to a change of what it reads.
    #[allow(clippy::result_large_err)] // It is the subscription itself, and it was on the stack before.
    pub fn admit_as(
        &mut self,
        mut subscription: Subscription,
        form: impl Into<Form>,
        slot: usize,
    ) -> Result<Member, Subscription> {
        let Some(seated) = subscription.seated(&self.shared) else { return Err(subscription) };
        let (seat, Cursor { epoch, next, client_at, bookmark_soon, bookmarks, .. }, ending) = seated;
        let mut state = self.shared.feed.lock();
        let State { log, router, endings, .. } = &mut *state;
        let Some(log) = log.as_ref().filter(|log| epoch == Some(log.epoch())) else {
            drop(state);
            return Err(subscription);
        };
        let from = next.max(log.oldest());
        let has_to_be_told = endings.until(ending, log.epoch()) != Until::End
            || next < log.oldest() && router.may_have_missed(log, seat, next)
            // Until it is past what is missing it has to remember what its client was told.
            || router.may_miss_presence(log, seat, next)
            // What was lost is a gap that the subscription tells, once it has come up to it.
            || log.first_hole(from).is_some() && matches!(router.find(log, seat, from), Found::Hole(_));
        if has_to_be_told {
            drop(state);
            return Err(subscription);
        }
        let epoch = log.epoch();
        let (group, bell) = router.join_crowd(seat, self.id);
        let noted = endings.joins(ending, self.id, slot);
        drop(state);
        drop((bell, noted));
        subscription.let_go();
        self.members += 1;
        Ok(Member {
            readership: u32::try_from(seat.readership).unwrap_or(u32::MAX),
            group,
            epoch,
            offset: 0,
            next,
            client_at: client_at.unwrap_or(Position::MAX),
            form: form.into(),
            bookmarks: match (bookmarks, bookmark_soon) {
                (false, _) => Bookmarks::Off,
                (true, false) => Bookmarks::On,
                (true, true) => Bookmarks::Soon,
            },
            has_end: false,
            ending,
        })
    }

    /// Makes a subscription of a member again, for what memory alone cannot serve.
    #[allow(clippy::needless_pass_by_value)] // Whoever has a member has a place in the hub, and this one is given up.
    pub fn release(&mut self, member: Member) -> Subscription {
        let seat = member.seat();
        let cursor = Cursor {
            epoch: Some(member.epoch),
            next: member.next,
            client_at: member.known_client_at(),
            client_id: None,
            gap: None,
            bookmark_soon: member.bookmarks == Bookmarks::Soon,
            bookmarks: member.bookmarks != Bookmarks::Off,
            presence_told: 0,
            presence_told_each_time: false,
            delivered_at: self.shared.feed.clock.now(),
        };
        let mut state = self.shared.feed.lock();
        state.router.leave_crowd(seat, self.id);
        state.endings.is_released(member.ending);
        self.members -= 1;
        let (selection, grant) = state.router.terms(seat);
        // Its last event ID, while the log still knows it.
        let log = state.log.as_ref().filter(|log| log.epoch() == member.epoch);
        let client_id = log.and_then(|log| log.id_at(cursor.client_at?));
        drop(state);
        let cursor = Cursor { client_id, ..cursor };
        let subscription =
            Subscription::standing(self.shared.clone(), selection, grant, seat, cursor, member.ending);
        if member.has_end { subscription.that_has_an_end() } else { subscription }
    }

    /// Ends a member's subscription.
    #[allow(clippy::needless_pass_by_value)] // As above.
    pub fn leave(&mut self, member: Member) {
        let seat = member.seat();
        let mut state = self.shared.feed.lock();
        let State { router, endings, counts, .. } = &mut *state;
        router.leave_crowd(seat, self.id);
        let bell = router.leave(seat);
        counts.subscribers -= 1;
        let ending = endings.take(member.ending, router);
        drop(state);
        drop(bell);
        self.members -= 1;
        endings::call(ending);
    }

    /// Lists the groups that have something to read since the last call, each once, in place of what `news` holds.
    ///
    /// Every event that was accepted before is seen by a [`read`](Self::read) after it.
    pub fn news(&mut self, news: &mut Vec<u32>) {
        let mut state = self.shared.feed.lock();
        self.tally.count_into(&mut state);
        state.router.take_news(self.id, news);
        state.router.take_called(self.id, &mut self.called);
    }

    /// The numbers of the members that are to be looked at for themselves, as of the last call of [`news`](Self::news), each as
    /// [`admit_as`](Self::admit_as) was given it. One may be of a member that has gone since.
    #[must_use]
    pub fn called(&self) -> &[usize] {
        &self.called
    }

    /// Begins to look at the log for some members, one after the other; what they are due is put into `batch`.
    ///
    /// It holds the hub's lock until it is dropped, so for a few hundred members at most.
    pub fn read<'a>(&'a mut self, batch: &'a mut Batch) -> Reading<'a> {
        batch.clear();
        let now = self.shared.feed.clock.now();
        let mut state = self.shared.feed.lock();
        if let Some(log) = &mut state.log {
            log.trim(now);
        }
        Reading { state, batch }
    }

    /// Notes that the first `written` bytes of a share were written to its member's connection.
    ///
    /// Of a bookmark the rest has to be written before anything else; of events, what was not written is due again. What the member's body
    /// [ends with](Form::end) has to know is added to `sum`.
    pub fn wrote(
        &mut self,
        batch: &Batch,
        member: &mut Member,
        share: &Share,
        written: usize,
        sum: &mut Sum,
    ) {
        match share.kind {
            Kind::Bookmark { position, sum: own } => {
                self.tally.bookmarks += 1;
                sum.add(own, &mut self.tally.shift);
                member.client_at = position;
                member.bookmarks = Bookmarks::On;
            }
            Kind::Frames { .. } => {
                let (deliveries, bytes) = batch.advance(member, share, written, sum, &mut self.tally.shift);
                self.tally.deliveries += deliveries;
                self.tally.bytes += bytes;
            }
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let bell = {
            let mut state = self.shared.feed.lock();
            self.tally.count_into(&mut state);
            state.router.remove_crowd(self.id)
        };
        drop(bell);
    }
}

impl Tally {
    fn count_into(&mut self, state: &mut State) {
        let Self { deliveries, bytes, bookmarks, .. } =
            std::mem::replace(self, Self { shift: self.shift, ..Self::default() });
        state.counts.deliveries += deliveries;
        state.counts.delivered_bytes += bytes;
        state.counts.bookmarks += bookmarks;
    }
}

impl Member {
    /// The group it belongs to: a small number, the same for all members of its readership in its crowd, and given to
    /// another readership once they have all left.
    #[must_use]
    pub fn group(&self) -> u32 {
        self.group
    }

    /// The next position that it is to be looked at for.
    #[must_use]
    pub fn next(&self) -> Position {
        self.next
    }

    /// The key of the subscription that it was, if that has one.
    #[must_use]
    pub fn key(&self) -> Option<SubscriptionKey> {
        self.ending
    }

    /// Whether a part of a frame was written, so that nothing but its rest may follow.
    #[must_use]
    pub fn is_mid_frame(&self) -> bool {
        self.offset > 0
    }

    /// Which kind of bytes a share of this member would be made for.
    pub(crate) fn readership(&self) -> u32 {
        self.readership
    }

    fn seat(&self) -> Seat {
        Seat::at(self.readership as usize)
    }

    fn known_client_at(&self) -> Option<Position> {
        Some(self.client_at).filter(|&position| position != Position::MAX)
    }
}

/// A look at the log, for one member after the other.
pub struct Reading<'a> {
    state: MutexGuard<'a, State>,
    batch: &'a mut Batch,
}

impl Reading<'_> {
    /// How many bytes were made ready so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.batch.len()
    }

    /// The position that the next entry will have; none before there is a log.
    #[must_use]
    pub fn log_next(&self) -> Option<Position> {
        self.state.log.as_ref().map(crate::log::Log::next)
    }

    /// Finds what a member is due.
    pub fn due(&mut self, member: &mut Member, look: Look) -> Due {
        let State { log, router, closed, endings, .. } = &mut *self.state;
        if member.has_end && router.terms(member.seat()).0.one_topic().is_some() {
            return Due::End;
        }
        let Some(log) = log.as_ref().filter(|log| log.epoch() == member.epoch) else { return Due::Elsewhere };
        let until = endings.until(member.ending, log.epoch());
        if member.next < log.oldest() {
            if router.may_have_missed(log, member.seat(), member.next) {
                return Due::Elsewhere;
            }
            // What is behind a change may have been for whoever reads from there on.
            member.next = log.oldest().min(until.position().max(member.next));
        }
        // The rest of a frame goes first, if it is still there.
        let is_amid = member.is_mid_frame() && log.get(member.next).is_some();
        if !is_amid && router.may_miss_presence(log, member.seat(), member.next) {
            return Due::Elsewhere;
        }
        let until = match runs_until(until, member, is_amid) {
            Ok(until) => until,
            Err(due) => return due,
        };
        if let Some(share) = self.batch.again(member).filter(|_| until == Position::MAX) {
            return Due::Write(share);
        }
        let (seat, begun) = (member.seat(), self.batch.begin());
        let mut from = member.next;
        let is_walked = router.walk(log, seat, from, &mut self.batch.walked);
        if is_walked && until == Position::MAX {
            if let Some(share) = self.batch.same(member) {
                return Due::Write(share);
            }
        }
        let (mut walked, mut all) = (0, false);
        // Where the next entry is looked for: ahead of where the run ends, if something is missing of which it is made.
        let (mut ahead, mut missing_bytes) = (from, 0);
        while self.batch.len() - begun.bytes + missing_bytes < SHARE_BYTES_MAX {
            let found = if is_walked {
                let entry = self.batch.walked.get(walked).and_then(|&position| log.get(position));
                walked += 1;
                entry.map_or(Found::Nothing, |entry| Found::Entry(entry.clone()))
            } else {
                router.find(log, seat, ahead)
            };
            match found {
                // What stands there is read by other terms.
                Found::Entry(entry) if entry.position() >= until => {
                    if missing_bytes == 0 {
                        from = until;
                    }
                    break;
                }
                Found::Entry(entry) => {
                    ahead = entry.position() + 1;
                    match entry.frame().ready(member.form.coding) {
                        // What stands behind it goes out with it, so it is compressed with it, too.
                        None => {
                            missing_bytes += entry.frame().as_bytes().len();
                            if !self.batch.want(entry, member.form.coding) {
                                break;
                            }
                        }
                        Some((frame, _)) if missing_bytes > 0 => missing_bytes += frame.len(),
                        Some((frame, sum)) if Batch::is_large(frame) => {
                            if self.batch.is_empty_since(&begun) {
                                return Due::Write(self.batch.piece(member, &entry, frame, sum));
                            }
                            break;
                        }
                        Some((frame, sum)) => {
                            from = ahead;
                            self.batch.push(&entry, frame, sum, member.form);
                            // It may be the last that this member gets, so it is to be looked at once more.
                            if entry.is_end() {
                                break;
                            }
                        }
                    }
                }
                _ if missing_bytes > 0 => break,
                Found::SearchFrom(position) => {
                    from = position.min(until);
                    break;
                }
                Found::Nothing if until < Position::MAX => {
                    from = until;
                    break;
                }
                Found::Hole(_) if self.batch.is_empty_since(&begun) => return Due::Elsewhere,
                Found::Hole(_) => break,
                Found::Nothing => {
                    from = log.next();
                    all = true;
                    break;
                }
            }
        }
        // Of a hub that was closed the end is still to come.
        if let Some(share) = self.batch.finish(member, begun, from, all && !*closed) {
            return Due::Write(share);
        }
        member.next = from;
        if !all {
            return Due::Later;
        }
        let bookmark = has_all(log, self.batch, member, look == Look::Quiet || *closed);
        bookmark.unwrap_or(if *closed { Due::End } else { Due::Nothing })
    }
}

/// Up to which position, and without it, a member reads by the terms of its readership; or what it is due instead.
fn runs_until(until: Until, member: &Member, is_amid: bool) -> Result<Position, Due> {
    match until {
        Until::End => Ok(Position::MAX),
        Until::Change(position) if member.next >= position && !is_amid => Err(Due::Elsewhere),
        Until::Change(position) => Ok(position),
        Until::Here if is_amid => Ok(member.next + 1),
        Until::Here => Err(Due::End),
    }
}

/// The bookmark that a member is due who has all that there is for it.
fn has_all(log: &crate::log::Log, batch: &mut Batch, member: &mut Member, is_wanted: bool) -> Option<Due> {
    let position = log.next() - 1;
    if member.bookmarks == Bookmarks::Off {
        return None;
    }
    if (is_wanted || member.bookmarks == Bookmarks::Soon) && member.client_at != position {
        if let Some(id) = log.id_at(position) {
            return Some(Due::Write(batch.bookmark(position, &id, member.form)));
        }
    }
    member.bookmarks = Bookmarks::On;
    None
}
