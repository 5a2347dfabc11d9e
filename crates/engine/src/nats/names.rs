//! What a hub's stream and subjects are called.
//!
//! Topics never become subjects: those would cost the servers memory each, and filters over them time. The few subjects there are
//! say what an index needs of an entry, so that it can be filled without reading the rest.

use crate::cluster::is_hub_name;

/// The names of one hub's stream and subjects.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) stream: String,
    /// All subjects of the stream.
    pub(super) all: String,
    subjects: [String; 4],
    /// Where presence is published to.
    pub(super) presence: String,
    /// Where nodes speak to each other: a subject that is none of the stream's.
    pub(super) peers: String,
}

impl Names {
    /// `None` if `hub` has letters that stream names have no room for, or is too long or empty.
    pub(super) fn of(hub: &str) -> Option<Self> {
        if !is_hub_name(hub) {
            return None;
        }
        let subject = |kind: &str| format!("fanfare.{hub}.{kind}");
        Some(Self {
            stream: format!("FANFARE_{hub}"),
            all: subject(">"),
            subjects: [subject("n"), subject("i"), subject("k"), subject("ik")],
            presence: subject("p"),
            peers: format!("fanfare-peers.{hub}"),
        })
    }

    /// Where an entry is published to: whether it has an id of its publisher's, and whether a key.
    pub(super) fn subject(&self, has_id: bool, has_key: bool) -> &str {
        &self.subjects[usize::from(has_id) + 2 * usize::from(has_key)]
    }

    /// The subjects of what is indexed.
    pub(super) fn indexed(&self) -> Vec<String> {
        self.subjects[1..].to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_a_hub_s_has_the_hub_s_name_in_it() {
        let names = Names::of("default").expect("names");
        assert_eq!(names.stream, "FANFARE_default");
        assert_eq!(names.all, "fanfare.default.>");
        assert_eq!(names.subject(true, true), "fanfare.default.ik");
        assert_eq!((&*names.presence, &*names.peers), ("fanfare.default.p", "fanfare-peers.default"));
        assert_eq!(names.indexed(), ["i", "k", "ik"].map(|kind| format!("fanfare.default.{kind}")));
    }

    #[test]
    fn what_a_stream_cannot_be_called_is_no_name() {
        assert!(Names::of("a.b").is_none());
    }
}
