//! What a client takes is read as it was meant, however it is written, and hostile bytes are harmless.
//!
//! The header is made of ranges whose weights are known, in any spelling. What an `Accept` says of it is held against a search
//! through the ranges. Besides, any bytes at all are read.
#![no_main]

use fanfare_stream::Accept;
use libfuzzer_sys::{arbitrary, arbitrary::Arbitrary, fuzz_target};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    ranges: Vec<Range<'a>>,
    raw: &'a [u8],
}

#[derive(Arbitrary, Debug)]
struct Range<'a> {
    of: Of,
    /// In thousandths.
    weight: u16,
    says_weight: bool,
    decimals: u8,
    /// A parameter in quotes, which may look like anything.
    parameter: Option<&'a str>,
    upper_case: bool,
    spaced: bool,
    own_header: bool,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum Of {
    EventStream,
    Json,
    Text,
    Anything,
    Png,
}

const OFFERED: [&str; 2] = ["text/event-stream", "application/json"];

impl Of {
    fn text(self) -> &'static str {
        match self {
            Self::EventStream => OFFERED[0],
            Self::Json => OFFERED[1],
            Self::Text => "text/*",
            Self::Anything => "*/*",
            Self::Png => "image/png",
        }
    }

    /// How exactly it names what is offered.
    fn exactness(self, offered: &str) -> Option<u8> {
        match self {
            Self::Anything => Some(0),
            Self::Text if offered.starts_with("text/") => Some(1),
            named if named.text() == offered => Some(2),
            _ => None,
        }
    }
}

impl Range<'_> {
    fn weight(&self) -> u16 {
        if self.says_weight { self.weight % 1_001 } else { 1_000 }
    }

    fn write(&self) -> String {
        let of =
            if self.upper_case { self.of.text().to_ascii_uppercase() } else { self.of.text().to_owned() };
        let space = if self.spaced { " " } else { "" };
        let mut text = format!("{space}{of}");
        if let Some(parameter) = self.parameter {
            let quoted: String = parameter.chars().filter(|letter| !letter.is_control()).collect();
            let quoted = quoted.replace('\\', "\\\\").replace('"', "\\\"");
            text += &format!("{space};{space}a=\"{quoted}\"");
        }
        if self.says_weight {
            let (whole, rest) = (self.weight() / 1_000, self.weight() % 1_000);
            let decimals = format!("{rest:03}");
            // Zeros at the end need not be said.
            let shortest = decimals.trim_end_matches('0').len();
            let decimals = &decimals[..shortest.max(usize::from(self.decimals % 4))];
            let point = if decimals.is_empty() { "" } else { "." };
            let name = if self.upper_case { "Q" } else { "q" };
            text += &format!("{space};{space}{name}={whole}{point}{decimals}");
        }
        text + space
    }
}

fuzz_target!(|input: Input<'_>| {
    let mut headers = vec![String::new()];
    for range in &input.ranges {
        match headers.last_mut() {
            Some(header) if !range.own_header => *header += &format!(",{}", range.write()),
            _ => headers.push(range.write()),
        }
    }
    let accept = Accept::from_values(headers.iter().map(String::as_bytes));
    let wishes = OFFERED.map(|offered| {
        if input.ranges.is_empty() {
            return (1_000, 0);
        }
        let named =
            input.ranges.iter().filter_map(|range| Some((range.of.exactness(offered)?, range.weight())));
        let (exactness, weight) = named.max().unwrap_or_default();
        (weight, exactness)
    });
    for (offered, (weight, _)) in OFFERED.iter().zip(wishes) {
        assert_eq!(accept.weight(offered), weight, "{offered} in {headers:?}");
    }
    let expected = match wishes {
        [(0, _), (0, _)] => None,
        [stream, json] if json.0 > 0 && (stream.0 == 0 || json > stream) => Some(OFFERED[1]),
        _ => Some(OFFERED[0]),
    };
    assert_eq!(accept.preferred(&OFFERED), expected, "{headers:?}");

    let hostile = Accept::from_values([input.raw]);
    for offered in OFFERED {
        assert!(hostile.weight(offered) <= 1_000);
    }
    assert!(hostile.preferred(&OFFERED).is_none_or(|preferred| hostile.takes(preferred)));
});
