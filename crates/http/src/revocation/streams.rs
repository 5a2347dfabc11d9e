//! The streams that live by a token, and who writes them: so that they can be ended when the token is revoked.
//!
//! It judges no token. Whoever ends a stream does so outside the lock that this is kept under.

use std::collections::HashMap;
use std::fmt;

use fanfare_fanout::Fanout;
use fanfare_hub::{Hub, SubscriptionKey};
use tokio_util::sync::CancellationToken;

use super::Revocations;
use super::list::Trace;

/// Streams by a number that is never given twice.
#[derive(Default)]
pub(super) struct Streams {
    streams: HashMap<u64, Stream>,
    given: u64,
}

struct Stream {
    trace: Trace,
    /// `None` until its subscription has something to be done at its end: for a moment.
    key: Option<SubscriptionKey>,
    held: Held,
    is_revoked: bool,
}

/// Who writes a stream.
enum Held {
    /// hyper, or another HTTP library: what watches its lease takes it away.
    ByServer(CancellationToken),
    ByFanout(Fanout),
}

/// What has to be done to end streams, once the lock is given back.
#[derive(Default)]
pub(super) struct Cut {
    by_server: Vec<CancellationToken>,
    by_fanout: Vec<(Fanout, Vec<SubscriptionKey>)>,
}

impl Streams {
    /// Takes in a stream that is about to be served.
    pub(super) fn add(&mut self, trace: Trace) -> (u64, CancellationToken) {
        self.given += 1;
        let cut = CancellationToken::new();
        let held = Held::ByServer(cut.clone());
        self.streams.insert(self.given, Stream { trace, key: None, held, is_revoked: false });
        (self.given, cut)
    }

    /// Notes the key of a stream, if that has not ended already.
    pub(super) fn name(&mut self, number: u64, key: Option<SubscriptionKey>) {
        if let Some(stream) = self.streams.get_mut(&number) {
            stream.key = key;
        }
    }

    pub(super) fn remove(&mut self, number: u64) {
        self.streams.remove(&number);
    }

    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    /// Notes that a fan-out has a stream now; gives its key if it was revoked on the way there, where nobody could end it.
    pub(super) fn adopted(&mut self, number: u64, fanout: &Fanout) -> Option<SubscriptionKey> {
        let stream = self.streams.get_mut(&number)?;
        stream.held = Held::ByFanout(fanout.clone());
        stream.key.filter(|_| stream.is_revoked)
    }

    /// Marks those that `is_revoked` says so of, each once, and adds them to what has to be ended.
    pub(super) fn revoke(&mut self, mut is_revoked: impl FnMut(&Trace) -> bool) -> Cut {
        let mut cut = Cut::default();
        for stream in self.streams.values_mut() {
            if stream.is_revoked || !is_revoked(&stream.trace) {
                continue;
            }
            stream.is_revoked = true;
            match &stream.held {
                Held::ByServer(token) => cut.by_server.push(token.clone()),
                Held::ByFanout(fanout) => cut.add(fanout, stream.key),
            }
        }
        cut
    }
}

impl Cut {
    fn add(&mut self, fanout: &Fanout, key: Option<SubscriptionKey>) {
        let Some(key) = key else { return };
        match self.by_fanout.iter_mut().find(|(each, _)| each.is_same(fanout)) {
            Some((_, keys)) => keys.push(key),
            None => self.by_fanout.push((fanout.clone(), vec![key])),
        }
    }

    /// Ends them.
    pub(super) fn carry_out(self, hub: &Hub) {
        for token in self.by_server {
            token.cancel();
        }
        for (fanout, keys) in self.by_fanout {
            fanout.end(hub, keys);
        }
    }
}

/// A stream's place among those that live by a token; whoever writes the stream has it. The place is given back when the
/// subscription ends, not when this is dropped.
#[derive(Clone)]
pub(crate) struct Ticket {
    revocations: Revocations,
    number: u64,
    cut: CancellationToken,
}

impl Ticket {
    pub(super) fn new(revocations: Revocations, number: u64, cut: CancellationToken) -> Self {
        Self { revocations, number, cut }
    }

    /// Waits until the token is revoked.
    pub(crate) async fn cut(&self) {
        self.cut.cancelled().await;
    }

    /// Whether the token was revoked.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.is_cancelled()
    }

    /// Says that `fanout` has adopted the stream. Whatever was revoked before this is ended by it, whatever is revoked later by
    /// whoever revokes it.
    pub(crate) fn adopted(&self, fanout: &Fanout) {
        self.revocations.adopted(self.number, fanout);
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("number", &self.number).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_for_a_stream_is_small() {
        assert!(size_of::<Stream>() <= 56, "{} bytes", size_of::<Stream>());
    }
}
