//! The figures of all rounds as a table, medians with the lowest and the highest ratio, and as JSON.

use std::fmt;

#[derive(Default)]
pub struct Report(Vec<Row>);

/// What was measured of one kind.
pub struct Row {
    pub kind: &'static str,
    pub count: usize,
    pub compile_us: f64,
    pub compiled_bytes: f64,
    /// With the pattern, its place in the index, a selection and a readership.
    pub subscriber_bytes: f64,
    /// Microseconds for a publication beside few, by round.
    pub few_us: Vec<f64>,
    /// The same beside very many.
    pub many_us: Vec<f64>,
}

impl Report {
    pub fn add(&mut self, row: Row) {
        self.0.push(row);
    }

    pub fn to_json(&self) -> String {
        let rows = self.0.iter().map(|row| {
            serde_json::json!({
                "kind": row.kind,
                "count": row.count,
                "compile_us": row.compile_us,
                "compiled_bytes": row.compiled_bytes,
                "subscriber_bytes": row.subscriber_bytes,
                "publication_us_beside_few": row.few_us,
                "publication_us_beside_many": row.many_us,
            })
        });
        serde_json::Value::Array(rows.collect()).to_string()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| asked for | how many | compile one | bytes, compiled | bytes, subscriber and all | publication beside 10 | beside all | ratio |"
        )?;
        writeln!(f, "|---|---:|---:|---:|---:|---:|---:|---:|")?;
        for row in &self.0 {
            let ratios = row.few_us.iter().zip(&row.many_us).map(|(few, many)| many / few).collect();
            let (low, ratio, high) = spread(ratios);
            writeln!(
                f,
                "| {} | {} | {:.1} µs | {:.0} | {:.0} | {:.2} µs | {:.2} µs | {ratio:.2} ({low:.2}–{high:.2}) |",
                row.kind,
                row.count,
                row.compile_us,
                row.compiled_bytes,
                row.subscriber_bytes,
                spread(row.few_us.clone()).1,
                spread(row.many_us.clone()).1,
            )?;
        }
        Ok(())
    }
}

/// The lowest, the median and the highest.
fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    (at(0), at(values.len() / 2), at(values.len().saturating_sub(1)))
}
