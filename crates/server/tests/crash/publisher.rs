//! A publisher on a connection that it keeps, one publication at a time or several in flight.
//!
//! It notes what it sent and what became of it. It never decides whether that was right.

use std::thread;
use std::time::Duration;

use crate::dice::Dice;
use crate::history::{Outcome, Publication};
use crate::payload;
use crate::plan::{BUSY, Publishing, QUIET};
use crate::stage::Stage;
use crate::wire::{AnswerHead, Connection};

/// Whether a publication whose outcome is unknown is sent again, with an `Idempotency-Key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    Never,
    /// Only for a log that survives: with it, its keys do.
    WithKey,
}

/// Publishes until the run ends.
pub(crate) fn publish(stage: &Stage, retry: Retry, mut publishing: Publishing) -> Vec<Publication> {
    let retry = if publishing.insists { retry } else { Retry::Never };
    let mut publisher = Publisher::new(stage, retry, &publishing.name);
    publisher.has_secrets = publishing.has_secrets;
    publisher.chooses_ids = publishing.chooses_ids;
    let dice = &mut publishing.dice;
    while !stage.is_ending() {
        if stage.wait_while_held() {
            // A connection is of the log that it was made in.
            publisher.connection = None;
        }
        let count = 1 + dice.below(publishing.in_flight);
        let batch = (0..count).map(|_| publisher.draw(dice)).collect();
        publisher.send(batch);
        // So that a run is about kills and not about load.
        thread::sleep(dice.micros(0, publishing.pause_micros * count));
    }
    publisher.done
}

pub(crate) struct Publisher<'s> {
    stage: &'s Stage,
    retry: Retry,
    name: String,
    connection: Option<(Connection<'s>, usize)>,
    drawn: usize,
    has_secrets: bool,
    chooses_ids: bool,
    pub(crate) done: Vec<Publication>,
}

/// A publication before its outcome.
#[derive(Clone)]
pub(crate) struct Draft {
    name: String,
    topics: Vec<&'static str>,
    chosen_id: Option<String>,
    private: bool,
    tail: usize,
}

const HUB: &str = crate::common::HUB;

/// How long to wait until the hub may be back.
const HUB_IS_AWAY: Duration = Duration::from_millis(5);

impl<'s> Publisher<'s> {
    pub(crate) fn new(stage: &'s Stage, retry: Retry, name: &str) -> Self {
        let name = name.to_owned();
        Self {
            stage,
            retry,
            name,
            connection: None,
            drawn: 0,
            has_secrets: false,
            chooses_ids: false,
            done: Vec::new(),
        }
    }

    fn draw(&mut self, dice: &mut Dice) -> Draft {
        let mut topics = vec![BUSY[usize::try_from(dice.below(3)).expect("small")]];
        if dice.once_in(60) {
            topics = vec![QUIET];
        } else if dice.once_in(8) {
            // One that somebody may ask for in two ways.
            topics = BUSY.to_vec();
        }
        let (own_id, long) = (dice.once_in(4), dice.once_in(50));
        let own_id = own_id && self.chooses_ids;
        let private = self.has_secrets && dice.once_in(6);
        Draft { private, ..self.draft(topics, own_id, if long { 8_000 } else { 0 }) }
    }

    /// The next publication.
    pub(crate) fn draft(&mut self, topics: Vec<&'static str>, own_id: bool, tail: usize) -> Draft {
        let name = format!("{}/{}", self.name, self.drawn);
        self.drawn += 1;
        let chosen_id = own_id.then(|| format!("urn:crash:{name}"));
        Draft { name, topics, chosen_id, private: false, tail }
    }

    /// Sends one publication that everybody asks for.
    pub(crate) fn send_to_everybody(&mut self) {
        let draft = self.draft([&BUSY[..], &[QUIET]].concat(), false, 0);
        self.send(vec![draft]);
    }

    /// Sends all of `batch` at once, reads what comes back, and notes it.
    pub(crate) fn send(&mut self, batch: Vec<Draft>) {
        for (draft, mut noted) in self.send_once(batch) {
            while noted.outcome == Outcome::Unknown && self.retry == Retry::WithKey {
                if self.stage.is_out_of_patience() {
                    break;
                }
                thread::sleep(HUB_IS_AWAY);
                let Some((_, again)) = self.send_once(vec![draft.clone()]).pop() else { break };
                // A refusal says that this attempt stored nothing, not that none before it did.
                if again.outcome != Outcome::Refused {
                    noted = Publication { sent: noted.sent, sent_at: noted.sent_at, ..again };
                }
            }
            self.done.push(noted);
        }
    }

    fn send_once(&mut self, batch: Vec<Draft>) -> Vec<(Draft, Publication)> {
        let (sent, sent_at) = (self.stage.tick(), self.stage.now());
        let connected = self.connect();
        let life = connected.unwrap_or_else(|| self.stage.life());
        let mut noted: Vec<_> = batch
            .into_iter()
            .map(|draft| {
                let (data, topics, chosen_id) =
                    (draft.name.clone(), draft.topics.clone(), draft.chosen_id.clone());
                let outcome = if connected.is_some() { Outcome::Unknown } else { Outcome::Refused };
                let private = draft.private;
                (draft, Publication { data, topics, chosen_id, private, life, sent, sent_at, outcome })
            })
            .collect();
        let Some((mut connection, _)) = self.connection.take() else {
            thread::sleep(HUB_IS_AWAY);
            return noted;
        };
        let requests: String = noted.iter().map(|(draft, _)| draft.request(self.retry)).collect();
        // Where writing fails, some may have arrived whole.
        if connection.write(requests.as_bytes()).is_err() {
            return noted;
        }
        for (_, publication) in &mut noted {
            let Ok((head, body)) = answer(&mut connection) else { return noted };
            publication.outcome = match head.status {
                200 => {
                    self.stage.acknowledged();
                    Outcome::Acknowledged { id: body, at: self.stage.tick() }
                }
                503 => Outcome::Refused,
                504 => Outcome::Unknown,
                status => Outcome::Absurd { answer: format!("{status} {body}") },
            };
            if head.value("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
                return noted;
            }
        }
        self.connection = Some((connection, life));
        noted
    }

    /// Which life of the hub the connection belongs to, if there is one.
    fn connect(&mut self) -> Option<usize> {
        if self.connection.is_none() {
            let connected = self.stage.connect(false)?;
            self.connection = Some((Connection::new(self.stage, connected.socket), connected.life));
        }
        self.connection.as_ref().map(|(_, life)| *life)
    }
}

fn answer(connection: &mut Connection<'_>) -> std::io::Result<(AnswerHead, String)> {
    let head = connection.head()?;
    let body = connection.body(head.content_length().unwrap_or(0))?;
    Ok((head, body))
}

impl Draft {
    fn request(&self, retry: Retry) -> String {
        // Nothing in these texts has to be escaped in a form but the space of a tail.
        let mut form = format!("data={}", payload::with_tail(&self.name, self.tail).replace(' ', "+"));
        for topic in &self.topics {
            form.push_str("&topic=");
            form.push_str(topic);
        }
        if let Some(id) = &self.chosen_id {
            form.push_str("&id=");
            form.push_str(id);
        }
        if self.private {
            form.push_str("&private=on");
        }
        let key = match retry {
            Retry::Never => String::new(),
            Retry::WithKey => format!("Idempotency-Key: \"{}\"\r\n", self.name),
        };
        let length = form.len();
        format!(
            "POST {HUB} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n{key}Content-Length: {length}\r\n\r\n{form}"
        )
    }
}
