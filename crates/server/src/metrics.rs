//! Writes the hub's counts as Prometheus reads them.
//!
//! It counts nothing itself. The format is [text exposition 0.0.4][format]; every line carries the hub's name, because
//! several hubs in one server will come.
//!
//! [format]: https://prometheus.io/docs/instrumenting/exposition_formats/

use std::fmt::Write;

use fanfare_engine::disk::DiskCounts;
use fanfare_fanout::Ended;
use fanfare_http::{RevocationCounts, ServeCounts};
use fanfare_hub::Counts;

/// What the answer says of itself.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is written, and of which hub.
pub(crate) struct Page<'a> {
    hub: &'a str,
    text: String,
}

impl<'a> Page<'a> {
    /// Begins a page for the hub of this name, which is one that a store can be called by.
    pub(crate) fn of(hub: &'a str) -> Self {
        Self { hub, text: String::with_capacity(8_192) }
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    fn write(&mut self, metrics: &[Metric<'_>]) {
        let Self { hub, text } = self;
        for (name, kind, help, values) in metrics {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# HELP fanfare_{name} {help}\n# TYPE fanfare_{name} {kind}");
            for (label, value) in *values {
                let comma = if label.is_empty() { "" } else { "," };
                let _ = writeln!(text, "fanfare_{name}{{hub=\"{hub}\"{comma}{label}}} {value}");
            }
        }
    }
}

/// One metric: its name, type, and what it means; then its values, each with the label that tells it from the others.
type Metric<'a> = (&'a str, &'a str, &'a str, &'a [(&'a str, u64)]);

/// Writes what a hub and its connections have counted.
pub(crate) fn write_all(
    page: &mut Page<'_>,
    hub: &Counts,
    serve: &ServeCounts,
    fanout: &fanfare_fanout::Counts,
    heap: u64,
) {
    write_hub(page, hub);
    write_connections(page, serve, fanout, heap);
}

fn write_hub(page: &mut Page<'_>, hub: &Counts) {
    let metrics: &[Metric<'_>] = &[
        ("subscribers", "gauge", "Subscribers now.", &[("", hub.subscribers)]),
        ("readerships", "gauge", "Distinct pairs of selection and grant now.", &[("", hub.readerships)]),
        ("publications_total", "counter", "Publications taken into the log.", &[("", hub.publications)]),
        (
            "publications_duplicate_total",
            "counter",
            "Publications that an earlier attempt with the same idempotency key had stored already.",
            &[("", hub.publications_duplicate)],
        ),
        ("deliveries_total", "counter", "Events handed to subscribers.", &[("", hub.deliveries)]),
        (
            "delivered_bytes_total",
            "counter",
            "Bytes of the events handed to subscribers.",
            &[("", hub.delivered_bytes)],
        ),
        ("bookmarks_total", "counter", "Bookmarks handed to subscribers.", &[("", hub.bookmarks)]),
        (
            "gaps_total",
            "counter",
            "Gaps that subscribers were told about.",
            &[
                ("reason=\"trimmed\"", hub.gaps_trimmed),
                ("reason=\"rewound\"", hub.gaps_rewound),
                ("reason=\"unknown\"", hub.gaps_unknown),
                ("reason=\"expired\"", hub.gaps_expired),
            ],
        ),
        (
            "resumes_total",
            "counter",
            "How subscriptions began.",
            &[
                ("outcome=\"fresh\"", hub.resumes_fresh),
                ("outcome=\"earliest\"", hub.resumes_earliest),
                ("outcome=\"resumed\"", hub.resumes_exact),
                ("outcome=\"gap\"", hub.resumes_gap),
                ("outcome=\"over\"", hub.resumes_over),
            ],
        ),
        (
            "subscribers_refused_total",
            "counter",
            "Subscriptions refused because the hub was full.",
            &[("", hub.subscribers_refused)],
        ),
        (
            "selections_bytes",
            "gauge",
            "What subscribers ask for and are granted takes in memory, in bytes, but for patterns.",
            &[("", hub.selections_bytes)],
        ),
        (
            "patterns",
            "gauge",
            "Different patterns that subscribers ask for or are granted.",
            &[("", hub.patterns)],
        ),
        ("patterns_bytes", "gauge", "What they take in memory, in bytes.", &[("", hub.patterns_bytes)]),
        (
            "patterns_unfound",
            "gauge",
            "Patterns that no literal in path or query finds: each is held against every topic of its host.",
            &[("", hub.patterns_unfound)],
        ),
        (
            "pattern_evaluations_total",
            "counter",
            "How often a pattern was held against an entry's topics.",
            &[("", hub.pattern_evaluations)],
        ),
        (
            "catch_up_reads_total",
            "counter",
            "How often the log was read for all who catch up together.",
            &[("", hub.catch_up_reads)],
        ),
        (
            "catch_up_bytes",
            "gauge",
            "What is kept in memory for those who catch up, in bytes.",
            &[("", hub.catch_up_bytes)],
        ),
        ("log_oldest_position", "gauge", "The oldest position that is kept.", &[("", hub.log_oldest)]),
        ("log_next_position", "gauge", "The position that the next entry will have.", &[("", hub.log_next)]),
        ("log_entries", "gauge", "Entries that are kept.", &[("", hub.log_entries)]),
        ("log_bytes", "gauge", "What the kept entries cost, in bytes.", &[("", hub.log_bytes)]),
    ];
    page.write(metrics);
}

fn write_connections(page: &mut Page<'_>, serve: &ServeCounts, fanout: &fanfare_fanout::Counts, heap: u64) {
    let ended = Ended::ALL.map(|how| (format!("reason=\"{}\"", how.as_str()), fanout.ended(how)));
    let ended = ended.each_ref().map(|(label, count)| (label.as_str(), *count));
    let metrics: &[Metric<'_>] = &[
        (
            "subscribers_cut_total",
            "counter",
            "Connections cut because their client took no bytes in time.",
            &[("", serve.connections_cut())],
        ),
        (
            "connections",
            "gauge",
            "Open connections, whatever they are used for.",
            &[("", serve.connections_open())],
        ),
        (
            "fanout_connections",
            "gauge",
            "Open connections that the fan-out writes to.",
            &[("", fanout.connections)],
        ),
        (
            "fanout_connections_full",
            "gauge",
            "Connections whose client takes no bytes while some wait.",
            &[("", fanout.full)],
        ),
        (
            "fanout_collected_bytes",
            "gauge",
            "Bytes collected for clients that catch up, until they take them.",
            &[("", fanout.collected_bytes)],
        ),
        ("fanout_writes_total", "counter", "Writes that the kernel was asked for.", &[("", fanout.writes)]),
        ("fanout_ended_total", "counter", "Connections of the fan-out that have ended.", &ended),
        ("heap_live_bytes", "gauge", "Bytes that this process has allocated and not freed.", &[("", heap)]),
        ("connections_total", "counter", "Connections accepted.", &[("", serve.connections_opened())]),
        (
            "accept_failures_total",
            "counter",
            "Failures to accept a connection.",
            &[("", serve.accept_failures())],
        ),
        (
            "handshake_failures_total",
            "counter",
            "Connections that did not get as far as a request: TLS, or the PROXY protocol.",
            &[("", serve.handshake_failures())],
        ),
        (
            "refused_per_client_total",
            "counter",
            "Requests and connections refused because their client had as many as it may.",
            &[("", serve.refused_per_client())],
        ),
        (
            "refused_full_total",
            "counter",
            "Requests and connections refused because there were as many connections as there may be.",
            &[("", serve.refused_full())],
        ),
    ];
    page.write(metrics);
}

/// Writes the metrics of what was revoked.
pub(crate) fn write_revocations(page: &mut Page<'_>, counts: &RevocationCounts) {
    let metrics: &[Metric<'_>] = &[
        ("revocations", "gauge", "Revocations of tokens that hold now.", &[("", counts.held)]),
        (
            "revoked_streams_total",
            "counter",
            "Streams that were cut because their token was revoked.",
            &[("", counts.streams_cut)],
        ),
        (
            "revoked_requests_total",
            "counter",
            "Requests that were refused because their token is revoked.",
            &[("", counts.requests_refused)],
        ),
    ];
    page.write(metrics);
}

/// Writes the metrics of a log on Redis.
#[cfg(feature = "redis")]
pub(crate) fn write_redis(page: &mut Page<'_>, redis: &fanfare_engine::redis::RedisCounts) {
    let metrics: &[Metric<'_>] = &[
        (
            "redis_connected",
            "gauge",
            "1 if there is a connection to Redis.",
            &[("", u64::from(redis.connected))],
        ),
        (
            "redis_indexed_ids",
            "gauge",
            "Entries that have an id of their publisher's, of which this node knows the place.",
            &[("", redis.indexed_ids)],
        ),
        (
            "redis_unreadable_total",
            "counter",
            "Entries of the log that cannot be read here.",
            &[("", redis.unreadable)],
        ),
    ];
    page.write(metrics);
}

/// Writes the metrics of a log on NATS.
#[cfg(feature = "nats")]
pub(crate) fn write_nats(page: &mut Page<'_>, nats: &fanfare_engine::nats::NatsCounts) {
    let metrics: &[Metric<'_>] = &[
        (
            "nats_connected",
            "gauge",
            "1 if there is a connection to a server of NATS.",
            &[("", u64::from(nats.connected))],
        ),
        (
            "nats_indexed_ids",
            "gauge",
            "Entries that have an id of their publisher's, of which this node knows the place.",
            &[("", nats.indexed_ids)],
        ),
        (
            "nats_unreadable_total",
            "counter",
            "Messages of the stream that were no entries which can be read here.",
            &[("", nats.unreadable)],
        ),
    ];
    page.write(metrics);
}

/// Writes the metrics of a log on disk.
pub(crate) fn write_disk(page: &mut Page<'_>, disk: &DiskCounts) {
    let metrics: &[Metric<'_>] = &[
        ("disk_oldest_position", "gauge", "The oldest position that is kept on disk.", &[("", disk.oldest)]),
        ("disk_segments", "gauge", "Files of entries.", &[("", disk.segments)]),
        ("disk_bytes", "gauge", "Bytes of the log's files.", &[("", disk.bytes)]),
        (
            "disk_groups_total",
            "counter",
            "Groups of publications written to disk; each is one sync, unless --durability os.",
            &[("", disk.groups)],
        ),
        (
            "disk_damaged_total",
            "counter",
            "How often an entry was to be read that is damaged on disk.",
            &[("", disk.damaged)],
        ),
    ];
    page.write(metrics);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(counts: &Counts) -> String {
        let mut page = Page::of("shop");
        write_all(&mut page, counts, &ServeCounts::default(), &fanfare_fanout::Counts::default(), 1);
        page.into_text()
    }

    #[test]
    fn every_line_is_a_comment_or_a_value_with_the_name_of_the_hub() {
        let text = text(&Counts::default());
        assert!(
            text.contains("# TYPE fanfare_subscribers gauge\nfanfare_subscribers{hub=\"shop\"} 0\n"),
            "{text}"
        );
        assert!(text.contains("fanfare_gaps_total{hub=\"shop\",reason=\"rewound\"} 0\n"), "{text}");
        for line in text.lines().filter(|line| !line.starts_with("# ")) {
            let (name, rest) = line.split_once("{hub=\"shop\"").expect("the label");
            assert!(name.starts_with("fanfare_"), "{line}");
            let (_, value) = rest.rsplit_once("} ").expect("a value");
            value.parse::<u64>().expect("a number");
        }
    }

    #[test]
    fn what_is_asked_for_is_told_in_bytes() {
        let hub = fanfare_hub::Hub::builder().build().expect("a hub");
        let _subscription = hub.subscribe("x".repeat(1_000));
        let counts = hub.counts();
        assert!((1_000..2_000).contains(&counts.selections_bytes), "{counts:?}");
        let text = text(&counts);
        let line = format!("\nfanfare_selections_bytes{{hub=\"shop\"}} {}\n", counts.selections_bytes);
        assert!(text.contains(&line), "{line}{text}");
    }

    #[test]
    fn patterns_are_told_with_their_bytes_and_how_many_no_literal_finds() {
        let hub = fanfare_hub::Hub::builder().build().expect("a hub");
        let pattern = |text| fanfare_hub::Matcher::url_pattern(text, "https://hub.test/").expect("a pattern");
        let selection = fanfare_hub::Selection::from_iter(["/a/:id", "/:a/b/*", "/:a/:b"].map(pattern));
        let _subscription = hub.subscribe(selection);
        let counts = hub.counts();
        let text = text(&counts);
        for (name, value) in [("", 3), ("_bytes", counts.patterns_bytes), ("_unfound", 1)] {
            let line = format!("fanfare_patterns{name}{{hub=\"shop\"}} {value}\n");
            assert!(text.contains(&line), "{line}{text}");
        }
        assert!(counts.patterns_bytes > 1_000, "{counts:?}");
    }

    #[test]
    fn counters_are_called_total_and_gauges_are_not() {
        let text = text(&Counts::default());
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = line.split_once(' ').expect("a type");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
        }
    }
}
