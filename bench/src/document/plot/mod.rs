//! The plots of the page, as SVG: what is drawn of which part of a set.
//!
//! It calculates medians and ratios through [`measured`](super::measured) alone; how a plot looks is in [`draw`].

mod draw;
mod style;

use super::measured::{Case, During, Figure, Percentile, outstanding};
use super::set::Set;
use super::{NOT_MEASURED, tables, words};
use crate::compare::{FLOOR_SEND, Report};
use draw::{Axis, Line, Panel, Point, Row};

/// A plot, which may be missing.
pub(super) struct Plot {
    /// In the folder of plots.
    pub(super) file: &'static str,
    /// A sentence without its full stop.
    title: String,
    pub(super) svg: Option<String>,
}

/// All of them, in the order of the page.
pub(super) fn all(set: &Set) -> anyhow::Result<Vec<Plot>> {
    Ok(vec![cpu(set)?, batch(set)?, memory(set)?, latency(set)?])
}

/// The plots as the page shows them.
pub(super) fn section(plots: &[Plot], folder: &str) -> String {
    let shown = plots.iter().map(|Plot { file, title, svg }| match svg {
        Some(_) => format!("![{title}]({folder}/{file})\n\n{title}.\n\n"),
        None => format!("{title}: {NOT_MEASURED}\n\n"),
    });
    shown.collect()
}

/// CPU for one delivery over subscribers.
fn cpu(set: &Set) -> anyhow::Result<Plot> {
    let title =
        "CPU for one delivery over subscribers, one event at a time, as a ratio to the bare loop of `send`"
            .to_owned();
    let svg = set.sizes.as_ref().map(|report| {
        let lines = lines(report, |contestant| {
            let point = |&subscribers: &usize| {
                let figure = Figure::Cpu(During::OneAtATime);
                Some((subscribers, Case { report, subscribers, contestant }.ratio(FLOOR_SEND, figure)?))
            };
            let points = report.subscribers.iter().filter_map(point);
            points
                .map(|(subscribers, ratio)| Point {
                    x: subscribers as f64,
                    y: ratio.median,
                    interval: Some((ratio.low, ratio.high)),
                })
                .collect()
        });
        let panel = Panel {
            caption: String::new(),
            x: Axis::logarithmic("subscribers", report.subscribers.iter().map(|&count| count as f64)),
            y: Axis::logarithmic_over("CPU for one delivery ÷ floor-send", &lines, 0),
            lines,
        };
        draw::panels("CPU for one delivery, one event at a time", &[panel])
    });
    plot("cpu.svg", title, svg)
}

/// Deliveries/s over outstanding publications.
fn batch(set: &Set) -> anyhow::Result<Plot> {
    let subscribers = set.batch.as_ref().and_then(|report| report.subscribers.first().copied());
    let title = format!(
        "Deliveries a second over publications that may lack a delivery at once{}",
        subscribers.map_or_else(String::new, |count| format!(", {}", words::plural(count, "subscriber")))
    );
    let svg = set.batch.as_ref().zip(subscribers).map(|(report, subscribers)| {
        let all = outstanding(report);
        let lines = lines(report, |contestant| {
            let case = Case { report, subscribers, contestant };
            let point = |&most: &usize| {
                let rate = case.absolute(Figure::DeliveriesPerS(During::Outstanding(most)))?;
                Some(Point { x: most as f64, y: rate.median, interval: Some((rate.low, rate.high)) })
            };
            all.iter().filter_map(point).collect()
        });
        let panel = Panel {
            caption: String::new(),
            x: Axis::logarithmic("publications outstanding", all.iter().map(|&most| most as f64)),
            y: Axis::logarithmic_over("deliveries a second", &lines, 1),
            lines,
        };
        draw::panels(&format!("Deliveries a second, {}", words::plural(subscribers, "subscriber")), &[panel])
    });
    plot("batch.svg", title, svg)
}

/// Memory for an idle subscriber by contestant, with the most subscribers that were measured.
fn memory(set: &Set) -> anyhow::Result<Plot> {
    let subscribers = set.sizes.as_ref().and_then(|report| report.subscribers.iter().copied().max());
    let title = format!(
        "Memory for an idle subscriber{}: circles are RSS, diamonds live heap where the server tells it",
        subscribers.map_or_else(String::new, |count| format!(", {}", words::plural(count, "subscriber")))
    );
    let svg = set.sizes.as_ref().zip(subscribers).map(|(report, subscribers)| {
        let rows: Vec<Row> = report
            .contestants
            .iter()
            .filter_map(|contestant| {
                let case = Case { report, subscribers, contestant };
                let heap = case.absolute(Figure::IdleHeap).map(|heap| heap.median);
                let rss = case.absolute(Figure::IdleRss)?.median;
                Some(Row { contestant: contestant.clone(), circle: rss, diamond: heap })
            })
            .collect();
        let title = format!("Memory for an idle subscriber, {}", words::plural(subscribers, "subscriber"));
        draw::rows(&title, "bytes for each subscriber", ["RSS", "live heap"], &rows)
    });
    plot("memory.svg", title, svg)
}

/// Percentiles of latency by contestant, one event at a time and saturated.
fn latency(set: &Set) -> anyhow::Result<Plot> {
    let subscribers = tables::SHORT;
    let title = format!(
        "Latency from sending a publication to reading its event, {}: medians over the rounds",
        words::plural(subscribers, "subscriber")
    );
    let report = set.sizes.as_ref().filter(|report| report.subscribers.contains(&subscribers));
    let svg = report.map(|report| {
        let phases = [(During::OneAtATime, "one event at a time"), (During::Saturated, "saturated")];
        let panels = phases.map(|(during, caption)| {
            let lines = lines(report, |contestant| {
                let case = Case { report, subscribers, contestant };
                let percentiles = Percentile::ALL.iter().enumerate();
                percentiles
                    .filter_map(|(place, (percentile, _))| {
                        let latency = case.absolute(Figure::Latency(during, *percentile))?;
                        Some(Point { x: place as f64, y: latency.median, interval: None })
                    })
                    .collect()
            });
            Panel {
                caption: caption.to_owned(),
                x: Axis::named("percentile", &Percentile::ALL.map(|(_, name)| name)),
                y: Axis::logarithmic_over("latency, µs", &lines, 0),
                lines,
            }
        });
        draw::panels(&format!("Latency, {}", words::plural(subscribers, "subscriber")), &panels)
    });
    plot("latency.svg", title, svg)
}

/// One for each contestant that has points, in the order in which they are drawn.
fn lines(report: &Report, points: impl Fn(&str) -> Vec<Point>) -> Vec<Line> {
    let mut lines: Vec<Line> = report
        .contestants
        .iter()
        .map(|contestant| Line { contestant: contestant.clone(), points: points(contestant) })
        .filter(|line| !line.points.is_empty())
        .collect();
    lines.sort_by_key(|line| style::is_hub(&line.contestant));
    lines
}

fn plot(
    file: &'static str,
    title: String,
    svg: Option<anyhow::Result<Option<String>>>,
) -> anyhow::Result<Plot> {
    Ok(Plot { file, title, svg: svg.transpose()?.flatten() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::measured::tests::report;
    use super::*;

    /// Goal: every plot names all who are on it, its axes and itself, and can be drawn from a single round.
    /// Method: one round of two contestants; the texts of the SVG.
    #[test]
    fn a_plot_of_one_round_names_its_contestants_and_axes() {
        let mut sizes = report(&[(0, FLOOR_SEND, 4.0), (0, "fanfare", 6.0)]);
        sizes.subscribers = vec![1_000];
        for turn in &mut sizes.turns {
            turn.subscribers = 1_000;
        }
        let set = Set {
            batch: Some(report(&[(0, FLOOR_SEND, 4.0), (0, "fanfare", 6.0)])),
            sizes: Some(sizes),
            ..Set::default()
        };
        for (plot, axes) in all(&set).unwrap().iter().zip([
            ["subscribers", "CPU for one delivery ÷ floor-send"],
            ["publications outstanding", "deliveries a second"],
            ["bytes for each subscriber", "RSS"],
            ["percentile", "latency, µs"],
        ]) {
            let svg = plot.svg.as_ref().unwrap();
            for text in axes.into_iter().chain([FLOOR_SEND, "fanfare", "<title>"]) {
                assert!(svg.contains(text), "{}: {text}\n{svg}", plot.file);
            }
        }
        // No ratio without a floor, and nothing to draw.
        let alone = Set { sizes: Some(report(&[(0, "fanfare", 6.0)])), ..Set::default() };
        assert!(all(&alone).unwrap()[0].svg.is_none());
    }
}
