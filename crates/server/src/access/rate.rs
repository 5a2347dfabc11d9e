//! How often something may happen: `100/s`, `600/m`.
//!
//! It counts nothing; the bucket does.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

/// So many times in such a time, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) count: NonZeroU32,
    pub(crate) per: Duration,
}

const UNITS: [(&str, u64); 3] = [("s", 1), ("m", 60), ("h", 3_600)];

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "write how often in what time, such as 100/s, 600/m or 10/h";
        let (count, unit) = text.split_once('/').ok_or(EXPECTED)?;
        let count = count.trim().parse().map_err(|_| EXPECTED)?;
        let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit.trim()).ok_or(EXPECTED)?;
        Ok(Self { count, per: Duration::from_secs(*seconds) })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit =
            UNITS.iter().find(|(_, seconds)| *seconds == self.per.as_secs()).map_or("?", |(name, _)| name);
        write!(f, "{}/{unit}", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_and_a_unit() {
        for (text, seconds, written) in
            [("100/s", 1, "100/s"), ("600/m", 60, "600/m"), ("1 / h", 3_600, "1/h")]
        {
            let rate: Rate = text.parse().expect(text);
            assert_eq!((rate.per.as_secs(), rate.to_string().as_str()), (seconds, written));
        }
        for text in ["", "100", "100/", "/s", "0/s", "-1/s", "1.5/s", "100/d", "100/s/s", "5000000000/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
