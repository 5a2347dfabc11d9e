//! Values by segments of a path that a text has somewhere, one behind the other: `/users/7/` in `/en/users/7/news`.
//!
//! All runs of segments that a text has are looked up, for each number of segments that occurs, so the costs of a look-up grow
//! with the text and not with how many values there are. It decides nothing about what it finds.

use std::collections::hash_map::RandomState;

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::affixes::Empties;

/// The most segments that are looked for together.
const SEGMENTS_MAX: usize = 4;

/// The longest run that is looked for, in bytes: longer ones would cost every look-up.
#[cfg(any(feature = "urlpattern", feature = "uri-template"))]
const BYTES_MAX: usize = 128;

/// Values by run: some segments, with the slash before each and the one behind the last.
pub(crate) struct Runs<T> {
    at: HashMap<Box<str>, T, RandomState>,
    /// How many runs there are of one segment, of two, and so on.
    lengths: [u32; SEGMENTS_MAX],
}

impl<T> Default for Runs<T> {
    fn default() -> Self {
        Self { at: HashMap::default(), lengths: [0; SEGMENTS_MAX] }
    }
}

impl<T: Empties> Empties for Runs<T> {
    fn is_empty(&self) -> bool {
        self.at.is_empty()
    }
}

/// At which of `lengths` a run is counted.
fn length_of(run: &str) -> usize {
    run.bytes().filter(|&byte| byte == b'/').count().saturating_sub(2).min(SEGMENTS_MAX - 1)
}

/// The longest run that is wholly in one of `literals`. Of many segments the last ones are taken: ids stand behind names.
#[cfg(any(feature = "urlpattern", feature = "uri-template"))]
pub(crate) fn longest_run<'a>(literals: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let run_of = |literal: &'a str| {
        let (_, end) = (literal.find('/')?, literal.rfind('/')?);
        let starts = literal[..end].rmatch_indices('/').take(SEGMENTS_MAX);
        starts.map(|(start, _)| &literal[start..=end]).take_while(|run| run.len() <= BYTES_MAX).last()
    };
    literals.filter_map(run_of).max_by_key(|run| run.len())
}

impl<T: Empties> Runs<T> {
    /// What a run has, if it has anything.
    pub(crate) fn get(&self, run: &str) -> Option<&T> {
        self.at.get(run)
    }

    /// Changes what a run has, which is nothing before and may be nothing afterwards.
    pub(crate) fn change(&mut self, run: &str, change: impl FnOnce(&mut T)) {
        let Some(value) = self.at.get_mut(run) else {
            let mut value = T::default();
            change(&mut value);
            if !value.is_empty() {
                self.at.insert(run.into(), value);
                self.lengths[length_of(run)] += 1;
            }
            return;
        };
        change(value);
        if value.is_empty() {
            self.at.remove(run);
            self.lengths[length_of(run)] -= 1;
        }
    }

    /// Visits what the runs of `text` have, each once.
    pub(crate) fn each(&self, text: &str, mut visit: impl FnMut(&T)) {
        let slashes: SmallVec<[usize; 16]> = text.match_indices('/').map(|(at, _)| at).collect();
        let mut seen: SmallVec<[&str; 4]> = SmallVec::new();
        for (length, _) in self.lengths.iter().enumerate().filter(|(_, runs)| **runs > 0) {
            for ends in slashes.windows(length + 2) {
                let run = &text[ends[0]..=ends[length + 1]];
                let Some(value) = self.at.get(run) else { continue };
                // A text can have a run twice.
                if !seen.contains(&run) {
                    seen.push(run);
                    visit(value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[cfg(any(feature = "urlpattern", feature = "uri-template"))]
    #[test]
    fn the_longest_run_is_of_whole_segments_and_the_last_of_them() {
        let check = |literals: &[&str], expected| assert_eq!(longest_run(literals.iter().copied()), expected);
        check(&["/7/"], Some("/7/"));
        check(&["x/7/y", "/users/"], Some("/users/"));
        check(&["users/7"], None);
        check(&["/", "", "ab"], None);
        check(&["/1/2/3/4/5/"], Some("/2/3/4/5/"));
        let long = format!("/{}/7/", "x".repeat(BYTES_MAX));
        check(&[&long], Some("/7/"));
        check(&["//"], Some("//"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Goal: values come and go, and a text finds those whose run it has, each once.
        /// Method: random changes against a list that is walked.
        #[test]
        fn a_text_finds_the_values_of_its_runs_and_no_others(
            ops in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 0..60),
        ) {
            let names = ["/a/", "/b/", "/a/b/", "/a/a/", "//", "/é/b/a/", "/a/b/a/b/", "/a//b/"];
            let texts = ["", "/", "a", "/a", "/a/", "/a/b/a/b/", "x/a/b", "/a/a/a/", "//", "/é/b/a/x", "/a//b/", "///"];
            let mut runs = Runs::<Vec<u32>>::default();
            let mut model: Vec<(u32, &str)> = Vec::new();
            for (number, (is_insert, index)) in (0..).zip(ops) {
                if is_insert || model.is_empty() {
                    let run = *index.get(&names);
                    runs.change(run, |value| value.push(number));
                    model.push((number, run));
                } else {
                    let (number, run) = model.remove(index.index(model.len()));
                    runs.change(run, |value| value.retain(|&each| each != number));
                }
                for text in texts {
                    let has = |run: &str| text.contains(run);
                    let expected: Vec<u32> = model.iter().filter(|(_, run)| has(run)).map(|(n, _)| *n).collect();
                    let mut found: Vec<u32> = Vec::new();
                    runs.each(text, |value| found.extend(value));
                    found.sort_unstable();
                    prop_assert_eq!(found, expected, "{}", text);
                }
            }
            for (number, run) in model {
                runs.change(run, |value| value.retain(|&each| each != number));
            }
            prop_assert!(runs.is_empty() && runs.lengths == [0; SEGMENTS_MAX]);
        }
    }
}
