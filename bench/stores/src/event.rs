//! What every store is given: the same events in the same order, made from their numbers.

/// How many topics there are.
const TOPICS: u64 = 100_000;
/// One event in so many has an id of its publisher's.
const WITH_ID: u64 = 10;
const DATA_BYTES: usize = 120;

/// One event, and where it stands.
#[derive(Clone)]
pub(crate) struct Event {
    pub(crate) position: u64,
    pub(crate) topic: String,
    pub(crate) id: Option<String>,
    pub(crate) data: String,
}

impl Event {
    /// The event at a position; the first is 1.
    pub(crate) fn at(position: u64) -> Self {
        let mut data = format!("{{\"position\":{position},\"text\":\"");
        while data.len() < DATA_BYTES - 2 {
            data.push(char::from(b'a' + u8::try_from((position + data.len() as u64) % 26).unwrap_or(0)));
        }
        data.push_str("\"}");
        let id = position.is_multiple_of(WITH_ID).then(|| id(position / WITH_ID));
        Self { position, topic: topic(position), id, data }
    }
}

/// The id of the `n`th event that has one.
pub(crate) fn id(n: u64) -> String {
    format!("urn:event:{n:012}")
}

/// The position of the event with the `n`th id.
pub(crate) fn position_of_id(n: u64) -> u64 {
    n * WITH_ID
}

/// The topic of a position: each topic has one event in a hundred thousand, so all are sparse.
pub(crate) fn topic(position: u64) -> String {
    // Neighbours have topics that are far from each other.
    format!("https://example.com/books/{}", position.wrapping_mul(48_271) % TOPICS)
}

/// How many of the first `events` events have the topic of `position`.
pub(crate) fn of_topic(position: u64, events: u64) -> u64 {
    (events - position % TOPICS) / TOPICS + u64::from(!position.is_multiple_of(TOPICS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_s_events_are_as_many_as_is_said() {
        for position in [1, 77, 99_999, 100_000, 100_001] {
            for events in [100_000, 250_000, 300_077] {
                let wanted = topic(position);
                let count = (1..=events).filter(|&at| topic(at) == wanted).count() as u64;
                assert_eq!(of_topic(position, events), count, "{position} of {events}");
            }
        }
    }
}
