//! Any bytes in any cut: the decoder never panics, and says the same as for the bytes in one piece, errors included.

#![no_main]

use fanfare_wire::{DecodeError, Decoder, Limits};
use libfuzzer_sys::fuzz_target;

/// Every item as text, and how it ended.
fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<String>, Result<(), DecodeError>, String) {
    // Small limits, so that the fuzzer reaches them.
    let mut decoder = Decoder::with_limits(Limits::default().line_bytes_max(48).event_bytes_max(64));
    let mut items = Vec::new();
    for mut piece in pieces {
        loop {
            match decoder.next(&mut piece) {
                Ok(Some(item)) => items.push(format!("{item:?}")),
                Ok(None) => break,
                Err(error) => return (items, Err(error), decoder.last_event_id().into()),
            }
        }
        assert!(piece.is_empty());
    }
    (items, Ok(()), decoder.last_event_id().into())
}

fuzz_target!(|input: (Vec<u8>, &[u8])| {
    let (sizes, stream) = input;
    let whole = decode(std::iter::once(stream));
    let mut rest = stream;
    let mut pieces = Vec::new();
    for size in sizes {
        let (piece, more) = rest.split_at(usize::from(size).min(rest.len()));
        pieces.push(piece);
        rest = more;
    }
    pieces.push(rest);
    assert_eq!(decode(pieces.into_iter()), whole);
    assert_eq!(decode(stream.chunks(1)), whole);
});
