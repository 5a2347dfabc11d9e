//! Crowds: many subscribers read for by one thread, whose writes are cut short anywhere (P1, P2, P3, P5 and P7).
//!
//! Method: a random history of publications, connects, leaves and looks, each look written in part. Every client decodes
//! the bytes that it was written and has to account for every event that it asked for and may read: its *frontier* is the
//! position up to which it has.

#![allow(clippy::cast_possible_truncation)] // Positions of a test fit anywhere.

#[path = "support/decompressed.rs"]
mod decompressed;
mod support;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use decompressed::Decompressed;
use fanfare_hub::{
    Batch, Crowd, Due, Form, Framing, Grant, Hub, Look, Matcher, Member, Publication, Selection, Share,
    Subscription, SubscriptionHandle,
};
use fanfare_wire::{Decoder, Event, EventId, Item, Sum};
use futures_core::Stream;
use proptest::prelude::*;
use support::chunks::Chunks;
use support::{Bell, assert_waiting, id, next, next_event, next_gap, now, topic};

const TOPICS: [&str; 4] = ["a", "b", "c", "d"];
const CLIENTS: usize = 6;

#[derive(Clone, Debug)]
enum Op {
    Publish {
        topics: u8,
        private: bool,
        bytes: usize,
    },
    Come {
        client: usize,
        asks: u8,
        grants: u8,
        bookmarks: bool,
        chunked: bool,
        coding: usize,
    },
    Leave {
        client: usize,
    },
    /// Asks for something else from then on.
    Change {
        client: usize,
        asks: u8,
    },
    /// Each of these clients in one look, and how many bytes of its share its socket takes.
    Round {
        takes: Vec<(usize, usize)>,
        quiet: bool,
    },
    /// Goes on as a subscription of its own, and comes back.
    Release {
        client: usize,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let client = 0..CLIENTS;
    let takes = prop_oneof![2 => Just(usize::MAX), 2 => 0..200usize, 1 => 0..3_000usize];
    prop_oneof![
        8 => (1..16u8, any::<bool>(), prop_oneof![9 => 0..40usize, 1 => 0..2_000usize])
            .prop_map(|(topics, private, bytes)| Op::Publish { topics, private, bytes }),
        3 => (client.clone(), 1..16u8, prop_oneof![Just(0), Just(15), 0..16u8], any::<bool>(), any::<bool>(), 0..4usize)
            .prop_map(|(client, asks, grants, bookmarks, chunked, coding)| Op::Come { client, asks, grants, bookmarks, chunked, coding }),
        1 => client.clone().prop_map(|client| Op::Leave { client }),
        2 => (client.clone(), 0..16u8).prop_map(|(client, asks)| Op::Change { client, asks }),
        8 => (prop::collection::vec((client.clone(), takes), 1..CLIENTS), prop::bool::weighted(0.2))
            .prop_map(|(takes, quiet)| Op::Round { takes, quiet }),
        1 => client.prop_map(|client| Op::Release { client }),
    ]
}

struct Client {
    handle: SubscriptionHandle,
    /// What it asks for, from which position on.
    asked: Vec<(u64, u8)>,
    grants: u8,
    member: Option<Member>,
    /// The rest of a bookmark that was cut short.
    owed: Vec<u8>,
    form: Form,
    /// What its body sums up to, as whoever writes it counts.
    sum: Sum,
    chunks: Chunks,
    decompressed: Decompressed,
    decoder: Decoder,
    frontier: u64,
}

/// What is asked for at a position.
fn asks_at(asked: &[(u64, u8)], position: u64) -> u8 {
    asked.iter().rev().find(|(from, _)| *from <= position).map_or(0, |&(_, asks)| asks)
}

/// What was published: on which topics, and whether privately. The entry at position `n` is at `n - 1`.
struct World {
    hub: Hub,
    crowd: Crowd,
    batch: Batch,
    history: u64,
    log: Vec<(u8, bool)>,
    positions: HashMap<String, u64>,
    clients: Vec<Option<Client>>,
}

fn matchers(mask: u8) -> impl Iterator<Item = Matcher> {
    TOPICS
        .iter()
        .enumerate()
        .filter(move |(bit, _)| mask & (1 << bit) != 0)
        .map(|(_, text)| topic(text).into())
}

impl World {
    fn new(history: usize) -> Self {
        let builder = Hub::builder().history_events(history).compressed_from_bytes(64);
        let hub = decompressed::with_dictionary(builder).build().expect("a hub");
        let crowd = hub.crowd(Waker::noop().clone());
        let clients = (0..CLIENTS).map(|_| None).collect();
        let (log, positions) = (Vec::new(), HashMap::new());
        Self { hub, crowd, batch: Batch::new(), history: history as u64, log, positions, clients }
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Publish { topics, private, bytes } => self.publish(topics, private, bytes),
            Op::Come { client, asks, grants, bookmarks, chunked, coding } => {
                self.leave(client);
                let selection: Selection = matchers(asks).collect();
                let mut subscription =
                    self.hub.subscribe(selection).grant(&matchers(grants).collect()).bookmarks(bookmarks);
                let framing = if chunked { Framing::Chunked } else { Framing::Bare };
                // Without the features all are plain.
                let coding = coding.checked_sub(1).and_then(|at| decompressed::CODINGS.get(at).copied());
                let form = Form { framing, coding: coding.unwrap_or_default() };
                self.clients[client] = Some(Client {
                    handle: subscription.handle(),
                    asked: vec![(0, asks)],
                    grants,
                    member: None,
                    owed: Vec::new(),
                    form,
                    sum: Sum::default(),
                    chunks: Chunks::default(),
                    decompressed: Decompressed::of(form.coding),
                    decoder: Decoder::new(),
                    frontier: self.log.len() as u64,
                });
                let mut head = Vec::new();
                framing.put(&decompressed::head(form.coding), &mut head);
                form.begin(&mut head);
                self.take_in(client, &head);
                self.settle(client, subscription);
            }
            Op::Leave { client } => self.leave(client),
            Op::Change { client, asks } => {
                let Some(each) = &mut self.clients[client] else { return };
                if each.handle.select(matchers(asks).collect::<Selection>()).is_ok() {
                    each.asked.push((self.log.len() as u64 + 1, asks));
                }
            }
            Op::Round { takes, quiet } => {
                self.round(&takes, if quiet { Look::Quiet } else { Look::News });
            }
            Op::Release { client } => self.release(client),
        }
    }

    fn publish(&mut self, topics: u8, private: bool, bytes: usize) {
        let position = self.log.len() + 1;
        let to = Publication::to(
            TOPICS
                .iter()
                .enumerate()
                .filter(|(bit, _)| topics & (1 << bit) != 0)
                .map(|(_, text)| topic(text)),
        );
        let event = Event::new(format!("{position} {}", "x".repeat(bytes)));
        let publication = if private { to.private(event) } else { to.event(event) };
        let id = now(self.hub.publish_all(publication)).expect("published").id;
        self.log.push((topics, private));
        self.positions.insert(id.as_str().to_owned(), position as u64);
    }

    /// Polls a subscription until the crowd takes it.
    fn settle(&mut self, client: usize, mut subscription: Subscription) {
        loop {
            let form = self.clients[client].as_ref().expect("a client").form;
            match self.crowd.admit_as(subscription, form, 0) {
                Ok(member) => {
                    self.clients[client].as_mut().expect("a client").member = Some(member);
                    return;
                }
                Err(back) => subscription = back,
            }
            let mut context = Context::from_waker(Waker::noop());
            if let Poll::Ready(delivery) = pin!(&mut subscription).poll_next(&mut context) {
                let delivery = delivery.expect("no end").expect("no error");
                let mut bytes = Vec::new();
                let sum = &mut self.clients[client].as_mut().expect("a client").sum;
                form.put(&delivery.frame(), sum, &mut bytes);
                self.take_in(client, &bytes);
            }
        }
    }

    fn leave(&mut self, client: usize) {
        let Some(Client { member: Some(member), owed, form, sum, .. }) = &self.clients[client] else {
            return;
        };
        // Who is not in the middle of something gets an end in order.
        if owed.is_empty() && !member.is_mid_frame() {
            let mut end = Vec::new();
            form.end(*sum, &mut end);
            self.take_in(client, &end);
            let client = self.clients[client].as_ref().expect("a client");
            assert!(client.decompressed.has_ended(), "{:?}", client.form);
            assert!(client.form.framing == Framing::Bare || client.chunks.has_ended());
        }
        if let Some(Client { member: Some(member), .. }) = self.clients[client].take() {
            self.crowd.leave(member);
        }
    }

    fn release(&mut self, client: usize) {
        let Some(each) = &mut self.clients[client] else { return };
        if !each.owed.is_empty() || each.member.as_ref().is_some_and(Member::is_mid_frame) {
            return;
        }
        let member = each.member.take().expect("a member");
        let subscription = self.crowd.release(member);
        self.settle(client, subscription);
    }

    /// Looks once for all of them, and then writes to all of them, as a worker does.
    fn round(&mut self, takes: &[(usize, usize)], look: Look) -> bool {
        let (mut shares, mut elsewhere, mut seen) = (Vec::new(), Vec::new(), 0u8);
        let mut is_idle = true;
        let mut reading = self.crowd.read(&mut self.batch);
        for &(client, takes) in takes {
            let Some(each) = &mut self.clients[client] else { continue };
            let had_its_turn = seen & 1 << client != 0;
            seen |= 1 << client;
            if had_its_turn || !each.owed.is_empty() {
                continue;
            }
            match reading.due(each.member.as_mut().expect("a member"), look) {
                Due::Write(share) => shares.push((client, takes, share)),
                Due::Elsewhere => elsewhere.push(client),
                Due::Nothing => {}
                Due::Later => is_idle = false,
                Due::End => panic!("the hub is open"),
            }
        }
        drop(reading);
        self.batch.compress_wanted();
        for (client, takes, share) in shares {
            is_idle = false;
            let each = self.clients[client].as_mut().expect("a client");
            let bytes = self.batch.bytes(&share).to_vec();
            assert!(!bytes.is_empty(), "a share of nothing");
            let written = bytes.len().min(takes);
            let member = each.member.as_mut().expect("a member");
            if written > 0 {
                self.crowd.wrote(&self.batch, member, &share, written, &mut each.sum);
                if !share.is_of_events() {
                    each.owed = bytes[written..].to_vec();
                }
            }
            self.take_in(client, &bytes[..written]);
        }
        for client in elsewhere {
            is_idle = false;
            if self.clients[client]
                .as_ref()
                .and_then(|each| each.member.as_ref())
                .is_some_and(Member::is_mid_frame)
            {
                // What would complete the event is gone with the log: its connection is cut.
                self.leave(client);
            } else {
                self.release(client);
            }
        }
        for (client, each) in self.clients.iter_mut().enumerate() {
            if let Some(each) = each.as_mut().filter(|each| !each.owed.is_empty() && seen & 1 << client != 0)
            {
                let owed = std::mem::take(&mut each.owed);
                is_idle = false;
                self.take_in(client, &owed);
                break;
            }
        }
        is_idle
    }

    fn take_in(&mut self, client: usize, bytes: &[u8]) {
        let Self { clients, positions, log, history, .. } = self;
        let Client { asked, grants, decoder, frontier, form, chunks, decompressed, .. } =
            clients[client].as_mut().expect("a client");
        let bytes = match form.framing {
            Framing::Bare => bytes.to_vec(),
            Framing::Chunked => chunks.take_in(bytes),
        };
        let bytes = decompressed.take_in(&bytes);
        let mut bytes = &bytes[..];
        let wants = |position: u64| {
            let (topics, private) = log[position as usize - 1];
            asks_at(asked, position) & topics != 0 && (!private || *grants & topics != 0)
        };
        while let Some(item) = decoder.next(&mut bytes).expect("a stream") {
            match item {
                Item::Event(event) if event.name == "fanfare.gap" => {
                    let upto = positions[event.last_event_id];
                    let oldest = (log.len() as u64 + 1).saturating_sub(*history);
                    assert!(upto < oldest, "a gap up to {upto}, which is still there");
                    // Of what has left memory the hub remembers topics, not entries: it may tell of one that was asked
                    // for and was for others, or that was asked for before or after it was there.
                    let terms = asked.iter().fold(0, |all, (_, asks)| all | asks);
                    let was_asked = |position: u64| terms & log[position as usize - 1].0 != 0;
                    assert!((*frontier + 1..=upto).any(was_asked), "a gap without a loss");
                    *frontier = upto;
                }
                Item::Event(event) => {
                    let position = positions[event.last_event_id];
                    let number = event.data.split(' ').next().expect("a number");
                    assert_eq!(number, position.to_string());
                    assert!(*frontier < position, "{position} came behind {frontier}");
                    assert!(wants(position), "{position} was not for this one");
                    let missed = (*frontier + 1..position).find(|&position| wants(position));
                    assert_eq!(missed, None, "missed before {position}");
                    *frontier = position;
                }
                Item::LastEventId(id) => {
                    if let Some(&position) = positions.get(id) {
                        assert!(*frontier <= position, "a bookmark back to {position} behind {frontier}");
                        let missed = (*frontier + 1..=position).find(|&position| wants(position));
                        assert_eq!(missed, None, "missed before the bookmark of {position}");
                        *frontier = position;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Writes to everybody until nothing is due.
    fn finish(&mut self) {
        let all: Vec<_> = (0..CLIENTS).map(|client| (client, usize::MAX)).collect();
        while !self.round(&all, Look::News) {}
        for client in 0..CLIENTS {
            let Some(Client { asked, grants, frontier, .. }) = &self.clients[client] else { continue };
            for position in *frontier + 1..=self.log.len() as u64 {
                let (topics, private) = self.log[position as usize - 1];
                let wanted = asks_at(asked, position) & topics != 0 && (!private || grants & topics != 0);
                assert!(!wanted, "{client} never got {position}");
            }
            self.leave(client);
        }
        assert_eq!(self.hub.counts().subscribers, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// P1, P2, P3, P5, P7.
    #[test]
    fn whatever_was_written_in_part_each_member_accounts_for_every_event(
        history in 2..24usize,
        ops in prop::collection::vec(op(), 1..80),
    ) {
        let mut world = World::new(history);
        for op in ops {
            world.run(op);
        }
        world.finish();
    }
}

fn member_of(hub: &Hub, crowd: &mut Crowd, to: &str, bookmarks: bool) -> Member {
    let mut subscription = hub.subscribe(to).bookmarks(bookmarks);
    if bookmarks {
        next(&mut subscription);
    } else {
        assert_waiting(&mut subscription);
    }
    crowd.admit_as(subscription, Framing::Bare, 0).expect("it is live")
}

fn member_in(form: impl Into<Form>, hub: &Hub, crowd: &mut Crowd) -> Member {
    let mut subscription = hub.subscribe("a").bookmarks(false);
    assert_waiting(&mut subscription);
    crowd.admit_as(subscription, form, 0).expect("it is live")
}

/// What is made ready for all of them in one look, and how many bytes that took.
fn shares_of<const N: usize>(
    crowd: &mut Crowd,
    batch: &mut Batch,
    members: &mut [Member; N],
) -> ([Share; N], usize) {
    let mut reading = crowd.read(batch);
    let shares = members.each_mut().map(|member| match reading.due(member, Look::News) {
        Due::Write(share) => share,
        other => panic!("{other:?}"),
    });
    (shares, reading.bytes())
}

fn publish(hub: &Hub, to: &str, text: &str) -> EventId {
    now(hub.publish(to, Event::new(text.to_owned()))).expect("published").id
}

#[test]
fn a_crowd_hears_once_that_a_group_has_news_however_many_members_it_has() {
    let hub = Hub::builder().build().expect("a hub");
    let bell = Arc::new(Bell::default());
    let mut crowd = hub.crowd(bell.waker());
    let members = ["a", "a", "b"].map(|to| member_of(&hub, &mut crowd, to, false));
    assert_eq!(members[0].group(), members[1].group());
    publish(&hub, "a", "1");
    assert!(bell.was_rung());
    publish(&hub, "a", "2");
    publish(&hub, "other", "3");
    assert!(!bell.was_rung(), "it was rung already, and nobody has looked");
    let mut news = Vec::new();
    crowd.news(&mut news);
    assert_eq!(news, [members[0].group()]);
    publish(&hub, "b", "4");
    assert!(bell.was_rung());
    crowd.news(&mut news);
    assert_eq!(news, [members[2].group()]);
    for member in members {
        crowd.leave(member);
    }
}

#[test]
fn members_that_are_due_the_same_share_the_same_bytes() {
    let hub = Hub::builder().build().expect("a hub");
    let mut crowd = hub.crowd(Waker::noop().clone());
    let mut members = [0, 1, 2].map(|_| member_of(&hub, &mut crowd, "a", false));
    publish(&hub, "a", "1");
    publish(&hub, "a", "2");
    let mut batch = Batch::new();
    let (shares, made) = shares_of(&mut crowd, &mut batch, &mut members);
    for share in &shares {
        assert_eq!(batch.bytes(share).len(), made, "made once, for all of them");
        assert_eq!(batch.bytes(share).as_ptr(), batch.bytes(&shares[0]).as_ptr());
    }
    for member in members {
        crowd.leave(member);
    }
}

#[test]
fn members_in_chunks_share_theirs_and_the_others_share_theirs() {
    let hub = Hub::builder().build().expect("a hub");
    let mut crowd = hub.crowd(Waker::noop().clone());
    let framings = [Framing::Bare, Framing::Chunked, Framing::Bare, Framing::Chunked];
    let mut members = framings.map(|framing| member_in(framing, &hub, &mut crowd));
    publish(&hub, "a", "1");
    publish(&hub, "a", "2");
    let mut batch = Batch::new();
    let (shares, made) = shares_of(&mut crowd, &mut batch, &mut members);
    let bytes = shares.each_ref().map(|share| batch.bytes(share));
    assert_eq!(made, bytes[0].len() + bytes[1].len(), "made once in each framing");
    assert_eq!((bytes[0], bytes[1]), (bytes[2], bytes[3]));
    assert_eq!(Chunks::default().take_in(bytes[1]), bytes[0]);
    for (member, share) in members.iter_mut().zip(&shares) {
        crowd.wrote(&batch, member, share, batch.bytes(share).len(), &mut Sum::default());
    }
    let frames = 4 * bytes[0].len() as u64;
    for member in members {
        crowd.leave(member);
    }
    drop(crowd);
    assert_eq!(hub.counts().delivered_bytes, frames, "what stands around frames is not theirs");
}

#[test]
fn members_with_topics_of_their_own_share_the_bytes_of_what_all_of_them_are_due() {
    let hub = Hub::builder().build().expect("a hub");
    let mut crowd = hub.crowd(Waker::noop().clone());
    let topics = |own: &str| -> Selection {
        ["a", own].map(|topic| Matcher::exact(topic).expect("a topic")).into_iter().collect()
    };
    let mut members = ["x", "y", "z"].map(|own| {
        let mut subscription = hub.subscribe(topics(own)).bookmarks(false);
        assert_waiting(&mut subscription);
        crowd.admit_as(subscription, Framing::Bare, 0).expect("it is live")
    });
    publish(&hub, "a", "1");
    publish(&hub, "a", "2");
    publish(&hub, "z", "for the last alone");
    let mut batch = Batch::new();
    let (shares, _) = shares_of(&mut crowd, &mut batch, &mut members);
    let bytes = shares.each_ref().map(|share| batch.bytes(share));
    assert_eq!(bytes[0].as_ptr(), bytes[1].as_ptr(), "made once");
    assert_eq!(bytes[0], bytes[1]);
    assert!(bytes[2].starts_with(bytes[0]) && bytes[2].len() > bytes[0].len());
    for member in members {
        crowd.leave(member);
    }
}

#[test]
fn whoever_has_looked_is_told_again_and_so_is_whoever_came_meanwhile() {
    let hub = Hub::builder().build().expect("a hub");
    let mut crowd = hub.crowd(Waker::noop().clone());
    let admit = |crowd: &mut Crowd, own: &str| {
        let topics = ["a", own].map(|topic| Matcher::exact(topic).expect("a topic"));
        let mut subscription = hub.subscribe(topics.into_iter().collect::<Selection>()).bookmarks(false);
        assert_waiting(&mut subscription);
        crowd.admit_as(subscription, Framing::Bare, 0).expect("it is live")
    };
    let mut members: Vec<Member> = ["x", "y"].iter().map(|own| admit(&mut crowd, own)).collect();
    let mut news = Vec::new();
    let mut told = |crowd: &mut Crowd| {
        crowd.news(&mut news);
        news.len()
    };
    publish(&hub, "a", "1");
    publish(&hub, "a", "2");
    assert_eq!(told(&mut crowd), 2);
    publish(&hub, "a", "3");
    // A crowd of its own, a member, and somebody who is asked by itself come while all others have been told.
    let bell = Arc::new(Bell::default());
    let mut other = hub.crowd(bell.waker());
    let elsewhere = admit(&mut other, "z");
    members.push(admit(&mut crowd, "z"));
    let mut alone = hub.subscribe("a").bookmarks(false);
    assert_waiting(&mut alone);
    publish(&hub, "a", "4");
    assert_eq!((told(&mut crowd), told(&mut other), bell.was_rung()), (3, 1, true));
    assert_eq!(next_event(&mut alone).data(), "4");
    publish(&hub, "a", "5");
    assert_eq!(told(&mut crowd), 3);
    for member in members {
        crowd.leave(member);
    }
    other.leave(elsewhere);
}

/// P2: who catches up to the end of a busy log gets its bookmark although it got events first.
#[test]
fn the_bookmark_that_is_due_after_catching_up_follows_the_events() {
    let hub = Hub::builder().build().expect("a hub");
    let cursor = publish(&hub, "a", "1");
    publish(&hub, "a", "2");
    let behind = publish(&hub, "other", "3");
    let mut subscription = hub.subscribe("a").after(cursor);
    assert_eq!(next_event(&mut subscription).data(), "2");
    publish(&hub, "a", "4");
    let end = publish(&hub, "other", "5");
    let mut crowd = hub.crowd(Waker::noop().clone());
    let mut member = crowd.admit_as(subscription, Framing::Bare, 0).expect("it can go on from memory");
    let mut batch = Batch::new();
    let mut written = String::new();
    loop {
        let due = crowd.read(&mut batch).due(&mut member, Look::News);
        let Due::Write(share) = due else { break };
        let bytes = batch.bytes(&share);
        written.push_str(std::str::from_utf8(bytes).expect("UTF-8"));
        let has_more = share.has_more_behind();
        let count = bytes.len();
        crowd.wrote(&batch, &mut member, &share, count, &mut Sum::default());
        if !has_more {
            break;
        }
    }
    assert!(written.contains("data: 4\n"), "{written}");
    assert!(written.ends_with(&format!("id: {end}\n\n")), "{written}");
    assert!(!written.contains(behind.as_str()), "{written}");
    crowd.leave(member);
}

/// P3, P5: what a slow client takes in many writes is never copied whole for each of them, wherever one was cut short: in the
/// line of a chunk's size, too.
#[test]
fn a_large_frame_is_made_ready_in_pieces_and_may_be_cut_anywhere() {
    let hub = Hub::builder().event_bytes_max(4 * 1024 * 1024).build().expect("a hub");
    let mut crowd = hub.crowd(Waker::noop().clone());
    let large = "x".repeat(3 * 1024 * 1024);
    for framing in [Framing::Bare, Framing::Chunked] {
        for takes in [&[usize::MAX][..], &[1, 2, 3], &[5, 1, 500_000], &[7, 600_000, 3, usize::MAX]] {
            let mut member = member_in(framing, &hub, &mut crowd);
            publish(&hub, "a", &large);
            publish(&hub, "a", "small");
            // The first and the last bytes go as slowly as asked for, so that this does not take for ever.
            let mut takes = takes.iter().cycle().take(40).chain(std::iter::repeat(&300_000));
            let (mut batch, mut written) = (Batch::new(), Vec::new());
            loop {
                let due = crowd.read(&mut batch).due(&mut member, Look::News);
                let Due::Write(share) = due else { break };
                let bytes = batch.bytes(&share);
                assert!(bytes.len() <= 600 * 1024, "{} bytes at once", bytes.len());
                let count = bytes.len().min(*takes.next().expect("there is always one"));
                written.extend_from_slice(&bytes[..count]);
                crowd.wrote(&batch, &mut member, &share, count, &mut Sum::default());
            }
            if framing == Framing::Chunked {
                written = Chunks::default().take_in(&written);
            }
            let text = String::from_utf8(written).expect("UTF-8");
            assert!(text.contains(&large) && text.ends_with("data: small\n\n"));
            assert_eq!(text.matches("id: ").count(), 2);
            crowd.leave(member);
        }
    }
}

#[test]
fn only_what_memory_can_serve_is_admitted() {
    let hub = Hub::builder().build().expect("a hub");
    let mut crowd = hub.crowd(Waker::noop().clone());
    let resuming = hub.subscribe("a").after(id("unknown"));
    let mut subscription = crowd.admit_as(resuming, Framing::Bare, 0).expect_err("it has a gap to tell");
    let elsewhere = Hub::builder().build().expect("a hub");
    let mut of_another = elsewhere.subscribe("a").bookmarks(false);
    assert_waiting(&mut of_another);
    assert!(crowd.admit_as(of_another, Framing::Bare, 0).is_err());
    assert_eq!(crowd.members(), 0);
    next_gap(&mut subscription);
    let member = crowd.admit_as(subscription, Framing::Bare, 0).expect("it has told its gap");
    crowd.leave(member);
}

/// P7.
#[test]
fn what_a_member_may_not_read_is_not_written_to_it() {
    let hub = Hub::builder().build().expect("a hub");
    let mut crowd = hub.crowd(Waker::noop().clone());
    let mut may = hub.subscribe("a").grant(&Grant::everything()).bookmarks(false);
    assert_waiting(&mut may);
    let mut members =
        [crowd.admit_as(may, Framing::Bare, 0).expect("it is live"), member_of(&hub, &mut crowd, "a", false)];
    now(hub.publish_all(Publication::to([topic("a")]).private(Event::new("secret")))).expect("published");
    let mut batch = Batch::new();
    let mut reading = crowd.read(&mut batch);
    assert!(matches!(reading.due(&mut members[0], Look::News), Due::Write(_)));
    assert!(matches!(reading.due(&mut members[1], Look::News), Due::Nothing));
    drop(reading);
    for member in members {
        crowd.leave(member);
    }
}

/// P5: what was compressed counts in what the log may take, whoever wanted it.
#[cfg(all(feature = "gzip", feature = "zstd"))]
#[test]
fn what_was_compressed_counts_in_the_log_s_memory() {
    use fanfare_wire::Coding;

    const HISTORY: u64 = 256 * 1024;
    /// What nothing is gained by, so that each form takes as much again.
    fn noise(seed: u32) -> String {
        let mut state = seed.wrapping_mul(2_654_435_761) | 1;
        let letters = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            char::from(b' ' + (state >> 8) as u8 % 95)
        });
        letters.take(4_000).collect()
    }
    let hub = Hub::builder().history_bytes(HISTORY as usize).build().expect("a hub");
    let mut crowd = hub.crowd(Waker::noop().clone());
    let mut batch = Batch::new();
    let mut kept = Vec::new();
    for codings in [&[][..], &[Coding::Gzip], &[Coding::Gzip, Coding::Zstd]] {
        let mut members: Vec<_> = codings
            .iter()
            .map(|&coding| member_in(Form { framing: Framing::Bare, coding }, &hub, &mut crowd))
            .collect();
        for number in 0..200 {
            publish(&hub, "a", &noise(number));
            for member in &mut members {
                loop {
                    let due = crowd.read(&mut batch).due(member, Look::News);
                    match due {
                        Due::Write(share) => {
                            let all = batch.bytes(&share).len();
                            crowd.wrote(&batch, member, &share, all, &mut Sum::default());
                        }
                        Due::Later => batch.compress_wanted(),
                        _ => break,
                    }
                }
            }
            // A look trims.
            drop(crowd.read(&mut batch));
            assert!(hub.counts().log_bytes <= HISTORY, "{}", hub.counts().log_bytes);
        }
        kept.push(hub.counts().log_entries);
        for member in members {
            crowd.leave(member);
        }
    }
    let [plain, gzip, both] = kept[..] else { panic!("three") };
    assert!(gzip * 9 < plain * 6 && both * 9 < plain * 4, "{kept:?}");
}
