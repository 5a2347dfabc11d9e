//! Median and its interval, without assuming how figures are distributed.
//!
//! The interval is that of the sign test: two of the sorted figures, the same number of places from either end, between
//! which the median lies with at least 95%; where there are too few figures for that, the smallest and the largest, and
//! what that is worth. It knows no units.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the interval is to cover.
const WANTED: f64 = 0.95;

/// The middle of some figures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// The probability with which the interval covers the median of what was measured.
    pub(crate) coverage: f64,
    pub(crate) count: usize,
}

/// Summarises `figures`; `None` if there is none, or one that is no number.
pub(crate) fn summarise(figures: &[f64]) -> Option<Summary> {
    if figures.is_empty() || figures.iter().any(|figure| figure.is_nan()) {
        return None;
    }
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len();
    let median = f64::midpoint(sorted[(count - 1) / 2], sorted[count / 2]);
    let (skipped, coverage) = interval(count);
    Some(Summary { median, low: sorted[skipped], high: sorted[count - 1 - skipped], coverage, count })
}

/// Summarises the ratios of figures by round: each to the other's of the same round, where that has one above 0.
pub(crate) fn ratios(own: &BTreeMap<usize, f64>, other: &BTreeMap<usize, f64>) -> Option<Summary> {
    let ratio = |(round, own): (&usize, &f64)| Some(own / other.get(round).filter(|other| **other > 0.0)?);
    summarise(&own.iter().filter_map(ratio).collect::<Vec<_>>())
}

/// How many of `count` sorted figures lie outside the interval at each end, and what the interval covers.
///
/// With `skipped` outside, the median is missed when at most `skipped` of `count` coin tosses show heads, or tails.
fn interval(count: usize) -> (usize, f64) {
    // P(exactly 0 heads); for thousands of figures it is too small for a number, and so is every error then.
    let mut exactly = 0.5_f64.powf(count as f64);
    let mut at_most = exactly;
    let mut best = (0, (1.0 - 2.0 * at_most).max(0.0));
    for skipped in 1..count / 2 {
        exactly *= (count - skipped + 1) as f64 / skipped as f64;
        at_most += exactly;
        let coverage = 1.0 - 2.0 * at_most;
        if coverage < WANTED {
            break;
        }
        best = (skipped, coverage);
    }
    best
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Source: the table of the sign test's confidence intervals, e.g. Conover, Practical Nonparametric Statistics, A3.
    #[test]
    fn the_interval_is_the_sign_tests() {
        for (count, skipped, coverage) in [
            (1, 0, 0.0),
            (2, 0, 0.5),
            (5, 0, 0.9375),
            (6, 0, 0.96875),
            (8, 0, 0.992_187_5),
            (9, 1, 0.960_937_5),
            (15, 3, 0.964_843_75),
            (20, 5, 0.958_610_534_668),
        ] {
            let (got_skipped, got) = interval(count);
            assert_eq!(got_skipped, skipped, "{count}");
            assert!((got - coverage).abs() < 1e-9, "{count}: {got}");
        }
    }

    /// Goal: the formula agrees with what it is derived from.
    /// Method: all 2^count ways in which figures can lie below or above the median.
    #[test]
    fn the_interval_covers_what_it_says_by_enumeration() {
        for count in 1..=14_u32 {
            let (skipped, coverage) = interval(count as usize);
            let covered = (0..1_u32 << count)
                .filter(|below| {
                    let below = below.count_ones() as usize;
                    below > skipped && count as usize - below > skipped
                })
                .count();
            let share = covered as f64 / f64::from(1_u32 << count);
            assert!((share - coverage).abs() < 1e-9, "{count}: {share} {coverage}");
        }
    }

    #[test]
    fn the_median_of_an_even_count_lies_in_the_middle() {
        let summary = summarise(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert!((summary.median - 2.5).abs() < 1e-12);
        assert_eq!((summary.low, summary.high, summary.count), (1.0, 4.0, 4));
    }

    #[test]
    fn nine_figures_leave_out_the_smallest_and_the_largest() {
        let summary = summarise(&[9.0, 1.0, 8.0, 2.0, 7.0, 3.0, 6.0, 4.0, 5.0]).unwrap();
        assert_eq!((summary.low, summary.median, summary.high), (2.0, 5.0, 8.0));
    }

    #[test]
    fn no_figures_have_no_summary() {
        assert_eq!(summarise(&[]), None);
        assert_eq!(summarise(&[1.0, f64::NAN]), None);
    }
}
