//! Values by what a text begins or ends with.
//!
//! A text's beginnings are looked up one by one, for each length that occurs, so the costs of a look-up grow with those and
//! not with how many values there are. It decides nothing about what it finds.

use std::collections::hash_map::RandomState;

use hashbrown::HashMap;
use smallvec::SmallVec;

/// At which end of a text to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Start,
    End,
}

/// Something that is forgotten when nothing is left in it.
pub(crate) trait Empties: Default {
    fn is_empty(&self) -> bool;
}

/// Values by affix: what all texts begin with, or end with, that find them.
pub(crate) struct Affixes<T> {
    at: HashMap<Box<str>, T, RandomState>,
    /// How many distinct affixes have each length, in bytes; the shortest first.
    lengths: SmallVec<[(u8, u32); 2]>,
}

impl<T> Default for Affixes<T> {
    fn default() -> Self {
        Self { at: HashMap::default(), lengths: SmallVec::new() }
    }
}

impl<T: Empties> Empties for Affixes<T> {
    fn is_empty(&self) -> bool {
        self.at.is_empty()
    }
}

impl Side {
    /// Bounds the look-ups for one text, for strangers choose the affixes; what they agree in beyond is left to evaluation.
    pub(crate) const BYTES_MAX: usize = 128;

    /// The part of an affix that is kept, and where to look for it.
    fn cut(self, affix: &str) -> (u8, &str) {
        let is_long = affix.len() > Self::BYTES_MAX;
        let mut end = if is_long { Self::BYTES_MAX } else { affix.len() };
        while !affix.is_char_boundary(self.index(affix, end)) {
            end -= 1;
        }
        let length = u8::try_from(end).unwrap_or(u8::MAX);
        (length, self.part(affix, end).unwrap_or_default())
    }

    fn index(self, text: &str, bytes: usize) -> usize {
        if self == Self::Start { bytes } else { text.len() - bytes }
    }

    /// So many bytes of a text; `None` if it is shorter, or has no character's end there.
    fn part(self, text: &str, bytes: usize) -> Option<&str> {
        match self {
            Self::Start => text.get(..bytes),
            Self::End => text.get(text.len().checked_sub(bytes)?..),
        }
    }
}

impl<T: Empties> Affixes<T> {
    /// What an affix has, if it has anything.
    pub(crate) fn get(&self, side: Side, affix: &str) -> Option<&T> {
        self.at.get(side.cut(affix).1)
    }

    /// Changes what an affix has, which is nothing before and may be nothing afterwards.
    pub(crate) fn change(&mut self, side: Side, affix: &str, change: impl FnOnce(&mut T)) {
        let (length, affix) = side.cut(affix);
        let Some(value) = self.at.get_mut(affix) else {
            let mut value = T::default();
            change(&mut value);
            if !value.is_empty() {
                self.at.insert(affix.into(), value);
                match self.lengths.binary_search_by_key(&length, |&(each, _)| each) {
                    Ok(at) => self.lengths[at].1 += 1,
                    Err(at) => self.lengths.insert(at, (length, 1)),
                }
            }
            return;
        };
        change(value);
        if value.is_empty() {
            self.at.remove(affix);
            if let Ok(at) = self.lengths.binary_search_by_key(&length, |&(each, _)| each) {
                self.lengths[at].1 -= 1;
                if self.lengths[at].1 == 0 {
                    self.lengths.remove(at);
                }
            }
        }
    }

    /// Visits what the affixes of `text` have.
    pub(crate) fn each(&self, side: Side, text: &str, mut visit: impl FnMut(&T)) {
        for &(length, _) in &self.lengths {
            if let Some(value) = side.part(text, length.into()).and_then(|affix| self.at.get(affix)) {
                visit(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Empties for Vec<u32> {
        fn is_empty(&self) -> bool {
            self.is_empty()
        }
    }

    #[test]
    fn an_affix_is_cut_between_characters() {
        let long = ["é".repeat(64), "x".to_owned()].concat();
        assert_eq!(Side::Start.cut(&long), (128, &long[..128]));
        assert_eq!(Side::End.cut(&long), (127, &long[2..]));
        assert_eq!(Side::Start.cut(""), (0, ""));
        assert_eq!(Side::End.cut("aé"), (3, "aé"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Goal: values come and go, and a text finds those whose affix it has, each once.
        /// Method: random changes against a list that is walked.
        #[test]
        fn a_text_finds_the_values_of_its_affixes_and_no_others(
            ops in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 0..60),
            at_end in any::<bool>(),
        ) {
            let side = if at_end { Side::End } else { Side::Start };
            let long = ["x".repeat(127), "é".repeat(40), "y".to_owned()].concat();
            let turned: String = long.chars().rev().collect();
            let texts = [
                "", "a", "ab", "ba", "aé", "é", "b/", "b/c", &long[..127], &long[..129], &long, &turned, &turned[81..],
            ];
            let mut affixes = Affixes::<Vec<u32>>::default();
            let mut model: Vec<(u32, &str)> = Vec::new();
            for (number, (is_insert, index)) in (0..).zip(ops) {
                if is_insert || model.is_empty() {
                    let affix = *index.get(&texts);
                    affixes.change(side, affix, |value| value.push(number));
                    model.push((number, affix));
                } else {
                    let (number, affix) = model.remove(index.index(model.len()));
                    affixes.change(side, affix, |value| value.retain(|&each| each != number));
                }
                for text in texts {
                    let has = |affix: &str| {
                        let (_, affix) = side.cut(affix);
                        if at_end { text.ends_with(affix) } else { text.starts_with(affix) }
                    };
                    let expected: Vec<u32> = model.iter().filter(|(_, a)| has(a)).map(|(n, _)| *n).collect();
                    let mut found: Vec<u32> = Vec::new();
                    affixes.each(side, text, |value| found.extend(value));
                    found.sort_unstable();
                    prop_assert_eq!(found, expected, "{}", text);
                }
            }
            for (number, affix) in model {
                affixes.change(side, affix, |value| value.retain(|&each| each != number));
            }
            prop_assert!(affixes.is_empty() && affixes.lengths.is_empty());
        }
    }
}
