//! Hands what tells of presence to JetStream, in the order in which it was handed in, and many at once.
//!
//! One task does it, over the one connection: so the stream has it in that order, too, though nothing is waited for in between.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::shared::Shared;
use crate::cluster::Announcing;

/// How much is on its way at once.
const IN_FLIGHT_MAX: usize = 2_048;

/// Hands over what comes, for as long as the engine is there.
pub(super) async fn run(shared: Arc<Shared>, mut announced: mpsc::Receiver<Announcing>) {
    let shared = &*shared;
    let mut on_their_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(()) = on_their_way.next() => {}
            next = announced.recv(), if on_their_way.len() < IN_FLIGHT_MAX => {
                let Some(next) = next else { return };
                let handed_in = {
                    let mut handing_in = std::pin::pin!(shared.hand_in(&next));
                    loop {
                        tokio::select! {
                            handed_in = &mut handing_in => break handed_in,
                            // The room that it may wait for is given back when these are answered.
                            Some(()) = on_their_way.next() => {}
                        }
                    }
                };
                on_their_way.push(async move {
                    let answered = match handed_in {
                        Ok(announced) => announced.answer(next.presence.as_ref()).await,
                        Err(error) => Err(error),
                    };
                    next.answer(answered);
                });
            }
        }
    }
}
