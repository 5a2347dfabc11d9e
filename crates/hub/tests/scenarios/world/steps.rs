//! What may happen, and how often. It does nothing itself.

use proptest::prelude::*;

use super::super::support::toy::NextAnswer;
use super::CLIENTS;

#[derive(Clone, Debug)]
pub enum Op {
    Publish {
        topics: u8,
        private: bool,
        chosen: Option<u8>,
        with_key: bool,
        /// A mask of the names whom it is not for.
        except: u8,
    },
    /// The newest attempt with a key once more, or another publication under that key.
    Retry {
        changed: bool,
    },
    Connect {
        client: usize,
        cursor: With,
    },
    Read {
        client: usize,
        count: usize,
    },
    /// Has a client that reads ask for something else from then on.
    Change {
        client: usize,
        asks: u8,
    },
    Disconnect {
        client: usize,
    },
    Advance {
        seconds: u64,
    },
    /// The hub ends and another begins over the same log, if it outlives the hub.
    Restart {
        without_indexes: bool,
    },
    /// Everything ends at once, while the newest publications are on their way to the disk.
    Kill {
        under_way: u8,
        cut: u8,
    },
    BackUp,
    /// The log goes on as it was when it was backed up.
    GoBack,
    Engine(EngineOp),
}

/// The last event ID to come with.
#[derive(Clone, Debug)]
pub enum With {
    Nothing,
    Own,
    Older(usize),
    /// That of the newest publication, which its publisher may know before the hub has heard of it.
    Published,
    Earliest,
    Unknown,
    Foreign,
}

#[derive(Clone, Copy, Debug)]
pub enum EngineOp {
    Tell(usize),
    Trim(usize),
    Answer(NextAnswer),
    Stall,
    Recover,
    NewEpoch,
}

#[derive(Clone, Debug)]
pub struct ClientPlan {
    /// A mask of topics; all bits set asks for `*`.
    pub asks: u8,
    pub grants: u8,
    pub bookmarks: bool,
    pub unknown_is_oldest: bool,
    pub sieve: Option<SievePlan>,
}

/// What a client leaves out.
#[derive(Clone, Debug)]
pub struct SievePlan {
    /// The number of its name, if it has one.
    pub name: Option<u8>,
    /// Whether it reads only what ends with an even number.
    pub is_picky: bool,
    pub conflates: bool,
}

pub fn op() -> impl Strategy<Value = Op> {
    let client = 0..CLIENTS;
    let with = prop_oneof![
        2 => Just(With::Nothing),
        6 => Just(With::Own),
        2 => (0..8usize).prop_map(With::Older),
        2 => Just(With::Published),
        1 => Just(With::Earliest),
        1 => Just(With::Unknown),
        1 => Just(With::Foreign),
    ];
    prop_oneof![
        // Mostly the one topic, so that the others are rare, and are looked up.
        8 => (
            prop_oneof![Just(1u8), 1..16u8],
            any::<bool>(),
            prop::option::weighted(0.3, 0..5u8),
            any::<bool>(),
            prop_oneof![3 => Just(0u8), 1 => 0..4u8],
        )
            .prop_map(|(topics, private, chosen, with_key, except)| Op::Publish {
                topics,
                private,
                chosen,
                with_key,
                except,
            }),
        2 => prop::bool::weighted(0.2).prop_map(|changed| Op::Retry { changed }),
        4 => (client.clone(), with).prop_map(|(client, cursor)| Op::Connect { client, cursor }),
        6 => (client.clone(), 1..6usize).prop_map(|(client, count)| Op::Read { client, count }),
        2 => (client.clone(), 0..16u8).prop_map(|(client, asks)| Op::Change { client, asks }),
        2 => client.prop_map(|client| Op::Disconnect { client }),
        1 => (1..20u64).prop_map(|seconds| Op::Advance { seconds }),
        6 => engine_op().prop_map(Op::Engine),
        1 => any::<bool>().prop_map(|without_indexes| Op::Restart { without_indexes }),
        1 => (0..4u8, any::<u8>()).prop_map(|(under_way, cut)| Op::Kill { under_way, cut }),
        1 => Just(Op::BackUp),
        1 => Just(Op::GoBack),
    ]
}

fn engine_op() -> impl Strategy<Value = EngineOp> {
    let answer = prop_oneof![
        Just(NextAnswer::Refused),
        Just(NextAnswer::UnknownStored),
        Just(NextAnswer::UnknownLost)
    ];
    prop_oneof![
        12 => (1..5usize).prop_map(EngineOp::Tell),
        2 => (1..4usize).prop_map(EngineOp::Trim),
        2 => answer.prop_map(EngineOp::Answer),
        1 => Just(EngineOp::Stall),
        2 => Just(EngineOp::Recover),
        1 => Just(EngineOp::NewEpoch),
    ]
}

pub fn client_plan() -> impl Strategy<Value = ClientPlan> {
    let sieve = (prop::option::of(0..2u8), any::<bool>(), any::<bool>())
        .prop_map(|(name, is_picky, conflates)| SievePlan { name, is_picky, conflates });
    let sieve = prop::option::weighted(0.4, sieve);
    (1..16u8, prop_oneof![Just(0), Just(15), 0..16u8], any::<bool>(), any::<bool>(), sieve).prop_map(
        |(asks, grants, bookmarks, unknown_is_oldest, sieve)| ClientPlan {
            asks,
            grants,
            bookmarks,
            unknown_is_oldest,
            sieve,
        },
    )
}

/// Whether one who is picky reads it.
pub fn is_even(text: &[u8]) -> bool {
    text.trim_ascii_end().last().is_none_or(|last| last % 2 == 0)
}
