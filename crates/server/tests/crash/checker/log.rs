//! Holds a log against what publishers sent and were answered: P4, and P1 as far as publishers can see it.
//!
//! It knows nothing of subscribers.

use std::collections::hash_map::Entry as MapEntry;
use std::collections::{HashMap, HashSet};

use super::{MadeBy, Promise, Sent, Violation};
use crate::history::{Entry, History, Log, Outcome, Publication, Tick};

pub(super) fn check(history: &History, sent: &Sent<'_>, violations: &mut Vec<Violation>) {
    let mut held = Vec::with_capacity(history.logs.len());
    for (number, log) in history.logs.iter().enumerate() {
        for entry in &log.entries {
            if let Some(sentence) = stranger(history, sent, number, entry) {
                violations.push(p4(&entry.id, sentence));
            }
        }
        if let Some(before) = number.checked_sub(1).and_then(|before| history.logs.get(before)) {
            begins_as(history, sent, before, number, violations);
        }
        held.push(once(log, violations));
        in_order_of_time(log, sent, violations);
    }
    if history.logs.last().is_none_or(|log| !log.whole) {
        let sentence = "the log could not be read to its end when all was over".to_owned();
        violations.push(Violation::of(Promise::P4, None, sentence));
    }
    if let Some(read_back) = &history.read_back {
        read_as_stored(read_back, history.logs.last(), sent, violations);
    }
    for publication in &history.publications {
        let number = history.log_of(publication.life);
        if let Some(violation) = unkept(publication, &history.logs[number], &held[number]) {
            violations.push(violation);
        }
    }
}

fn p4(id: &str, sentence: String) -> Violation {
    Violation::of(Promise::P4, Some(MadeBy::of(id)), sentence)
}

/// What a hub reads is what is stored: all of it, or what retention has left.
fn read_as_stored(read: &Log, stored: Option<&Log>, sent: &Sent<'_>, violations: &mut Vec<Violation>) {
    // Nobody reads with a token here.
    let is_public = |entry: &&Entry| sent.find(&entry.data).is_none_or(|publication| !publication.private);
    let mut stored: Vec<_> = stored.iter().flat_map(|log| &log.entries).filter(is_public).collect();
    // What nobody had an answer to may be stored as late as that.
    let end = read.entries.last().and_then(|last| stored.iter().rposition(|entry| entry.data == last.data));
    stored.truncate(end.map_or(stored.len(), |end| end + 1));
    let missing = stored.len().checked_sub(read.entries.len());
    let is_end = missing.is_some_and(|missing| {
        let mut pairs = stored[missing..].iter().zip(&read.entries);
        pairs.all(|(stored, read)| stored.id == read.id && stored.data == read.data)
    });
    if !read.whole || !is_end {
        let sentence = format!(
            "the log was read back otherwise than it is stored: {} entries of {}, {}",
            read.entries.len(),
            stored.len(),
            if read.whole { "to its end" } else { "not to its end" }
        );
        violations.push(Violation::of(Promise::P4, None, sentence));
    }
}

/// Why an entry may not be in this log at all.
fn stranger(history: &History, sent: &Sent<'_>, number: usize, entry: &Entry) -> Option<String> {
    let Entry { id, data, .. } = entry;
    let Some(publication) = sent.find(data) else {
        return Some(format!("the log holds {data:?} (id {id}), which nobody sent"));
    };
    if publication.outcome == Outcome::Refused {
        return Some(format!("the log holds {data:?} (id {id}), which was refused"));
    }
    if history.log_of(publication.life) != number
        && !history.may_be_of_any_log(publication)
        && !history.is_left_in(number, publication)
    {
        return Some(format!("log {number} holds {data:?}, which was sent to another"));
    }
    match &publication.chosen_id {
        Some(chosen) if chosen != id => {
            Some(format!("the log gives {data:?} the id {id}; its publisher chose {chosen}"))
        }
        None if MadeBy::of(id) != MadeBy::Hub => {
            Some(format!("the log gives {data:?} the id {id}, which is none of the hub's"))
        }
        _ => None,
    }
}

/// What is left of a log stands in the next as it stood there, from the first entry on.
fn begins_as(
    history: &History,
    sent: &Sent<'_>,
    before: &Log,
    number: usize,
    violations: &mut Vec<Violation>,
) {
    let is_left = |entry: &&Entry| sent.find(&entry.data).is_some_and(|of| history.is_left_in(number, of));
    let left = history.logs[number].entries.iter().filter(is_left);
    for (entry, first) in left.zip(&before.entries) {
        if entry.data != first.data {
            let sentence = format!("{:?} stands in log {number} where {:?} stood", entry.data, first.data);
            violations.push(Violation::of(Promise::P1, Some(MadeBy::of(&entry.id)), sentence));
            return;
        }
    }
}

/// The ids of a log by what their entries say; reports what stands there twice.
fn once<'h>(log: &'h Log, violations: &mut Vec<Violation>) -> HashMap<&'h str, &'h str> {
    let (mut held, mut ids) = (HashMap::new(), HashSet::new());
    for Entry { id, data, .. } in &log.entries {
        match held.entry(&**data) {
            // The first one stays: it is what the answer was about.
            MapEntry::Occupied(_) => violations.push(p4(id, format!("the log holds {data:?} twice"))),
            MapEntry::Vacant(free) => {
                free.insert(&**id);
                if !ids.insert(id) {
                    violations.push(p4(id, format!("two entries of the log have the id {id}")));
                }
            }
        }
    }
    held
}

/// Whoever had the answer before another began to send stands before it in the log.
fn in_order_of_time(log: &Log, sent: &Sent<'_>, violations: &mut Vec<Violation>) {
    // From the end: of the entries behind, the one that was acknowledged first.
    let mut first: Option<(Tick, &str)> = None;
    for Entry { id, data, .. } in log.entries.iter().rev() {
        let Some(publication) = sent.find(data) else { continue };
        if let Some((at, behind)) = first.filter(|(at, _)| *at < publication.sent) {
            let sentence = format!(
                "{data:?} stands before {behind:?} in the log, but was sent (at {}) when that one had been acknowledged (at {at})",
                publication.sent
            );
            violations.push(Violation::of(Promise::P1, Some(MadeBy::of(id)), sentence));
        }
        match publication.outcome {
            Outcome::Acknowledged { at, .. } if first.is_none_or(|(earliest, _)| at < earliest) => {
                first = Some((at, data));
            }
            _ => {}
        }
    }
}

/// What was answered and is not so.
fn unkept(publication: &Publication, log: &Log, held: &HashMap<&str, &str>) -> Option<Violation> {
    let data = &publication.data;
    match &publication.outcome {
        Outcome::Acknowledged { id, .. } => match held.get(&**data) {
            Some(logged) if logged == id => None,
            Some(logged) => {
                Some(p4(id, format!("{data:?} was acknowledged as {id}, but the log has it as {logged}")))
            }
            // Where the log was not read to its end, it may have stood behind.
            None if !log.whole => None,
            None => Some(p4(id, format!("{data:?} was acknowledged as {id}, but is not in the log"))),
        },
        Outcome::Absurd { answer } => {
            let id = publication.chosen_id.as_deref().map(MadeBy::of);
            let sentence = format!("to {data:?} the hub answered {answer:?}");
            Some(Violation::of(Promise::P4, id, sentence))
        }
        Outcome::Refused | Outcome::Unknown => None,
    }
}
