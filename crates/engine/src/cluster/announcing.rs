//! What tells of presence, on its way to the one task that hands it to the store: so it stands there in the order in which it was
//! handed in, however long the answers take.

use fanfare_hub::engine::{Answer, AppendError, Appended};
use fanfare_hub::{IdempotencyKey, Submission};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::SharedLog;
use crate::fault::fault;

/// How much waits to be handed over at most. More is refused: whoever announces hands in some thousand and waits for them.
const WAITING_MAX: usize = 16_384;

/// Presence that was handed in.
pub(crate) struct Announcing {
    /// `None`: nothing but its place.
    pub(crate) presence: Option<Submission>,
    pub(crate) key: Option<IdempotencyKey>,
    answer: oneshot::Sender<Result<Appended, AppendError>>,
}

impl Announcing {
    pub(crate) fn answer(self, answer: Result<Appended, AppendError>) {
        // Nobody may be left who waits for it.
        let _ = self.answer.send(answer);
    }

    /// How many bytes there are of it, about.
    #[cfg(feature = "redis")]
    pub(crate) fn size(&self) -> usize {
        self.presence.as_ref().map_or(0, |presence| presence.draft.frame_bytes())
    }
}

/// The way to that task.
pub(crate) struct Announcements(mpsc::Sender<Announcing>);

impl Announcements {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Announcing>) {
        let (handing_in, announced) = mpsc::channel(WAITING_MAX);
        (Self(handing_in), announced)
    }

    /// Hands it in within the call.
    pub(crate) fn announce<L: SharedLog>(
        &self,
        presence: Option<Submission>,
        key: Option<IdempotencyKey>,
    ) -> Answer<'static, Result<Appended, AppendError>> {
        let (answer, answered) = oneshot::channel();
        let handed_in = self.0.try_send(Announcing { presence, key, answer });
        Box::pin(async move {
            match handed_in {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => return Err(AppendError::Refused(fault(L::BUSY))),
                Err(TrySendError::Closed(_)) => return Err(AppendError::Refused(fault(L::GONE))),
            }
            answered.await.unwrap_or_else(|_| Err(AppendError::Unknown(fault(L::GONE))))
        })
    }
}
