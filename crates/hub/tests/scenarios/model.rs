//! The hub against a simple model, over the engine in memory and over one that misbehaves.

use proptest::prelude::*;

use super::CASES;
use super::world::{Below, CLIENTS, check, client_plan, op};

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn every_client_of_a_hub_in_memory_can_account_for_every_event(
        history in 1..12usize,
        plans in prop::collection::vec(client_plan(), CLIENTS),
        ops in prop::collection::vec(op(), 1..120),
    ) {
        check(history, plans, ops, Below::Memory);
    }

    #[test]
    fn every_client_of_an_engine_that_misbehaves_can_account_for_every_event(
        history in 1..12usize,
        plans in prop::collection::vec(client_plan(), CLIENTS),
        ops in prop::collection::vec(op(), 1..120),
    ) {
        check(history, plans, ops, Below::Toy);
    }
}
