//! Drives the keep-alive of an [`Sse`](crate::Sse) with tokio's clock.
//!
//! It starts at the first poll, touches the timer wheel once for each silence and not for each event, and
//! never panics outside a runtime: there it just never fires.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::KeepAliveState;

#[derive(Default)]
pub(crate) struct Timer {
    state: Option<KeepAliveState>,
    /// INVARIANT: its deadline is at most `state.due()`. Traffic moves the latter alone; the sleep is set anew when it is over.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Starts the silence, at the first call.
    pub(crate) fn start(&mut self, interval: Option<Duration>) {
        if self.state.is_none() && interval.is_some() {
            self.state = Some(KeepAliveState::new(interval, Instant::now().into_std()));
        }
    }

    /// Tells that something is being sent.
    pub(crate) fn traffic(&mut self) {
        if let Some(state) = &mut self.state {
            state.traffic(Instant::now().into_std());
        }
    }

    /// Waits for the end of the silence. Then a keep-alive is to be sent, and counts as sent.
    pub(crate) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(state) = &mut self.state else { return Poll::Pending };
        let Some(mut due) = state.due() else { return Poll::Pending };
        if self.sleep.is_none() && Handle::try_current().is_err() {
            return Poll::Pending;
        }
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(due.into())));
        loop {
            ready!(sleep.as_mut().poll(cx));
            let sent = state.take_due(Instant::now().into_std());
            due = state.due().unwrap_or(due);
            sleep.as_mut().reset(due.into());
            if sent {
                return Poll::Ready(());
            }
        }
    }
}
