//! Ends a stream when its time is over, from a task of its own: the body is asked for more only while its client takes bytes.
//!
//! Outside a tokio runtime there is none, and nothing ends.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::Closed;
use crate::life::Life;

/// Until it is dropped.
pub(crate) struct Watch(AbortHandle);

impl Watch {
    pub(crate) fn after(lifetime: Duration, life: &Life) -> Option<Self> {
        let life = life.clone();
        let watching = Handle::try_current().ok()?.spawn(async move {
            tokio::time::sleep(lifetime).await;
            life.end_because(Closed::Expired);
        });
        Some(Self(watching.abort_handle()))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}
