//! Runs the streams of HTTP/2 connections, each in a task of its own that can be cut.
//!
//! hyper resets a stream whose task is dropped, and throws away what waits for the client's window; the others of the
//! connection go on. Who cuts one is decided elsewhere.

use hyper::rt::Executor;
use tokio_util::sync::CancellationToken;

tokio::task_local! {
    /// Cuts the stream that this is part of.
    static CUT: CancellationToken;
}

/// What hyper starts the tasks of streams with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamTasks;

impl<F> Executor<F> for StreamTasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let cut = CancellationToken::new();
        tokio::spawn(CUT.scope(cut.clone(), async move {
            tokio::select! {
                () = stream => {}
                () = cut.cancelled() => {
                    tracing::debug!("reset a stream whose client did not take what it was to take in time");
                }
            }
        }));
    }
}

/// What cuts the stream that this is called in.
pub(crate) fn cut() -> CancellationToken {
    // hyper asks the service within the stream's task; whatever is not cannot be cut.
    CUT.try_with(Clone::clone).unwrap_or_default()
}
