//! The hub's own model over the log on disk, with restarts as steps: P1, P2, P3, P5, P6 and P7.

#![allow(missing_docs, unreachable_pub)]

#[path = "../../hub/tests/support/mod.rs"]
mod support;
#[path = "../../hub/tests/model/world.rs"]
mod world;

use std::fs;
use std::sync::Arc;

use fanfare_engine::DiskEngine;
use fanfare_hub::Position;
use fanfare_hub::engine::Engine;
use proptest::prelude::*;
use support::TestClock;
use world::{Below, CLIENTS, Disk, check, client_plan, op};

/// A folder of segments of a few entries each.
struct Folder {
    place: tempfile::TempDir,
    keeps: Option<u64>,
    /// How many of the newest entries a hub that starts has in memory.
    warm: u64,
    engine: Option<Arc<DiskEngine>>,
}

impl Disk for Folder {
    fn open(&mut self, clock: Arc<TestClock>, without_indexes: bool) -> Arc<dyn Engine> {
        let folder = self.place.path();
        for file in fs::read_dir(folder.join("default")).into_iter().flatten().filter(|_| without_indexes) {
            let path = file.expect("a file").path();
            if path.extension().is_some_and(|ending| ending == "idx") {
                fs::remove_file(path).expect("removed");
            }
        }
        let options = DiskEngine::options(folder).segment_bytes(1_024).history_events(self.keeps);
        let engine = Arc::new(options.warm_events(self.warm).clock(clock).open().expect("a log"));
        self.engine = Some(engine.clone());
        engine
    }

    fn oldest(&self) -> Position {
        self.engine.as_ref().map_or(1, |engine| engine.counts().oldest)
    }

    fn close(&mut self) {
        self.engine = None;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, max_shrink_iters: 500, ..ProptestConfig::default() })]

    #[test]
    fn every_client_of_a_log_on_disk_can_account_for_every_event(
        history in 1..12_usize,
        keeps in prop::option::of(12..40_u64),
        warm in 0..12_u64,
        plans in prop::collection::vec(client_plan(), CLIENTS),
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let place = tempfile::tempdir().expect("a folder");
        check(history, plans, ops, Below::Disk(Box::new(Folder { place, keeps, warm, engine: None })));
    }
}
