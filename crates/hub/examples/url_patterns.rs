//! Says which topics URL Patterns match, for a test that asks a browser the same.
//!
//! A line is a pattern and topics, with tabs between; the answer is a line of a digit for each topic, or `refused`. The hub is
//! at the URL that is the only argument.

use std::io::{self, BufRead, Write};

use fanfare_hub::{Matcher, Topic};

fn main() -> io::Result<()> {
    let Some(hub_url) = std::env::args().nth(1) else {
        return Err(io::Error::other("usage: url_patterns HUB_URL"));
    };
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let line = line?;
        let mut fields = line.split('\t');
        let pattern = fields.next().unwrap_or_default();
        let Ok(matcher) = Matcher::url_pattern(pattern, &hub_url) else {
            writeln!(out, "refused")?;
            continue;
        };
        for topic in fields {
            let topic = Topic::parse(topic).map_err(io::Error::other)?;
            write!(out, "{}", u8::from(matcher.matches(&topic)))?;
        }
        writeln!(out)?;
    }
    out.flush()
}
