//! Follows the log's entries about revocations, and keeps them in it.
//!
//! It decides about no token. A gap in what it follows is harmless: whatever held is written into the log again and again,
//! and before retention has taken what stands there. Where the engine does not give what is missing, what comes is read
//! beside it, and after some seconds no token is honoured.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, ready};
use std::time::{Duration, SystemTime};

use fanfare_hub::engine::Bounds;
use fanfare_hub::{Delivery, Entry, GapReason, Health, Position, PublishError, SubscribeError, Subscription};
use fanfare_wire::{Decoder, EventId, Item};
use futures_core::Stream;
use tokio::time::{Instant, sleep};

use super::rule::{Notice, Revocation, RevocationId};
use super::{Progress, Revocations, RevokeError};

/// How often it is looked whether the log still has what holds, and whether there is something new.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long after a failure the log is followed anew.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How many bytes of revocations stand in one entry, about.
const ENTRY_BYTES: usize = 32 * 1024;
/// How many positions go by, for each entry that it takes, before all is written again: a thousandth of the log at the most,
/// and whoever starts finds all of it near the log's end.
const POSITIONS: Position = 1_000;

/// The last event ID that asks for everything kept.
const EARLIEST: &str = "earliest";
/// How long the engine may take for what memory does not have before that is missing.
const PATIENCE: Duration = Duration::from_secs(1);
/// For how long after that tokens are honoured although it is not known whether they were revoked meanwhile: of the five seconds
/// that a revocation has between nodes.
const KNOWN_WITHIN: Duration = Duration::from_secs(3);

/// Why a subscription is read no more.
enum Ended {
    /// The hub was closed.
    Closed,
    /// What memory has of the log ends before what the store had when it was begun.
    TooEarly,
    Lost(Lost),
}

/// Why the place in the log was lost.
enum Lost {
    Log(SubscribeError),
    /// The engine does not answer.
    Late,
    /// It is another log.
    BegunAnew,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(error) => error.fmt(f),
            Self::Late => f.write_str("the log does not answer"),
            Self::BegunAnew => f.write_str("the log began anew"),
        }
    }
}

/// What is read while something before it is missing.
#[derive(Default)]
struct News {
    said: Said,
    /// The id of what was read last behind all that is missing.
    last: Option<EventId>,
}

/// Where each revocation was last told of: what is missing before that is no news.
type Said = HashMap<RevocationId, Position>;

fn lock(news: &Mutex<News>) -> MutexGuard<'_, News> {
    // Nothing panics while it is locked.
    news.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Revocations {
    /// Follows the log until the hub is closed: applies what is revoked there, by this process or by another one, and writes what
    /// holds into it again before retention takes it.
    ///
    /// To be run once for each process, as long as it serves. In a runtime with time enabled.
    pub async fn follow(&self) {
        tokio::select! {
            () = self.read_log() => {}
            () = self.keep_in_log() => {}
        }
        self.0.progress.send_modify(|progress| progress.caught_up = false);
    }

    async fn read_log(&self) {
        // The id of what was read last, and a subscription that goes on, if nothing is missing before it.
        let (mut last, mut ahead) = (None, None);
        loop {
            let ended = match ahead.take() {
                None => self.read_all(&mut last).await,
                Some(subscription) => self.read_on(subscription, &mut last).await,
            };
            match ended {
                Ended::Closed => return,
                Ended::TooEarly => sleep(LOOK_EVERY).await,
                Ended::Lost(error) => {
                    tracing::warn!(%error, "cannot follow what is revoked; trying again");
                    if matches!(error, Lost::BegunAnew) {
                        self.begin_anew(&mut last);
                    }
                    if self.is_caught_up() {
                        match self.read_ahead(&mut last).await {
                            Some(subscription) => ahead = Some(subscription),
                            None => return,
                        }
                    } else {
                        sleep(AGAIN_AFTER).await;
                    }
                }
            }
        }
    }

    /// Reads all from the oldest entry on, which may be for the second time: what holds already is no news.
    async fn read_all(&self, last: &mut Option<EventId>) -> Ended {
        let bounds = match self.0.hub.bounds().await {
            Ok(bounds) => bounds,
            // The engine itself says what it waits for.
            Err(_) if matches!(self.0.hub.health(), Health::Starting) => return Ended::TooEarly,
            Err(fault) => return Ended::Lost(Lost::Log(SubscribeError::Log(fault))),
        };
        let mut subscription = self.subscription().after(EventId::from_static(EARLIEST));
        loop {
            // Before it has caught up nothing is late.
            let patience = self.is_caught_up().then_some(PATIENCE);
            let delivery = match self.next(&mut subscription, patience).await {
                Ok(delivery) => delivery,
                Err(ended) => return ended,
            };
            // A bookmark says that memory has no more for us; the store may have.
            let caught_up = delivery.position() + 1 >= bounds.next;
            if matches!(delivery, Delivery::Bookmark(_)) && !caught_up && !self.is_caught_up() {
                return Ended::TooEarly;
            }
            self.take(&delivery);
            *last = Some(delivery.id().clone());
            if caught_up {
                self.0.progress.send_modify(|progress| progress.caught_up = true);
            }
        }
    }

    /// Reads what comes.
    async fn read_on(&self, mut subscription: Subscription, last: &mut Option<EventId>) -> Ended {
        loop {
            match self.next(&mut subscription, Some(PATIENCE)).await {
                Ok(delivery) => {
                    self.take(&delivery);
                    *last = Some(delivery.id().clone());
                }
                Err(ended) => return ended,
            }
        }
    }

    /// Nothing that was read of the log before says where to go on in this one.
    fn begin_anew(&self, last: &mut Option<EventId>) {
        *last = None;
        self.0.progress.send_modify(|progress| {
            progress.begun_anew += 1;
            progress.position = 0;
        });
    }

    /// Reads what is revoked from now on at once, beside what is missing behind `last`; gives the subscription that goes on, or
    /// nothing if the hub was closed. If it takes too long until nothing is missing, nothing is known any more.
    async fn read_ahead(&self, last: &mut Option<EventId>) -> Option<Subscription> {
        let mut until_known = std::pin::pin!(async {
            sleep(KNOWN_WITHIN).await;
            tracing::warn!(
                "what is revoked cannot be read; until it can, no token is honoured and their streams end"
            );
            self.know_nothing();
            std::future::pending::<Infallible>().await
        });
        loop {
            let news = Mutex::new(News::default());
            let mut ahead = self.going_ahead();
            let read = tokio::select! {
                ended = self.read_news(&mut ahead, &news) => Err(ended),
                read = self.read_what_is_missing(last, &news) => read,
                never = &mut until_known => match never {},
            };
            match read {
                Ok(()) => {
                    let news = news.into_inner().unwrap_or_else(PoisonError::into_inner);
                    *last = news.last.or(last.take());
                    self.know_all();
                    return Some(ahead);
                }
                Err(Ended::Closed) => return None,
                Err(_) => self.begin_anew(last),
            }
        }
    }

    /// A subscription from now on, before which something is missing.
    fn going_ahead(&self) -> Subscription {
        let subscription = self.subscription();
        let next = self.0.hub.counts().log_next;
        self.0.progress.send_modify(|progress| progress.missing_before = next);
        subscription
    }

    /// Nothing is missing any more.
    fn know_all(&self) {
        let rules = self.state().list.len();
        self.0.progress.send_modify(|progress| {
            progress.position = progress.position.max(progress.missing_before.saturating_sub(1));
            progress.missing_before = 0;
            progress.rules = rules;
            progress.caught_up = true;
        });
    }

    /// Reads what comes, until the log is another one or the hub is closed.
    async fn read_news(&self, ahead: &mut Subscription, news: &Mutex<News>) -> Ended {
        loop {
            match self.next(ahead, Some(PATIENCE)).await {
                Ok(delivery) => {
                    let said = self.take(&delivery);
                    let mut news = lock(news);
                    news.said.extend(said.into_iter().map(|id| (id, delivery.position())));
                    news.last = Some(delivery.id().clone());
                }
                Err(ended @ (Ended::Closed | Ended::Lost(Lost::BegunAnew))) => return ended,
                // What is missing has become more. Before anything is waited for: whoever reads it may come to its end meanwhile.
                Err(_) => {
                    *ahead = self.going_ahead();
                    lock(news).last = None;
                    sleep(LOOK_EVERY).await;
                }
            }
        }
    }

    /// Reads what stands behind `last` and before the news, unless the log is another one or the hub is closed.
    async fn read_what_is_missing(
        &self,
        last: &mut Option<EventId>,
        news: &Mutex<News>,
    ) -> Result<(), Ended> {
        loop {
            let from = last.clone().unwrap_or(EventId::from_static(EARLIEST));
            let mut missing = self.subscription().after(from);
            let error = loop {
                match self.next(&mut missing, None).await {
                    Ok(delivery) => {
                        self.apply_entry(&delivery, &lock(news).said);
                        *last = Some(delivery.id().clone());
                        if delivery.position() + 1 >= self.0.progress.borrow().missing_before {
                            return Ok(());
                        }
                    }
                    Err(Ended::Lost(error)) if !matches!(error, Lost::BegunAnew) => break error,
                    Err(ended) => return Err(ended),
                }
            };
            tracing::warn!(%error, "cannot read what was revoked meanwhile; trying again");
            sleep(LOOK_EVERY).await;
        }
    }

    /// What comes next. With an end of patience, whoever waits longer for the engine has lost its place.
    ///
    /// Nobody is woken by entries of other topics, so it is looked again and again: who stays behind them until they have left memory
    /// would have to read them all, to know that there was nothing in between.
    async fn next(
        &self,
        subscription: &mut Subscription,
        patience: Option<Duration>,
    ) -> Result<Delivery, Ended> {
        let (mut timer, mut waits) = (std::pin::pin!(sleep(LOOK_EVERY)), false);
        let next = std::future::poll_fn(|cx| {
            loop {
                if let Poll::Ready(next) = Pin::new(&mut *subscription).poll_next(cx) {
                    return Poll::Ready(Ok(next));
                }
                let patience = patience.filter(|_| subscription.is_catching_up());
                if std::mem::replace(&mut waits, patience.is_some()) != waits {
                    timer.as_mut().reset(Instant::now() + patience.unwrap_or(LOOK_EVERY));
                }
                ready!(timer.as_mut().poll(cx));
                if waits {
                    return Poll::Ready(Err(Ended::Lost(Lost::Late)));
                }
                timer.as_mut().reset(Instant::now() + LOOK_EVERY);
            }
        });
        match next.await? {
            // Of an id whose key is another log's nobody can say more than that it is not known.
            Some(Ok(Delivery::Gap(gap)))
                if matches!(gap.reason(), GapReason::Rewound | GapReason::Unknown) =>
            {
                Err(Ended::Lost(Lost::BegunAnew))
            }
            Some(Ok(delivery)) => Ok(delivery),
            Some(Err(SubscribeError::Closed)) | None => Err(Ended::Closed),
            Some(Err(error)) => Err(Ended::Lost(Lost::Log(error))),
        }
    }

    /// Does what comes next in the log; gives of which revocations it says something.
    fn take(&self, delivery: &Delivery) -> Vec<RevocationId> {
        let (said, rules) = self.apply_entry(delivery, &Said::new());
        self.0.progress.send_modify(|progress| {
            progress.position = delivery.position();
            progress.rules = rules.unwrap_or(progress.rules);
        });
        said
    }

    /// Does what an entry says, unless something newer was said of the same; gives of which it says something, and how many hold then.
    fn apply_entry(&self, delivery: &Delivery, said: &Said) -> (Vec<RevocationId>, Option<usize>) {
        // What is missing in a gap of this log was written again behind it, or is over.
        let Delivery::Event(entry) = delivery else { return (Vec::new(), None) };
        let Some(notice) = notice(entry) else {
            tracing::warn!(position = entry.position(), "cannot read an entry about revocations");
            return (Vec::new(), None);
        };
        let is_news = |id: &RevocationId| said.get(id).is_none_or(|at| *at < entry.position());
        let rules = self.apply(&notice, is_news, SystemTime::now());
        (notice.revoked().map(|rule| rule.id()).chain(notice.lifted()).collect(), Some(rules))
    }

    /// Writes what holds into the log again, whenever what stands there may soon be gone.
    async fn keep_in_log(&self) {
        let mut progress = self.0.progress.subscribe();
        loop {
            let is_due = |progress: &Progress| progress.caught_up && progress.rules > 0;
            // The sender is here, so it does not go.
            if progress.wait_for(is_due).await.is_err() {
                return;
            }
            // Once at the start, for nobody knows how old it is there.
            let mut written = None;
            loop {
                match self.write_if_due(written).await {
                    Ok(next) => written = next,
                    Err(error) => {
                        let cause = std::error::Error::source(&error).map(ToString::to_string);
                        tracing::warn!(%error, cause, "what is revoked could not be written into the log again");
                    }
                }
                sleep(LOOK_EVERY).await;
                if self.forget_what_is_over() == 0 {
                    break;
                }
            }
        }
    }

    fn forget_what_is_over(&self) -> usize {
        let rules = {
            let mut state = self.state();
            state.list.drop_over(SystemTime::now());
            state.list.len()
        };
        self.0.progress.send_if_modified(|progress| std::mem::replace(&mut progress.rules, rules) != rules);
        rules
    }

    async fn write_if_due(&self, written: Option<Written>) -> Result<Option<Written>, RevokeError> {
        let mut bounds = self.bounds().await?;
        if written.is_some_and(|written| !written.is_stored) {
            bounds.oldest = self.0.hub.counts().log_oldest.min(bounds.next);
        }
        if written.is_some_and(|written| !written.is_due(&bounds, self.0.renewed_every)) {
            return Ok(written);
        }
        // What is missing may have lifted some of it.
        if self.0.progress.borrow().missing_before > 0 {
            return Ok(written);
        }
        let Some(mut written) = self.write_all(bounds.epoch).await? else { return Ok(None) };
        let bounds = self.bounds().await?;
        written.is_stored = bounds.oldest < bounds.next;
        Ok(Some(written))
    }

    async fn bounds(&self) -> Result<Bounds, RevokeError> {
        self.0.hub.bounds().await.map_err(|fault| RevokeError::Log(PublishError::NotStored(fault)))
    }

    /// Writes everything that holds into the log of that epoch, in as few entries as will do.
    async fn write_all(&self, epoch: u32) -> Result<Option<Written>, RevokeError> {
        let _writing = self.0.writing.lock().await;
        let rules: Vec<Revocation> = self.state().list.iter().map(|kept| kept.rule.clone()).collect();
        let (mut first, mut last, mut entries) = (None, 0, 0);
        for chunk in chunks(&rules, ENTRY_BYTES) {
            let written = match self.publish(&Notice::of(chunk)).await {
                // The hub takes no events of that size.
                Err(RevokeError::Log(PublishError::EventTooLarge { .. })) => {
                    let mut written = Ok(last);
                    for rule in chunk {
                        written = Ok(self.publish(&Notice::of([rule])).await?);
                        entries += 1;
                    }
                    written
                }
                written => {
                    entries += 1;
                    written
                }
            };
            last = written?;
            first = first.or(Some(last));
        }
        Ok(first.map(|first| Written { epoch, first, last, entries, at: Instant::now(), is_stored: true }))
    }
}

/// Where everything that holds stands in the log.
#[derive(Clone, Copy, Debug)]
struct Written {
    epoch: u32,
    first: Position,
    last: Position,
    entries: Position,
    at: Instant,
    /// Whether it stands in a store. Of a log in memory alone the store keeps nothing, so it is memory that drops it.
    is_stored: bool,
}

impl Written {
    fn is_due(&self, log: &Bounds, every: Duration) -> bool {
        let newer = log.next.saturating_sub(self.first);
        let is_trimmed = log.oldest > 1;
        // Half of what is kept is newer. Of a log that keeps hardly anything, not before something else has come.
        let in_older_half =
            is_trimmed && self.first.saturating_sub(log.oldest) <= newer && log.next > self.last + 1;
        log.epoch != self.epoch
            || in_older_half
            || newer >= POSITIONS * self.entries
            || self.at.elapsed() >= every
    }
}

/// Divides revocations into runs of about so many bytes, each of one at least.
fn chunks(rules: &[Revocation], bytes_max: usize) -> impl Iterator<Item = &[Revocation]> {
    let mut rest = rules;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |rule: &Revocation| {
            bytes += Notice::bytes(rule);
            bytes <= bytes_max
        };
        let count = rest.iter().map(fits).take_while(|fits| *fits).count().max(1);
        let (chunk, behind) = rest.split_at_checked(count)?;
        rest = behind;
        Some(chunk)
    })
}

/// What an entry says, if it can be read.
fn notice(entry: &Entry) -> Option<Notice> {
    let (mut decoder, mut bytes) = (Decoder::new(), entry.frame().as_bytes());
    while let Ok(Some(item)) = decoder.next(&mut bytes) {
        if let Item::Event(event) = item {
            return serde_json::from_str(event.data).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn check(written: (Position, Position), log: (Position, Position), expected: bool) {
        let (first, last) = written;
        let (entries, at) = (last - first + 1, Instant::now());
        let written = Written { epoch: 1, first, last, entries, at, is_stored: true };
        let bounds = Bounds { epoch: 1, oldest: log.0, next: log.1 };
        assert_eq!(written.is_due(&bounds, HOUR), expected, "{written:?} in {log:?}");
    }

    #[test]
    fn what_holds_is_written_again_before_the_log_drops_it_p7() {
        // Nothing was ever dropped.
        check((10, 10), (1, 100), false);
        // Half of what is kept, and one more than half.
        check((150, 150), (100, 199), false);
        check((150, 150), (100, 200), true);
        // It is gone already.
        check((50, 50), (100, 200), true);
        // A thousand positions for each entry.
        check((1, 1), (1, 1_000), false);
        check((1, 1), (1, 1_001), true);
        check((1, 10), (1, 10_000), false);
        check((1, 10), (1, 10_001), true);
    }

    #[test]
    fn a_log_that_keeps_less_than_what_holds_is_not_filled_with_it() {
        check((90, 99), (95, 100), false);
        check((90, 99), (96, 101), true);
    }

    #[tokio::test(start_paused = true)]
    async fn what_holds_is_written_again_when_it_has_become_old_p7() {
        let written =
            Written { epoch: 1, first: 1, last: 1, entries: 1, at: Instant::now(), is_stored: true };
        let bounds = Bounds { epoch: 1, oldest: 1, next: 2 };
        tokio::time::advance(Duration::from_secs(3599)).await;
        assert!(!written.is_due(&bounds, HOUR));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(written.is_due(&bounds, HOUR));
    }

    #[test]
    fn runs_hold_everything_in_order_and_no_more_than_they_may() {
        let rules: Vec<_> =
            (0..10).map(|n| Revocation::of_subject(format!("{n}{}", "x".repeat(n * 50)))).collect();
        for bytes in [0, 1, 500, 1_000, 100_000] {
            let runs: Vec<_> = chunks(&rules, bytes).collect();
            assert_eq!(runs.concat(), rules);
            let size = |run: &[Revocation]| run.iter().map(Notice::bytes).sum::<usize>();
            assert!(runs.iter().all(|run| run.len() == 1 || size(run) <= bytes), "{bytes}");
        }
        assert_eq!(chunks(&[], 500).count(), 0);
    }
}
