//! Syncs and writes that fail: what publishers are told, what subscribers keep, and when it goes on.

use crate::common::Hub;
use crate::disk::{Disk, try_start, until_ready_is};
use crate::history::{Answer, Reader, Sent, check, kept, publish};

/// Streams get comments soon, by which they are seen to live.
const SETTINGS: [&str; 2] = ["--keep-alive", "1s"];

fn stored(sent: &Sent) -> bool {
    matches!(sent.answer, Answer::Stored(_))
}

/// Publishes one after the other.
fn publish_all(hub: &Hub, names: &[&str], sent: &mut Vec<Sent>) -> Vec<Answer> {
    sent.extend(names.iter().map(|name| publish(hub.address(), name)));
    sent[sent.len() - names.len()..].iter().map(|sent| sent.answer.clone()).collect()
}

/// A stream that is told of what comes from now on, after one event that is stored.
fn listening(hub: &Hub, sent: &mut Vec<Sent>) -> (Reader, Vec<crate::history::Event>) {
    let mut reader = Reader::open(hub.address(), None).expect("a stream");
    publish_all(hub, &["first"], sent);
    let delivered = reader.through("first");
    (reader, delivered)
}

#[test]
fn after_an_i_o_error_nothing_is_taken_before_a_restart() {
    let Some(disk) = Disk::new() else { return };
    let (mut sent, hub) = (Vec::new(), disk.start(&SETTINGS));
    let (mut reader, delivered) = listening(&hub, &mut sent);
    disk.fail("sync EIO");
    assert_eq!(publish_all(&hub, &["in-doubt"], &mut sent), [Answer::Unknown]);
    assert_eq!(publish_all(&hub, &["refused"], &mut sent), [Answer::Refused]);
    let (status, _, why) = hub.get("/readyz");
    assert!(status == 503 && why.contains("check the disk and start again"), "{why}");
    // That the disk works again is not to be believed.
    disk.mend();
    for n in 0..20 {
        assert_eq!(publish_all(&hub, &[&format!("refused-{n}")], &mut sent), [Answer::Refused]);
    }
    assert_eq!(hub.get("/readyz").0, 503);
    // Who listens goes on, was not told of what is in doubt, and who comes is served.
    reader.comment();
    assert_eq!(Reader::open(hub.address(), Some("earliest")).expect("a stream").through("first"), delivered);
    drop(hub);

    let hub = disk.start(&SETTINGS);
    assert_eq!(hub.get("/readyz").0, 200);
    let mut found = kept(hub.address(), "earliest", "mark");
    found.pop();
    assert_eq!(check(&sent, &delivered, &found), Ok(()));
}

#[test]
fn a_write_that_fails_is_not_stored_and_an_i_o_error_is_no_full_disk() {
    let Some(disk) = Disk::new() else { return };
    let (mut sent, hub) = (Vec::new(), disk.start(&SETTINGS));
    let (_, delivered) = listening(&hub, &mut sent);
    disk.fail("write EIO");
    assert_eq!(publish_all(&hub, &["lost", "refused"], &mut sent), [Answer::Refused, Answer::Refused]);
    disk.mend();
    assert_eq!(publish_all(&hub, &["refused-too"], &mut sent), [Answer::Refused]);
    drop(hub);
    let hub = disk.start(&SETTINGS);
    let mut found = kept(hub.address(), "earliest", "mark");
    found.pop();
    assert_eq!(check(&sent, &delivered, &found), Ok(()));
}

/// Goal: a full disk is told as such, and goes on by itself when it has room; whether it is found by a write or by a sync.
#[test]
fn a_disk_that_was_full_goes_on_by_itself() {
    for (fault, first) in [("room ENOSPC", Answer::Refused), ("sync ENOSPC", Answer::Unknown)] {
        let Some(disk) = Disk::new() else { return };
        let (mut sent, hub) = (Vec::new(), disk.start(&SETTINGS));
        let (mut reader, mut delivered) = listening(&hub, &mut sent);
        disk.fail(fault);
        assert_eq!(publish_all(&hub, &["full", "refused"], &mut sent), [first, Answer::Refused], "{fault}");
        let (status, _, why) = hub.get("/readyz");
        assert!(status == 503 && why.contains("disk of the log is full"), "{why}");
        reader.comment();
        disk.mend();
        until_ready_is(&hub, 200);
        publish_all(&hub, &["after", "last"], &mut sent);
        assert!(sent[sent.len() - 2..].iter().all(stored), "{sent:?}");
        // On the same stream.
        while reader.peek_is_comment() {
            reader.comment();
        }
        delivered.extend(reader.through("last"));
        assert!(delivered.iter().all(|event| event.data != "full"), "{fault}");
        for (life, hub) in [Some(hub), None].into_iter().enumerate() {
            let hub = hub.unwrap_or_else(|| disk.start(&SETTINGS));
            let mut found = kept(hub.address(), "earliest", &format!("mark-{life}"));
            found.retain(|event| !event.data.starts_with("mark"));
            assert_eq!(check(&sent, &delivered, &found), Ok(()), "{fault}, life {life}");
        }
    }
}

/// Goal: what a new process shows is on the disk, also where a failed sync left it in the kernel's memory alone.
/// Method: a sync fails and the process is killed; the next one finds the whole group, shows it, and then the power goes.
#[test]
fn what_a_failed_sync_left_behind_is_written_again_before_anybody_sees_it() {
    let Some(disk) = Disk::new() else { return };
    let mut command = disk.command(&SETTINGS);
    command.env("FAULTS_LOST", disk.lost());
    let hub = Hub::of(command, 1);
    let mut sent = Vec::new();
    // Who leaves is told of in the log, and that would be what the sync fails for.
    let _stays = listening(&hub, &mut sent);
    // Nothing can be cut off either.
    disk.fail_both("sync EIO", "truncate EIO");
    let padding = "x".repeat(3_000);
    assert_eq!(publish_all(&hub, &[&format!("in-doubt-{padding}")], &mut sent), [Answer::Unknown]);
    drop(hub);

    disk.mend();
    let mut command = disk.command(&SETTINGS);
    command.env("FAULTS_LOST", disk.lost()).env("FAULTS_POWER", "20").env("FAULTS_SEED", "7");
    let mut hub = Hub::of(command, 1);
    let shown = Reader::open(hub.address(), Some("earliest")).expect("a stream").through(&sent[1].data);
    assert_eq!(shown.len(), 2);
    let mut n = 0;
    while sent.last().is_some_and(|sent| n == 0 || stored(sent)) {
        publish_all(&hub, &[&format!("more-{n}")], &mut sent);
        n += 1;
    }
    hub.wait();

    let hub = try_start(disk.command(&SETTINGS)).unwrap_or_else(|code| panic!("{code:?}: {}", disk.said()));
    let mut found = kept(hub.address(), "earliest", "mark");
    found.pop();
    assert_eq!(check(&sent, &shown, &found), Ok(()));
}
