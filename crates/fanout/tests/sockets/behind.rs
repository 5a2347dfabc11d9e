//! Clients that read what has left the hub's memory: what was collected for them is bounded for all together, and those who
//! stall are cut for those who do not (P5).

use std::future::ready;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use fanfare_fanout::{Ended, Settings, Terms};
use fanfare_hub::engine::{
    Answer, AppendError, Appended, Batch, Bounds, Content, Engine, Followed, Follower, Logged, Origin,
    ReadError, ReadRequest,
};
use fanfare_hub::{Check, EngineFault, IdKey, IdempotencyKey, Position, Submission, Topic};
use fanfare_wire::{Draft, Event, EventId, Frame};

use super::support::{Client, Got, House, block_on, hub, settings, until};

const LARGE: usize = 10 * 1024;
/// More than the kernel holds for a socket.
const ENTRIES: Position = 2_000;

/// A log that is written already, of which memory has nothing.
struct Written {
    entries: Mutex<Vec<Logged>>,
    follower: OnceLock<Arc<dyn Follower>>,
}

fn written() -> Arc<Written> {
    let logged = |position: Position| Logged {
        position,
        check: Check::START,
        at: SystemTime::now(),
        content: Content::Publication(Submission {
            topics: [Topic::parse("a").unwrap()].into(),
            private: false,
            chosen_id: None,
            draft: Draft::new(&Event::new(format!("{position:06}{}", "x".repeat(LARGE))), 24),
        }),
    };
    Arc::new(Written { entries: Mutex::new((1..=ENTRIES).map(logged).collect()), follower: OnceLock::new() })
}

impl Engine for Written {
    fn follow(&self, follower: Arc<dyn Follower>) -> Result<(), EngineFault> {
        let (key, check_before) = (IdKey::new([7; 16]), Check::START);
        follower.accept(Followed::NewEpoch(Origin {
            epoch: 1,
            key,
            from: ENTRIES + 1,
            next: ENTRIES + 1,
            check_before,
        }));
        let _ = self.follower.set(follower);
        Ok(())
    }

    fn append(&self, _: Submission, _: Option<IdempotencyKey>) -> Answer<'_, Result<Appended, AppendError>> {
        panic!("nobody publishes here")
    }

    fn bounds(&self) -> Answer<'_, Result<Bounds, EngineFault>> {
        Box::pin(ready(Ok(Bounds { epoch: 1, oldest: 1, next: ENTRIES + 1 })))
    }

    fn read(&self, request: ReadRequest) -> Answer<'_, Result<Batch, ReadError>> {
        let through = (request.after + 20).min(request.before - 1);
        let range = usize::try_from(request.after).unwrap()..usize::try_from(through).unwrap();
        let entries = self.entries.lock().unwrap()[range].to_vec();
        Box::pin(ready(Ok(Batch { entries, through, all: true })))
    }

    fn find(&self, _: EventId) -> Answer<'_, Result<Option<Position>, EngineFault>> {
        Box::pin(ready(Ok(None)))
    }
}

fn house(collected_bytes_max: usize, write_timeout: Duration) -> House {
    let hub = hub().engine(written()).build().unwrap();
    House::new(hub, &Settings { collected_bytes_max, write_timeout, ..settings() })
}

fn behind(house: &House) -> Client {
    let earliest = EventId::parse("earliest").unwrap();
    house.adopt(house.hub.subscribe("a").after(earliest).bookmarks(false), Terms::default())
}

fn read_all(client: &mut Client) {
    for expected in 1..=ENTRIES {
        assert_eq!(client.next_event()[..6].parse(), Ok(expected));
    }
}

#[test]
fn many_who_catch_up_with_room_for_one_event_get_everything_one_after_the_other() {
    let house = house(0, Duration::from_secs(60));
    let mut clients: Vec<_> = (0..3).map(|_| behind(&house)).collect();
    // Together: while one is not read from, it holds what the others wait for.
    std::thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(|| read_all(client));
        }
    });
    until(|| house.fanout.counts().collected_bytes == 0);
    assert_eq!(house.fanout.counts().connections, 3);
}

#[test]
fn what_was_collected_for_those_who_stall_is_bounded_and_given_back_when_they_are_cut() {
    let budget = 200 * 1024;
    let house = house(budget, Duration::from_millis(500));
    let stalled: Vec<_> = (0..8).map(|_| behind(&house).served()).collect();
    let within = |collected: u64| collected <= (budget + LARGE + 1_024) as u64;
    let mut most = 0;
    until(|| {
        let counts = house.fanout.counts();
        assert!(within(counts.collected_bytes), "{} bytes", counts.collected_bytes);
        most = most.max(counts.collected_bytes);
        counts.ended(Ended::WriteTimeout) == 8
    });
    assert!(most >= budget as u64, "{most} bytes at most");
    block_on(house.fanout.emptied());
    assert_eq!(house.fanout.counts().collected_bytes, 0);
    drop(stalled);
}

#[test]
fn who_stalls_is_cut_for_somebody_who_waits_and_then_gets_everything() {
    let house = house(0, Duration::from_millis(500));
    let stalled = behind(&house).served();
    until(|| house.fanout.counts().full == 1);
    let mut other = behind(&house);
    read_all(&mut other);
    assert_eq!(house.fanout.counts().ended(Ended::WriteTimeout), 1);
    drop(stalled);
}

#[test]
fn a_quiet_client_is_told_that_the_log_is_away_until_it_is_back() {
    let log = written();
    let house = House::new(hub().engine(log.clone()).build().unwrap(), &settings());
    let terms = Terms { keep_alive: Some((Duration::from_millis(1), Frame::KEEP_ALIVE)), ..Terms::default() };
    let mut client = house.adopt(house.hub.subscribe("a").bookmarks(false), terms).served();
    let reads_to = |client: &mut Client, end: &str| {
        while !client.bytes.ends_with(end.as_bytes()) {
            assert_eq!(client.next(), Got::Comment);
            assert!(client.bytes.len() < 1_000_000, "it is not told");
        }
    };
    let away = ": the log is not available at the moment; nothing is lost\n";
    reads_to(&mut client, ":\n:\n");
    let follower = log.follower.get().unwrap();
    follower.accept(Followed::Stalled { fault: Arc::new(std::io::Error::other("no log")) });
    reads_to(&mut client, &away.repeat(2));
    follower.accept(Followed::Recovered);
    reads_to(&mut client, ":\n:\n");
}
