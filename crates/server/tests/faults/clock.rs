//! The wall clock jumps by an hour, while the program runs and while it does not.
//!
//! An event is as old as the program has seen it become, and never older than one before it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use fanfare_http::token::{Algorithm, Language, Mint, SigningKey, TopicMatcher};

use crate::common::{HUB, Hub, PATIENCE};
use crate::disk::Disk;
use crate::history::{Answer, Sent, check, kept, publish, publish_with};

const HOUR: i64 = 3_600;
const SETTINGS: [&str; 4] = ["--history-age", "30m", "--idempotency-age", "30m"];

/// Publishes with the one key that is used here.
fn publish_order(hub: &Hub) -> Sent {
    publish_with(hub.address(), "order", "Idempotency-Key: 41\r\n")
}

/// All that was sent is kept, and the key is known.
fn assert_all_kept(hub: &Hub, sent: &[Sent], when: &str) {
    static MARKS: AtomicU64 = AtomicU64::new(0);
    let mut found =
        kept(hub.address(), "earliest", &format!("mark-{}", MARKS.fetch_add(1, Ordering::Relaxed)));
    found.retain(|event| !event.data.starts_with("mark"));
    check(sent, &[], &found).unwrap_or_else(|what| panic!("{when}: {what}"));
    let order = sent.iter().find(|sent| sent.data == "order").expect("it was sent first");
    assert_eq!(publish_order(hub).answer, order.answer, "{when}: the key is known");
}

/// Goal: a running hub does not care what the wall clock says.
#[test]
fn an_hour_forth_and_back_drops_nothing_too_early() {
    let Some(disk) = Disk::new() else { return };
    let hub = disk.start(&SETTINGS);
    let mut sent = vec![publish_order(&hub)];
    for (n, hours) in [1, -1, 0].into_iter().enumerate() {
        disk.set_clock(hours * HOUR);
        sent.push(publish(hub.address(), &format!("at-{n}")));
        // What is too old is looked for every second. That it is not found can only be seen by looking for longer.
        let since = Instant::now();
        while since.elapsed() < Duration::from_millis(1_500) {
            let (_, _, counts) = hub.get("/metrics");
            assert!(
                counts.contains("fanfare_disk_oldest_position{hub=\"default\"} 1\n"),
                "{hours} h: {counts}"
            );
        }
        assert_all_kept(&hub, &sent, &format!("{hours} h"));
    }
}

/// Goal: over a restart with a clock that is behind, nothing gets lost, becomes older, or younger than what was before it.
#[test]
fn a_clock_that_was_set_back_between_two_lives_drops_nothing() {
    let Some(disk) = Disk::new() else { return };
    let mut sent = Vec::new();
    // The last but one life begins in the future, and the last comes back from there.
    for (life, hours) in [0, -1, 0, -1, 0].into_iter().enumerate() {
        disk.set_clock(hours * HOUR);
        let hub = disk.start(&SETTINGS);
        if life == 0 {
            sent.push(publish_order(&hub));
        }
        assert_all_kept(&hub, &sent, &format!("life {life}, at the start"));
        sent.push(publish(hub.address(), &format!("life-{life}")));
        assert_all_kept(&hub, &sent, &format!("life {life}"));
    }
}

/// Goal: a clock that is ahead at a start makes what was before it old, as an hour of standing still would; what comes then is
/// kept its own time when the clock is set right.
#[test]
fn a_clock_that_was_ahead_in_one_life_costs_what_was_before_it_and_nothing_more() {
    let Some(disk) = Disk::new() else { return };
    let hub = disk.start(&SETTINGS);
    let before = publish_order(&hub);
    publish(hub.address(), "before");
    drop(hub);
    disk.set_clock(HOUR);
    let hub = disk.start(&SETTINGS);
    // The key is as old as its event.
    let mut sent = vec![publish_order(&hub)];
    assert!(
        matches!((&before.answer, &sent[0].answer), (Answer::Stored(one), Answer::Stored(other)) if one != other)
    );
    sent.push(publish(hub.address(), "ahead"));
    assert_all_kept(&hub, &sent, "ahead");
    drop(hub);
    disk.set_clock(0);
    let hub = disk.start(&SETTINGS);
    assert_all_kept(&hub, &sent, "set right");
    sent.push(publish(hub.address(), "behind"));
    assert_all_kept(&hub, &sent, "set right, and on");
}

/// Goal: what is old is dropped in time, however far behind the clock is at a start: ages are counted from the newest entry on.
#[test]
fn what_is_too_old_goes_in_time_though_the_clock_was_set_back() {
    let Some(disk) = Disk::new() else { return };
    let hub = disk.start(&["--history-age", "2s"]);
    publish(hub.address(), "before");
    drop(hub);
    disk.set_clock(-HOUR);
    let hub = disk.start(&["--history-age", "2s"]);
    let since = Instant::now();
    while hub.get("/metrics").2.contains("fanfare_disk_oldest_position{hub=\"default\"} 1\n") {
        assert!(since.elapsed() < PATIENCE, "an event of two seconds is kept for an hour");
    }
}

/// A token for the keys of `--dev`, good for half an hour.
fn token() -> String {
    let all = [TopicMatcher::new(Language::UrlPattern, "*").unwrap()];
    let key = SigningKey::secret(Algorithm::Hs256, "!ChangeThisMercureHubJWTSecretKey!").unwrap();
    let mint = Mint::modern("https://localhost", "https://localhost/.well-known/mercure").subscribe(all);
    mint.lifetime(Duration::from_secs(1_800)).sign(&key, SystemTime::now()).unwrap()
}

/// A stream that curl reads, once it has begun.
fn stream(hub: &Hub, arguments: &[&str]) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--no-buffer", "--noproxy", "*", "--max-time", "60"]).args(arguments);
    curl.arg(format!("http://{}{HUB}?match=a", hub.address()));
    let mut curl = curl.stdout(Stdio::piped()).spawn().expect("curl runs");
    let mut read = BufReader::new(curl.stdout.take().unwrap());
    let mut line = String::new();
    read.read_line(&mut line).unwrap();
    assert_eq!(line, ":\n");
    (curl, read)
}

/// Goal: nobody reads on behind the end of a token because the clock was wrong when the stream began (P7); and nobody else is sent away.
/// Method: a stream that the fan-out writes and one that hyper does, with tokens that are good for half an hour; then it is an hour later.
#[test]
fn a_clock_that_is_set_past_the_end_of_a_token_ends_its_streams_and_no_others_m060() {
    let Some(disk) = Disk::new() else { return };
    let hub = disk.start(&[]);
    let with_token = format!("Authorization: Bearer {}", token());
    let anonymous = ["--http1.1", "--http2-prior-knowledge"].map(|version| stream(&hub, &[version]));
    let streams = ["--http1.1", "--http2-prior-knowledge"]
        .map(|version| stream(&hub, &[version, "--header", &with_token]));
    disk.set_clock(HOUR);
    for (mut curl, mut read) in streams {
        let mut rest = String::new();
        read.read_to_string(&mut rest).unwrap();
        assert!(curl.wait().unwrap().success(), "it ends in order: {rest}");
    }
    assert_eq!(hub.publish("topic=a&data=still+there").0, 200);
    for (mut curl, read) in anonymous {
        assert!(read.lines().any(|line| line.unwrap() == "data: still there"));
        curl.kill().unwrap();
        curl.wait().unwrap();
    }
}
