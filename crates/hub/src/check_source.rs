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
        let five: [u8; 5] = self.take()?;
        Ok(Check::from_random(five.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte))))
    }

    /// Draws a key, for an engine that derives the checks of many entries from one: with a keyed hash of their positions.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn draw_seed(&mut self) -> Result<[u8; 16], NoRandomness> {
        self.take()
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], NoRandomness> {
        if self.used + N > self.drawn.len() {
            getrandom::fill(&mut self.drawn).map_err(NoRandomness)?;
            self.used = 0;
        }
        let mut taken = [0; N];
        taken.copy_from_slice(&self.drawn[self.used..self.used + N]);
        self.used += N;
        Ok(taken)
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_draws_are_the_same_whatever_is_drawn() {
        let mut source = CheckSource::default();
        let (mut checks, mut seeds) = (HashSet::new(), HashSet::new());
        for _ in 0..500 {
            assert!(checks.insert(source.draw().expect("random numbers").bits()));
            let seed = source.draw_seed().expect("random numbers");
            assert!(seeds.insert(seed) && seed != [0; 16]);
        }
    }
}
