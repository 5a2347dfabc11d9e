//! Waits for the signals that end the program, and for the one that asks for a look at its files.
//!
//! The first one asks for an orderly end; what follows is the caller's business.

use std::io;

/// Ctrl-C, and on Unix SIGTERM.
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    /// Begins to catch them. Until then they end the process as they always do.
    #[cfg(unix)]
    pub(crate) fn catch() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next one and names it.
    #[cfg(unix)]
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }

    /// Begins to catch them. Until then they end the process as they always do.
    #[cfg(not(unix))]
    #[allow(clippy::unnecessary_wraps)] // As on Unix.
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Waits for the next one and names it.
    #[cfg(not(unix))]
    pub(crate) async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}

/// SIGHUP, where there is one.
pub(crate) struct Hangups(#[cfg(unix)] tokio::signal::unix::Signal);

impl Hangups {
    /// Begins to catch them. Until then they end the process as they always do.
    #[cfg_attr(not(unix), allow(clippy::unnecessary_wraps))] // As on Unix.
    pub(crate) fn catch() -> io::Result<Self> {
        #[cfg(unix)]
        let caught = Self(tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?);
        #[cfg(not(unix))]
        let caught = Self();
        Ok(caught)
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        #[cfg(unix)]
        if self.0.recv().await.is_some() {
            return;
        }
        std::future::pending::<()>().await;
    }
}
