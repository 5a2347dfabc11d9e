//! Whatever is left of the end of a log, what was acknowledged before is there, and nothing else.
//!
//! The real loss of power, of the whole program, is played in the tests of `server`.

use std::fs;
use std::path::Path;

use fanfare_engine::DiskEngine;
use fanfare_wire::Event;
use proptest::prelude::*;

use crate::support::{files, folder, hub, id, next_data, publish_all, to};

/// What happens to the end of the newest segment. Places are parts of it, in sixteen bits.
#[derive(Clone, Debug)]
enum Tear {
    Cut(u16),
    /// Bytes from a place on become these.
    Scribble(u16, Vec<u8>),
    /// Sectors from a place on become zeros.
    Forget(u16, u8),
    /// More comes behind the end.
    Append(Vec<u8>),
}

fn tears() -> impl Strategy<Value = Vec<Tear>> {
    let tear = prop_oneof![
        any::<u16>().prop_map(Tear::Cut),
        (any::<u16>(), prop::collection::vec(any::<u8>(), 1..600))
            .prop_map(|(at, bytes)| Tear::Scribble(at, bytes)),
        (any::<u16>(), 1..4_u8).prop_map(|(at, sectors)| Tear::Forget(at, sectors)),
        prop::collection::vec(any::<u8>(), 1..600).prop_map(Tear::Append),
    ];
    prop::collection::vec(tear, 1..4)
}

/// Tears what stands from `from` on, and nothing before it.
fn torn(bytes: &[u8], from: usize, tears: &[Tear]) -> Vec<u8> {
    let (kept, end) = bytes.split_at(from);
    let mut end = end.to_vec();
    for tear in tears {
        let place = |at: u16, length: usize| usize::from(at) * length / 65_536;
        match tear {
            Tear::Cut(at) => end.truncate(place(*at, end.len())),
            Tear::Scribble(at, scribbled) => {
                let at = place(*at, end.len());
                end.iter_mut().skip(at).zip(scribbled).for_each(|(byte, scribbled)| *byte = *scribbled);
            }
            Tear::Forget(at, sectors) => {
                let at = place(*at, end.len());
                end.iter_mut().skip(at).take(usize::from(*sectors) * 512).for_each(|byte| *byte = 0);
            }
            Tear::Append(more) => end.extend_from_slice(more),
        }
    }
    [kept, &end].concat()
}

/// Publishes groups of some events each.
fn write(folder: &Path, groups: &[Vec<usize>]) {
    let hub = hub(DiskEngine::options(folder));
    for (number, group) in groups.iter().enumerate() {
        let events = group
            .iter()
            .enumerate()
            .map(|(event, bytes)| to(&["a"], Event::new(format!("{number}.{event} {}", "x".repeat(*bytes)))));
        publish_all(&hub, events);
    }
}

/// Where the last group begins, by its mark, which stands nowhere else in what is published here.
fn last_group(bytes: &[u8]) -> usize {
    bytes.windows(4).rposition(|four| four == b"UORG").expect("a group")
}

/// The names of what is kept, up to a mark that is published last.
fn kept(folder: &Path) -> Vec<String> {
    let hub = hub(DiskEngine::options(folder));
    let count = hub.counts().log_next;
    publish_all(&hub, [to(&["a"], Event::new("mark"))]);
    let mut subscription = hub.subscribe("a").bookmarks(false).after(id("earliest"));
    let mut names = next_data(&mut subscription, usize::try_from(count).expect("it fits"));
    assert_eq!(names.pop().as_deref(), Some("mark"));
    names.into_iter().map(|data| data.split(' ').next().unwrap_or_default().to_owned()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Goal: a loss of power in the middle of a commit costs nothing that was acknowledged, invents nothing, and what comes then is
    /// kept as well.
    #[test]
    fn a_torn_last_group_costs_nothing_that_was_acknowledged(
        groups in prop::collection::vec(prop::collection::vec(0..1_500_usize, 1..5), 1..6),
        first in tears(),
        second in tears(),
    ) {
        let folder = folder();
        write(folder.path(), &groups);
        let segment = files(folder.path(), "seg").remove(0);
        let bytes = fs::read(&segment).expect("read");
        fs::write(&segment, torn(&bytes, last_group(&bytes), &first)).expect("written");

        let name = |group: usize, event: usize| format!("{group}.{event}");
        let all: Vec<_> = (0..groups.len()).flat_map(|group| (0..groups[group].len()).map(move |event| name(group, event))).collect();
        let acknowledged = all.len() - groups.last().map_or(0, Vec::len);
        let found = kept(folder.path());
        // Publishers that hand in together may share a group or not, so that a part of the last ones may be whole.
        prop_assert!(found.len() >= acknowledged && found[..] == all[..found.len()], "{:?} of {:?}", found, all);

        // And once more, with the mark as the last group.
        let bytes = fs::read(&segment).expect("read");
        fs::write(&segment, torn(&bytes, last_group(&bytes), &second)).expect("written");
        let again: Vec<_> = kept(folder.path()).into_iter().filter(|name| name != "mark").collect();
        prop_assert_eq!(again, found);
    }
}
