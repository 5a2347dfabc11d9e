//! Random bits for checks, fetched from the system by the page.

use std::fmt;

use crate::Check;

/// Draws the checks of entries, for engines.
pub struct CheckSource {
    drawn: [u8; 1024],
    used: usize,
}

impl CheckSource {
    /// Draws a check.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn draw(&mut self) -> Result<Check, NoRandomness> {
        if self.used + 5 > self.drawn.len() {
            getrandom::fill(&mut self.drawn).map_err(NoRandomness)?;
            self.used = 0;
        }
        let five = &self.drawn[self.used..self.used + 5];
        self.used += 5;
        Ok(Check::from_random(five.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte))))
    }
}

impl Default for CheckSource {
    fn default() -> Self {
        Self { drawn: [0; 1024], used: 1024 }
    }
}

impl fmt::Debug for CheckSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CheckSource(…)")
    }
}

/// The system has no random numbers.
#[derive(Debug)]
pub struct NoRandomness(pub(crate) getrandom::Error);

impl fmt::Display for NoRandomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the system gave no random numbers: {}", self.0)
    }
}

impl std::error::Error for NoRandomness {}
