//! What a hub's keys are called.
//!
//! There are seven, whatever is published, and all have one hash tag, so that scripts may touch them at once. Topics never become keys.

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
    /// Where the idempotency keys of publications are.
    pub(super) keys: KeyNames,
    /// Where those of presence are, which are many at once when a node dies and must not displace the others.
    pub(super) presence_keys: KeyNames,
    /// No key: the channel on which nodes tell each other that they live. Channels are the same in all databases of a server, so it
    /// names the one that the log is in.
    pub(super) peers: String,
}

/// Where idempotency keys of a kind are.
#[derive(Clone, Debug)]
pub(super) struct KeyNames {
    /// A hash: what was answered under which key.
    pub(super) uses: String,
    /// A list of those keys, oldest first.
    pub(super) order: String,
}

impl Names {
    /// `None` if `hub` is no name.
    pub(super) fn of(hub: &str, database: i64) -> Option<Self> {
        let key = |kind: &str| format!("fanfare:{{{hub}}}:{kind}");
        is_hub_name(hub).then(|| Self {
            meta: key("meta"),
            log: key("log"),
            ids: key("ids"),
            keys: KeyNames { uses: key("keys"), order: key("order") },
            presence_keys: KeyNames { uses: key("presence-keys"), order: key("presence-order") },
            peers: key(&format!("peers:{database}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_a_hub_s_has_the_hub_s_name_as_its_hash_tag() {
        let names = Names::of("shop", 2).expect("names");
        assert_eq!(names.log, "fanfare:{shop}:log");
        let Names { meta, log, ids, keys, presence_keys, peers } = &names;
        let all = [meta, log, ids, &keys.uses, &keys.order, &presence_keys.uses, &presence_keys.order, peers];
        for (number, key) in all.iter().enumerate() {
            assert!(key.starts_with("fanfare:{shop}:"), "{key}");
            assert!(!all[..number].contains(key), "{key} is one key");
        }
        assert!(Names::of("a}b", 0).is_none());
    }
}
