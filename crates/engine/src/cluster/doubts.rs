//! Whether a store still holds the log that was told, and whether that was sure all the time.

/// Counts up whenever that comes in doubt and whenever it is settled: what was read is of the log if this was the same before and after,
/// and not in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Doubts(u64);

impl Default for Doubts {
    /// In doubt: nothing was looked at yet.
    fn default() -> Self {
        Self(1)
    }
}

impl Doubts {
    /// It is not known any more.
    pub(crate) fn raise(&mut self) {
        self.0 += 1 - self.0 % 2;
    }

    /// The store was held against what was told, and is it.
    pub(crate) fn settle(&mut self) {
        self.0 += self.0 % 2;
    }

    pub(crate) fn are_open(self) -> bool {
        self.0 % 2 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubt_that_came_and_was_settled_in_between_is_noticed() {
        let mut doubts = Doubts::default();
        assert!(doubts.are_open());
        doubts.settle();
        let before = doubts;
        doubts.settle();
        assert_eq!(doubts, before);
        doubts.raise();
        doubts.raise();
        assert!(doubts.are_open());
        doubts.settle();
        assert!(!doubts.are_open() && doubts != before);
    }
}
