//! One load of a page: what it asks the engine for, how it stands and who waits for it.
//!
//! It decides nothing; [`Loads`](crate::loads::Loads) does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;

use crate::engine::{Answer, Batch, ReadError, ReadRequest};
use crate::page::Page;
use crate::pages::{PageNumber, Place};
use crate::{Position, Topic};

/// Entries that are to be read, and who waits for them.
pub(crate) struct Load {
    pub(crate) place: Place,
    /// Those who wait would read up to here.
    pub(crate) before: Position,
    /// Whoever asked has waited for a load of others before, and it did not help.
    pub(crate) in_vain: bool,
    pub(crate) stage: Stage,
    pub(crate) waiters: BTreeMap<WaiterNumber, Waiter>,
    pub(crate) claim: Option<PageNumber>,
}

/// How a load stands.
pub(crate) enum Stage {
    Queued,
    /// The engine has the word. `is_due` if it has spoken and the load was not driven on.
    Resting {
        job: Job,
        is_due: bool,
    },
    /// Somebody drives it on. `again` if the engine has spoken meanwhile.
    Driven {
        again: bool,
    },
    Done(Outcome),
}

/// Somebody who waits for a load.
#[derive(Default)]
pub(crate) struct Waiter {
    pub(crate) bell: Option<Waker>,
    /// It cannot take anything at the moment, so nothing is kept for it.
    pub(crate) pauses: bool,
}

impl Load {
    /// Moves the doorbells of those who wait.
    pub(crate) fn ring(&mut self, after: &mut After) {
        after.wake.extend(self.waiters.values_mut().filter_map(|waiter| waiter.bell.take()));
    }
}

/// A load's number, which is never given twice.
pub(crate) type LoadNumber = u64;
/// The number of somebody who waits, which is never given twice.
pub(crate) type WaiterNumber = u64;

/// A load that is to be driven on, or driven on.
pub(crate) struct Job {
    pub(crate) number: LoadNumber,
    pub(crate) epoch: u32,
    pub(crate) first: Position,
    pub(crate) topics: Option<Arc<[Topic]>>,
    pub(crate) work: Work,
}

/// What a load consists of.
pub(crate) enum Work {
    Ask(ReadRequest),
    Await(Answer<'static, Result<Batch, ReadError>>),
}

/// How a load ended, for those who waited for it.
#[derive(Clone)]
pub(crate) enum Outcome {
    /// There is a page, or another load to wait for.
    LookAgain,
    /// Another log has begun.
    Void,
    Failed(ReadError),
}

/// What is to be done once the lock is given back.
#[derive(Default)]
pub(crate) struct After {
    pub(crate) wake: Vec<Waker>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) dropped_pages: Vec<Arc<Page>>,
    pub(crate) dropped_jobs: Vec<Job>,
    pub(crate) dropped_bells: Vec<Waker>,
}
