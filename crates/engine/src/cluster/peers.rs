//! What the nodes of a hub say to each other beside the log: words that are kept nowhere.
//!
//! Nobody learns whether a word was heard, and none waits for a connection.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fanfare_hub::engine::{Listener, Peers};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::SharedLog;

/// How many words wait to be said; more are lost.
const WAITING_MAX: usize = 1_024;
/// How long after a failure it is listened again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

pub(crate) struct PeersOf<L: SharedLog> {
    log: Arc<L>,
    runtime: Handle,
    words: mpsc::Sender<Vec<u8>>,
    tasks: Mutex<Vec<AbortHandle>>,
}

impl<L: SharedLog> PeersOf<L> {
    pub(crate) fn start(log: Arc<L>, runtime: Handle) -> Self {
        let (words, said) = mpsc::channel(WAITING_MAX);
        let saying = runtime.spawn(say(log.clone(), said)).abort_handle();
        Self { log, runtime, words, tasks: Mutex::new(vec![saying]) }
    }

    /// Ends it.
    pub(crate) fn end(&self) {
        for task in self.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
    }
}

impl<L: SharedLog> Peers for PeersOf<L> {
    fn say(&self, word: Vec<u8>) {
        let _ = self.words.try_send(word);
    }

    fn listen(&self, listener: Listener) {
        let task = self.runtime.spawn(listen(self.log.clone(), listener)).abort_handle();
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }
}

async fn say<L: SharedLog>(log: Arc<L>, mut said: mpsc::Receiver<Vec<u8>>) {
    while let Some(word) = said.recv().await {
        if let Err(error) = log.say(word).await {
            tracing::debug!(%error, "a word to the other nodes was not said");
        }
    }
}

async fn listen<L: SharedLog>(log: Arc<L>, mut listener: Listener) {
    loop {
        match log.listen(&mut listener).await {
            Ok(ControlFlow::Break(())) => return,
            Ok(ControlFlow::Continue(())) => {}
            Err(error) => tracing::debug!(%error, "the other nodes cannot be listened to"),
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}
