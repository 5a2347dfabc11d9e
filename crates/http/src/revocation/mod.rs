//! Takes tokens back before they expire: [`Revocations`] refuses them and ends the streams that live by them.
//!
//! What is revoked travels through the hub's log, so it survives restarts and reaches every node of one log. Whether a token
//! is genuine is decided elsewhere ([`token`](crate::token)); a revoked one is no secret less.

mod error;
mod following;
mod list;
mod rule;
mod streams;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fanfare_fanout::Fanout;
use fanfare_hub::{Grant, Hub, Matcher, Position, Publication, PublishError, Subscription, Topic};
use fanfare_wire::Event;
use tokio::sync::watch;

use error::BegunAnew;
pub use error::RevokeError;
pub(crate) use error::Revoked as RevokedToken;
pub(crate) use list::Bearer;
pub use rule::{Revocation, RevocationId};
pub(crate) use streams::Ticket;

use self::list::List;
use self::rule::Notice;
use self::streams::{Cut, Streams};
use crate::access::Denied;
use crate::token::Claims;

/// Tokens that are not honoured any more, though they have not expired. Cheap to clone; all clones are the same.
///
/// Hand one to [`TokenAccess::revocations`](crate::TokenAccess::revocations), have [`follow`](Self::follow) run as long as the
/// hub does, and [`revoke`](Self::revoke). It stands in the hub's log, on a topic that nobody outside can name; while it
/// holds it is written there again, so that retention does not take it.
///
/// Until [`follow`](Self::follow) has read the log no token is honoured: requests with one are answered 503.
///
/// ```
/// use fanfare_http::{Revocation, Revocations};
/// use fanfare_hub::Hub;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub = Hub::builder().build()?;
/// let revocations = Revocations::new(&hub);
/// let following = revocations.clone();
/// tokio::spawn(async move { following.follow().await });
/// revocations.caught_up().await;
///
/// let done = revocations.revoke(Revocation::of_subject("customer-7").issuer("https://shop.test")).await?;
/// assert_eq!(done.streams_cut, 0);
/// assert!(revocations.lift(done.id).await?);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Revocations(Arc<Inner>);

struct Inner {
    max: usize,
    hub: Hub,
    topic: Topic,
    renewed_every: Duration,
    state: Mutex<State>,
    /// Held by whoever writes into the log: what is written again must not be what somebody lifts meanwhile.
    writing: tokio::sync::Mutex<()>,
    progress: watch::Sender<Progress>,
    /// How many requests were refused because their token is revoked.
    refused: AtomicU64,
}

#[derive(Default)]
struct State {
    list: List,
    streams: Streams,
    /// How many streams were cut, also by what has been lifted since.
    streams_cut: u64,
}

/// By what token a request does what it does, where it can be revoked.
#[derive(Clone, Debug)]
pub(crate) struct Licence {
    pub(crate) revocations: Revocations,
    pub(crate) bearer: Arc<Bearer>,
}

impl Licence {
    /// Has a stream ended when the token is revoked, unless it was since it was checked.
    pub(crate) fn register(
        &self,
        subscription: Subscription,
    ) -> Result<(Subscription, Option<Ticket>), RevokedToken> {
        let (subscription, ticket) = self.revocations.register(&self.bearer, subscription)?;
        Ok((subscription, Some(ticket)))
    }
}

/// How far the log was followed.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// Whether everything was read that was there when it was begun.
    caught_up: bool,
    position: Position,
    /// Before which position something is missing and still being read; 0 if nothing is.
    missing_before: Position,
    /// How often another log was found in the place of the one that was followed.
    begun_anew: u64,
    /// How many revocations hold.
    rules: usize,
}

impl Progress {
    /// Whether what stands at a position is applied.
    fn has(&self, position: Position) -> bool {
        (self.missing_before..=self.position).contains(&position)
    }
}

/// What became of a revocation: it is in the log, and holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Revoked {
    /// What it can be lifted by.
    pub id: RevocationId,
    /// How many streams it has cut, of those that this process serves.
    pub streams_cut: u64,
}

/// A revocation that holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HeldRevocation {
    /// What it can be lifted by.
    pub id: RevocationId,
    /// What was revoked.
    pub revocation: Revocation,
    /// How many streams it has cut so far, of those that this process serves.
    pub streams_cut: u64,
}

/// What has come of revocations in this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RevocationCounts {
    /// How many hold now.
    pub held: u64,
    /// Streams that were cut since the start.
    pub streams_cut: u64,
    /// Requests that were refused since the start, because their token is revoked.
    pub requests_refused: u64,
}

impl Revocations {
    /// How many may hold at a time.
    pub const MAX: usize = 100_000;
    /// The longest name of a subject, a token or an issuer, in bytes.
    pub const NAME_BYTES_MAX: usize = 4096;

    /// Takes tokens back at `hub`, the one that they are shown to, whose log keeps its entries for longer than two hours or by
    /// their number and size alone.
    #[must_use]
    pub fn new(hub: &Hub) -> Self {
        Self::renewed_every(hub, Duration::from_secs(3600))
    }

    /// The same for a log that may drop what is older than twice `time`: as often what holds is written into it again, beside
    /// whenever half of what the log keeps is newer.
    #[must_use]
    pub fn renewed_every(hub: &Hub, time: Duration) -> Self {
        Self::at_most(Self::MAX, hub, time)
    }

    fn at_most(max: usize, hub: &Hub, time: Duration) -> Self {
        Self(Arc::new(Inner {
            max,
            hub: hub.clone(),
            topic: Topic::internal("revocations"),
            renewed_every: time,
            state: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            progress: watch::Sender::new(Progress::default()),
            refused: AtomicU64::new(0),
        }))
    }

    /// Waits until what the log has of before was read, so that no token is honoured which was revoked then.
    pub async fn caught_up(&self) {
        // The sender is here, so it does not go.
        let _ = self.0.progress.subscribe().wait_for(|progress| progress.caught_up).await;
    }

    /// Whether that is so already.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.0.progress.borrow().caught_up
    }

    /// Whether a genuine token that says this is honoured now.
    ///
    /// # Errors
    /// [`Denied::Invalid`] if it is revoked, [`Denied::Unavailable`] as long as that cannot be known.
    pub fn honours(&self, claims: &Claims) -> Result<(), Denied> {
        Ok(self.judge(&Bearer::of(claims))?)
    }

    /// Revokes tokens: when it returns, this is in the log with the engine's durability, those tokens are refused here, and
    /// the streams that live by them are ended.
    ///
    /// One that holds already is said once more, with another end.
    ///
    /// # Errors
    /// [`RevokeError`]; nothing was revoked, but for [`RevokeError::Log`] where the log may have it nevertheless.
    pub async fn revoke(&self, revocation: Revocation) -> Result<Revoked, RevokeError> {
        let bytes = revocation.text_bytes_max();
        if bytes > Self::NAME_BYTES_MAX {
            return Err(RevokeError::NameTooLong { bytes, limit: Self::NAME_BYTES_MAX });
        }
        let id = revocation.id();
        let _writing = self.0.writing.lock().await;
        let before = {
            let mut state = self.state();
            state.list.drop_over(SystemTime::now());
            match state.list.get(id) {
                Some(kept) => kept.streams_cut,
                None if state.list.len() >= self.0.max => {
                    return Err(RevokeError::Full { limit: self.0.max });
                }
                None => 0,
            }
        };
        self.write(&Notice::of([&revocation])).await?;
        let after = self.state().list.get(id).map_or(before, |kept| kept.streams_cut);
        // Another node may have lifted it in between, and with it what was counted.
        Ok(Revoked { id, streams_cut: after.saturating_sub(before) })
    }

    /// Honours those tokens again. Tells whether they were revoked.
    ///
    /// Where several nodes share a log, one that writes at this very moment what holds may bring it back; look, and lift it once
    /// more.
    ///
    /// # Errors
    /// As for [`revoke`](Self::revoke).
    pub async fn lift(&self, id: RevocationId) -> Result<bool, RevokeError> {
        let _writing = self.0.writing.lock().await;
        let holds = self.state().list.get(id).is_some_and(|kept| !kept.rule.is_over(SystemTime::now()));
        if holds {
            self.write(&Notice::lifting(id)).await?;
        }
        Ok(holds)
    }

    /// What is revoked now, in no order.
    #[must_use]
    pub fn list(&self) -> Vec<HeldRevocation> {
        let now = SystemTime::now();
        let state = self.state();
        let holding = state.list.iter().filter(|kept| !kept.rule.is_over(now));
        holding
            .map(|kept| HeldRevocation {
                id: kept.rule.id(),
                revocation: kept.rule.clone(),
                streams_cut: kept.streams_cut,
            })
            .collect()
    }

    /// What has been counted. It costs a look at all that hold.
    #[must_use]
    pub fn counts(&self) -> RevocationCounts {
        let now = SystemTime::now();
        let state = self.state();
        RevocationCounts {
            held: state.list.iter().filter(|kept| !kept.rule.is_over(now)).count() as u64,
            streams_cut: state.streams_cut,
            requests_refused: self.0.refused.load(Ordering::Relaxed),
        }
    }

    /// How many streams live by a token.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.state().streams.len()
    }

    /// Writes into the log, and waits until what was written is applied here.
    async fn write(&self, notice: &Notice) -> Result<(), RevokeError> {
        let mut progress = self.0.progress.subscribe();
        let Progress { caught_up, begun_anew, .. } = *progress.borrow();
        if !caught_up {
            return Err(RevokeError::NotFollowed);
        }
        let position = self.publish(notice).await?;
        let is_another = |progress: &Progress| progress.begun_anew != begun_anew;
        let is_told =
            |progress: &Progress| is_another(progress) || !progress.caught_up || progress.has(position);
        // The sender is here, so it does not go.
        if progress.wait_for(is_told).await.is_ok_and(|progress| is_another(&progress)) {
            return Err(RevokeError::Log(PublishError::MaybeStored(Arc::new(BegunAnew))));
        }
        Ok(())
    }

    async fn publish(&self, notice: &Notice) -> Result<Position, RevokeError> {
        let event = Event::new(serde_json::to_string(notice).map_err(RevokeError::Json)?);
        let publication = Publication::to([self.0.topic.clone()]).private(event);
        Ok(self.0.hub.publish_all(publication).await.map_err(RevokeError::Log)?.position)
    }

    /// A subscription to the topic, from now on.
    fn subscription(&self) -> Subscription {
        let grant = Grant::from_iter([Matcher::from(self.0.topic.clone())]);
        self.0.hub.subscribe_with(self.0.topic.clone(), &grant)
    }

    /// Does what an entry of the log says of those that `is_news` of: refuses, ends streams, lifts. Gives how many hold then.
    fn apply(&self, notice: &Notice, is_news: impl Fn(&RevocationId) -> bool, now: SystemTime) -> usize {
        let (cut, rules) = {
            let mut state = self.state();
            let State { list, streams, streams_cut } = &mut *state;
            let mut changed = false;
            for rule in notice.revoked().filter(|rule| !rule.is_over(now) && is_news(&rule.id())) {
                changed |= list.add(rule);
            }
            for id in notice.lifted().filter(&is_news) {
                list.lift(id);
            }
            let mut cut = Cut::default();
            // Most entries say again what holds already.
            if changed {
                let mut cutting = Vec::new();
                cut = streams.revoke(|trace| {
                    let by = list.ending(trace, now);
                    cutting.extend(by);
                    by.is_some()
                });
                *streams_cut += cutting.len() as u64;
                for id in cutting {
                    list.count_cut(id);
                }
            }
            (cut, list.len())
        };
        cut.carry_out(&self.0.hub);
        rules
    }

    /// Honours no token for now, and ends the streams that live by one: it cannot be known any more which of them are revoked.
    fn know_nothing(&self) {
        self.0.progress.send_modify(|progress| progress.caught_up = false);
        let cut = self.state().streams.revoke(|_| true);
        cut.carry_out(&self.0.hub);
    }

    /// Whether the token of a request is honoured.
    pub(crate) fn check(&self, bearer: &Bearer) -> Result<(), RevokedToken> {
        self.judge(bearer).inspect_err(|revoked| self.count(revoked))
    }

    fn count(&self, revoked: &RevokedToken) {
        if matches!(revoked, RevokedToken::By(_)) {
            self.0.refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn judge(&self, bearer: &Bearer) -> Result<(), RevokedToken> {
        if !self.is_caught_up() {
            return Err(RevokedToken::Unknown);
        }
        match self.state().list.revoking(bearer, SystemTime::now()) {
            Some(id) => Err(RevokedToken::By(id)),
            None => Ok(()),
        }
    }

    /// Takes in a stream that lives by a token, unless that was revoked since it was checked.
    pub(crate) fn register(
        &self,
        bearer: &Bearer,
        subscription: Subscription,
    ) -> Result<(Subscription, Ticket), RevokedToken> {
        let (number, cut) = {
            let mut state = self.state();
            // Under the lock under which the streams are ended for that.
            if !self.is_caught_up() {
                return Err(RevokedToken::Unknown);
            }
            if let Some(id) = state.list.revoking(bearer, SystemTime::now()) {
                let revoked = RevokedToken::By(id);
                self.count(&revoked);
                return Err(revoked);
            }
            let trace = state.list.trace(bearer);
            state.streams.add(trace)
        };
        let revocations = self.clone();
        // Not under the lock: a subscription that has ended already calls it at once.
        let subscription = subscription.on_end(move || revocations.state().streams.remove(number));
        self.state().streams.name(number, subscription.key());
        Ok((subscription, Ticket::new(self.clone(), number, cut)))
    }

    fn adopted(&self, number: u64, fanout: &Fanout) {
        let revoked = self.state().streams.adopted(number, fanout);
        if let Some(key) = revoked {
            fanout.end(&self.0.hub, [key]);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is locked.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations").field("progress", &*self.0.progress.borrow()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod losing;
#[cfg(test)]
mod tests;
