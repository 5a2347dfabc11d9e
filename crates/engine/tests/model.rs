//! The hub's own model over the log on disk, with restarts, kills and restored backups as steps: P1, P2, P3, P5, P6 and P7.

#![allow(missing_docs, unreachable_pub)]

#[path = "../../hub/tests/support/mod.rs"]
mod support;
use support::polled as reader;
#[path = "../../hub/tests/scenarios/world/mod.rs"]
mod world;

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fanfare_engine::DiskEngine;
use fanfare_engine::disk::Durability;
use fanfare_hub::Position;
use fanfare_hub::engine::Engine;
use proptest::prelude::*;
use support::TestClock;
use world::{Below, CLIENTS, Disk, check, client_plan, op};

/// A folder of segments of a few entries each.
struct Folder {
    place: tempfile::TempDir,
    keeps: Option<u64>,
    durability: Durability,
    /// How many of the newest entries a hub that starts has in memory.
    warm: u64,
    engine: Option<Arc<DiskEngine>>,
    backup: Option<tempfile::TempDir>,
    /// The newest file of entries when its end was noted, and how long it was.
    end: Option<(OsString, u64)>,
    /// What takes the place of the folder once that is closed.
    torn: Option<tempfile::TempDir>,
}

/// The folder's files by name, newest entries first: what retention removes meanwhile it removes from the other end, so that
/// what is missing from a copy leaves no hole in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder.join("default")).into_iter().flatten();
    let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    files.reverse();
    files
}

fn newest(folder: &Path) -> Option<PathBuf> {
    files(folder).into_iter().find(|path| path.extension().is_some_and(|ending| ending == "seg"))
}

/// How long a file is without the zeros that follow its last group.
fn filled(path: &Path) -> u64 {
    let bytes = fs::read(path).expect("a file");
    bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last as u64 + 1)
}

fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().expect("a folder");
    fs::create_dir(to.path().join("default")).expect("a folder");
    for path in files(from) {
        match fs::copy(&path, to.path().join("default").join(path.file_name().expect("a name"))) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            copied => drop(copied.expect("copied")),
        }
    }
    to
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
        let options = DiskEngine::options(folder)
            .segment_bytes(1_024)
            .history_events(self.keeps)
            .durability(self.durability);
        let engine = Arc::new(options.warm_events(self.warm).clock(clock).open().expect("a log"));
        self.engine = Some(engine.clone());
        engine
    }

    fn oldest(&self) -> Position {
        self.engine.as_ref().map_or(1, |engine| engine.counts().oldest)
    }

    fn keeps(&self) -> Option<u64> {
        self.keeps
    }

    fn close(&mut self) {
        self.engine = None;
        if let Some(torn) = self.torn.take() {
            self.place = torn;
        }
    }

    fn back_up(&mut self) {
        self.backup = Some(copy(self.place.path()));
    }

    fn go_back(&mut self) {
        if let Some(backup) = &self.backup {
            self.place = copy(backup.path());
        }
    }

    fn note_end(&mut self) {
        self.end = newest(self.place.path()).map(|path| {
            let length = filled(&path);
            (path.file_name().expect("a name").to_owned(), length)
        });
    }

    fn tear(&mut self, cut: u8) {
        let torn = copy(self.place.path());
        if let Some(newest) = newest(torn.path()) {
            let file = fs::OpenOptions::new().write(true).open(&newest).expect("a file");
            let length = filled(&newest);
            let noted = self.end.as_ref().filter(|(name, _)| newest.file_name() == Some(name));
            let from = noted.map_or(0, |(_, end)| *end);
            file.set_len(from + (length - from) * u64::from(cut) / 255).expect("cut");
        }
        self.torn = Some(torn);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, max_shrink_iters: 500, ..ProptestConfig::default() })]

    #[test]
    fn every_client_of_a_log_on_disk_can_account_for_every_event(
        history in 1..12_usize,
        keeps in prop::option::of(12..40_u64),
        warm in 0..12_u64,
        // Syncing takes most of the time, and no power is lost here.
        durability in prop_oneof![1 => Just(Durability::Fsync), 7 => Just(Durability::Os)],
        plans in prop::collection::vec(client_plan(), CLIENTS),
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let place = tempfile::tempdir().expect("a folder");
        let folder = Folder { place, keeps, durability, warm, engine: None, backup: None, end: None, torn: None };
        check(history, plans, ops, Below::Disk(Box::new(folder)));
    }
}
