//! Active subscriptions: who is subscribed to what, announced when it changes and listed when somebody asks.
//!
//! It holds up nobody who comes or goes: changes are noted, and one task hands them to the log, many at once. It never decides
//! who may read of them; announcements are private events, and a list is asked for with a grant. Rules: sections 13, 14 and
//! 20.4 of the protocol.

mod api;
mod document;
mod registry;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fanfare_hub::engine::NoPresence;
use fanfare_hub::{Charge, Hub, Publication, PublishError, Topic};
use fanfare_wire::{Event, EventName};
use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use url::Url;

pub(crate) use api::routes;
pub(crate) use document::AsAsked;

use crate::Payloads;
use crate::refusal::Refusal;
use crate::token::Language;
use document::{Around, Subscriber, Subscription};
use registry::{Change, Registry};

/// The name of the events, which publishers may not use (M-148).
const EVENT: &str = "mercure";
/// How many subscriptions are handed to the log before it is waited for.
const TOGETHER: usize = 1_000;
/// How long somebody who is to be served waits for the log to know which topics are ours.
const PREPARED_WITHIN: Duration = Duration::from_secs(1);
/// How long to wait before what the log did not take is handed in again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The active subscriptions of one hub URL.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    /// Without a slash at its end.
    hub_path: Box<str>,
    state: Mutex<State>,
    /// Whether the log knows which topics are ours.
    begun: OnceCell<()>,
}

#[derive(Debug, Default)]
struct State {
    registry: Registry,
    /// Whether a task hands changes to the log.
    is_driven: bool,
}

impl Subscriptions {
    pub(crate) fn new(hub: &Url) -> Arc<Self> {
        Arc::new(Self {
            hub_path: hub.path().trim_end_matches('/').into(),
            state: Mutex::default(),
            begun: OnceCell::new(),
        })
    }

    /// Tells the hub which topics are ours before somebody is served, so that nobody is told of a gap that is none; if the log
    /// takes its time, nobody waits for that.
    pub(crate) async fn prepare_soon(&self, hub: &Hub) {
        let _ = timeout(PREPARED_WITHIN, self.prepare(hub)).await;
    }

    /// Tells the hub which topics are ours, once. A log that does not take that now will be asked again.
    async fn prepare(&self, hub: &Hub) -> Result<(), PublishError> {
        let namespace = format!("{}/subscriptions/", self.hub_path);
        self.begun.get_or_try_init(|| hub.begin_presence(&namespace)).await.copied()
    }

    /// Who is there with these matchers, each once however often it is asked for (M-028). `None` if there are none, or no id can be
    /// made.
    ///
    /// # Errors
    /// 400, for the first whose topic, with the subscriber in it, would be too long for one: nobody subscribes unseen.
    pub(crate) fn subscriber(
        &self,
        asked: Vec<AsAsked>,
        payloads: &Payloads,
    ) -> Result<Option<Subscriber>, Refusal> {
        let made = subscriber_id().inspect_err(|error| tracing::error!(%error, "made no subscriber id"));
        let Ok(id) = made else { return Ok(None) };
        let mut subscriptions: Vec<Subscription> = Vec::with_capacity(asked.len());
        for asked in asked {
            if subscriptions.iter().any(|known| known.asked == asked) {
                continue;
            }
            let mut subscription = Subscription { asked, payload: None };
            let text = &subscription.asked.text;
            if Topic::parse(subscription.path(&self.hub_path, &id)).is_err() {
                return Err(Refusal::bad(format!(
                    "The matcher of {} bytes is too long: this hub lists its active subscriptions under topics of at most {} \
                     bytes, which hold the matcher percent-encoded.",
                    text.len(),
                    Topic::BYTES_MAX
                )));
            }
            subscription.payload = payloads.of(text);
            subscriptions.push(subscription);
        }
        Ok((!subscriptions.is_empty()).then_some(Subscriber { id, subscriptions }))
    }

    /// Has a subscriber's coming announced, and its going when `subscription` ends; until then `charge` is kept for what is known of it.
    pub(crate) fn attend(
        self: &Arc<Self>,
        hub: &Hub,
        subscription: fanfare_hub::Subscription,
        subscriber: Subscriber,
        charge: Charge,
    ) -> fanfare_hub::Subscription {
        let driver = Driver { subscriptions: self.clone(), hub: hub.clone(), runtime: Handle::current() };
        let number = driver.change(|registry| registry.begin(Arc::new(subscriber)));
        // It may be called in a thread of the fan-out, which has no runtime of its own.
        subscription.on_end(move || {
            driver.change(|registry| registry.end(number));
            drop(charge);
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics between two states of the registry.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The announcements of a change, one for each subscription (M-144).
    fn announcements<'a>(&'a self, change: &'a Change) -> impl Iterator<Item = Publication> + 'a {
        let Change { subscriber, active } = change;
        subscriber.subscriptions.iter().filter_map(|subscription| {
            let topic = Topic::parse(subscription.path(&self.hub_path, &subscriber.id)).ok()?;
            let document = subscription.document(&self.hub_path, &subscriber.id, *active, Around::default());
            let mut event = Event::new(document::json(&document));
            // Old pages read theirs without a name (M-205).
            if subscription.asked.language != Language::Selector {
                event = event.event(EventName::from_static(EVENT));
            }
            Some(Publication::to([topic]).private(event))
        })
    }
}

/// What hands changes to the log.
#[derive(Clone)]
struct Driver {
    subscriptions: Arc<Subscriptions>,
    hub: Hub,
    runtime: Handle,
}

impl Driver {
    /// Notes a change, and begins the task if there is none that will see it.
    fn change<T>(&self, change: impl FnOnce(&mut Registry) -> T) -> T {
        let (changed, begins) = {
            let mut state = self.subscriptions.lock();
            let changed = change(&mut state.registry);
            let begins = !state.is_driven && !state.registry.is_settled();
            state.is_driven |= begins;
            (changed, begins)
        };
        if begins {
            self.runtime.spawn(self.clone().drive());
        }
        changed
    }

    /// Hands over what there is until there is nothing left. While nobody comes or goes there is no task, and nothing that
    /// would keep the hub.
    async fn drive(self) {
        while let Err(error) = self.subscriptions.prepare(&self.hub).await {
            if is_for_good(&error) {
                tracing::error!(%error, "this log keeps no subscriptions; they are listed and not announced");
                break;
            }
            tracing::warn!(%error, "the log takes no subscriptions for the moment");
            tokio::time::sleep(AGAIN_AFTER).await;
        }
        loop {
            let changes = {
                let mut state = self.subscriptions.lock();
                let changes = state.registry.take(TOGETHER);
                state.is_driven = !changes.is_empty();
                changes
            };
            if changes.is_empty() {
                return;
            }
            let due = changes.iter().flat_map(|change| self.subscriptions.announcements(change)).collect();
            self.announce(due).await;
        }
    }

    /// Hands all of them in at once, so that they share commits, and then waits for each. What the log did not take is handed
    /// in again: who is told twice that somebody is there knows no less.
    async fn announce(&self, mut due: Vec<Publication>) {
        loop {
            let handed_in: Vec<_> =
                due.into_iter().map(|each| (self.hub.announce(each.clone()), each)).collect();
            due = Vec::new();
            for (answer, publication) in handed_in {
                match answer.await {
                    Ok(_) => {}
                    Err(error) if is_for_good(&error) => {}
                    Err(PublishError::NotStored(_) | PublishError::MaybeStored(_)) => due.push(publication),
                    Err(error) => tracing::warn!(%error, "left a subscription unannounced"),
                }
            }
            if due.is_empty() {
                return;
            }
            tracing::warn!(count = due.len(), "the log took no subscriptions; they are handed in again");
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }
}

/// Whether the log is of a kind that takes no presence, now or later.
fn is_for_good(error: &PublishError) -> bool {
    matches!(error, PublishError::NotStored(fault) if fault.is::<NoPresence>())
}

/// Draws a subscriber's id: a random UUID, of nothing that the client has any say in (M-147).
fn subscriber_id() -> Result<String, getrandom::Error> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    // Version 4, variant 10: RFC 9562 § 5.4.
    random[6] = random[6] & 0x0f | 0x40;
    random[8] = random[8] & 0x3f | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(random));
    let groups = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    Ok(format!("urn:uuid:{}", groups.join("-")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_s_id_is_a_random_uuid_m147() {
        let id = subscriber_id().expect("random numbers");
        assert_eq!(id.len(), 45);
        let groups: Vec<_> = id["urn:uuid:".len()..].split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12]);
        assert_eq!(&id[23..24], "4");
        assert!("89ab".contains(&id[28..29]), "{id}");
        assert_ne!(id, subscriber_id().expect("random numbers"));
    }

    #[test]
    fn a_matcher_counts_once_and_one_that_is_too_long_is_refused_m028() {
        let hub = Url::parse("https://push.test/.well-known/mercure").expect("a URL");
        let asked = |language, text: &str| AsAsked { language, text: text.to_owned() };
        let mut all = vec![
            asked(Language::Exact, "b"),
            asked(Language::Exact, "a"),
            asked(Language::UrlPattern, "b"),
            asked(Language::Exact, "b"),
        ];
        let subscriber =
            |all: &[AsAsked]| Subscriptions::new(&hub).subscriber(all.to_vec(), &Payloads::default());
        let one = subscriber(&all).expect("none is too long").expect("one");
        let texts: Vec<_> = one.subscriptions.iter().map(|each| each.asked.text.as_str()).collect();
        assert_eq!(texts, ["b", "a", "b"]);
        all.push(asked(Language::Exact, &"/".repeat(2_000)));
        assert!(subscriber(&all).is_err());
    }
}
