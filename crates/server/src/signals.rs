//! Waits for the signals that end the program, and for the one that asks it to read its files again.
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
pub(crate) struct HangUps {
    #[cfg(unix)]
    hang_up: tokio::signal::unix::Signal,
}

impl HangUps {
    /// Begins to catch it. Until then it ends the process.
    #[cfg(unix)]
    pub(crate) fn catch() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { hang_up: signal(SignalKind::hangup())? })
    }

    /// Waits for the next one; false if there will be none.
    #[cfg(unix)]
    pub(crate) async fn next(&mut self) -> bool {
        self.hang_up.recv().await.is_some()
    }

    /// There is none to catch.
    #[cfg(not(unix))]
    #[allow(clippy::unnecessary_wraps)] // As on Unix.
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self {})
    }

    /// There will be none.
    #[cfg(not(unix))]
    #[allow(clippy::unused_async)] // As on Unix.
    pub(crate) async fn next(&mut self) -> bool {
        false
    }
}
