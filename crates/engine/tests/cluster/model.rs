//! The hub's own model over a log that several machines share, with restarts, kills and restored backups as steps: P1, P2, P3, P5, P6 and P7.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use fanfare_hub::engine::{
    Answer, AppendError, Appended, Batch, Bounds, Engine, EngineFault, Followed, Follower, ReadError,
    ReadRequest,
};
use fanfare_hub::{IdempotencyKey, Position, Submission};
use fanfare_wire::EventId;
use proptest::prelude::*;

use tokio::runtime::Runtime;

use crate::server::{self, Server, is_passing};
use crate::support::TestClock;
use crate::world::{Below, CLIENTS, Disk, check, client_plan, op};

/// Only so that a broken test ends.
const PATIENCE: Duration = Duration::from_secs(60);

/// How far the hub has been told.
#[derive(Default)]
struct Told {
    next: Mutex<Position>,
    changed: Condvar,
}

impl Told {
    fn is(&self, next: Position) {
        *self.next.lock().expect("no panic") = next;
        self.changed.notify_all();
    }

    fn wait(&self, next: Position) {
        let waited = self
            .changed
            .wait_timeout_while(self.next.lock().expect("no panic"), PATIENCE, |told| *told < next);
        assert!(!waited.expect("no panic").1.timed_out(), "the tail has told nothing for long");
    }
}

/// Passes on what is told, and notes it.
struct Noting {
    follower: Arc<dyn Follower>,
    told: Arc<Told>,
    /// The end of the log when it was opened.
    end: Arc<Mutex<Option<Position>>>,
}

impl Follower for Noting {
    fn accept(&self, next: Followed) {
        let told = match &next {
            Followed::Entry(logged) => Some(logged.position + 1),
            Followed::Hole { through } => Some(through + 1),
            Followed::NewEpoch(origin) => {
                *self.end.lock().expect("no panic") = Some(origin.next);
                Some(origin.from)
            }
            _ => None,
        };
        self.follower.accept(next);
        self.follower.ring();
        if let Some(told) = told {
            self.told.is(told);
        }
    }

    fn ring(&self) {
        self.follower.ring();
    }
}

/// The engine, but for that it answers when the hub has been told, as others do, and is patient while the server is away: the model
/// knows no time in which an answer is known and the entry is not.
struct Settled {
    engine: server::Engine,
    told: Arc<Told>,
    end: Arc<Mutex<Option<Position>>>,
}

impl Engine for Settled {
    fn follow(&self, follower: Arc<dyn Follower>) -> Result<(), EngineFault> {
        self.engine.follow(Arc::new(Noting { follower, told: self.told.clone(), end: self.end.clone() }))?;
        self.told.wait(1);
        let end = self.end.lock().expect("no panic").unwrap_or(1);
        self.told.wait(end);
        Ok(())
    }

    fn append(
        &self,
        submission: Submission,
        key: Option<IdempotencyKey>,
    ) -> Answer<'_, Result<Appended, AppendError>> {
        Box::pin(async move {
            loop {
                match self.engine.append(submission.clone(), key.clone()).await {
                    Ok(appended) => {
                        self.told.wait(appended.position + 1);
                        return Ok(appended);
                    }
                    Err(AppendError::Refused(fault)) if is_passing(&fault) => {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    Err(error) => return Err(error),
                }
            }
        })
    }

    fn bounds(&self) -> Answer<'_, Result<Bounds, EngineFault>> {
        Box::pin(async {
            loop {
                match self.engine.bounds().await {
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                    bounds => return bounds,
                }
            }
        })
    }

    fn read(&self, request: ReadRequest) -> Answer<'_, Result<Batch, ReadError>> {
        Box::pin(async move {
            loop {
                match self.engine.read(request.clone()).await {
                    Err(ReadError::Fault(fault)) if is_passing(&fault) => {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    read => return read,
                }
            }
        })
    }

    fn find(&self, id: EventId) -> Answer<'_, Result<Option<Position>, EngineFault>> {
        Box::pin(async move {
            loop {
                match self.engine.find(id.clone()).await {
                    Err(fault) if is_passing(&fault) => std::thread::sleep(Duration::from_millis(5)),
                    found => return found,
                }
            }
        })
    }
}

struct Servers {
    server: Server,
    runtime: Runtime,
    keeps: Option<u64>,
    /// How many of the newest entries a hub that starts has in memory.
    warm: u64,
    engine: Option<Arc<Settled>>,
    backup: Option<tempfile::TempDir>,
}

impl Disk for Servers {
    fn open(&mut self, _: Arc<TestClock>, _: bool) -> Arc<dyn Engine> {
        let options = server::options(&self.server).history_events(self.keeps).warm_events(self.warm);
        let engine = self.runtime.block_on(server::connect(options));
        let engine = Arc::new(Settled { engine, told: Arc::default(), end: Arc::default() });
        self.engine = Some(engine.clone());
        engine
    }

    fn oldest(&self) -> Position {
        let Some(engine) = &self.engine else { return 1 };
        self.runtime.block_on(Engine::bounds(&**engine)).expect("bounds").oldest
    }

    fn keeps(&self) -> Option<u64> {
        self.keeps
    }

    fn close(&mut self) {
        self.engine = None;
    }

    fn back_up(&mut self) {
        self.server.kill();
        self.backup = Some(self.server.back_up());
        self.server.go_on();
    }

    fn go_back(&mut self) {
        if let Some(backup) = &self.backup {
            self.server.kill();
            self.server.go_back(backup.path());
            self.server.go_on();
        }
    }

    fn note_end(&mut self) {}

    /// The log is not the hub's, so nothing of it is torn.
    fn tear(&mut self, _: u8) {}
}

proptest! {
    // Each case starts a server.
    #![proptest_config(ProptestConfig { cases: server::CASES, max_shrink_iters: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_client_of_a_shared_log_can_account_for_every_event(
        history in 1..12_usize,
        keeps in prop::option::of(12..40_u64),
        warm in 0..12_u64,
        plans in prop::collection::vec(client_plan(), CLIENTS),
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let servers = Servers { server: Server::start(), runtime, keeps, warm, engine: None, backup: None };
        check(history, plans, ops, Below::Disk(Box::new(servers)));
    }
}
