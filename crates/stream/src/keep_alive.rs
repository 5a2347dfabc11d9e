//! When a quiet stream sends something so that proxies and readers know it is alive.
//!
//! A state machine that is told the time: it reads no clock and starts no timer. Who drives it is elsewhere,
//! [`Sse`](crate::Sse) with tokio's timer, a blocking connection with the thread's own loop.

use std::time::{Duration, Instant};

use fanfare_wire::{Event, EventName, Frame};

/// What to send when a stream has been quiet, and after how long. By default a comment line after 15 seconds.
///
/// ```
/// # use std::time::Duration;
/// use fanfare_stream::{KeepAlive, KeepAliveStyle};
///
/// let default = KeepAlive::every(Duration::from_secs(15));
/// let visible = KeepAlive::every(Duration::from_secs(30)).style(KeepAliveStyle::Ping);
/// let none = KeepAlive::off();
/// # assert_eq!(default, KeepAlive::default());
/// # assert_ne!(visible, none);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    interval: Option<Duration>,
    style: KeepAliveStyle,
}

impl KeepAlive {
    /// Sends one after `interval` without traffic. Zero means [`off`](Self::off).
    ///
    /// Shorter finds a client that is gone sooner and passes proxies with short timeouts (many cut after 30
    /// or 60 s); longer lets phones sleep.
    #[must_use]
    pub const fn every(interval: Duration) -> Self {
        let interval = if interval.is_zero() { None } else { Some(interval) };
        Self { interval, style: KeepAliveStyle::CommentLine }
    }

    /// Sends none: a client that is silently gone is found by the next event only.
    #[must_use]
    pub const fn off() -> Self {
        Self { interval: None, style: KeepAliveStyle::CommentLine }
    }

    /// Says what is sent. Default: [`KeepAliveStyle::CommentLine`].
    #[must_use]
    pub fn style(mut self, style: KeepAliveStyle) -> Self {
        self.style = style;
        self
    }

    /// After how long without traffic one is sent; `None` if never.
    #[must_use]
    pub fn interval(&self) -> Option<Duration> {
        self.interval
    }

    /// The bytes that are sent.
    #[must_use]
    pub fn to_frame(&self) -> Frame {
        self.style.to_frame()
    }
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self::every(Duration::from_secs(15))
    }
}

/// What a keep-alive is on the wire. Which one is right depends on the readers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeepAliveStyle {
    /// A lone comment line, `:` LF. Invisible to every parser, and the default.
    #[default]
    CommentLine,
    /// A comment line and a blank line, for readers that wait for a whole block. Some client libraries take
    /// the blank line for an empty event.
    CommentBlock,
    /// An event named `ping` with empty data, for readers whose idle timer sits above a parser that hides
    /// comments. A browser dispatches it to those who listen for `ping`, and to nobody else.
    Ping,
    /// A frame of your own, for readers with a convention.
    Frame(Frame),
}

impl KeepAliveStyle {
    /// The bytes of it.
    #[must_use]
    pub fn to_frame(&self) -> Frame {
        match self {
            Self::CommentLine => Frame::KEEP_ALIVE,
            Self::CommentBlock => Event::without_data().comment("").to_frame(),
            Self::Ping => Event::new("").event(EventName::from_static("ping")).to_frame(),
            Self::Frame(frame) => frame.clone(),
        }
    }
}

/// How long a stream has been quiet. Told the time, it says when the next keep-alive is due.
///
/// ```
/// # use std::time::{Duration, Instant};
/// use fanfare_stream::KeepAliveState;
///
/// let start = Instant::now();
/// let second = Duration::from_secs(1);
/// let mut state = KeepAliveState::new(Some(15 * second), start);
/// state.traffic(start + 10 * second);
/// assert!(!state.take_due(start + 15 * second));
/// assert!(state.take_due(start + 25 * second));
/// assert_eq!(state.due(), Some(start + 40 * second));
/// ```
#[derive(Clone, Debug)]
pub struct KeepAliveState {
    interval: Option<Duration>,
    last: Instant,
}

impl KeepAliveState {
    /// Begins with a silence that starts `now`. Without an interval nothing is ever due.
    #[must_use]
    pub fn new(interval: Option<Duration>, now: Instant) -> Self {
        Self { interval, last: now }
    }

    /// Tells that something was sent `now`, which starts the silence anew.
    pub fn traffic(&mut self, now: Instant) {
        self.last = self.last.max(now);
    }

    /// When the next keep-alive is due if nothing is sent until then; `None` if never.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        // An interval that leads past the end of the clock is never over.
        self.last.checked_add(self.interval?)
    }

    /// Whether a keep-alive is due `now`. If it is, it counts as sent.
    #[must_use = "if it says yes, a keep-alive has to be sent"]
    pub fn take_due(&mut self, now: Instant) -> bool {
        let due = self.due().is_some_and(|due| due <= now);
        if due {
            self.traffic(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn check(style: &KeepAliveStyle, expected: &[u8]) {
        assert_eq!(style.to_frame(), expected);
    }

    #[test]
    fn each_style_has_its_bytes() {
        check(&KeepAliveStyle::CommentLine, b":\n");
        check(&KeepAliveStyle::CommentBlock, b":\n\n");
        check(&KeepAliveStyle::Ping, b"event: ping\ndata: \n\n");
        check(&KeepAliveStyle::Frame(Event::new("{}").to_frame()), b"data: {}\n\n");
    }

    #[test]
    fn it_is_due_at_the_end_of_the_interval_and_not_a_moment_earlier() {
        let start = Instant::now();
        let mut state = KeepAliveState::new(Some(SECOND), start);
        assert!(!state.take_due(start + Duration::from_nanos(999_999_999)));
        assert!(state.take_due(start + SECOND));
        assert!(!state.take_due(start + SECOND), "it was sent");
        assert!(state.take_due(start + 2 * SECOND));
    }

    #[test]
    fn traffic_puts_it_off() {
        let start = Instant::now();
        let mut state = KeepAliveState::new(Some(2 * SECOND), start);
        for second in 1..100 {
            state.traffic(start + second * SECOND);
            assert!(!state.take_due(start + (second + 1) * SECOND));
        }
        assert!(state.take_due(start + 101 * SECOND));
    }

    #[test]
    fn after_a_long_pause_one_is_due_and_not_one_for_each_interval() {
        let start = Instant::now();
        let mut state = KeepAliveState::new(Some(SECOND), start);
        assert!(state.take_due(start + 100 * SECOND));
        assert_eq!(state.due(), Some(start + 101 * SECOND));
    }

    #[test]
    fn a_time_that_goes_back_changes_nothing() {
        let start = Instant::now() + SECOND;
        let mut state = KeepAliveState::new(Some(SECOND), start);
        state.traffic(start.checked_sub(SECOND).unwrap_or(start));
        assert_eq!(state.due(), Some(start + SECOND));
    }

    #[test]
    fn off_and_an_interval_past_the_end_of_the_clock_are_never_due() {
        let start = Instant::now();
        for interval in [KeepAlive::off(), KeepAlive::every(Duration::ZERO), KeepAlive::every(Duration::MAX)]
        {
            let mut state = KeepAliveState::new(interval.interval(), start);
            assert_eq!(state.due(), None);
            assert!(!state.take_due(start + 1_000_000 * SECOND));
        }
    }
}
