//! Tests of what a node does that has lost its place in the log and cannot read what it missed (P7). No socket is opened here.

use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard};

use fanfare_hub::engine::{
    Answer, AppendError, Appended, Batch, Bounds, Content, Engine, Followed, Follower, Logged, Origin,
    ReadError, ReadRequest,
};
use fanfare_hub::{Check, EngineFault, IdKey, IdempotencyKey, Place, Submission};
use fanfare_wire::{Draft, EventId};
use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::*;

/// A log that other nodes write into as well, and which may be away.
struct Shared(Mutex<Log>);

struct Log {
    /// 0 before it is known which log it is.
    epoch: u32,
    entries: Vec<Logged>,
    /// Whether this node is told what it appends itself.
    is_told: bool,
    reads: Reads,
    /// Notified when it answers again, and whoever hangs is told that the connection was lost.
    answers: Arc<Notify>,
    follower: Option<Arc<dyn Follower>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    Answered,
    /// Each answer takes longer than the node waits before it does without.
    Slow,
    Failing,
    /// Until it answers again.
    Hanging,
}

fn key() -> IdKey {
    IdKey::new([7; 16])
}

fn check(position: Position) -> Check {
    if position == 0 { Check::START } else { Check::from_random(position * 7 + 3) }
}

impl Log {
    fn next(&self) -> Position {
        self.entries.len() as Position + 1
    }

    fn store(&mut self, submission: Submission) -> Logged {
        let position = self.next();
        let (at, content) = (SystemTime::now(), Content::Publication(submission));
        self.entries.push(Logged { position, check: check(position), at, content });
        self.entries[self.entries.len() - 1].clone()
    }

    fn origin(&self) -> Origin {
        let next = self.next();
        Origin { epoch: self.epoch, key: key(), from: next, next, check_before: check(next - 1) }
    }
}

impl Shared {
    fn of_epoch(epoch: u32) -> Arc<Self> {
        let (entries, answers, reads) = (Vec::new(), Arc::default(), Reads::Answered);
        Arc::new(Self(Mutex::new(Log { epoch, entries, is_told: true, reads, answers, follower: None })))
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().expect("no test panicked under it")
    }

    /// Another node writes something; this one is told, or not yet.
    fn written_elsewhere(&self, notice: &Notice, is_told: bool) {
        let text = serde_json::to_string(notice).expect("JSON");
        self.stored_elsewhere(vec![Topic::internal("revocations")], text, is_told);
    }

    fn stored_elsewhere(&self, topics: Vec<Topic>, data: String, is_told: bool) {
        let (topics, draft) = (topics.into(), Draft::new(&Event::new(data), 24));
        let logged = self.lock().store(Submission { topics, private: true, chosen_id: None, draft });
        if is_told {
            self.tell(Followed::Entry(logged));
        }
    }

    /// Another log is there, with nothing in it; this node has yet to notice.
    fn begin_anew(&self) {
        let mut log = self.lock();
        log.epoch += 1;
        log.entries.clear();
    }

    /// Begins the hub's log in memory anew at its end, as an engine does that was away for long.
    fn lose_place(&self) {
        let origin = self.lock().origin();
        self.tell(Followed::NewEpoch(origin));
    }

    fn tell(&self, told: Followed) {
        let follower = self.lock().follower.clone().expect("a hub follows");
        follower.accept(told);
        follower.ring();
    }

    fn reads(&self, reads: Reads) {
        let mut log = self.lock();
        log.reads = reads;
        if reads == Reads::Answered {
            log.answers.notify_waiters();
        }
    }
}

fn fault() -> EngineFault {
    Arc::new(std::io::Error::other("no leader"))
}

impl Engine for Shared {
    fn follow(&self, follower: Arc<dyn Follower>) -> Result<(), EngineFault> {
        let mut log = self.lock();
        if log.epoch > 0 {
            follower.accept(Followed::NewEpoch(log.origin()));
        }
        log.follower = Some(follower);
        Ok(())
    }

    fn append(
        &self,
        content: Submission,
        _: Option<IdempotencyKey>,
    ) -> Answer<'_, Result<Appended, AppendError>> {
        let (epoch, logged, is_told) = {
            let mut log = self.lock();
            (log.epoch, log.store(content), log.is_told)
        };
        let Logged { position, check, .. } = logged;
        if is_told {
            self.tell(Followed::Entry(logged));
        }
        let id = key().encipher(Place { epoch, position, check });
        Box::pin(ready(Ok(Appended { position, id, duplicate: false })))
    }

    fn bounds(&self) -> Answer<'_, Result<Bounds, EngineFault>> {
        let log = self.lock();
        if log.epoch == 0 {
            return Box::pin(ready(Err(fault())));
        }
        let bounds = Ok(Bounds { epoch: log.epoch, oldest: 1, next: log.next() });
        match log.reads {
            Reads::Answered => Box::pin(ready(bounds)),
            Reads::Slow => Box::pin(sleep(2 * SOON).map(|()| bounds)),
            Reads::Failing => Box::pin(ready(Err(fault()))),
            Reads::Hanging => {
                let answered = log.answers.clone().notified_owned();
                Box::pin(answered.map(|()| Err(fault())))
            }
        }
    }

    fn read(&self, request: ReadRequest) -> Answer<'_, Result<Batch, ReadError>> {
        let log = self.lock();
        let through = (request.before - 1).min(log.next() - 1);
        let is_asked = |logged: &&Logged| (request.after + 1..=through).contains(&logged.position);
        let entries = log.entries.iter().filter(is_asked).cloned().collect();
        let batch = Ok(Batch { entries, through, all: true });
        match log.reads {
            Reads::Answered => Box::pin(ready(batch)),
            Reads::Slow => Box::pin(sleep(2 * SOON).map(|()| batch)),
            Reads::Failing => Box::pin(ready(Err(ReadError::Fault(fault())))),
            Reads::Hanging => {
                let answered = log.answers.clone().notified_owned();
                Box::pin(answered.map(|()| Err(ReadError::Fault(fault()))))
            }
        }
    }

    fn find(&self, _: EventId) -> Answer<'_, Result<Option<Position>, EngineFault>> {
        Box::pin(ready(Ok(None)))
    }
}

fn of(subject: &str) -> Revocation {
    Revocation::of_subject(subject)
}

fn bearer(subject: &str) -> Bearer {
    Bearer { subject: Some(subject.to_owned()), ..Bearer::default() }
}

fn is_revoked(revocations: &Revocations, subject: &str) -> bool {
    revocations.check(&bearer(subject)) == Err(RevokedToken::By(of(subject).id()))
}

async fn catches_up(revocations: &Revocations) {
    // Only so that a broken test ends.
    tokio::time::timeout(Duration::from_secs(60), revocations.caught_up()).await.expect("it catches up");
}

/// One that follows the log of a hub.
fn following(hub: &Hub, renewed_every: Duration) -> Revocations {
    let revocations = Revocations::renewed_every(hub, renewed_every);
    let following = revocations.clone();
    tokio::spawn(async move { following.follow().await });
    revocations
}

const HOUR: Duration = Duration::from_secs(3600);

/// A node that follows, and the log.
async fn node() -> (Arc<Shared>, Hub, Revocations) {
    node_that_renews_every(HOUR).await
}

async fn node_that_renews_every(time: Duration) -> (Arc<Shared>, Hub, Revocations) {
    let log = Shared::of_epoch(1);
    // Of what memory keeps.
    let hub = Hub::builder().history_events(50).engine(log.clone()).build().expect("a hub");
    let revocations = following(&hub, time);
    catches_up(&revocations).await;
    (log, hub, revocations)
}

const SOON: Duration = Duration::from_millis(1_100);

/// Goal: what is revoked while older entries cannot be read counts at once, and what these say of the same does not undo it.
#[tokio::test(start_paused = true)]
async fn what_is_revoked_while_the_log_cannot_be_read_counts_at_once_and_in_its_order_p7() {
    for away in [Reads::Failing, Reads::Hanging] {
        let (log, _hub, revocations) = node().await;
        log.written_elsewhere(&Notice::of([&of("alice"), &of("carol")]), true);
        sleep(SOON).await;
        assert!(is_revoked(&revocations, "alice") && is_revoked(&revocations, "carol"));
        // Said while nobody told this node.
        log.written_elsewhere(&Notice::of([&of("bob"), &of("dora")]), false);
        log.written_elsewhere(&Notice::lifting(of("alice").id()), false);
        log.written_elsewhere(&Notice::lifting(of("carol").id()), false);
        log.reads(away);
        log.lose_place();
        sleep(SOON).await;
        // It goes on, and what comes is heard.
        log.written_elsewhere(
            &Notice::of([&of("alice").until(SystemTime::now().checked_add(SOON * 100))]),
            true,
        );
        log.written_elsewhere(&Notice::of([&of("erin")]), true);
        log.written_elsewhere(&Notice::lifting(of("dora").id()), true);
        sleep(Duration::from_millis(1)).await;
        assert!(is_revoked(&revocations, "erin"), "it comes behind what is missing");
        assert_eq!(revocations.check(&bearer("bob")), Ok(()), "nobody can know that");
        log.reads(Reads::Answered);
        sleep(2 * SOON).await;
        let holds = ["alice", "bob", "carol", "dora", "erin"].map(|name| is_revoked(&revocations, name));
        assert_eq!(holds, [true, true, false, false, true]);
        // And it goes on from there.
        log.written_elsewhere(&Notice::of([&of("frank")]), true);
        sleep(Duration::from_millis(1)).await;
        assert!(is_revoked(&revocations, "frank"));
        assert!(revocations.lift(of("frank").id()).await.expect("lifted"));
    }
}

/// Goal: within five seconds a node reads what was revoked, or lets nobody read who might be.
#[tokio::test(start_paused = true)]
async fn a_node_that_cannot_know_what_is_revoked_honours_nothing_and_ends_what_lives_by_a_token_p7() {
    for away in [Reads::Failing, Reads::Hanging] {
        let (log, hub, revocations) = node().await;
        let (_stream, ticket) = revocations.register(&bearer("bob"), hub.subscribe("a")).expect("it may");
        log.written_elsewhere(&Notice::of([&of("bob")]), false);
        log.reads(away);
        log.lose_place();
        sleep(Duration::from_secs(2)).await;
        assert!(!ticket.is_cut(), "it may be known in time");
        sleep(Duration::from_millis(2_900)).await;
        assert!(ticket.is_cut());
        assert_eq!(revocations.check(&bearer("alice")), Err(RevokedToken::Unknown));
        let refused = revocations.register(&bearer("alice"), hub.subscribe("a")).map(drop);
        assert_eq!(refused, Err(RevokedToken::Unknown));
        // Whoever revokes is told that it cannot be known either.
        assert!(matches!(revocations.revoke(of("erin")).await, Err(RevokeError::NotFollowed)));
        log.reads(Reads::Answered);
        catches_up(&revocations).await;
        assert!(is_revoked(&revocations, "bob"));
        assert_eq!(revocations.check(&bearer("alice")), Ok(()));
        assert!(revocations.register(&bearer("alice"), hub.subscribe("a")).is_ok());
        hub.close();
        sleep(SOON).await;
        assert!(!revocations.is_caught_up());
    }
}

/// Goal: a node that loses its place again while it reads what it missed goes on, and does what was said in the order of the log.
/// Method: it asks for what is missing before it would look at what comes again; of two revocations it has read a word that is older than
/// what is missing then.
#[tokio::test(start_paused = true)]
async fn a_node_that_loses_its_place_twice_reads_all_of_it_in_its_order_and_goes_on_p7() {
    const MOMENT: Duration = Duration::from_millis(50);
    let (log, _hub, revocations) = node().await;
    log.written_elsewhere(&Notice::of([&of("alice")]), true);
    sleep(SOON).await;
    log.written_elsewhere(&Notice::of([&of("bob")]), false);
    log.reads(Reads::Failing);
    log.lose_place();
    sleep(MOMENT).await;
    log.written_elsewhere(&Notice::lifting(of("alice").id()), true);
    log.written_elsewhere(&Notice::of([&of("carol")]), true);
    sleep(MOMENT).await;
    assert!(!is_revoked(&revocations, "alice") && is_revoked(&revocations, "carol"));
    log.written_elsewhere(&Notice::of([&of("alice")]), false);
    log.written_elsewhere(&Notice::lifting(of("carol").id()), false);
    log.lose_place();
    sleep(MOMENT).await;
    log.reads(Reads::Answered);
    sleep(2 * SOON).await;
    let holds = ["alice", "bob", "carol"].map(|name| is_revoked(&revocations, name));
    assert_eq!(holds, [true, true, false]);
    log.written_elsewhere(&Notice::of([&of("dora")]), true);
    sleep(MOMENT).await;
    assert!(is_revoked(&revocations, "dora"));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_loses_its_place_and_reads_on_in_time_ends_nothing_p7() {
    let (log, hub, revocations) = node().await;
    let (_stream, ticket) = revocations.register(&bearer("alice"), hub.subscribe("a")).expect("it may");
    for _ in 0..3 {
        log.written_elsewhere(&Notice::of([&of("bob")]), false);
        log.reads(Reads::Failing);
        log.lose_place();
        sleep(2 * SOON).await;
        log.reads(Reads::Answered);
        sleep(10 * SOON).await;
    }
    assert!(is_revoked(&revocations, "bob") && !ticket.is_cut());
}

/// Goal: a log that takes long for each answer is read nevertheless, at the start and later.
#[tokio::test(start_paused = true)]
async fn a_log_that_is_slow_is_caught_up_with_p7() {
    let (log, hub, revocations) = node().await;
    for name in ["alice", "bob"] {
        log.written_elsewhere(&Notice::of([&of(name)]), false);
        log.reads(Reads::Slow);
        log.lose_place();
        sleep(20 * SOON).await;
        assert!(is_revoked(&revocations, name));
    }
    let second = following(&hub, HOUR);
    catches_up(&second).await;
    assert!(is_revoked(&second, "alice") && is_revoked(&second, "bob"));
}

/// Goal: a node that reads nothing of its own in a busy log does not fall behind what memory keeps, where it would have to read all of it
/// when something comes. Method: private events of so many topics that memory cannot tell them from any other that it has dropped.
#[tokio::test(start_paused = true)]
async fn a_node_that_is_told_of_nothing_for_long_hears_at_once_what_is_revoked_then_p7() {
    let (log, hub, revocations) = node().await;
    let (_stream, ticket) = revocations.register(&bearer("alice"), hub.subscribe("a")).expect("it may");
    log.reads(Reads::Hanging);
    for number in 0..200 {
        let topic = |each: usize| Topic::parse(format!("{number}/{each}")).expect("a topic");
        log.stored_elsewhere((0..500).map(topic).collect(), "x".to_owned(), true);
        sleep(Duration::from_millis(20)).await;
    }
    log.written_elsewhere(&Notice::of([&of("bob")]), true);
    sleep(Duration::from_millis(1)).await;
    assert!(is_revoked(&revocations, "bob"), "it waits for the log");
    sleep(10 * SOON).await;
    assert!(revocations.is_caught_up() && !ticket.is_cut());
}

/// Goal: whoever revokes is not told that it is done while the node has yet to read that.
#[tokio::test(start_paused = true)]
async fn a_revocation_that_is_missing_here_is_not_called_done_before_it_is_read_p7() {
    let (log, _hub, revocations) = node().await;
    log.lock().is_told = false;
    let revoking = revocations.clone();
    let revoking = tokio::spawn(async move { revoking.revoke(of("alice")).await });
    sleep(Duration::from_millis(1)).await;
    log.lock().is_told = true;
    log.written_elsewhere(&Notice::of([&of("bob")]), false);
    log.reads(Reads::Failing);
    log.lose_place();
    sleep(SOON).await;
    assert!(!revoking.is_finished(), "nobody has read it");
    log.reads(Reads::Answered);
    sleep(SOON).await;
    assert!(revoking.is_finished() && is_revoked(&revocations, "alice"));
}

/// Goal: retention does not take what a node knows only because it has read on.
#[tokio::test(start_paused = true)]
async fn what_was_missing_is_written_into_the_log_again_like_everything_that_holds_p7() {
    let (log, _hub, revocations) = node().await;
    log.written_elsewhere(&Notice::of([&of("bob")]), false);
    let before = log.lock().next();
    log.reads(Reads::Failing);
    log.lose_place();
    sleep(SOON).await;
    log.reads(Reads::Answered);
    sleep(SOON).await;
    assert!(is_revoked(&revocations, "bob"));
    assert!(log.lock().next() > before, "nothing was written");
}

/// Goal: a node that has yet to read what was lifted does not revoke it again for everybody.
#[tokio::test(start_paused = true)]
async fn what_holds_is_not_written_again_while_it_is_not_known_whether_it_does_p7() {
    let (log, _hub, revocations) = node_that_renews_every(Duration::from_secs(10)).await;
    log.written_elsewhere(&Notice::of([&of("alice")]), true);
    sleep(Duration::from_secs(9)).await;
    log.written_elsewhere(&Notice::lifting(of("alice").id()), false);
    log.reads(Reads::Slow);
    log.lose_place();
    sleep(Duration::from_secs(60)).await;
    assert!(revocations.is_caught_up());
    assert_eq!(revocations.check(&bearer("alice")), Ok(()));
}

/// Goal: where another log is there, what was revoked in it before this node noticed is known, what held stands in it, and whoever revokes
/// meanwhile is not told that it is done.
#[tokio::test(start_paused = true)]
async fn a_log_that_begins_anew_is_read_and_has_what_held_before_p7() {
    let (log, hub, revocations) = node().await;
    revocations.revoke(of("alice")).await.expect("revoked");
    log.lock().is_told = false;
    let revoking = revocations.clone();
    let revoking = tokio::spawn(async move { revoking.revoke(of("carol")).await });
    sleep(Duration::from_millis(1)).await;
    log.begin_anew();
    log.lock().is_told = true;
    log.written_elsewhere(&Notice::of([&of("bob")]), false);
    log.lose_place();
    let done =
        tokio::time::timeout(HOUR, revoking).await.expect("it does not wait for ever").expect("no panic");
    assert!(matches!(done, Err(RevokeError::Log(PublishError::MaybeStored(_)))), "{done:?}");
    sleep(2 * SOON).await;
    assert!(is_revoked(&revocations, "alice") && is_revoked(&revocations, "bob"));
    let second = following(&hub, HOUR);
    catches_up(&second).await;
    assert!(is_revoked(&second, "alice") && is_revoked(&second, "bob"));
}

/// Counts what is told at level warn, in this thread.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicU64>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_has_yet_to_say_which_log_it_is_is_waited_for_in_silence() {
    let warnings = Warnings::default();
    let _told = tracing::subscriber::set_default(warnings.clone());
    let log = Shared::of_epoch(0);
    let hub = Hub::builder().engine(log.clone()).build().expect("a hub");
    let revocations = following(&hub, HOUR);
    sleep(10 * SOON).await;
    assert!(!revocations.is_caught_up());
    log.begin_anew();
    log.lose_place();
    catches_up(&revocations).await;
    assert_eq!(warnings.0.load(Ordering::Relaxed), 0);
    // Of one that is away it is told.
    log.reads(Reads::Failing);
    let second = following(&hub, HOUR);
    sleep(SOON).await;
    assert!(!second.is_caught_up() && warnings.0.load(Ordering::Relaxed) > 0);
}
