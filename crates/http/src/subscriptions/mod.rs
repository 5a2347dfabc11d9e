//! Active subscriptions: who is subscribed to what, announced when it changes and listed when somebody asks.
//!
//! It holds up nobody who comes or goes: changes are noted, and one task hands them to the log, many at once. It never decides
//! who may read of them; announcements are private events, and a list is asked for with a grant. Rules: sections 13, 14 and
//! 20.4 of the protocol.

mod api;
mod document;
mod nodes;
mod registry;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use fanfare_hub::engine::NoPresence;
use fanfare_hub::{Charge, Hub, Matcher, MatcherKind, Publication, PublishError, Selection, Topic};
use fanfare_wire::{Event, EventId, EventName};
use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};
use url::Url;

pub(crate) use api::routes;
pub(crate) use document::AsAsked;

use crate::Payloads;
use crate::refusal::Refusal;
use crate::token::Language;
use document::{Around, Subscriber, Subscription};
use nodes::{Life, Nodes};
use registry::{Change, Registry};

/// The name of the events, which publishers may not use (M-148).
const EVENT: &str = "mercure";
/// How many subscriptions are handed to the log before it is waited for.
const TOGETHER: usize = 1_000;
/// How long somebody who is to be served waits for the log to know which topics are ours.
const PREPARED_WITHIN: Duration = Duration::from_secs(1);
/// How long to wait before what the log did not take is handed in again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long a list waits for what is not known yet of other nodes, and how often it is looked for.
const LISTED_WITHIN: Duration = Duration::from_secs(5);
const LOOKED_EVERY: Duration = Duration::from_millis(20);

/// The active subscriptions of one hub URL.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    /// Without a slash at its end.
    hub_path: Box<str>,
    state: Mutex<State>,
    /// Whether the log knows which topics are ours.
    begun: OnceCell<()>,
    /// Whether the log is one that other nodes share, once that was asked.
    shared: OnceLock<bool>,
}

#[derive(Debug, Default)]
struct State {
    registry: Registry,
    /// Whether a task hands changes to the log.
    is_driven: bool,
    /// The other nodes; `None` over a log that nobody shares.
    nodes: Option<Nodes>,
}

impl State {
    /// Whether there is nothing to hand to the log.
    fn is_settled(&self) -> bool {
        self.registry.is_settled() && !self.nodes.as_ref().is_some_and(Nodes::is_awaited)
    }
}

/// Who is there, as of a place in the log.
pub(crate) struct Listed {
    pub(crate) subscribers: Vec<Arc<Subscriber>>,
    /// `None` before the log is known.
    pub(crate) place: Option<EventId>,
    /// Whether this place has no other list.
    pub(crate) is_settled: bool,
}

impl Subscriptions {
    pub(crate) fn new(hub: &Url) -> Arc<Self> {
        Arc::new(Self {
            hub_path: hub.path().trim_end_matches('/').into(),
            state: Mutex::default(),
            begun: OnceCell::new(),
            shared: OnceLock::new(),
        })
    }

    /// Begins to follow the other nodes, if the log is one that nodes share. In a runtime; only the first call does something.
    /// Says whether it is.
    pub(crate) fn begin(self: &Arc<Self>, hub: &Hub) -> bool {
        *self.shared.get_or_init(|| {
            let Some(peers) = hub.peers() else { return false };
            hub.join_presence(&self.namespace());
            let nodes = nodes::start(self, hub, peers);
            self.lock().nodes = nodes;
            true
        })
    }

    fn namespace(&self) -> String {
        format!("{}/subscriptions/", self.hub_path)
    }

    /// Tells the hub which topics are ours before somebody is served, so that nobody is told of a gap that is none; if the log
    /// takes its time, nobody waits for that.
    pub(crate) async fn prepare_soon(self: &Arc<Self>, hub: &Hub) {
        let _ = timeout(PREPARED_WITHIN, self.prepare(hub)).await;
    }

    /// Tells the hub which topics are ours, once. A log that does not take that now will be asked again.
    async fn prepare(self: &Arc<Self>, hub: &Hub) -> Result<(), PublishError> {
        if self.begin(hub) {
            return Ok(());
        }
        let namespace = self.namespace();
        self.begun.get_or_try_init(|| hub.begin_presence(&namespace)).await.copied()
    }

    /// Who is there, on all nodes; `None` if that does not become known in time.
    pub(crate) async fn list(&self, hub: &Hub) -> Option<Listed> {
        let listed = async {
            loop {
                if let Some(listed) = self.list_now(hub) {
                    return listed;
                }
                sleep(LOOKED_EVERY).await;
            }
        };
        timeout(LISTED_WITHIN, listed).await.ok()
    }

    fn list_now(&self, hub: &Hub) -> Option<Listed> {
        if self.shared.get().is_some_and(|is_shared| *is_shared) {
            // Both are as of what was read of the log: whatever stands behind it is announced there.
            let (subscribers, place) = self.lock().nodes.as_ref()?.list()?;
            return Some(Listed { subscribers, place, is_settled: true });
        }
        // The place first: whatever changes after it is announced behind it, even if the list has it already.
        let place = hub.bookmark();
        let state = self.lock();
        // While something is on its way to the log, one place has two lists.
        Some(Listed { subscribers: state.registry.active(), place, is_settled: state.registry.is_settled() })
    }

    /// Waits until the log has all that was to be announced, and tells the other nodes that this one is gone: so nobody has to
    /// find out.
    pub(crate) async fn leave(&self, hub: &Hub) {
        while !self.has_left(hub) {
            sleep(LOOKED_EVERY).await;
        }
    }

    fn has_left(&self, hub: &Hub) -> bool {
        let mut state = self.lock();
        if !state.is_settled() {
            return false;
        }
        match &mut state.nodes {
            Some(nodes) if !nodes.has_left() => {
                nodes::leave(nodes, hub);
                false
            }
            _ => true,
        }
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
        let driver = Driver::new(self, hub);
        let number = driver.change(|state| state.registry.begin(Arc::new(subscriber)));
        // It may be called in a thread of the fan-out, which has no runtime of its own.
        subscription.on_end(move || {
            driver.change(|state| state.registry.end(number));
            drop(charge);
        })
    }

    /// The same for a subscription of the application's own, with what it asks for and whatever its handles change that to.
    pub(crate) fn attend_changing(
        self: &Arc<Self>,
        hub: &Hub,
        mut subscription: fanfare_hub::Subscription,
        payloads: &Payloads,
    ) -> fanfare_hub::Subscription {
        let handle = subscription.handle();
        let made = subscriber_id().inspect_err(|error| tracing::error!(%error, "made no subscriber id"));
        let (Ok(id), Some(selection)) = (made, handle.selection()) else { return subscription };
        let driver = Driver::new(self, hub);
        let (changing, payloads) = (driver.clone(), payloads.clone());
        let subscriber = self.asking(id.clone(), &selection, &payloads);
        let number = driver.change(|state| state.registry.begin(Arc::new(subscriber)));
        let look = move || {
            changing.change(|state| {
                // Under this lock, so that whoever looks last has seen the last change.
                let Some(selection) = handle.selection() else { return };
                let subscriber = changing.subscriptions.asking(id.clone(), &selection, &payloads);
                state.registry.change(number, Arc::new(subscriber));
            });
        };
        let subscription = subscription
            .on_change(look.clone())
            .on_end(move || driver.change(|state| state.registry.end(number)));
        // Somebody else may have had a handle before.
        look();
        subscription
    }

    /// A subscriber with a selection; what cannot be told of in a topic is left out.
    fn asking(&self, id: String, selection: &Selection, payloads: &Payloads) -> Subscriber {
        let subscription = |matcher: &Matcher| {
            let language = match matcher.kind() {
                MatcherKind::UrlPattern => Language::UrlPattern,
                MatcherKind::UriTemplate => Language::Selector,
                _ => Language::Exact,
            };
            let text = matcher.as_str().to_owned();
            let subscription =
                Subscription { payload: payloads.of(&text), asked: AsAsked { language, text } };
            let path = subscription.path(&self.hub_path, &id);
            let can_be_told = Topic::parse(path.as_str()).is_ok();
            if !can_be_told {
                tracing::warn!(bytes = path.len(), "a matcher is too long to be announced");
            }
            can_be_told.then_some(subscription)
        };
        let subscriptions = selection.matchers().iter().filter_map(subscription).collect();
        Subscriber { id, subscriptions }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics between two states of the registry.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The announcements of a change, one for each subscription (M-144); over a log that nodes share in which life of its node,
    /// and whether that is dead.
    fn announcements(&self, change: &Change, whose: Option<(Life, bool)>) -> Vec<Publication> {
        let Change { subscriber, active, number } = change;
        let announcement = |subscription: &Subscription| {
            let topic = Topic::parse(subscription.path(&self.hub_path, &subscriber.id)).ok()?;
            let document = subscription.document(&self.hub_path, &subscriber.id, *active, Around::default());
            let mut event = Event::new(document::json(&document));
            // Old pages read theirs without a name (M-205).
            if subscription.asked.language != Language::Selector {
                event = event.event(EventName::from_static(EVENT));
            }
            Some(match whose {
                Some(whose) => nodes::address(vec![topic], whose, event, *active, *number),
                None => Publication::to([topic]).private(event),
            })
        };
        subscriber.subscriptions.iter().filter_map(announcement).collect()
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
    /// In a runtime.
    fn new(subscriptions: &Arc<Subscriptions>, hub: &Hub) -> Self {
        Self { subscriptions: subscriptions.clone(), hub: hub.clone(), runtime: Handle::current() }
    }

    /// Notes a change, and begins the task if there is none that will see it.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let (changed, begins) = {
            let mut state = self.subscriptions.lock();
            let changed = change(&mut state);
            let begins = !state.is_driven && !state.is_settled();
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
            self.others_hear_it().await;
            let due: Vec<_> = {
                let mut state = self.subscriptions.lock();
                let State { registry, is_driven, nodes } = &mut *state;
                // All that was to be announced again stands in the log by now.
                let there = nodes.as_mut().filter(|_| registry.is_announced_again()).and_then(Nodes::there);
                let changes = registry.take(TOGETHER);
                let whose = nodes.as_ref().map(|nodes| (nodes.life(), false));
                let announced = changes.iter().flat_map(|each| self.subscriptions.announcements(each, whose));
                let due: Vec<_> = there.into_iter().chain(announced).collect();
                if changes.is_empty() && due.is_empty() {
                    *is_driven = false;
                    return;
                }
                due
            };
            self.announce(due).await;
        }
    }

    /// Waits until other nodes, if there are any, hear of who is announced here.
    async fn others_hear_it(&self) {
        while self.subscriptions.lock().nodes.as_ref().is_some_and(|nodes| !nodes.may_announce()) {
            sleep(LOOKED_EVERY).await;
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

    /// Goal: a subscription that comes once more, because its subscriber went on without it, is not taken for one that was said twice.
    #[test]
    fn each_coming_of_a_subscription_is_stored_by_nodes_that_share_a_log() {
        let subscriptions =
            Subscriptions::new(&Url::parse("https://push.test/.well-known/mercure").expect("a URL"));
        let selection =
            "a".parse::<Topic>().map(Matcher::from).map(|matcher| Selection::from_iter([matcher]));
        let selection = selection.expect("a topic");
        let asking = |selection: &Selection| {
            Arc::new(subscriptions.asking("urn:uuid:1".to_owned(), selection, &Payloads::default()))
        };
        let (one, none) = (asking(&selection), asking(&Selection::from_iter([])));
        let mut registry = Registry::default();
        let number = registry.begin(one.clone());
        let mut said = Vec::new();
        for to in [&none, &one, &none] {
            said.extend(registry.take(10));
            registry.change(number, to.clone());
        }
        said.extend(registry.take(10));
        assert_eq!(said.iter().map(|change| change.active).collect::<Vec<_>>(), [true, false, true, false]);
        let life = Some((nodes::Life::default(), false));
        let whole = |change: &Change| format!("{:?}", subscriptions.announcements(change, life));
        let differ: std::collections::BTreeSet<_> = said.iter().map(whole).collect();
        assert_eq!(differ.len(), 4, "{differ:?}");
        // What is handed in again is the same.
        assert_eq!(whole(&said[2]), whole(&said[2].clone()));
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
