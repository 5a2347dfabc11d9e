//! The situations: a table for each, its figures in words.
//!
//! It knows no situation but by what is in its outcome, so a new one appears by itself. It judges nothing.

use super::set::{Set, scenario_name};
use super::{NOT_MEASURED, provenance, words};
use crate::scenario::{Name, Outcome};
use clap::ValueEnum as _;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// All of them.
pub(super) fn section(set: &Set) -> String {
    let mut out = String::new();
    for &name in Name::value_variants() {
        let help = name.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string));
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "### `{}`: {}\n",
            scenario_name(name),
            help.unwrap_or_default().trim_end_matches('.')
        );
        match set.scenario(name).map(|played| played.outcomes.as_slice()) {
            None | Some([]) => {
                out += NOT_MEASURED;
                out += "\n\n";
            }
            Some(outcomes) => {
                out += &table(outcomes);
                sentences(&mut out, outcomes);
            }
        }
    }
    out
}

/// A row for each figure, then for each ratio; a column for each contestant.
fn table(outcomes: &[Outcome]) -> String {
    let headings = outcomes.iter().map(|outcome| format!("`{}`", outcome.contestant));
    let headings: Vec<String> = std::iter::once(String::new()).chain(headings).collect();
    let figures: BTreeSet<&String> = outcomes.iter().flat_map(|outcome| outcome.figures.keys()).collect();
    let mut figures: Vec<&String> = figures.into_iter().collect();
    // The maximum behind the percentiles.
    figures.sort_by_cached_key(|name| name.replace("_max_", "_p_max_"));
    let ratios: BTreeSet<&String> = outcomes.iter().flat_map(|outcome| outcome.ratios.keys()).collect();
    let subscribers = outcomes.iter().map(|outcome| words::count(outcome.subscribers));
    let mut rows = vec![std::iter::once("subscribers".to_owned()).chain(subscribers).collect::<Vec<_>>()];
    rows.extend(figures.into_iter().map(|name| {
        let cells = outcomes
            .iter()
            .map(|outcome| words::cell(outcome.figures.get(name).copied().map(words::rounded)));
        std::iter::once(in_words(name)).chain(cells).collect()
    }));
    rows.extend(ratios.into_iter().map(|name| {
        let cells = outcomes
            .iter()
            .map(|outcome| words::cell(outcome.ratios.get(name).map(|ratio| words::interval(ratio, 2))));
        std::iter::once(in_words(name)).chain(cells).collect()
    }));
    words::table(&headings, &rows)
}

/// Wrong deliveries, broken promises and what was not tried, or that all was well.
fn sentences(out: &mut String, outcomes: &[Outcome]) {
    for Outcome { contestant, faults, broken, untried, .. } in outcomes {
        // Writing to a string cannot fail.
        if !faults.is_none() {
            let _ = writeln!(
                out,
                "**`{contestant}`, deliveries wrong**: {}.\n",
                provenance::faults_in_words(faults)
            );
        }
        for sentence in broken {
            let _ = writeln!(out, "**`{contestant}`, promise broken**: {sentence}.\n");
        }
        for sentence in untried {
            let _ = writeln!(out, "`{contestant}`, not tried: {sentence}.\n");
        }
    }
    if outcomes.iter().all(Outcome::passed) {
        out.push_str("Every delivery was right, and every promise that was tried was kept.\n\n");
    }
}

/// Beginnings of names that say too little outside their situation. The first that fits is taken.
const BEGINNINGS: [(&str, &str); 17] = [
    ("latency without", "latency in quiet"),
    ("latency with", "latency meanwhile"),
    ("answering with", "answer to a publication meanwhile"),
    ("answering", "answer to a publication"),
    ("answer p99", "answer to a publication p99"),
    ("arrival p99", "arrival of a publication p99"),
    ("all back", "until all were back"),
    ("all caught up", "until all had everything"),
    ("connects", "connections accepted"),
    ("told of one gap", "subscribers told of one gap"),
    ("stalled", "subscribers that stalled"),
    ("cut", "of them cut"),
    ("idle rss", "idle memory (RSS)"),
    ("rss growth", "memory (RSS) gained"),
    ("rss before", "memory (RSS) before"),
    ("rss peak", "memory (RSS) at most"),
    ("rss", "memory (RSS)"),
];

/// A figure's name with its unit at the end: `all_back_s` is "until all were back, s".
///
/// A unit is a word of the name; a ratio has none, and `to` before what it is a ratio to.
fn in_words(name: &str) -> String {
    let is_ratio = name.contains("_to_");
    let (mut said, mut unit) = (Vec::new(), None);
    let mut previous = "";
    for word in name.split('_') {
        let found = match word {
            "s" if previous == "per" => None,
            "s" | "ms" | "bytes" => Some(word),
            "us" => Some("µs"),
            "mib" => Some("MiB"),
            "kib" => Some("KiB"),
            _ => None,
        };
        if found.is_some() {
            unit = found;
        } else {
            said.push(match word {
                "per" => "a",
                "s" => "second",
                "to" => "÷",
                "cpu" => "CPU",
                "publishers" => "publishers'",
                "http1" => "HTTP/1.1",
                "http2" => "HTTP/2",
                "tls" => "TLS",
                word => word,
            });
        }
        previous = word;
    }
    let mut text = said.join(" ");
    if let Some((from, to)) = BEGINNINGS.iter().find(|(from, _)| text.starts_with(from)) {
        text.replace_range(..from.len(), to);
    }
    // What comes as a figure of several ways or parts is set apart.
    for apart in [
        "p50",
        "p99",
        "max",
        "one at a time",
        "saturated",
        "HTTP/1.1",
        "HTTP/2",
        "1 under way",
        "64 under way",
        "512 under way",
        "with publishers'",
    ] {
        text = text.replace(&format!(" {apart}"), &format!(", {apart}"));
    }
    text = text.replace("÷, ", "÷ ").replace("CPU a ", "CPU for one ");
    match unit.filter(|_| !is_ratio) {
        Some(unit) => format!("{text}, {unit}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Played;

    #[test]
    fn a_figure_is_named_in_words_with_its_unit() {
        for (name, words) in [
            ("latency_without_p99_ms", "latency in quiet, p99, ms"),
            ("latency_p99_with_to_without", "latency, p99 with ÷ without"),
            ("publications_per_s_one_at_a_time", "publications a second, one at a time"),
            (
                "publications_per_s_saturated_to_floor-cursor",
                "publications a second, saturated ÷ floor-cursor",
            ),
            ("cpu_us_per_delivery_saturated_http2", "CPU for one delivery, saturated, HTTP/2, µs"),
            (
                "answer_p99_ms_64_under_way_with_publishers_ids",
                "answer to a publication, p99, 64 under way, with publishers' ids, ms",
            ),
            ("publications_per_s_1_under_way_to_memory", "publications a second, 1 under way ÷ memory"),
            ("idle_heap_bytes_http2_to_http1", "idle heap, HTTP/2 ÷ HTTP/1.1"),
            ("idle_rss_bytes_http1_over_tls_to_http1", "idle memory (RSS), HTTP/1.1 over TLS ÷ HTTP/1.1"),
            ("cpu_per_publication_to_exact_topics", "CPU for one publication ÷ exact topics"),
            ("all_back_s", "until all were back, s"),
            ("rss_kib_for_each_stalled", "memory (RSS) for each stalled, KiB"),
            ("never_seen_before_mib", "never seen before, MiB"),
        ] {
            assert_eq!(in_words(name), words);
        }
    }

    #[test]
    fn a_broken_promise_is_a_sentence_on_the_page() {
        let mut outcome = Outcome::new(Name::Storm, "x", 3_000);
        outcome.count("cut", 2);
        outcome.broken.push("one did not come back".to_owned());
        outcome.untried.push("whether it sings".to_owned());
        let environment = super::super::measured::tests::report(&[]).environment;
        let played = Played { environment, outcomes: vec![outcome] };
        let text = section(&Set { scenarios: vec![(Name::Storm, played)], ..Set::default() });
        assert!(text.contains("| subscribers | 3,000 |\n| of them cut | 2 |"), "{text}");
        assert!(text.contains("**`x`, promise broken**: one did not come back."), "{text}");
        assert!(text.contains("`x`, not tried: whether it sings."), "{text}");
        assert!(!text.contains("was kept"), "{text}");
    }
}
