//! One run from the first start of the hub to its end in order: lets all players play, and gathers what they noted.
//!
//! It decides nothing about what happened.

use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use crate::history::{History, Log, LogAfterAKill};
use crate::hub::{Engine, Hub};
use crate::plan::{Plan, Size, Tokens};
use crate::publisher::{Publisher, Retry, publish};
use crate::reader::{whole_log, witness};
use crate::stage::Stage;
use crate::subscriber::subscribe;

/// How long all that follows the kills may take; so long only that a broken hub fails the test instead of hanging it.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long nobody has to have caught up before the last event is published once more.
const ONCE_MORE_AFTER: Duration = Duration::from_millis(50);

const SIZE: Size =
    Size { subscribers: 12, pause_micros: 16_000, tokens: Tokens::Nobody, own_ids: true, naps: false };

pub(crate) fn run(engine: Engine, seed: u64, kills: usize, folder: &Path) -> History {
    let plan = Plan::draw(seed, kills, SIZE);
    let mut hub = Hub::start(engine, folder.to_owned()).expect("the hub starts");
    let stage = Stage::new(vec![hub.address], PATIENCE + plan.lives.iter().sum::<Duration>() * 2);
    let mut history = History::of(engine.log_after_a_kill);

    thread::scope(|scope| {
        let stage = &stage;
        let of_new_logs = engine.log_after_a_kill == LogAfterAKill::IsNew;
        let witness = of_new_logs.then(|| scope.spawn(|| witness(stage)));
        let subscribers = plan.subscribers.into_iter().map(|s| scope.spawn(move || subscribe(stage, s)));
        let subscribers: Vec<_> = subscribers.collect();
        let publishers =
            plan.publishers.into_iter().map(|p| scope.spawn(move || publish(stage, engine.retry, p)));
        let publishers: Vec<_> = publishers.collect();

        for life in plan.lives {
            thread::sleep(life);
            history.unasked_ends.extend(hub.kill().expect("the hub is killed"));
            stage.life.fetch_add(1, SeqCst);
            hub.start_again().expect("the hub starts again");
        }
        stage.is_ending.store(true, SeqCst);
        for publisher in publishers {
            history.publications.extend(publisher.join().expect("a publisher"));
        }
        // Again and again: who came too late to a hub with a new log for one of these gets the next.
        let mut last = Publisher::new(stage, engine.retry, "last");
        while !subscribers.iter().all(thread::ScopedJoinHandle::is_finished) && !stage.is_out_of_patience() {
            last.send_to_everybody();
            thread::sleep(ONCE_MORE_AFTER);
        }
        history.publications.append(&mut last.done);
        for subscriber in subscribers {
            history.subscribers.push(subscriber.join().expect("a subscriber"));
        }
        if let Some(witness) = witness {
            history.logs = witness.join().expect("a witness");
        }
    });

    // What is in the log matters most when others waited in vain.
    stage.be_patient_for(PATIENCE);
    let mut end = Publisher::new(&stage, Retry::Never, "end");
    end.send_to_everybody();
    history.publications.append(&mut end.done);
    let number = history.log_of(stage.life());
    history.logs.resize(number + 1, Log::default());
    history.logs[number] = whole_log(&stage);
    let status = hub.end().expect("the hub ends");
    if let Some(segments) = hub.segments() {
        // How much is published is the machine's matter; with fewer, hardly a kill would have hit the change from one to the next.
        assert!(segments > kills / 4, "the log has {segments} files only");
        println!("{segments} files of entries");
    }
    if !status.success() {
        history.unasked_ends.push(format!("{status} after SIGTERM, see {}", hub.folder().display()));
    }
    history
}
