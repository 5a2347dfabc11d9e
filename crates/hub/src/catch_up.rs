//! Reading what has left memory, for all who catch up together: one pass over the log for those who are about at the same
//! place, and one budget of memory for all.
//!
//! It keeps *pages*: entries read from the engine once and encoded once. It knows no subscriber but by the doorbell of who
//! waits, has no thread and no task, and is the same over every engine.
//!
//! - Who needs a place looks for a page that has it, then for a *load* that will, and otherwise queues a load of its own.
//!   Loads belong to nobody: an engine that wakes a load has it driven on in the engine's own thread, as its
//!   [`Follower`](crate::engine::Follower) is called there. So a subscriber that is stalled, or gone, holds up no load that
//!   others wait for. With the last who waits for it, a load is dropped.
//! - Few loads are under way at once. The others wait in the order in which they came and look again before they begin, so
//!   that what came meanwhile saves them.
//! - Who reads holds a page by a [`Weak`] between two polls. A subscriber whose socket is full pins nothing; should the page
//!   be gone when it goes on, it is read again.
//!
//! **Everybody gets on**, however small the budget. A page that was loaded is *claimed* until each who waited for it has
//! looked, and a claimed page is not dropped; whoever looks takes one entry at least, or moves past the page, before it
//! gives way. A load begins only where there is room for its page beside the claimed ones and those that are being read, so
//! what is kept exceeds the budget by no more than what these few turn out to be larger than those before; where there is no
//! room for a single one, one is read and kept at a time. Since the queue is served in order, nobody is passed over. A claim
//! ends at once when who waits is dropped or [pauses](crate::Subscription::pause), and counts no more than a second for who
//! was woken and does not look; then whoever looks next takes the room. Should the page be gone after all, who waited asks
//! once more, waits for no other's load and is not sent to look without a claim.

use std::fmt;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

use fanfare_wire::CodedForms;

use crate::engine::{Batch, Engine, EngineFault, ReadError};
use crate::feed::Feed;
use crate::load::{After, Job, LoadNumber, Outcome, WaiterNumber, Work};
use crate::loads::{Loads, Looked};
use crate::log::Entry;
use crate::page::Page;
use crate::pages::Place;
use crate::sync::{Mutex, MutexGuard, lock};
use crate::{Counts, Position};

/// How often an engine that keeps waking a load while it is asked is asked again at once.
const ROUNDS: usize = 4;

/// What all who catch up share.
pub(crate) struct CatchUp {
    engine: Arc<dyn Engine>,
    feed: Arc<Feed>,
    loads: Mutex<Loads>,
    /// What the coded forms of what is read take.
    forms: Arc<CodedForms>,
}

impl CatchUp {
    /// `bytes_max` is what all pages may cost together.
    pub(crate) fn new(
        engine: Arc<dyn Engine>,
        feed: Arc<Feed>,
        bytes_max: usize,
        forms: Arc<CodedForms>,
    ) -> Arc<Self> {
        let loads = Mutex::new(Loads::new(bytes_max, forms.clone()));
        Arc::new(Self { engine, feed, loads, forms })
    }

    pub(crate) fn forms(&self) -> &Arc<CodedForms> {
        &self.forms
    }

    fn lock(&self) -> MutexGuard<'_, Loads> {
        lock(&self.loads)
    }

    /// An entry of log `epoch`, if it is in a page that is kept.
    pub(crate) fn entry_at(&self, epoch: u32, position: Position) -> Option<Arc<Entry>> {
        let page = {
            let mut loads = self.lock();
            if loads.epoch != epoch {
                return None;
            }
            loads.pages.find_dense(position)?
        };
        page.at(position).cloned()
    }

    pub(crate) fn count(&self, counts: &mut Counts) {
        let loads = self.lock();
        counts.catch_up_reads = loads.reads;
        counts.catch_up_bytes = loads.pages.bytes() as u64;
    }

    /// Does what was put off while the lock was held.
    fn follow_up(self: &Arc<Self>, mut after: After) {
        loop {
            for bell in after.wake.drain(..) {
                bell.wake();
            }
            if after.jobs.is_empty() {
                return;
            }
            let job = after.jobs.remove(0);
            self.drive(job, &mut after);
        }
    }

    /// Asks the engine until it answers or has to be waited for.
    fn drive(self: &Arc<Self>, mut job: Job, after: &mut After) {
        let bell = Waker::from(Arc::new(Bell { catch_up: Arc::downgrade(self), load: job.number }));
        for round in 1.. {
            let polled = match &mut job.work {
                Work::Ask(request) => {
                    let (engine, request) = (self.engine.clone(), request.clone());
                    job.work = Work::Await(Box::pin(async move { engine.read(request).await }));
                    continue;
                }
                Work::Await(answer) => answer.as_mut().poll(&mut Context::from_waker(&bell)),
            };
            match polled {
                Poll::Ready(read) => {
                    let (outcome, page) = self.take_in(&job, read);
                    let (number, now) = (job.number, self.feed.clock.now());
                    // Before anybody is woken: the answer may have kept the engine, which is not to go in this thread.
                    drop(job);
                    return self.lock().finish(number, outcome, page, now, after);
                }
                Poll::Pending => {
                    let again = self.lock().put_back(job, round <= ROUNDS, after);
                    let Some(again) = again else { return };
                    job = again;
                }
            }
        }
    }

    /// Encodes what was read: without the lock, for a page is long.
    fn take_in(&self, job: &Job, read: Result<Batch, ReadError>) -> (Outcome, Option<Arc<Page>>) {
        let batch = match read {
            Ok(batch) => batch,
            Err(error) => return (Outcome::Failed(error), None),
        };
        // If another log has begun, what was read is void.
        let Some((_, key)) = self.feed.log().filter(|(epoch, _)| *epoch == job.epoch) else {
            return (Outcome::Void, None);
        };
        if batch.through < job.first {
            return (Outcome::Failed(ReadError::Fault(NothingRead::fault())), None);
        }
        let page = Page::encode(batch, job.first, job.topics.clone(), job.epoch, &key, &self.forms);
        (Outcome::LookAgain, Some(Arc::new(page)))
    }
}

/// Wakes a load: drives it on where it is rung.
struct Bell {
    catch_up: Weak<CatchUp>,
    load: LoadNumber,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let Some(catch_up) = self.catch_up.upgrade() else { return };
        let job = catch_up.lock().take_job(self.load);
        catch_up.follow_up(After { jobs: job.into_iter().collect(), ..After::default() });
    }
}

/// Somebody who needs a page. Dropped, it leaves nothing behind.
pub(crate) struct Wanted {
    catch_up: Arc<CatchUp>,
    epoch: u32,
    place: Place,
    /// Where memory begins.
    before: Position,
    waits: Option<(LoadNumber, WaiterNumber)>,
    /// It has waited, and what came did not help.
    in_vain: bool,
}

/// What came of wanting a page.
pub(crate) enum Got {
    /// A page that has the place.
    Page(Arc<Page>),
    /// Another log has begun.
    Void,
}

impl Wanted {
    pub(crate) fn new(catch_up: Arc<CatchUp>, epoch: u32, place: Place, before: Position) -> Self {
        Self { catch_up, epoch, place, before, waits: None, in_vain: false }
    }

    /// Looks for the page, or waits for it.
    pub(crate) fn poll(&mut self, bell: &Waker) -> Poll<Result<Got, ReadError>> {
        if self.catch_up.feed.log().is_none_or(|(epoch, _)| epoch != self.epoch) {
            return Poll::Ready(Ok(Got::Void));
        }
        let mut may_drive = true;
        loop {
            let mut after = After::default();
            let looked = self.look(bell, &mut may_drive, &mut after);
            self.catch_up.follow_up(after);
            // Otherwise something was done meanwhile that may have ended the wait.
            if let Some(polled) = looked {
                return polled;
            }
        }
    }

    /// One look under the lock. `None` if there is to be another.
    fn look(
        &mut self,
        bell: &Waker,
        may_drive: &mut bool,
        after: &mut After,
    ) -> Option<Poll<Result<Got, ReadError>>> {
        let now = self.catch_up.feed.clock.now();
        let mut loads = self.catch_up.lock();
        if loads.epoch != self.epoch {
            loads.begin_epoch(self.epoch, after);
        }
        let Some((load, waiter)) = self.waits else {
            if let Some((_, page)) = loads.pages.find(&self.place) {
                return Some(Poll::Ready(Ok(Got::Page(page))));
            }
            self.waits = Some(loads.join(&self.place, self.before, self.in_vain, now, after));
            return None;
        };
        let (first, outcome) = match loads.look(load, waiter, bell, now, after) {
            Looked::Done(first, outcome) => (first, outcome),
            Looked::Waits(job) => {
                let drives = job.is_some() && std::mem::take(may_drive);
                after.jobs.extend(job);
                return (!drives).then_some(Poll::Pending);
            }
        };
        // Before its claim is given back.
        let page = loads.pages.find(&self.place);
        self.waits = None;
        self.in_vain = true;
        loads.leave(load, waiter, now, after);
        match (outcome, page) {
            (_, Some((_, page))) => Some(Poll::Ready(Ok(Got::Page(page)))),
            (Outcome::Void, None) => Some(Poll::Ready(Ok(Got::Void))),
            // That was the place of who asked, and not this one.
            (Outcome::Failed(ReadError::Trimmed { oldest }), None)
                if first < oldest && oldest <= self.place.next =>
            {
                None
            }
            (Outcome::Failed(error), None) => Some(Poll::Ready(Err(error))),
            (Outcome::LookAgain, None) => None,
        }
    }

    /// Has nothing kept for it until it looks again.
    pub(crate) fn pause(&mut self) {
        let Some((load, waiter)) = self.waits else { return };
        let mut after = After::default();
        let now = self.catch_up.feed.clock.now();
        self.catch_up.lock().pause(load, waiter, now, &mut after);
        self.catch_up.follow_up(after);
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        let Some((load, waiter)) = self.waits.take() else { return };
        let mut after = After::default();
        let now = self.catch_up.feed.clock.now();
        self.catch_up.lock().leave(load, waiter, now, &mut after);
        self.catch_up.follow_up(after);
    }
}

/// An engine that was asked for entries gave neither any nor a place to go on from.
#[derive(Debug)]
pub(crate) struct NothingRead;

impl NothingRead {
    pub(crate) fn fault() -> EngineFault {
        Arc::new(Self)
    }
}

impl fmt::Display for NothingRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the engine was asked for entries and read nothing at all")
    }
}

impl std::error::Error for NothingRead {}
