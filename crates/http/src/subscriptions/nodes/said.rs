//! What nodes say to each other: in notes, which stand in the log, and in words, which may be lost. And the form of both.
//!
//! An announcement is a note, too. Whose it is says a topic of it that only hubs can name.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use fanfare_hub::{Entry, Topic};
use fanfare_wire::{Decoder, Item};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::roll::Known;
use crate::subscriptions::document::{AsAsked, Subscriber, Subscription};
use crate::token::Language;

/// What all notes are addressed to, besides.
pub(super) const TOPIC: &str = "presence";
/// What a word of several subscribers holds of them, about, in bytes.
const WORD_BYTES: usize = 128 * 1024;

/// A node: a process, drawn when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(test, derive(Default))]
pub(crate) struct Node(pub(super) u64);

/// One of a node's lives: another one begins when it was taken for dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(test, derive(Default))]
pub(crate) struct Life {
    pub(super) node: Node,
    pub(super) number: u64,
}

/// Which time it was that everybody began anew: by whom, and the how maniest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Beginning {
    pub(super) node: Node,
    pub(super) number: u64,
}

/// When everybody began anew last, and who has announced all of its subscribers since. Those who are gone stay in it, some bytes
/// each: whether somebody is gone, not every node knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Since {
    pub(super) begun: Beginning,
    pub(super) there: BTreeSet<Node>,
}

impl Since {
    pub(super) fn begun(begun: Beginning) -> Self {
        Self { begun, there: BTreeSet::new() }
    }
}

/// What stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// A subscriber was announced.
    Came { life: Life, subscriber: String, subscription: Subscription },
    /// Its end was; by another node if its own is dead.
    Gone { subscriber: String, asked: AsAsked, of_dead: bool },
    /// A node asks who is there.
    Asks { node: Node, attempt: u64, again: bool },
    /// All announcements before are void, and everybody announces whom it has.
    Anew(Beginning),
    /// A node has announced all that it had then.
    There { node: Node, since: Beginning },
}

/// A note that is no announcement, as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Control {
    Asks { node: Node, attempt: u64, again: bool },
    Anew(Beginning),
    There { node: Node, since: Beginning },
}

/// What is said beside the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Word {
    /// A node lives: whether it knows who is there, and whether it ever did.
    Lives { node: Node, knows: bool, has_served: bool },
    /// A node is gone for good, in order.
    Leaves { node: Node },
    /// A part of the answer to a node's question.
    List {
        from: Node,
        to: Node,
        attempt: u64,
        /// When everybody began anew last.
        since: Option<Since>,
        part: usize,
        parts: usize,
        known: Vec<Known>,
    },
}

impl Word {
    pub(super) fn write(&self) -> Vec<u8> {
        // Texts, numbers and values that were JSON: there is nothing that cannot be written.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// `None` if it is none, or one of a newer release.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// A whole answer, in as many words as it takes.
    pub(super) fn list(
        from: Node,
        to: Node,
        attempt: u64,
        since: Option<&Since>,
        known: Vec<Known>,
    ) -> Vec<Self> {
        let mut all: Vec<Vec<Known>> = vec![Vec::new()];
        let mut bytes = 0;
        for known in known {
            let more = serde_json::to_vec(&known).map_or(0, |json| json.len());
            if bytes > 0 && bytes + more > WORD_BYTES {
                all.push(Vec::new());
                bytes = 0;
            }
            bytes += more;
            all.last_mut().expect("there is one from the beginning").push(known);
        }
        let parts = all.len();
        let word =
            |(part, known)| Self::List { from, to, attempt, since: since.cloned(), part, parts, known };
        all.into_iter().enumerate().map(word).collect()
    }
}

/// The topic of an announcement that says whose it is.
pub(super) fn topic_of(life: Life, of_dead: bool) -> Option<Topic> {
    let state = if of_dead { "dead" } else { "alive" };
    Topic::parse_stored(&format!("{}/{life}/{state}", Topic::internal(TOPIC).as_str())).ok()
}

impl Note {
    /// What an entry of the log says; `None` if it cannot be read.
    pub(super) fn of(entry: &Entry) -> Option<Self> {
        let own = format!("{}/", Topic::internal(TOPIC).as_str());
        let whose = match entry.internal_topics().iter().find_map(|topic| topic.as_str().strip_prefix(&own)) {
            Some(text) => {
                let (life, state) = text.split_once('/')?;
                Some((life.parse().ok()?, state == "dead"))
            }
            None => None,
        };
        let (mut decoder, mut bytes) = (Decoder::new(), entry.frame().as_bytes());
        while let Ok(Some(item)) = decoder.next(&mut bytes) {
            if let Item::Event(event) = item {
                return Self::read(event.data, whose);
            }
        }
        None
    }

    fn read(data: &str, whose: Option<(Life, bool)>) -> Option<Self> {
        let Some((life, of_dead)) = whose else {
            return Some(match serde_json::from_str(data).ok()? {
                Control::Asks { node, attempt, again } => Self::Asks { node, attempt, again },
                Control::Anew(beginning) => Self::Anew(beginning),
                Control::There { node, since } => Self::There { node, since },
            });
        };
        let Announced { subscriber, active, form } = serde_json::from_str(data).ok()?;
        let subscription = Subscription::try_from(form).ok()?;
        Some(if active {
            Self::Came { life, subscriber, subscription }
        } else {
            Self::Gone { subscriber, asked: subscription.asked, of_dead }
        })
    }
}

/// What of an announcement's document counts.
#[derive(Deserialize)]
struct Announced {
    subscriber: String,
    active: bool,
    #[serde(flatten)]
    form: Form,
}

/// A subscription, with the names of its document.
#[derive(Serialize, Deserialize)]
struct Form {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    match_type: Option<String>,
    /// In the shape of the older protocol.
    #[serde(rename = "match", alias = "topic")]
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload: Option<Value>,
}

/// The type of a matcher that this release does not know.
struct UnknownType;

impl TryFrom<Form> for Subscription {
    type Error = UnknownType;

    fn try_from(Form { match_type, text, payload }: Form) -> Result<Self, UnknownType> {
        let language = match match_type {
            Some(name) => Language::of_match_type(&name).ok_or(UnknownType)?,
            None => Language::Selector,
        };
        Ok(Self { asked: AsAsked { language, text }, payload: payload.map(Arc::new) })
    }
}

impl From<&Subscription> for Form {
    fn from(subscription: &Subscription) -> Self {
        let AsAsked { language, text } = &subscription.asked;
        let match_type = language.match_type().map(str::to_owned);
        Self { match_type, text: text.clone(), payload: subscription.payload.as_deref().cloned() }
    }
}

/// Somebody who is there, as it is told to another node.
#[derive(Serialize, Deserialize)]
struct KnownForm {
    life: Life,
    subscriber: String,
    subscriptions: Vec<Form>,
}

impl Serialize for Known {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let subscriptions = self.subscriber.subscriptions.iter().map(Form::from).collect();
        let form = KnownForm { life: self.life, subscriber: self.subscriber.id.clone(), subscriptions };
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Known {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let KnownForm { life, subscriber: id, subscriptions } = KnownForm::deserialize(deserializer)?;
        let subscriptions = subscriptions.into_iter().map(Subscription::try_from).collect::<Result<_, _>>();
        let subscriptions = subscriptions
            .map_err(|UnknownType| serde::de::Error::custom("a match type that is not known"))?;
        Ok(Self { life, subscriber: Arc::new(Subscriber { id, subscriptions }) })
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Node {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.node, self.number)
    }
}

impl FromStr for Life {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (node, number) = text.split_once('.').unwrap_or((text, ""));
        Ok(Self { node: node.parse()?, number: number.parse()? })
    }
}

/// Written as text: numbers of 64 bits are not the same to every reader of JSON.
macro_rules! as_text {
    ($of:ty) => {
        impl Serialize for $of {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $of {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

as_text!(Node);
as_text!(Life);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    use crate::subscriptions::document::{Around, json as text_of};

    const LIFE: Life = Life { node: Node(0xfeed_0000_0000_0007), number: 3 };

    fn subscription() -> impl Strategy<Value = Subscription> {
        let languages = [Language::Exact, Language::UrlPattern, Language::Selector];
        let language = proptest::sample::select(languages.to_vec());
        (language, ".{0,20}", any::<bool>()).prop_map(|(language, text, has_payload)| Subscription {
            asked: AsAsked { language, text },
            payload: has_payload.then(|| Arc::new(json!({"desk": ["north", 7, 0.1, null]}))),
        })
    }

    proptest! {
        #[test]
        fn an_announcement_is_read_as_what_was_announced(subscription in subscription(), active: bool, of_dead: bool) {
            let document = text_of(&subscription.document("/hub", "s", active, Around::default()));
            let subscriber = "s".to_owned();
            let expected = if active {
                Note::Came { life: LIFE, subscriber, subscription }
            } else {
                Note::Gone { subscriber, asked: subscription.asked, of_dead }
            };
            prop_assert_eq!(Note::read(&document, Some((LIFE, of_dead))), Some(expected));
        }

        #[test]
        fn a_list_comes_back_whole_in_words_that_are_not_too_long(
            subscriptions in prop::collection::vec(subscription(), 0..40),
            long in 0..40_usize,
        ) {
            let list = |(number, mut subscription): (usize, Subscription)| {
                if number == long {
                    subscription.asked.text = "x".repeat(2 * WORD_BYTES);
                }
                let subscriber = Subscriber { id: number.to_string(), subscriptions: vec![subscription] };
                Known { life: LIFE, subscriber: Arc::new(subscriber) }
            };
            let known: Vec<_> = subscriptions.into_iter().enumerate().map(list).collect();
            let words = Word::list(Node(1), Node(2), 9, None, known.clone());
            let mut back = Vec::new();
            for (number, word) in words.iter().enumerate() {
                let Some(Word::List { part, parts, known, .. }) = Word::read(&word.write()) else { panic!("a list") };
                prop_assert_eq!((part, parts), (number, words.len()));
                prop_assert!(known.len() == 1 || word.write().len() < 2 * WORD_BYTES);
                back.extend(known);
            }
            prop_assert_eq!(back, known);
        }

        #[test]
        fn no_text_makes_reading_panic(text in ".{0,60}") {
            let _ = (Note::read(&text, None), Note::read(&text, Some((LIFE, true))), Word::read(text.as_bytes()));
            let _ = text.parse::<Life>();
        }
    }

    #[test]
    fn what_stands_in_the_log_besides_comes_back() {
        let since = Beginning { node: Node(u64::MAX), number: 2 };
        for (control, note) in [
            (
                Control::Asks { node: LIFE.node, attempt: 7, again: true },
                Note::Asks { node: LIFE.node, attempt: 7, again: true },
            ),
            (Control::Anew(since), Note::Anew(since)),
            (Control::There { node: LIFE.node, since }, Note::There { node: LIFE.node, since }),
        ] {
            assert_eq!(Note::read(&serde_json::to_string(&control).expect("JSON"), None), Some(note));
        }
        assert_eq!(LIFE.to_string().parse(), Ok(LIFE));
        assert_eq!(topic_of(LIFE, true).expect("a topic").as_str(), "\0presence/feed000000000007.3/dead");
    }
}
