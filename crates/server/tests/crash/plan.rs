//! What a run is to be, drawn from one seed: who plays, how they behave, and when the hub is killed.
//!
//! The same seed gives the same plan and the same dice to every player. What the machine makes of the moments it decides
//! itself, so a failure may need a few runs of its seed to come again.

use std::time::Duration;

use crate::dice::Dice;
use crate::history::Asks;

/// What is published to often, and what hardly ever: bookmarks matter to whoever reads only that.
pub(crate) const BUSY: [&str; 3] = ["prices", "news", "weather"];
pub(crate) const QUIET: &str = "maintenance";

pub(crate) struct Plan {
    pub(crate) publishers: Vec<Publishing>,
    pub(crate) subscribers: Vec<Subscribing>,
    /// How long each life of the hub lasts, counted from its start as a process.
    pub(crate) lives: Vec<Duration>,
}

pub(crate) struct Publishing {
    pub(crate) name: String,
    /// How many publications it sends before it reads the first answer, at most.
    pub(crate) in_flight: u64,
    /// Sends again what it does not know the outcome of, where that is safe.
    pub(crate) insists: bool,
    pub(crate) dice: Dice,
}

pub(crate) struct Subscribing {
    pub(crate) name: String,
    pub(crate) asks: Asks,
    /// How the parameters are called that ask: `match`, or `topic` as older clients do.
    pub(crate) parameter: &'static str,
    /// Looks like a browser, so it gets bookmarks.
    pub(crate) browser: bool,
    /// Reads less than is published, with a small window.
    pub(crate) slow: bool,
    /// Leaves by itself now and then.
    pub(crate) restless: bool,
    pub(crate) dice: Dice,
}

impl Plan {
    pub(crate) fn draw(seed: u64, kills: usize) -> Self {
        let mut dice = Dice::new(seed);
        let publishers = (0..4).map(|number| Publishing {
            name: format!("p{number}"),
            in_flight: if number < 2 { 1 } else { 8 },
            insists: number % 2 == 0,
            dice: dice.split(),
        });
        let publishers = publishers.collect();
        let subscribers = subscribers(&mut dice);
        let lives = (0..kills).map(|_| life(&mut dice)).collect();
        Self { publishers, subscribers, lives }
    }
}

/// Every kind of selection with and without bookmarks; who is slow and who restless is drawn.
fn subscribers(dice: &mut Dice) -> Vec<Subscribing> {
    let selections = [
        ("match", Asks::Everything),
        ("topic", Asks::Everything),
        ("match", Asks::Topics(vec![BUSY[0]])),
        ("topic", Asks::Topics(vec![BUSY[1], BUSY[2]])),
        ("match", Asks::Topics(vec![BUSY[0], QUIET])),
        ("topic", Asks::Topics(vec![QUIET])),
    ];
    let mut subscribers = Vec::new();
    for (parameter, asks) in selections {
        for browser in [true, false] {
            subscribers.push(Subscribing {
                name: format!("s{}", subscribers.len()),
                asks: asks.clone(),
                parameter,
                browser,
                slow: dice.once_in(4),
                restless: dice.once_in(3),
                dice: dice.split(),
            });
        }
    }
    subscribers
}

/// Mostly long enough for everybody to come back, sometimes too short for the hub to come up.
fn life(dice: &mut Dice) -> Duration {
    match dice.below(8) {
        0 => dice.micros(0, 5_000),
        1 => dice.micros(5_000, 40_000),
        _ => dice.micros(40_000, 300_000),
    }
}
