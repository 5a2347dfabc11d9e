//! Hands what tells of presence to Redis, in the order in which it was handed in: whatever waits is one script, and the next begins
//! when that is answered.
//!
//! Requests that are on their way together would have that order, too, but for those of which Redis does not know the script yet.

use fanfare_hub::engine::AppendError;
use tokio::sync::mpsc;

use super::error::RedisFault;
use super::shared::Shared;
use super::store::Entry;
use crate::cluster::Announcing;
use crate::cluster::envelope;

/// How much is stored at a time, and how many bytes of it, about: Redis does nothing else meanwhile.
const STORED: (usize, usize) = (256, 512 * 1024);

/// Hands over what comes, for as long as the engine is there.
pub(super) async fn run(shared: &Shared, mut announced: mpsc::Receiver<Announcing>) {
    while let Some(first) = announced.recv().await {
        let mut bytes = first.size();
        let mut batch = vec![first];
        while batch.len() < STORED.0
            && bytes < STORED.1
            && let Ok(next) = announced.try_recv()
        {
            bytes += next.size();
            batch.push(next);
        }
        store(shared, batch).await;
    }
}

async fn store(shared: &Shared, batch: Vec<Announcing>) {
    let refused = |fault| AppendError::Refused(std::sync::Arc::new(fault));
    let log = match shared.known() {
        Ok(log) => log,
        Err(fault) => {
            let error = refused(fault);
            for each in batch {
                each.answer(Err(error.clone()));
            }
            return;
        }
    };
    let mut written = Vec::new();
    for each in batch {
        let entry = shared.draw().and_then(|check| {
            let bytes = match &each.presence {
                Some(presence) => envelope::write_presence(check, presence),
                None => Some(envelope::write_place(check, None)),
            };
            Ok((check, bytes.ok_or(RedisFault::TooLarge)?))
        });
        match entry {
            Ok((check, bytes)) => written.push((each, check, bytes)),
            Err(fault) => each.answer(Err(refused(fault))),
        }
    }
    let entries: Vec<_> = written
        .iter()
        .map(|(each, check, bytes)| {
            let fingerprint = each.presence.as_ref().map_or(0, fanfare_hub::Submission::fingerprint);
            let key = each.key.as_ref().map(|key| (key, fingerprint));
            Entry { check: *check, bytes, id: None, key }
        })
        .collect();
    if entries.is_empty() {
        return;
    }
    let taken = shared.of_log(&log, shared.store.announce(log.epoch, &entries).await);
    match taken {
        Ok(taken) => {
            for ((each, check, _), taken) in written.into_iter().zip(taken) {
                each.answer(log.appended(taken, check, None));
            }
        }
        Err(error) => {
            for (each, ..) in written {
                each.answer(Err(error.clone()));
            }
        }
    }
}
