//! A stream that is taken away from whoever serves it, when its time is over or its token is revoked.
//!
//! An HTTP library asks a body for more only while its client takes bytes, so a client that takes none would keep its place in
//! the hub behind the end of its right to it. A task of its own gives the place back then, whoever has the body. It never says
//! when that is, and what has left the body is for others to throw away. Rules: P7, M-060.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use fanfare_hub::Subscription;
use futures_core::Stream;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::expiry::Expiry;
use crate::revocation::Ticket;

/// How long a client may take for what was written before the end, and for the end.
const END_WITHIN: Duration = Duration::from_secs(1);

/// When a stream is over, drained or not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deadline {
    at: Option<Instant>,
    expiry: Option<Expiry>,
    ticket: Option<Ticket>,
}

impl Deadline {
    /// At this time, if that is not never.
    pub(crate) fn at(at: Option<Instant>) -> Self {
        Self { at, ..Self::default() }
    }

    /// Or when the wall clock says so.
    pub(crate) fn expiring(mut self, expiry: Option<Expiry>) -> Self {
        self.expiry = expiry;
        self
    }

    /// Or when the token is revoked that the stream lives by, if it lives by one.
    pub(crate) fn living_by(mut self, ticket: Option<Ticket>) -> Self {
        self.ticket = ticket;
        self
    }

    pub(crate) fn ends_at(&self) -> Option<Instant> {
        self.at
    }

    pub(crate) fn expires_at(&self) -> Option<SystemTime> {
        self.expiry.as_ref().map(Expiry::at)
    }

    pub(crate) fn into_ticket(self) -> Option<Ticket> {
        self.ticket
    }

    /// Waits until the stream is over.
    async fn passed(mut self) {
        let time = async {
            match self.at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let expired = poll_fn(|cx| match &mut self.expiry {
            Some(expiry) => expiry.poll_over(cx),
            None => Poll::Pending,
        });
        let revoked = async {
            match &self.ticket {
                Some(ticket) => ticket.cut().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = time => {}
            () = expired => {}
            () = revoked => {}
        }
    }

    fn has_passed(&self) -> bool {
        self.at.is_some_and(|at| Instant::now() >= at)
            || self.expiry.as_ref().is_some_and(Expiry::is_over)
            || self.ticket.as_ref().is_some_and(Ticket::is_cut)
    }

    fn is_never(&self) -> bool {
        self.at.is_none() && self.expiry.is_none() && self.ticket.is_none()
    }
}

/// A stream with its deadline.
pub(crate) struct Lease<S> {
    deadline: Deadline,
    state: Mutex<State<S>>,
}

struct State<S> {
    /// `None` once it has been taken away.
    stream: Option<S>,
    /// Who waits for the next item.
    waiting: Option<Waker>,
    is_watched: bool,
}

/// Has a lease watched, until this is dropped.
pub(crate) struct Watch(AbortHandle);

/// What a response says of the stream that is its body, to the server.
#[derive(Clone)]
pub(crate) struct Leased(Weak<Lease<Subscription>>);

impl<S> Lease<S> {
    pub(crate) fn new(stream: S, deadline: Deadline) -> Self {
        let state = State { stream: Some(stream), waiting: None, is_watched: false };
        Self { deadline, state: Mutex::new(state) }
    }

    /// Takes the stream away, for whoever serves it by means of its own.
    pub(crate) fn take(&self) -> Option<(S, Deadline)> {
        Some((self.state().stream.take()?, self.deadline.clone()))
    }

    /// Ends the stream: whoever serves it finds that there is no more.
    fn end(&self) {
        let mut state = self.state();
        let (stream, waiting) = (state.stream.take(), state.waiting.take());
        // Whoever hears of the end of a subscription may have locks of its own.
        drop(state);
        drop(stream);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    fn state(&self) -> MutexGuard<'_, State<S>> {
        // A stream that has panicked is not polled again.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Send + 'static> Lease<S> {
    /// Ends the stream at its deadline, and cancels `cut` where it is still being served a while after. `None` if
    /// somebody does so already, or it has no deadline.
    pub(crate) fn watch(self: &Arc<Self>, cut: Option<CancellationToken>) -> Option<Watch> {
        if self.deadline.is_never() || std::mem::replace(&mut self.state().is_watched, true) {
            return None;
        }
        let (lease, deadline) = (Arc::downgrade(self), self.deadline.clone());
        let watching = tokio::spawn(async move {
            deadline.passed().await;
            if let Some(lease) = lease.upgrade() {
                lease.end();
            }
            if let Some(cut) = cut {
                tokio::time::sleep(END_WITHIN).await;
                cut.cancel();
            }
        });
        Some(Watch(watching.abort_handle()))
    }
}

impl<S: Stream + Unpin> Lease<S> {
    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        if self.deadline.has_passed() {
            // Before whoever watches it has come to that.
            self.end();
        }
        let mut state = self.state();
        let Some(stream) = &mut state.stream else { return Poll::Ready(None) };
        let polled = Pin::new(stream).poll_next(cx);
        if polled.is_pending() {
            state.waiting = Some(cx.waker().clone());
        }
        polled
    }
}

impl Leased {
    pub(crate) fn of(lease: &Arc<Lease<Subscription>>) -> Self {
        Self(Arc::downgrade(lease))
    }

    /// As [`Lease::watch`]; also `None` if the stream has gone.
    pub(crate) fn watch(&self, cut: CancellationToken) -> Option<Watch> {
        self.0.upgrade()?.watch(Some(cut))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream::{self, StreamExt};
    use tokio::time::sleep;

    /// Goal: the place in the hub is free at the deadline, and not only when the client is cut.
    #[tokio::test(start_paused = true)]
    async fn at_the_deadline_the_stream_has_gone_and_a_second_later_its_client_is_cut_m060() {
        let place = Arc::new(());
        let held = place.clone();
        let frames = stream::pending::<()>().map(move |()| held.clone());
        let deadline = Deadline::at(Some(Instant::now() + Duration::from_millis(60_010)));
        let lease = Arc::new(Lease::new(frames, deadline));
        let cut = CancellationToken::new();
        let watch = lease.watch(Some(cut.clone()));
        assert!(watch.is_some() && lease.watch(None).is_none(), "it is watched once");
        sleep(Duration::from_secs(60)).await;
        assert_eq!(Arc::strong_count(&place), 2);
        sleep(Duration::from_millis(20)).await;
        assert_eq!((Arc::strong_count(&place), cut.is_cancelled()), (1, false));
        sleep(END_WITHIN).await;
        assert!(cut.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_ended_by_itself_is_not_cut() {
        let deadline = Deadline::at(Some(Instant::now()));
        let lease = Arc::new(Lease::new(stream::pending::<()>(), deadline));
        let cut = CancellationToken::new();
        drop(lease.watch(Some(cut.clone())));
        sleep(END_WITHIN * 2).await;
        assert!(!cut.is_cancelled());
    }
}
