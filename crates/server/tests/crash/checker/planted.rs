//! The checker finds what is planted in a history, names the right promise, and passes a clean one.
//!
//! Each test takes a clean history, breaks one thing as a bad hub would, and expects exactly that violation.

use super::clean::{clean, clean_with_two_logs, connection, data, event, gap, id, publication};
use super::{MadeBy, Promise, check};
use std::time::Duration;

use fanfare_hub::{Check, IdKey, Place};

use crate::history::{Asks, Block, Entry, Head, History, LogAfterAKill, Outcome, Publication, Received};
use crate::plan::{Bearing, GRANTED};

/// Expects `plant` to break `promise` once, whoever made the ids, and nothing else.
#[track_caller]
fn finds(promise: Promise, in_words: &str, plant: impl Fn(&mut History, MadeBy)) {
    finds_in(clean, promise, in_words, plant);
}

#[track_caller]
fn finds_in(
    clean: fn(MadeBy) -> History,
    promise: Promise,
    in_words: &str,
    plant: impl Fn(&mut History, MadeBy),
) {
    for ids in [MadeBy::Hub, MadeBy::Publisher] {
        let mut history = clean(ids);
        plant(&mut history, ids);
        let found = check(&history);
        assert_eq!(found.len(), 1, "{ids:?}: {found:#?}");
        assert_eq!(found[0].promise, promise, "{}", found[0]);
        assert_eq!(found[0].id, Some(ids), "{}", found[0]);
        assert!(found[0].sentence.contains(in_words), "{}", found[0]);
    }
}

/// The blocks of the subscriber of everything, by connection.
fn all(history: &mut History, connection: usize) -> &mut Vec<Received> {
    &mut history.subscribers[0].connections[connection].received
}

#[test]
fn clean_histories_pass() {
    for ids in [MadeBy::Hub, MadeBy::Publisher] {
        for history in [clean(ids), clean_with_two_logs(ids)] {
            let found = check(&history);
            assert!(found.is_empty(), "{found:#?}\n{history}");
        }
    }
}

#[test]
fn a_subscriber_that_begins_late_is_owed_nothing_from_before() {
    for ids in [MadeBy::Hub, MadeBy::Publisher] {
        let mut history = clean(ids);
        all(&mut history, 0).drain(..3);
        assert!(check(&history).is_empty());
    }
}

#[test]
fn bookmarks_are_no_events_and_may_be_of_the_place_where_the_client_is() {
    let mut history = clean(MadeBy::Hub);
    let bookmark = |number: u64, at| Received { at, id: id(MadeBy::Hub, number), block: Block::Bookmark };
    all(&mut history, 0).push(bookmark(4, 46));
    // The subscriber of the odd topic is moved over an even one.
    let odd = &mut history.subscribers[1].connections;
    odd[0].received.push(bookmark(4, 46));
    odd[1].last_event_id = Some(id(MadeBy::Hub, 4));
    odd[1].head = Some(Head { status: 200, last_event_id: Some(id(MadeBy::Hub, 4)) });
    let found = check(&history);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_publication_of_unknown_outcome_may_be_logged_or_not() {
    let mut history = clean(MadeBy::Hub);
    history.publications[3].outcome = Outcome::Unknown;
    assert!(check(&history).is_empty());
    let lost = Publication { outcome: Outcome::Unknown, ..publication(MadeBy::Hub, 99) };
    history.publications.push(lost);
    assert!(check(&history).is_empty());
}

#[test]
fn a_loss_within_a_connection_is_found_p2() {
    finds(Promise::P2, "never received \"p/7\"", |history, _| {
        all(history, 1).remove(2);
    });
}

#[test]
fn a_loss_over_a_reconnection_is_found_p2() {
    finds(Promise::P2, "never received \"p/5\"", |history, _| {
        all(history, 1).remove(0);
    });
}

#[test]
fn a_loss_behind_a_first_bookmark_is_found_before_any_event_came_p2() {
    let mut history = clean(MadeBy::Hub);
    for known in [true, false] {
        let id = if known { id(MadeBy::Hub, 0) } else { "#1of-an-entry-with-a-publishers-id".to_owned() };
        let received = all(&mut history, 0);
        received.drain(..2);
        received.insert(0, Received { at: 9, id, block: Block::Bookmark });
        let found = check(&history);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].sentence.contains("never received \"p/1\""), "{}", found[0]);
        assert_eq!((found[0].promise, found[0].id), (Promise::P2, Some(MadeBy::Hub)));
        history = clean(MadeBy::Hub);
    }
}

#[test]
fn a_bookmark_beyond_what_was_received_is_a_loss_p2() {
    let mut history = clean(MadeBy::Hub);
    let ahead = id(MadeBy::Hub, 5);
    all(&mut history, 0).push(Received { at: 46, id: ahead.clone(), block: Block::Bookmark });
    let resumed = &mut history.subscribers[0].connections[1];
    resumed.last_event_id = Some(ahead.clone());
    resumed.head = Some(Head { status: 200, last_event_id: Some(ahead) });
    resumed.received.remove(0);
    let found = check(&history);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].sentence.contains("never received \"p/5\""), "{}", found[0]);
}

#[test]
fn who_never_catches_up_is_found_p2() {
    finds(Promise::P2, "published last of all", |history, _| history.subscribers[0].caught_up = false);
}

#[test]
fn an_answer_that_ends_an_event_source_is_found_p2() {
    let mut history = clean(MadeBy::Hub);
    history.subscribers[0].connections[1].head = Some(Head { status: 503, last_event_id: None });
    assert!(check(&history).iter().any(|found| found.sentence.contains("answered 503")));
}

#[test]
fn an_event_that_was_not_asked_for_is_found_p2() {
    finds(Promise::P2, "did not ask for", |history, ids| {
        history.subscribers[1].connections[1].received.insert(1, event(ids, 6));
    });
}

#[test]
fn a_double_within_a_connection_is_found_p3() {
    finds(Promise::P3, "received \"p/6\" twice", |history, ids| all(history, 1).insert(3, event(ids, 6)));
}

#[test]
fn a_resume_before_the_right_place_is_found_p3() {
    finds(Promise::P3, "received \"p/4\" twice", |history, ids| all(history, 1).insert(0, event(ids, 4)));
}

#[test]
fn a_resume_behind_the_right_place_is_found_p2() {
    for ids in [MadeBy::Hub, MadeBy::Publisher] {
        let mut history = clean(ids);
        all(&mut history, 1).drain(..2);
        let found = check(&history);
        assert_eq!(found.len(), 2, "{found:#?}");
        assert!(found.iter().all(|found| (found.promise, found.id) == (Promise::P2, Some(ids))));
    }
}

#[test]
fn a_swap_is_found_and_no_loss_p1() {
    finds(Promise::P1, "received \"p/6\" after", |history, _| all(history, 1).swap(1, 2));
}

#[test]
fn a_log_in_another_order_than_that_of_the_answers_is_found_p1() {
    finds(Promise::P1, "stands before", |history, ids| {
        history.logs[0].entries.swap(2, 3);
        // Everybody received it like that.
        all(history, 0).swap(2, 3);
        // The odd one saw one of the two only.
        assert_eq!(history.subscribers[1].connections[0].received[1], event(ids, 3));
    });
}

#[test]
fn a_client_that_is_sent_back_is_found_p1() {
    let mut history = clean(MadeBy::Hub);
    let bookmark = Received { at: 46, id: id(MadeBy::Hub, 2), block: Block::Bookmark };
    all(&mut history, 0).insert(4, bookmark);
    let found = check(&history);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].promise, Promise::P1);
}

#[test]
fn an_acknowledged_event_that_the_log_lost_is_found_p4() {
    finds(Promise::P4, "acknowledged as", |history, ids| {
        history.logs[0].entries.remove(4);
        // It was delivered to nobody, either.
        all(history, 0).pop();
        let resumed = &mut history.subscribers[0].connections[1];
        resumed.last_event_id = Some(id(ids, 3));
        resumed.head = Some(Head { status: 200, last_event_id: Some(id(ids, 3)) });
    });
}

#[test]
fn a_delivered_event_that_the_log_lost_is_found_p4() {
    finds(Promise::P4, "received \"p/4\", which is not in the log", |history, _| {
        history.publications[4].outcome = Outcome::Unknown;
        history.logs[0].entries.remove(4);
    });
}

#[test]
fn an_invented_event_is_found_in_the_log_and_with_the_subscriber_p4() {
    finds(Promise::P4, "which nobody sent", |history, ids| {
        let entry = Entry { id: id(ids, 77), data: "p/77".to_owned(), position: 78 };
        history.logs[0].entries.insert(3, entry);
    });
    finds(Promise::P4, "which nobody sent", |history, ids| all(history, 0).insert(3, event(ids, 77)));
}

#[test]
fn a_refused_event_in_the_log_is_found_p4() {
    finds(Promise::P4, "which was refused", |history, ids| {
        history.publications.push(Publication { outcome: Outcome::Refused, ..publication(ids, 77) });
        history.logs[0].entries.push(Entry { id: id(ids, 77), data: data(77), position: 78 });
    });
}

#[test]
fn an_event_that_the_log_holds_twice_is_found_p4() {
    finds(Promise::P4, "holds \"p/9\" twice", |history, ids| {
        // Sent again and stored again: the hub's id is another one, a publisher's the same.
        let again = if ids == MadeBy::Hub { id(ids, 77) } else { id(ids, 9) };
        history.logs[0].entries.push(Entry { id: again, data: data(9), position: 11 });
    });
}

#[test]
fn an_id_that_two_entries_have_is_found_p4() {
    let mut history = clean(MadeBy::Hub);
    let last = history.logs[0].entries.len() - 1;
    history.logs[0].entries[last].id = id(MadeBy::Hub, 2);
    let found = check(&history);
    assert!(found.iter().any(|found| found.sentence.contains("two entries of the log have")), "{found:#?}");
}

#[test]
fn an_answer_with_another_id_than_the_logs_is_found_p4() {
    finds(Promise::P4, "but the log has it as", |history, ids| {
        history.publications[4].outcome = Outcome::Acknowledged { id: id(ids, 77), at: 45 };
    });
}

#[test]
fn a_log_that_cannot_be_read_to_its_end_is_found_p4() {
    for mut history in [clean(MadeBy::Hub), clean_with_two_logs(MadeBy::Hub)] {
        history.logs.last_mut().expect("a log").whole = false;
        let found = check(&history);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert_eq!(found[0].promise, Promise::P4);
    }
}

#[test]
fn an_absurd_answer_and_an_unasked_end_are_found_p4() {
    let mut history = clean(MadeBy::Hub);
    history.publications[4].outcome = Outcome::Absurd { answer: "500 oh".to_owned() };
    history.unasked_ends.push("exit status 1".to_owned());
    let found = check(&history);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found.iter().all(|found| found.promise == Promise::P4));
}

#[test]
fn a_false_gap_is_found_p6() {
    finds(Promise::P6, "nothing was lost", |history, ids| {
        // The gap is in its place and takes nothing away; it is false all the same.
        let last = id(ids, 4);
        all(history, 1).insert(0, gap("trimmed", &last, &last));
    });
    finds(Promise::P6, "nothing was lost", |history, ids| {
        let last = id(ids, 6);
        all(history, 1).insert(2, gap("trimmed", &last, &last));
    });
}

#[test]
fn an_answer_to_go_on_elsewhere_is_found_p6() {
    finds(Promise::P6, "was answered to go on after", |history, _| {
        let earliest = Some("earliest".to_owned());
        history.subscribers[0].connections[1].head = Some(Head { status: 200, last_event_id: earliest });
    });
}

#[test]
fn an_event_with_an_id_of_another_is_found_p6() {
    finds(Promise::P6, "the log has it as", |history, ids| {
        all(history, 1)[1].id = id(ids, 2);
    });
}

#[test]
fn a_resume_in_another_log_without_a_gap_is_found_p6() {
    finds_in(clean_with_two_logs, Promise::P6, "instead of a gap", |history, _| {
        all(history, 1).remove(0);
    });
}

#[test]
fn a_gap_of_a_wrong_reason_or_after_another_id_is_found_p6() {
    finds_in(clean_with_two_logs, Promise::P6, "was told a gap `trimmed` instead", |history, ids| {
        all(history, 1)[0] = gap("trimmed", &id(ids, 4), "#1start");
    });
    finds_in(clean_with_two_logs, Promise::P6, "but stood at", |history, ids| {
        let reason = if ids == MadeBy::Hub { "rewound" } else { "unknown" };
        all(history, 1)[0] = gap(reason, &id(ids, 1), "#1start");
    });
}

#[test]
fn a_gap_that_is_told_again_is_found_p6() {
    let mut history = clean_with_two_logs(MadeBy::Hub);
    let received = all(&mut history, 1).split_off(1);
    let again = [vec![gap("rewound", "#1start", "#1start")], received].concat();
    let third = connection(1, Some("#1start"), Some("#1start"), again);
    history.subscribers[0].connections.push(third);
    let found = check(&history);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].promise, Promise::P6);
}

#[test]
fn a_loss_behind_a_gap_is_found_p2() {
    let mut history = clean_with_two_logs(MadeBy::Hub);
    all(&mut history, 1).remove(1);
    let found = check(&history);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].sentence.contains("never received \"p/6\""), "{}", found[0]);
}

#[test]
fn events_behind_what_is_known_of_a_killed_log_come_last_p1() {
    let mut history = clean_with_two_logs(MadeBy::Hub);
    // The log was read up to the third event only, but the subscribers have two more: nothing is wrong with that.
    history.logs[0].entries.truncate(3);
    assert!(check(&history).is_empty());
    all(&mut history, 0).swap(2, 4);
    let found = check(&history);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].promise, Promise::P1);
}

#[test]
fn an_event_of_a_log_that_is_gone_is_found_p4() {
    finds_in(clean_with_two_logs, Promise::P4, "was sent to another log", |history, ids| {
        all(history, 1).insert(2, event(ids, 2));
    });
}

/// What a broken promise was, and whether it is an over-claim.
fn found_in(history: &History) -> Vec<(Promise, bool)> {
    check(history).iter().map(|found| (found.promise, found.is_over_claim)).collect()
}

/// The clean history of a log that keeps so many entries, in which the second connection is told a gap instead of the sixth to eighth event.
fn with_a_gap_over_three(kept: usize) -> History {
    let mut history = clean(MadeBy::Hub);
    history.kept = Some(kept);
    history.subscribers.truncate(1);
    let (before, behind) = (id(MadeBy::Hub, 4), id(MadeBy::Hub, 7));
    let second = &mut history.subscribers[0].connections[1];
    second.head = Some(Head { status: 200, last_event_id: Some("earliest".to_owned()) });
    second.received.drain(..3);
    second.received.insert(0, Received { at: 1_000, ..gap("trimmed", &before, &behind) });
    history
}

#[test]
fn a_gap_over_what_the_log_had_dropped_is_due_and_one_over_what_it_still_held_is_found_p2() {
    assert_eq!(found_in(&with_a_gap_over_three(2)), []);
    assert_eq!(found_in(&with_a_gap_over_three(3)), [(Promise::P2, false)]);
    let mut early = with_a_gap_over_three(2);
    // Told before the tenth event was sent, which took the place of the eighth.
    all(&mut early, 1)[0].at = 90;
    assert_eq!(found_in(&early), [(Promise::P2, false)]);
}

#[test]
fn a_gap_that_covers_nothing_is_an_over_claim() {
    let mut history = with_a_gap_over_three(2);
    // Nothing of what it covers was asked for.
    history.subscribers[0].asks = Asks::Topics(vec!["odd"]);
    for publication in &mut history.publications[5..8] {
        publication.topics = vec!["even"];
    }
    for connection in &mut history.subscribers[0].connections {
        connection
            .received
            .retain(|received| !["p/0", "p/2", "p/4", "p/8"].iter().any(|data| received.begins_with(data)));
    }
    let last = id(MadeBy::Hub, 3);
    history.subscribers[0].connections[1].last_event_id = Some(last.clone());
    all(&mut history, 1)[0] = Received { at: 1_000, ..gap("trimmed", &last, &id(MadeBy::Hub, 7)) };
    assert_eq!(found_in(&history), [(Promise::P6, true)]);
}

#[test]
fn what_is_private_is_for_whoever_has_a_grant_p7() {
    let mut history = clean(MadeBy::Hub);
    history.publications[3].private = true;
    assert!(found_in(&history).iter().all(|found| *found == (Promise::P7, false)));
    assert_eq!(found_in(&history).len(), 2);
    history.subscribers[0].bears = Bearing::Lasting;
    history.publications[3].topics = vec![GRANTED];
    history.subscribers.truncate(1);
    assert_eq!(found_in(&history), []);
}

#[test]
fn an_event_after_the_end_of_a_token_or_its_revocation_is_found_p7() {
    let mut history = clean(MadeBy::Hub);
    history.subscribers.truncate(1);
    let second = &mut history.subscribers[0].connections[1];
    second.token_until = Some(Duration::from_secs(7));
    // The tenth was sent two seconds later.
    assert_eq!(found_in(&history), [(Promise::P7, false)]);
    history.subscribers[0].connections[1].token_until = None;
    history.subscribers[0].bears = Bearing::Revoked;
    history.revoked_at = Some(Duration::from_secs(3));
    assert_eq!(found_in(&history), [(Promise::P7, false)]);
    history.revoked_at = Some(Duration::from_secs(4));
    assert_eq!(found_in(&history), []);
}

#[test]
fn a_node_that_grows_is_found_p5() {
    let history = History { peak_kib: 1 << 20, ..clean(MadeBy::Hub) };
    assert_eq!(found_in(&history), [(Promise::P5, false)]);
}

#[test]
fn a_log_that_a_hub_reads_otherwise_is_found_p4() {
    let mut history = clean(MadeBy::Hub);
    history.read_back = Some(history.logs[0].clone());
    assert_eq!(found_in(&history), []);
    history.read_back.as_mut().unwrap().entries.remove(3);
    assert_eq!(found_in(&history), [(Promise::P4, false)]);
}

/// The clean history with two logs, of which nobody knows by a connection which it is: it is recreated between two events.
fn recreated(ids: MadeBy) -> History {
    let mut history = clean_with_two_logs(ids);
    history.log_after_a_kill = LogAfterAKill::IsRecreated;
    history.logs[0].whole = true;
    history.begun = vec![50];
    // Only a log whose key is known can be told by an id.
    let key = IdKey::new([7; 16]);
    let start = key.encipher(Place { epoch: 9, position: 6, check: Check::START });
    history.logs[1].key = Some((key, 9));
    for subscriber in &mut history.subscribers {
        start.as_str().clone_into(&mut subscriber.connections[1].received[0].id);
    }
    history
}

#[test]
fn a_log_that_is_recreated_has_to_be_told_wherever_it_comes() {
    for ids in [MadeBy::Hub, MadeBy::Publisher] {
        let mut history = recreated(ids);
        assert_eq!(found_in(&history), []);
        // The same to one who stays connected.
        for subscriber in &mut history.subscribers {
            let mut second = subscriber.connections.remove(1).received;
            let stood_at = subscriber.connections[0].received.last().unwrap().id.clone();
            second[0] = gap("rewound", &stood_at, &second[0].id);
            subscriber.connections[0].received.append(&mut second);
        }
        assert_eq!(found_in(&history), []);
        all(&mut history, 0).remove(5);
        assert_eq!(found_in(&history), [(Promise::P6, false)]);
    }
}

/// The same with a log that loses its end: the second begins with four of the five entries that the first had.
fn lost() -> History {
    let mut history = recreated(MadeBy::Hub);
    history.log_after_a_kill = LogAfterAKill::LosesItsEnd;
    let mut left = history.logs[0].entries[..4].to_vec();
    for (number, entry) in left.iter_mut().enumerate() {
        // Of another epoch, so every id is another.
        entry.id = format!("#1left{number}");
    }
    history.logs[1].entries.splice(..0, left);
    history
}

#[test]
fn what_is_left_of_a_log_that_lost_its_end_is_what_it_was_and_its_loss_is_told() {
    let history = lost();
    assert_eq!(found_in(&history), []);

    let mut history = lost();
    history.logs[1].entries.swap(1, 2);
    assert_eq!(found_in(&history), [(Promise::P1, false), (Promise::P1, false)]);

    let mut history = lost();
    for subscriber in &mut history.subscribers {
        subscriber.connections[1].received.remove(0);
    }
    let found = found_in(&history);
    assert!(!found.is_empty() && found.iter().all(|(promise, _)| *promise == Promise::P6), "{found:?}");

    // What is sent once the end is lost is kept as ever.
    let mut history = lost();
    history.logs[1].entries.pop();
    assert!(found_in(&history).contains(&(Promise::P4, false)));
}
