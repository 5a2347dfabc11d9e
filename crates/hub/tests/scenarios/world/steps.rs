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
        8 => (prop_oneof![Just(1u8), 1..16u8], any::<bool>(), prop::option::weighted(0.3, 0..5u8), any::<bool>())
            .prop_map(|(topics, private, chosen, with_key)| Op::Publish { topics, private, chosen, with_key }),
        2 => prop::bool::weighted(0.2).prop_map(|changed| Op::Retry { changed }),
        4 => (client.clone(), with).prop_map(|(client, cursor)| Op::Connect { client, cursor }),
        6 => (client.clone(), 1..6usize).prop_map(|(client, count)| Op::Read { client, count }),
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
    (1..16u8, prop_oneof![Just(0), Just(15), 0..16u8], any::<bool>(), any::<bool>()).prop_map(
        |(asks, grants, bookmarks, unknown_is_oldest)| ClientPlan {
            asks,
            grants,
            bookmarks,
            unknown_is_oldest,
        },
    )
}
