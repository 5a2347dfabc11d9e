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
/// The topic of which a token lets private publications be read.
pub(crate) const GRANTED: &str = BUSY[0];

pub(crate) struct Plan {
    pub(crate) publishers: Vec<Publishing>,
    pub(crate) subscribers: Vec<Subscribing>,
    /// How long each life of the hub lasts, counted from its start as a process.
    pub(crate) lives: Vec<Duration>,
}

/// How many play, and how fast.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    /// Every kind of selection with and without bookmarks makes twelve.
    pub(crate) subscribers: usize,
    /// How long a publisher waits at most for each publication that it sent, in microseconds.
    pub(crate) pause_micros: u64,
    /// Whether some that is published is private, and some subscribers have tokens, of which some run out.
    pub(crate) tokens: Tokens,
    /// Whether publishers choose some ids themselves.
    pub(crate) own_ids: bool,
    /// Whether some stay away for so long that a log which keeps little has dropped what they missed.
    pub(crate) naps: bool,
}

/// Who comes with a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tokens {
    Nobody,
    /// Some, and those of some of them run out again and again.
    Some,
}

/// What a subscriber's token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bearing {
    Nothing,
    /// One that lasts longer than the run.
    Lasting,
    /// One that runs out after some seconds; then a new one is taken.
    RunningOut,
    /// One that is revoked in the middle of the run.
    Revoked,
}

/// Whether a subscriber leaves by itself now and then.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaves {
    Never,
    AndComesBack,
    /// And stays away for long, now and then.
    AndNaps,
}

impl Leaves {
    fn draw(dice: &mut Dice, naps: bool) -> Self {
        match (dice.once_in(3), naps) {
            (false, _) => Self::Never,
            (true, false) => Self::AndComesBack,
            (true, true) => Self::AndNaps,
        }
    }
}

pub(crate) struct Publishing {
    pub(crate) name: String,
    /// Publishes something private now and then.
    pub(crate) has_secrets: bool,
    /// Whether it gives some publications ids of its own.
    pub(crate) chooses_ids: bool,
    /// How long it waits at most for each publication that it sent, in microseconds.
    pub(crate) pause_micros: u64,
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
    pub(crate) leaves: Leaves,
    pub(crate) bears: Bearing,
    pub(crate) dice: Dice,
}

impl Plan {
    pub(crate) fn draw(seed: u64, kills: usize, size: Size) -> Self {
        let mut dice = Dice::new(seed);
        let publishers = (0..4).map(|number| Publishing {
            name: format!("p{number}"),
            in_flight: if number < 2 { 1 } else { 8 },
            insists: number % 2 == 0,
            has_secrets: size.tokens != Tokens::Nobody,
            chooses_ids: size.own_ids,
            pause_micros: size.pause_micros,
            dice: dice.split(),
        });
        let publishers = publishers.collect();
        let subscribers = subscribers(&mut dice, size);
        let lives = (0..kills).map(|_| life(&mut dice)).collect();
        Self { publishers, subscribers, lives }
    }
}

/// Every kind of selection with and without bookmarks; who is slow and who restless is drawn.
fn subscribers(dice: &mut Dice, size: Size) -> Vec<Subscribing> {
    let selections = [
        ("match", Asks::Everything),
        ("topic", Asks::Everything),
        ("match", Asks::Topics(vec![BUSY[0]])),
        ("topic", Asks::Topics(vec![BUSY[1], BUSY[2]])),
        ("match", Asks::Topics(vec![BUSY[0], QUIET])),
        ("topic", Asks::Topics(vec![QUIET])),
    ];
    let mut subscribers = Vec::new();
    for number in 0..size.subscribers {
        let (parameter, asks) = selections[number / 2 % selections.len()].clone();
        subscribers.push(Subscribing {
            name: format!("s{number}"),
            asks,
            parameter,
            browser: number % 2 == 0,
            slow: dice.once_in(4),
            leaves: Leaves::draw(dice, size.naps),
            bears: bearing(number, size.tokens),
            dice: dice.split(),
        });
    }
    subscribers
}

/// Of twelve after twelve some have a token; nobody whom a run without tokens would know otherwise.
fn bearing(number: usize, tokens: Tokens) -> Bearing {
    if tokens == Tokens::Nobody {
        return Bearing::Nothing;
    }
    match number / 12 % 6 {
        0 => Bearing::Lasting,
        1 => Bearing::RunningOut,
        2 => Bearing::Revoked,
        _ => Bearing::Nothing,
    }
}

/// Mostly long enough for everybody to come back, sometimes too short for the hub to come up.
fn life(dice: &mut Dice) -> Duration {
    match dice.below(8) {
        0 => dice.micros(0, 5_000),
        1 => dice.micros(5_000, 40_000),
        _ => dice.micros(40_000, 300_000),
    }
}
