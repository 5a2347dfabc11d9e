//! The tables of figures: in short, with a readership for each subscriber, and memory.
//!
//! It judges nothing.

use super::measured::{Case, During, Figure};
use super::set::Set;
use super::{NOT_MEASURED, provenance, words};
use crate::compare::{FLOOR_CURSOR, FLOOR_SEND, Report};

/// How many subscribers the first table is about.
pub(super) const SHORT: usize = 1_000;

/// A column: its heading and what stands in it.
struct Column {
    heading: &'static str,
    figure: Figure,
    shows: Shows,
}

#[derive(Clone, Copy)]
enum Shows {
    /// The median and its interval, with so many digits behind the point.
    Amount(usize),
    RatioTo(&'static str),
}

const ONE_AT_A_TIME: Figure = Figure::Cpu(During::OneAtATime);
const SATURATED: Figure = Figure::Cpu(During::Saturated);
const RATE: Figure = Figure::DeliveriesPerS(During::Saturated);

/// Every contestant with a thousand subscribers, and who took no part.
pub(super) fn in_short(set: &Set) -> String {
    let columns = [
        Column {
            heading: "CPU for one delivery, one event at a time, ÷ `floor-send`",
            figure: ONE_AT_A_TIME,
            shows: Shows::RatioTo(FLOOR_SEND),
        },
        Column { heading: "deliveries/s, saturated", figure: RATE, shows: Shows::Amount(0) },
        Column {
            heading: "memory (RSS) for an idle subscriber, bytes",
            figure: Figure::IdleRss,
            shows: Shows::Amount(0),
        },
        Column { heading: "of it live heap, bytes", figure: Figure::IdleHeap, shows: Shows::Amount(0) },
    ];
    let table = set.sizes.as_ref().filter(|report| report.subscribers.contains(&SHORT)).map_or_else(
        || format!("{NOT_MEASURED}\n\n"),
        |report| {
            format!(
                "{} on one topic.\n\n{}",
                words::plural(SHORT, "subscriber"),
                table(report, SHORT, &columns)
            )
        },
    );
    table + &provenance::absent(set)
}

/// Floors and hubs where no two subscribers share a selection.
pub(super) fn own(set: &Set) -> String {
    let columns = [
        Column {
            heading: "CPU for one delivery, one event at a time, ÷ `floor-cursor`",
            figure: ONE_AT_A_TIME,
            shows: Shows::RatioTo(FLOOR_CURSOR),
        },
        Column {
            heading: "saturated, ÷ `floor-cursor`",
            figure: SATURATED,
            shows: Shows::RatioTo(FLOOR_CURSOR),
        },
        Column {
            heading: "deliveries/s, saturated, ÷ `floor-cursor`",
            figure: RATE,
            shows: Shows::RatioTo(FLOOR_CURSOR),
        },
        Column { heading: "deliveries/s, saturated", figure: RATE, shows: Shows::Amount(0) },
        Column {
            heading: "live heap for an idle subscriber, bytes",
            figure: Figure::IdleHeap,
            shows: Shows::Amount(0),
        },
    ];
    let explanation =
        "Each subscriber asks for the topic that is published to, and for one that nobody else asks for.\n\n";
    let Some(report) = &set.own else { return format!("{explanation}{NOT_MEASURED}\n") };
    let tables = report.subscribers.iter().map(|&subscribers| {
        format!(
            "### {}\n\n{}",
            words::plural(subscribers, "subscriber"),
            table(report, subscribers, &columns)
        )
    });
    explanation.to_owned() + &tables.collect::<String>()
}

/// With one topic and with four.
pub(super) fn memory(set: &Set) -> String {
    let columns = [
        Column { heading: "live heap, bytes", figure: Figure::IdleHeap, shows: Shows::Amount(0) },
        Column { heading: "RSS, bytes", figure: Figure::IdleRss, shows: Shows::Amount(0) },
    ];
    let topics =
        [("One topic, which all share", &set.idle_1), ("Four topics, three of them its own", &set.idle_4)];
    let tables = topics.into_iter().flat_map(|(title, report)| match report {
        None => vec![format!("### {title}\n\n{NOT_MEASURED}\n\n")],
        Some(report) => {
            let tables = report.subscribers.iter().map(|&subscribers| {
                let subscribed = words::plural(subscribers, "subscriber");
                format!("### {title}\n\n{subscribed}.\n\n{}", table(report, subscribers, &columns))
            });
            tables.collect()
        }
    });
    tables.collect()
}

fn table(report: &Report, subscribers: usize, columns: &[Column]) -> String {
    let headings = columns.iter().map(|column| column.heading.to_owned());
    let headings: Vec<String> = std::iter::once(String::new()).chain(headings).collect();
    let rows = report.contestants.iter().map(|contestant| {
        let case = Case { report, subscribers, contestant };
        let cells = columns.iter().map(|column| {
            words::cell(match column.shows {
                Shows::Amount(digits) => {
                    case.absolute(column.figure).map(|summary| words::interval(&summary, digits))
                }
                Shows::RatioTo(floor) if floor == contestant => Some("1".to_owned()),
                Shows::RatioTo(floor) => {
                    case.ratio(floor, column.figure).map(|summary| words::interval(&summary, 2))
                }
            })
        });
        std::iter::once(format!("`{contestant}`")).chain(cells).collect()
    });
    words::table(&headings, &rows.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::super::measured::tests::report;
    use super::*;

    #[test]
    fn a_table_has_a_row_for_every_contestant_and_a_dash_where_there_is_no_figure() {
        let report = report(&[(0, FLOOR_CURSOR, 4.0), (0, "x", 6.0), (1, FLOOR_CURSOR, 4.0), (1, "x", 8.0)]);
        let text = own(&Set { own: Some(report), ..Set::default() });
        assert!(text.contains("### 10 subscribers"), "{text}");
        assert!(text.contains("| `floor-cursor` | 1 | 1 | 1 | 256 (256–256) | – |"), "{text}");
        let x = "| `x` | 1.75 (1.50–2.00) | 1.75 (1.50–2.00) | 1.75 (1.50–2.00) | 448 (384–512) | – |";
        assert!(text.contains(x), "{text}");
    }
}
