//! What the nodes of a hub say to each other beside the log: messages that are kept nowhere.
//!
//! One subject for a hub, outside of those of its stream. Nobody learns whether a word was heard, and none waits for a connection.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fanfare_hub::engine::{Listener, Peers};
use futures_util::StreamExt;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::shared::Shared;

/// How many words wait to be said; more are lost.
const WAITING_MAX: usize = 1_024;
/// How long after a failure it is listened again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

pub(super) struct NatsPeers {
    shared: Arc<Shared>,
    runtime: Handle,
    words: mpsc::Sender<Vec<u8>>,
    tasks: Mutex<Vec<AbortHandle>>,
}

impl NatsPeers {
    pub(super) fn start(shared: Arc<Shared>, runtime: Handle) -> Self {
        let (words, said) = mpsc::channel(WAITING_MAX);
        let saying = runtime.spawn(say(shared.clone(), said)).abort_handle();
        Self { shared, runtime, words, tasks: Mutex::new(vec![saying]) }
    }

    /// Ends it.
    pub(super) fn end(&self) {
        for task in self.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
    }
}

impl Peers for NatsPeers {
    fn say(&self, word: Vec<u8>) {
        let _ = self.words.try_send(word);
    }

    fn listen(&self, listener: Listener) {
        let task = self.runtime.spawn(listen(self.shared.clone(), listener)).abort_handle();
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }
}

async fn say(shared: Arc<Shared>, mut said: mpsc::Receiver<Vec<u8>>) {
    while let Some(word) = said.recv().await {
        if let Err(error) = shared.store.say(word).await {
            tracing::debug!(%error, "a word to the other nodes was not said");
        }
    }
}

async fn listen(shared: Arc<Shared>, mut listener: Listener) {
    loop {
        // It outlives the connection: the client listens again on the next one.
        match shared.store.words().await {
            Ok(mut words) => {
                while let Some(message) = words.next().await {
                    if !listener(&message.payload) {
                        return;
                    }
                }
            }
            Err(error) => tracing::debug!(%error, "the other nodes cannot be listened to"),
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}
