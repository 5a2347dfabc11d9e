//! Hands what tells of presence to JetStream, in the order in which it was handed in, and many at once.
//!
//! One task does it, over the one connection: so the stream has it in that order, too, though nothing is waited for in between.

use std::sync::Arc;

use fanfare_hub::engine::{AppendError, Appended};
use fanfare_hub::{IdempotencyKey, Submission};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};

use super::shared::Shared;

/// How much waits to be handed over at most. More is refused: whoever announces hands in some thousand and waits for them.
pub(super) const WAITING_MAX: usize = 16_384;
/// How much is on its way at once.
const IN_FLIGHT_MAX: usize = 2_048;

/// Presence that was handed in.
pub(super) struct Announcing {
    pub(super) presence: Option<Submission>,
    pub(super) key: Option<IdempotencyKey>,
    pub(super) answer: oneshot::Sender<Result<Appended, AppendError>>,
}

/// Hands over what comes, for as long as the engine is there.
pub(super) async fn run(shared: Arc<Shared>, mut announced: mpsc::Receiver<Announcing>) {
    let shared = &*shared;
    let mut on_their_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(()) = on_their_way.next() => {}
            next = announced.recv(), if on_their_way.len() < IN_FLIGHT_MAX => {
                let Some(Announcing { presence, key, answer }) = next else { return };
                let handed_in = shared.hand_in(presence, key).await;
                on_their_way.push(async move {
                    let answered = match handed_in {
                        Ok(announced) => announced.answer().await,
                        Err(error) => Err(error),
                    };
                    // Nobody may be left who waits for it.
                    let _ = answer.send(answered);
                });
            }
        }
    }
}
