//! Logs that do not do their work.

use std::future::{pending, ready};
use std::sync::Arc;

use fanfare_hub::engine::{
    Answer, AppendError, Appended, Batch, Bounds, Engine, Followed, Follower, Origin, ReadError, ReadRequest,
};
use fanfare_hub::{Check, EngineFault, IdKey, IdempotencyKey, Position, Submission};
use fanfare_wire::EventId;

/// How the log fails.
#[derive(Clone, Copy)]
pub(crate) enum Failing {
    Refuses,
    MayHaveStored,
    NeverAnswers,
}

pub(crate) fn fault() -> EngineFault {
    Arc::new(std::io::Error::other("disk 7 is on fire"))
}

impl Engine for Failing {
    fn follow(&self, follower: Arc<dyn Follower>) -> Result<(), EngineFault> {
        let key = IdKey::new([7; 16]);
        follower.accept(Followed::NewEpoch(Origin {
            epoch: 1,
            key,
            from: 1,
            next: 1,
            check_before: Check::START,
        }));
        Ok(())
    }

    fn append(&self, _: Submission, _: Option<IdempotencyKey>) -> Answer<'_, Result<Appended, AppendError>> {
        match self {
            Self::Refuses => Box::pin(ready(Err(AppendError::Refused(fault())))),
            Self::MayHaveStored => Box::pin(ready(Err(AppendError::Unknown(fault())))),
            Self::NeverAnswers => Box::pin(pending()),
        }
    }

    fn bounds(&self) -> Answer<'_, Result<Bounds, EngineFault>> {
        match self {
            Self::NeverAnswers => Box::pin(pending()),
            _ => Box::pin(ready(Err(fault()))),
        }
    }

    fn read(&self, _: ReadRequest) -> Answer<'_, Result<Batch, ReadError>> {
        Box::pin(pending())
    }

    fn find(&self, _: EventId) -> Answer<'_, Result<Option<Position>, EngineFault>> {
        Box::pin(pending())
    }
}
