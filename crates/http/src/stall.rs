//! Says in a quiet stream that the log is not available, where a keep-alive would say nothing.
//!
//! For streams that hyper writes; the fan-out does the same for its own. It has no timer: whoever keeps the stream alive asks
//! it for an item when it has been quiet for long enough, and sends a keep-alive only if there is none.

use std::time::Duration;

use fanfare_hub::Hub;
use fanfare_wire::Frame;
use tokio::time::Instant;

/// What a stream remembers to notice that it has been quiet.
#[derive(Debug)]
pub(crate) struct StallNotice {
    hub: Hub,
    after: Duration,
    quiet_since: Instant,
}

impl StallNotice {
    /// For a stream that begins now and is kept alive each time it was quiet for `after`.
    pub(crate) fn new(hub: Hub, after: Duration) -> Self {
        Self { hub, after, quiet_since: Instant::now() }
    }

    /// Something was sent.
    pub(crate) fn traffic(&mut self) {
        self.quiet_since = Instant::now();
    }

    /// The comment, if the stream was quiet for long enough and the log is not available.
    pub(crate) fn take_due(&mut self) -> Option<Frame> {
        if self.quiet_since.elapsed() < self.after {
            return None;
        }
        let comment = self.hub.stall_comment()?;
        self.traffic();
        Some(comment)
    }
}
