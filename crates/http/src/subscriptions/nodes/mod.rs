//! The other nodes over the same log: what is known of who is there on all of them, and what this node does about it.
//!
//! `roll.rs` decides, and knows no clock, log or node; this follows the log, listens, and does what is to be done. There is one
//! task for it, for as long as the endpoint is there. It is not there at all over a log that nobody shares.

mod roll;
mod said;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanfare_hub::engine::Peers;
use fanfare_hub::{
    Delivery, Grant, Hub, IdempotencyKey, Matcher, Publication, PublishError, SubscribeError, Subscription,
    Topic,
};
use fanfare_wire::{Event, EventId};
use futures_core::Stream;
use ring::digest::{SHA256, digest};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::document::Subscriber;
use super::registry::{Change, Number};
use super::{Driver, Subscriptions};
use roll::{Do, Known, Roll};
pub(super) use said::Life;
use said::{Beginning, Control, Node, Note, TOPIC, Word, topic_of};

/// How long a tick of the roll is, and how often a node says that it lives.
const TICK: Duration = Duration::from_secs(1);
/// How many words of other nodes wait for us.
const WORDS_MAX: usize = 4_096;
/// After how many ticks it is told that lists cannot be answered.
const TOLD_AFTER: u32 = 30;
/// How long after a failure the log is followed again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What this node knows of all.
#[derive(Debug)]
pub(super) struct Nodes {
    roll: Roll,
    /// Up to where in the log it does.
    place: Option<EventId>,
    /// What is to be said in the log once all who were to be announced again are.
    there: Option<Beginning>,
}

impl Nodes {
    /// Draws who this node is.
    fn new() -> Result<Self, getrandom::Error> {
        let mut drawn = [0; 8];
        getrandom::fill(&mut drawn)?;
        Ok(Self { roll: Roll::new(Node(u64::from_le_bytes(drawn))), place: None, there: None })
    }

    /// Everybody who is there on all nodes, and where to go on from; `None` while that is not known.
    pub(super) fn list(&self) -> Option<(Vec<Arc<Subscriber>>, Option<EventId>)> {
        let all = || self.roll.known().map(|known| known.subscriber.clone()).collect();
        self.roll.is_whole().then(|| (all(), self.place.clone()))
    }

    /// Whether somebody who comes or goes can be announced now.
    pub(super) fn may_announce(&self) -> bool {
        self.roll.may_announce()
    }

    /// In which life of this node its subscribers are announced.
    pub(super) fn life(&self) -> Life {
        self.roll.life()
    }

    /// What is to be said in the log now that all were announced again.
    pub(super) fn there(&mut self) -> Option<Publication> {
        let node = self.roll.life().node;
        self.there.take().map(|since| control(&Control::There { node, since }))
    }

    /// Whether somebody waits for all to be announced again.
    pub(super) fn is_awaited(&self) -> bool {
        self.there.is_some()
    }

    /// Whether the others were told that this node is gone.
    pub(super) fn has_left(&self) -> bool {
        self.roll.has_left()
    }
}

/// Addresses an announcement to those who follow it on all nodes, too, and marks it so that it is stored once. `number` tells several of
/// one subscription apart.
pub(super) fn address(
    mut topics: Vec<Topic>,
    (life, of_dead): (Life, bool),
    event: Event,
    active: bool,
    number: Option<Number>,
) -> Publication {
    // The store keeps keys in memory for a while, and paths may be long.
    let path = topics.first().map_or("", |topic| topic.as_str());
    let number = number.map_or_else(String::new, |number| number.to_string());
    let said = digest(&SHA256, format!("{life} {of_dead} {active} {number}{path}").as_bytes());
    let key = IdempotencyKey::new(URL_SAFE_NO_PAD.encode(&said.as_ref()[..16]));
    topics.push(Topic::internal(TOPIC));
    topics.extend(topic_of(life, of_dead));
    Publication::to(topics).private(event).idempotency_key(key)
}

fn control(control: &Control) -> Publication {
    // Texts and numbers: there is nothing that cannot be written.
    let event = Event::new(serde_json::to_string(control).unwrap_or_default());
    Publication::to([Topic::internal(TOPIC)]).private(event)
}

/// Begins to follow the log and the other nodes, for as long as `subscriptions` is there.
pub(super) fn start(subscriptions: &Arc<Subscriptions>, hub: &Hub, peers: Arc<dyn Peers>) -> Option<Nodes> {
    let made = Nodes::new().inspect_err(|error| tracing::error!(%error, "this node has no name"));
    let nodes = made.ok()?;
    let (heard, words) = mpsc::channel(WORDS_MAX);
    peers.listen(Box::new(move |word| {
        !matches!(heard.try_send(word.to_vec()), Err(mpsc::error::TrySendError::Closed(_)))
    }));
    let node = OneNode {
        subscriptions: Arc::downgrade(subscriptions),
        hub: hub.clone(),
        peers,
        incomplete_for: 0,
        me: nodes.life().node,
    };
    tokio::spawn(node.run(words));
    Some(nodes)
}

/// What does what the roll decides.
struct OneNode {
    subscriptions: Weak<Subscriptions>,
    hub: Hub,
    peers: Arc<dyn Peers>,
    me: Node,
    /// For how many ticks lists could not be answered.
    incomplete_for: u32,
}

/// The endpoint is gone.
struct Over;

impl OneNode {
    async fn run(mut self, mut words: mpsc::Receiver<Vec<u8>>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut followed = Box::pin(self.follow());
        loop {
            let done = tokio::select! {
                _ = ticks.tick() => self.tick(),
                Some(word) = words.recv() => match Word::read(&word) {
                    Some(word) => self.change(|nodes| nodes.roll.hear(word)),
                    None => Ok(()),
                },
                delivery = poll_fn(|cx| followed.as_mut().poll_next(cx)) => match delivery {
                    Some(Ok(delivery)) => self.take(&delivery),
                    Some(Err(SubscribeError::Closed)) | None if self.is_closed() => return,
                    other => {
                        if let Some(Err(error)) = other {
                            tracing::warn!(%error, "who is subscribed elsewhere cannot be followed; trying again");
                        }
                        sleep(AGAIN_AFTER).await;
                        followed = Box::pin(self.follow());
                        self.lose()
                    }
                },
            };
            if let Err(Over) = done {
                return;
            }
        }
    }

    /// The notes of all nodes, from now on.
    fn follow(&self) -> Subscription {
        let topic = Topic::internal(TOPIC);
        let grant = Grant::from_iter([Matcher::from(topic.clone())]);
        self.hub.subscribe_with(topic, &grant)
    }

    fn is_closed(&self) -> bool {
        matches!(self.hub.health(), fanfare_hub::Health::Closed)
    }

    fn take(&self, delivery: &Delivery) -> Result<(), Over> {
        let (note, place) = match delivery {
            Delivery::Event(entry) => {
                let note = Note::of(entry);
                if note.is_none() {
                    tracing::warn!(
                        position = entry.position(),
                        "cannot read an entry about who is subscribed"
                    );
                }
                (note, entry.id().clone())
            }
            Delivery::Bookmark(bookmark) => (None, bookmark.id().clone()),
            Delivery::Gap(_) => return self.lose(),
            _ => return Ok(()),
        };
        self.change(|nodes| {
            nodes.place = Some(place);
            note.map_or_else(Vec::new, |note| nodes.roll.follow(note))
        })
    }

    /// Some of the log was missed.
    fn lose(&self) -> Result<(), Over> {
        self.change(|nodes| {
            nodes.roll.lose();
            Vec::new()
        })
    }

    fn tick(&mut self) -> Result<(), Over> {
        self.change(|nodes| nodes.roll.tick())?;
        let Some(subscriptions) = self.subscriptions.upgrade() else { return Err(Over) };
        let is_whole = subscriptions.lock().nodes.as_ref().is_some_and(|nodes| nodes.roll.is_whole());
        self.incomplete_for = if is_whole { 0 } else { self.incomplete_for.saturating_add(1) };
        // While the log is away that is told by others; it may also be a right that is missing.
        if self.incomplete_for == TOLD_AFTER {
            tracing::warn!(
                "who is subscribed is not known: what nodes say to each other is not heard, or the log does not go on"
            );
        }
        Ok(())
    }

    /// Has the roll decide, and does it.
    fn change(&self, change: impl FnOnce(&mut Nodes) -> Vec<Do>) -> Result<(), Over> {
        let Some(subscriptions) = self.subscriptions.upgrade() else { return Err(Over) };
        let does = {
            let mut state = subscriptions.lock();
            let Some(nodes) = &mut state.nodes else { return Ok(()) };
            change(nodes)
        };
        for each in does {
            self.do_it(&subscriptions, each);
        }
        Ok(())
    }

    fn do_it(&self, subscriptions: &Arc<Subscriptions>, what: Do) {
        match what {
            Do::Say(word) => self.peers.say(word.write()),
            Do::Tell { to, attempt, since, known } => {
                for word in Word::list(self.me, to, attempt, since.as_ref(), known) {
                    self.peers.say(word.write());
                }
            }
            Do::Ask { attempt, again } => {
                let asked = self.hub.announce(control(&Control::Asks { node: self.me, attempt, again }));
                tokio::spawn(async move { tell_if_failed(asked.await.map(drop)) });
            }
            Do::BeginAnew(beginning) => {
                tracing::info!("no node knows who is subscribed, so all announce theirs anew");
                let hub = self.hub.clone();
                tokio::spawn(async move {
                    let begun = async {
                        hub.void_presence().await?;
                        hub.announce(control(&Control::Anew(beginning))).await.map(drop)
                    };
                    tell_if_failed(begun.await);
                });
            }
            Do::Bury(dead) => self.bury(subscriptions, dead),
            Do::AnnounceAll(then) => {
                let driver = Driver::new(subscriptions, &self.hub);
                driver.change(|state| {
                    state.registry.announce_again();
                    if let Some(nodes) = &mut state.nodes {
                        nodes.there = then.or(nodes.there);
                    }
                });
            }
        }
    }

    /// Announces the ends of a dead node's subscribers. What comes to nothing is asked for again.
    fn bury(&self, subscriptions: &Arc<Subscriptions>, dead: Vec<Known>) {
        tracing::warn!(
            node = dead.first().map(|known| known.life.node.to_string()),
            count = dead.len(),
            "a node is gone; the ends of its subscribers are announced"
        );
        let ends = dead.into_iter().flat_map(|Known { life, subscriber }| {
            let change = Change { subscriber, active: false, number: None };
            subscriptions.announcements(&change, Some((life, true)))
        });
        let handed_in: Vec<_> = ends.map(|end| self.hub.announce(end)).collect();
        let subscriptions = self.subscriptions.clone();
        tokio::spawn(async move {
            for answer in handed_in {
                match answer.await {
                    // Another node was as fast, and said it a little differently.
                    Ok(_) | Err(PublishError::KeyReused) => {}
                    Err(error) => tracing::warn!(%error, "an end was not announced"),
                }
            }
            if let Some(subscriptions) = subscriptions.upgrade()
                && let Some(nodes) = &mut subscriptions.lock().nodes
            {
                nodes.roll.buried();
            }
        });
    }
}

fn tell_if_failed(done: Result<(), PublishError>) {
    if let Err(error) = done {
        tracing::warn!(%error, "the log takes nothing about who is subscribed for the moment");
    }
}

/// Says to the others that this node is gone.
pub(super) fn leave(nodes: &mut Nodes, hub: &Hub) {
    let Do::Say(word) = nodes.roll.leave() else { return };
    if let Some(peers) = hub.peers() {
        peers.say(word.write());
    }
}
