//! What the hub promises to each subscriber (P1, P2, P3, P7), held against a model over sockets: whoever comes and goes with
//! whatever selection and grant gets every event once and in order, or one gap in the place of those that are gone.
//!
//! Method: the model keeps all that was published. After each publication everybody who is due it has read it, so what is
//! missing later was published while somebody was away, and whether it is still kept is known.

use fanfare_fanout::Terms;
use fanfare_hub::{Grant, Hub, Matcher, Publication, Selection, Topic};
use fanfare_wire::{Event, EventId};
use proptest::prelude::*;

use super::decompressed::with_dictionary;
use super::support::{Client, Got, House, block_on, settings};

const TOPICS: [&str; 4] = ["a", "b", "c", "d"];
const CLIENTS: usize = 5;
const GAP: &str = "fanfare.gap";

#[derive(Clone, Debug)]
enum Op {
    /// To the topics of the mask.
    Publish { topics: u8, private: bool },
    /// Leaves if it is there, and comes back if it is away, with its last event ID.
    Toggle { client: usize },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (1..16u8, any::<bool>()).prop_map(|(topics, private)| Op::Publish { topics, private }),
        2 => (0..CLIENTS).prop_map(|client| Op::Toggle { client }),
    ]
}

/// Where one subscriber stands.
struct Subscriber {
    /// Masks of topics that it asks for and may read privately.
    asks: u8,
    may: u8,
    client: Option<Client>,
    last_event_id: Option<String>,
    /// How many publications it need not be given any more.
    dealt: usize,
    /// The number of publications up to its last event ID.
    at: usize,
    /// How many gaps may come before its next event although it has missed nothing, and the number of publications up to the last of them.
    gaps: usize,
    told: usize,
}

struct World {
    house: House,
    history: usize,
    /// Topics, and whether it is private, of each publication; its data is its number.
    published: Vec<(u8, bool)>,
    subscribers: Vec<Subscriber>,
}

fn matchers(mask: u8) -> impl Iterator<Item = Matcher> {
    let topics = TOPICS.iter().enumerate().filter(move |(bit, _)| mask & 1 << bit != 0);
    topics.map(|(_, topic)| Matcher::exact(topic).unwrap())
}

impl Subscriber {
    fn gets(&self, (topics, private): (u8, bool)) -> bool {
        topics & self.asks != 0 && (!private || topics & self.may != 0)
    }

    /// Notes that the hub may tell it of a gap now although it has missed nothing: something of its topics is gone, and that it could not
    /// have read it is forgotten with it.
    fn may_be_told(&mut self, published: &[(u8, bool)], oldest: usize) {
        if (self.at.max(self.told)..oldest).any(|number| published[number].0 & self.asks != 0) {
            self.gaps += 1;
            self.told = oldest;
        }
    }

    /// Reads one event, which has to be this.
    fn expect(&mut self, expected: &str) {
        let Some(client) = &mut self.client else { return };
        loop {
            match client.next() {
                Got::Event { name, data, id } => {
                    self.last_event_id = Some(id);
                    if name == GAP && expected != GAP && self.gaps > 0 {
                        self.gaps -= 1;
                        continue;
                    }
                    assert_eq!(if name == "message" { &data } else { &name }, expected);
                    self.gaps = 0;
                    return;
                }
                Got::End | Got::Broken => panic!("the stream ended before {expected}"),
                _ => {}
            }
        }
    }
}

impl World {
    fn new(history: usize, masks: &[(u8, u8)]) -> Self {
        let builder = Hub::builder().history_events(history).compressed_from_bytes(64);
        let hub = with_dictionary(builder).build().unwrap();
        let subscriber = |&(asks, may): &(u8, u8)| {
            let (client, last_event_id) = (None, None);
            Subscriber { asks, may, client, last_event_id, dealt: 0, at: 0, gaps: 0, told: 0 }
        };
        let subscribers = masks.iter().map(subscriber).collect();
        Self { house: House::new(hub, &settings()), history, published: Vec::new(), subscribers }
    }

    fn publish(&mut self, mask: u8, private: bool) {
        let number = self.published.len();
        let topics = matchers(mask).map(|matcher| Topic::parse(matcher.as_str()).unwrap());
        let (publication, event) = (Publication::to(topics), Event::new(number.to_string()));
        let publication = if private { publication.private(event) } else { publication.event(event) };
        block_on(self.house.hub.publish_all(publication)).unwrap();
        self.published.push((mask, private));
        let oldest = self.published.len().saturating_sub(self.history);
        for subscriber in &mut self.subscribers {
            if subscriber.client.is_some() {
                if subscriber.gets((mask, private)) {
                    // For the second time, if it was when it came back: what has gone since is another gap.
                    subscriber.may_be_told(&self.published, oldest);
                    subscriber.expect(&number.to_string());
                    subscriber.at = number + 1;
                }
                subscriber.dealt = number + 1;
            }
        }
    }

    fn toggle(&mut self, place: usize) {
        let Self { house, history, published, subscribers } = self;
        let subscriber = &mut subscribers[place];
        if subscriber.client.take().is_some() {
            let here = subscribers.iter().filter(|each| each.client.is_some()).count();
            return house.until_subscribers(here as u64);
        }
        let subscription = house.hub.subscribe(matchers(subscriber.asks).collect::<Selection>());
        let subscription = subscription.grant(&matchers(subscriber.may).collect::<Grant>()).bookmarks(false);
        let last = subscriber.last_event_id.as_deref().map(|id| EventId::parse(id).unwrap());
        let resumes = last.is_some();
        let subscription = if let Some(last) = last { subscription.after(last) } else { subscription };
        subscriber.client = Some(house.adopt(subscription, Terms::default()).served());
        if resumes {
            let oldest = published.len().saturating_sub(*history);
            let due: Vec<usize> =
                (subscriber.dealt..published.len()).filter(|&n| subscriber.gets(published[n])).collect();
            let (gone, kept): (Vec<usize>, Vec<usize>) = due.into_iter().partition(|&number| number < oldest);
            (subscriber.gaps, subscriber.told) = (0, 0);
            if gone.is_empty() {
                subscriber.may_be_told(published, oldest);
            } else {
                subscriber.expect(GAP);
                subscriber.at = oldest;
            }
            for number in kept {
                subscriber.expect(&number.to_string());
                subscriber.at = number + 1;
            }
        }
        subscriber.dealt = published.len();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whoever_comes_and_goes_gets_every_event_once_and_in_order_or_one_gap(
        history in 1..12usize,
        masks in prop::collection::vec((1..16u8, 0..16u8), CLIENTS),
        ops in prop::collection::vec(op(), 1..60),
    ) {
        let mut world = World::new(history, &masks);
        for op in ops {
            match op {
                Op::Publish { topics, private } => world.publish(topics, private),
                Op::Toggle { client } => world.toggle(client),
            }
        }
    }
}
