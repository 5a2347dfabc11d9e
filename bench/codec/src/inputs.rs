//! What is encoded and decoded: the texts, and the same as reads from a socket.
//!
//! Every input is made here from a fixed seed; nothing is recorded from anybody.

use bytes::Bytes;

/// One input: what each event says, and the stream of them as it is read.
pub struct Input {
    pub name: &'static str,
    pub texts: Vec<String>,
    pub reads: Vec<Bytes>,
    /// Whether encoding it says something that no other input says.
    pub encoded: bool,
}

/// How much one read brings at most: a TLS record, and what many readers take at once.
const READ_BYTES: usize = 16 * 1024;

pub fn all() -> Vec<Input> {
    let hundred = (0..2_000).map(|index| json(index, 100)).collect();
    let thousand = (0..500).map(|index| json(index, 1024)).collect();
    let large = (0..16).map(|index| json(index, 64 * 1024)).collect();
    vec![
        cut("100 B", hundred),
        cut("1 KiB", thousand),
        cut("64 KiB", large),
        cut("model, 16 KiB reads", model()),
        each("model, one read each", model()),
    ]
}

/// JSON text of exactly `length` bytes.
fn json(index: usize, length: usize) -> String {
    let head = format!(r#"{{"id":{index},"text":""#);
    let tail = r#""}"#;
    let words = "the quick brown fox jumps over the lazy dog, twice; ";
    let text: String = words.chars().cycle().skip(index).take(length - head.len() - tail.len()).collect();
    head + &text + tail
}

/// What a language model sends: each token a small JSON object, 50 to 70 bytes, some of them beyond ASCII.
fn model() -> Vec<String> {
    let tokens = [
        " the", " of", "ing", " stream", ",", ".\\n", " größe", " 事", " event", "s", " reads", " \\\"",
        "Hello",
    ];
    let mut seed = 7_usize;
    (0..3_000)
        .map(|index| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let token = tokens[(seed >> 33) % tokens.len()];
            format!(r#"{{"type":"delta","index":{index},"delta":{{"text":"{token}"}}}}"#)
        })
        .collect()
}

fn cut(name: &'static str, texts: Vec<String>) -> Input {
    let stream = texts.iter().map(|text| format!("data: {text}\n\n")).collect::<String>();
    let reads = stream.as_bytes().chunks(READ_BYTES).map(|read| Bytes::from(read.to_vec())).collect();
    Input { name, texts, reads, encoded: true }
}

fn each(name: &'static str, texts: Vec<String>) -> Input {
    let reads = texts.iter().map(|text| Bytes::from(format!("data: {text}\n\n"))).collect();
    Input { name, texts, reads, encoded: false }
}
