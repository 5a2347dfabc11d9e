//! What a hub's keys are called.
//!
//! There are five, whatever is published, and all have one hash tag, so that scripts may touch them at once. Topics never become keys.

use crate::cluster::is_hub_name;

/// The keys of one hub.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// A hash: which log it is, the newest position and its check, and what the log holds.
    pub(super) meta: String,
    /// The stream of entries. An entry's id is its position and `-0`.
    pub(super) log: String,
    /// A stream with the same ids: the entries that have an id of their publisher's.
    pub(super) ids: String,
    /// A hash: what was answered under which idempotency key.
    pub(super) keys: String,
    /// A list of those keys, oldest first.
    pub(super) order: String,
}

impl Names {
    /// `None` if `hub` is no name.
    pub(super) fn of(hub: &str) -> Option<Self> {
        let key = |kind: &str| format!("fanfare:{{{hub}}}:{kind}");
        is_hub_name(hub).then(|| Self {
            meta: key("meta"),
            log: key("log"),
            ids: key("ids"),
            keys: key("keys"),
            order: key("order"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_a_hub_s_has_the_hub_s_name_as_its_hash_tag() {
        let names = Names::of("shop").expect("names");
        assert_eq!(names.log, "fanfare:{shop}:log");
        for key in [&names.meta, &names.ids, &names.keys, &names.order] {
            assert!(key.starts_with("fanfare:{shop}:"), "{key}");
        }
        assert!(Names::of("a}b").is_none());
    }
}
