//! What somebody else keeps for a subscriber, counted with what the hub keeps.

use std::sync::{Arc, Weak};

use crate::feed::Feed;

/// Bytes that count against [`HubBuilder::selections_bytes_max`](crate::HubBuilder::selections_bytes_max) until this is dropped.
#[derive(Debug)]
#[must_use = "dropped, it counts no more"]
pub struct Charge {
    feed: Weak<Feed>,
    bytes: usize,
}

impl Charge {
    /// For bytes that were counted already.
    pub(crate) fn of(feed: &Arc<Feed>, bytes: usize) -> Self {
        Self { feed: Arc::downgrade(feed), bytes }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(feed) = self.feed.upgrade() {
            feed.lock().router.discharge(self.bytes);
        }
    }
}
