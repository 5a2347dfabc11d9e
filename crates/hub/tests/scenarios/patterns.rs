//! Subscribers of patterns, who have to look for what is theirs.

use fanfare_hub::engine::Followed;
use fanfare_hub::{Hub, Matcher};

use super::reader::read;
use super::support::puppet::{self, Puppet};
use super::support::{TestClock, id, next_gap};

/// P2.
#[test]
fn a_hole_is_told_even_if_a_long_search_is_broken_off_behind_it() {
    let puppet = Puppet::with_log();
    let hub = Hub::builder().clock(TestClock::default()).engine(puppet.clone()).build().expect("a hub");
    for position in 1..=900 {
        puppet.entry(position, "other", 0);
    }
    puppet.tell(Followed::Hole { through: 950 });
    for position in 951..=2_000 {
        puppet.entry(position, "other", 0);
    }
    let pattern = Matcher::topic_selector("wanted/{id}").expect("a template");
    puppet.answer_bounds(1, 1, 2_001);
    let mut subscription = read(hub.subscribe(pattern).after(id("earliest")));
    assert_eq!(puppet::position_of(&next_gap(&mut subscription).id), 950);
}
