//! The figures of all rounds, and the table of them: medians with the lowest and the highest.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// By figure, in the order in which they came, and store: one for each round.
#[derive(Default)]
pub(crate) struct Figures {
    order: Vec<String>,
    stores: Vec<&'static str>,
    seen: BTreeMap<(String, &'static str), Vec<f64>>,
}

impl Figures {
    pub(crate) fn add(&mut self, figure: &str, store: &'static str, value: f64) {
        eprintln!("{store}: {figure} {}", rounded(value));
        if !self.order.iter().any(|each| each == figure) {
            self.order.push(figure.to_owned());
        }
        if !self.stores.contains(&store) {
            self.stores.push(store);
        }
        self.seen.entry((figure.to_owned(), store)).or_default().push(value);
    }

    pub(crate) fn table(&self) -> String {
        let mut table =
            format!("| | {} |\n|---|{}\n", self.stores.join(" | "), "---:|".repeat(self.stores.len()));
        for figure in &self.order {
            let cells: Vec<String> = self.stores.iter().map(|store| self.cell(figure, store)).collect();
            // Writing to a string cannot fail.
            let _ = writeln!(table, "| {figure} | {} |", cells.join(" | "));
        }
        table
    }

    fn cell(&self, figure: &str, store: &'static str) -> String {
        let Some(values) = self.seen.get(&(figure.to_owned(), store)) else { return "–".to_owned() };
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        let median = sorted[sorted.len() / 2];
        match (sorted.first(), sorted.last()) {
            (Some(low), Some(high)) if sorted.len() > 1 => {
                format!("{} ({}–{})", rounded(median), rounded(*low), rounded(*high))
            }
            _ => rounded(median),
        }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        let all = self.seen.iter().map(|((figure, store), values)| {
            serde_json::json!({ "figure": figure, "store": store, "rounds": values })
        });
        serde_json::Value::Array(all.collect())
    }
}

/// Three digits that count.
fn rounded(value: f64) -> String {
    if value >= 100.0 {
        let step = 10_f64.powf(value.log10().floor() - 2.0);
        let whole = format!("{:.0}", (value / step).round() * step);
        let mut text = String::new();
        for (at, digit) in whole.chars().enumerate() {
            if at > 0 && (whole.len() - at).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        return text;
    }
    let digits = if value >= 10.0 {
        1
    } else if value >= 0.1 {
        2
    } else {
        3
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits() {
        let texts = [0.012, 0.5, 12.34, 123.4, 53_211.0, 1_234_567.0].map(rounded);
        assert_eq!(texts, ["0.012", "0.50", "12.3", "123", "53,200", "1,230,000"]);
    }
}
