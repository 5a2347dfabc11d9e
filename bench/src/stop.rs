//! Ends a run early in good order: Ctrl-C, SIGTERM, and the time limit for everything.
//!
//! It only raises a flag that the loops look at; a second Ctrl-C ends the process at once (children die with it, see
//! [`contestant`](crate::contestant)).

use anyhow::bail;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Says whether to go on.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    signalled: Arc<AtomicBool>,
    deadline: Instant,
}

impl Stop {
    /// Watches the signals from now on; after `limit` everything ends.
    pub(crate) fn after(limit: Duration) -> anyhow::Result<Self> {
        let signalled = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal only sets the flag that the second finds set.
            flag::register_conditional_shutdown(signal, 130, Arc::clone(&signalled))?;
            flag::register(signal, Arc::clone(&signalled))?;
        }
        Ok(Self { signalled, deadline: Instant::now() + limit })
    }

    /// Fails when the run is to end.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if self.signalled.load(Ordering::Relaxed) {
            bail!("stopped by a signal");
        }
        if Instant::now() > self.deadline {
            bail!("stopped by --time-limit");
        }
        Ok(())
    }
}
