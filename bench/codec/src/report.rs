//! The figures, as a table to read and as JSON to keep.
//!
//! Ratios are taken within a round and only then summed up; above 1 means that fanfare was faster.

use std::fmt;

use serde_json::{Value, json};

pub struct Report {
    rounds: usize,
    cases: Vec<Case>,
}

/// One input and one direction: for each contender its time in each round.
pub struct Case {
    what: &'static str,
    input: &'static str,
    /// Name and nanoseconds for one event; fanfare is the first.
    contenders: Vec<(&'static str, Vec<f64>)>,
}

/// Median, least and greatest.
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Self { median, min: values[0], max: values[values.len() - 1] }
    }

    fn to_json(&self) -> Value {
        json!({ "median": self.median, "min": self.min, "max": self.max })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ({:.2}–{:.2})", self.median, self.min, self.max)
    }
}

impl Case {
    pub fn new(what: &'static str, input: &'static str, names: impl Iterator<Item = &'static str>) -> Self {
        Self { what, input, contenders: names.map(|name| (name, Vec::new())).collect() }
    }

    pub fn record(&mut self, contender: usize, nanoseconds: f64) {
        self.contenders[contender].1.push(nanoseconds);
    }

    fn times(&self, contender: usize) -> Spread {
        Spread::of(self.contenders[contender].1.iter().copied())
    }

    /// How many times as long as fanfare.
    fn ratio(&self, contender: usize) -> Spread {
        let ours = &self.contenders[0].1;
        Spread::of(self.contenders[contender].1.iter().zip(ours).map(|(theirs, ours)| theirs / ours))
    }
}

impl Report {
    pub fn new(rounds: usize) -> Self {
        Self { rounds, cases: Vec::new() }
    }

    pub fn add(&mut self, case: Case) {
        self.cases.push(case);
    }

    pub fn to_json(&self) -> String {
        let cases = self.cases.iter().map(|case| {
            let contenders = (0..case.contenders.len()).map(|index| {
                json!({
                    "name": case.contenders[index].0,
                    "nanoseconds_for_one_event": case.times(index).to_json(),
                    "times_as_long_as_fanfare": case.ratio(index).to_json(),
                })
            });
            json!({ "what": case.what, "input": case.input, "contenders": contenders.collect::<Vec<_>>() })
        });
        let report = json!({ "rounds": self.rounds, "cases": cases.collect::<Vec<_>>() });
        format!("{report:#}\n")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} interleaved rounds; median (least–greatest); ratio: how many times as long as fanfare\n",
            self.rounds
        )?;
        writeln!(f, "| what | input | contender | ns for one event | ratio |")?;
        writeln!(f, "|---|---|---|---:|---:|")?;
        for case in &self.cases {
            for (index, (name, _)) in case.contenders.iter().enumerate() {
                let times = case.times(index);
                write!(f, "| {} | {} | {name} | ", case.what, case.input)?;
                write!(f, "{:.1} ({:.1}–{:.1}) | ", times.median, times.min, times.max)?;
                if index == 0 { writeln!(f, "1 |")? } else { writeln!(f, "{} |", case.ratio(index))? }
            }
        }
        Ok(())
    }
}
