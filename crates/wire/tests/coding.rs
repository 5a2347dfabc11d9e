//! Frames in a coding: what a client decodes is what was sent, each event as soon as its bytes are there.
#![cfg(all(feature = "gzip", feature = "zstd"))]
#![allow(clippy::unwrap_used)]

use std::io::Read;
use std::sync::{Arc, LazyLock};

use fanfare_wire::{COMPRESSED_FROM_BYTES, Coded, CodedForms, Coding, Dictionary, Event, Frame, Shift, Sum};
use flate2::{Decompress, FlushDecompress, Status};
use proptest::prelude::*;
use zstd::stream::raw::{Decoder, Operation};

const CODINGS: [Coding; 3] = [Coding::Gzip, Coding::Zstd, Coding::Dcz];

/// A few of the frames that are coded here, and more.
fn dictionary() -> &'static Dictionary {
    static DICTIONARY: LazyLock<Dictionary> = LazyLock::new(|| {
        let frames = (0..50).map(|n| record(n) + "\n\ndata: {\"price\": 12}\n\ndata: [");
        Dictionary::new(frames.collect::<String>()).unwrap()
    });
    &DICTIONARY
}

fn record(n: usize) -> String {
    format!(
        "{{\"id\":{n},\"symbol\":\"AB{n}\",\"price\":{}.{},\"volume\":{}}}",
        n * 37 % 900,
        n % 100,
        n * 7_919 % 100_000
    )
}

fn head(coding: Coding) -> Vec<u8> {
    if coding == Coding::Dcz { dictionary().head().to_vec() } else { coding.head().to_vec() }
}

/// A frame as it is coded; with the dictionary if there is one.
fn coded(coding: Coding, frame: &Frame, min_bytes: usize) -> Coded {
    if coding != Coding::Dcz {
        return frame.coded(coding, min_bytes);
    }
    let forms = CodedForms::new(min_bytes).with_dictionary(dictionary().clone());
    frame.clone().kept_in(&Arc::new(forms)).coded(coding, 0)
}

/// A client's decoder, which is given bytes and gives all that can be told from them.
enum Client {
    /// The decoder, and how much of the header it still lacks.
    Gzip(Box<Decompress>, usize),
    Zstd(Decoder<'static>),
}

impl Client {
    fn of(coding: Coding) -> Self {
        match coding {
            Coding::Gzip => Self::Gzip(Box::new(Decompress::new(false)), coding.head().len()),
            Coding::Zstd => Self::Zstd(Decoder::new().unwrap()),
            _ => Self::Zstd(Decoder::with_dictionary(dictionary().content()).unwrap()),
        }
    }

    fn take(&mut self, mut bytes: &[u8], said: &mut Vec<u8>) {
        match self {
            Self::Gzip(inflate, header) => {
                let skipped = bytes.len().min(*header);
                *header -= skipped;
                bytes = &bytes[skipped..];
                loop {
                    said.reserve(4_096);
                    let (read, wrote) = (inflate.total_in(), inflate.total_out());
                    let status = inflate.decompress_vec(bytes, said, FlushDecompress::None).unwrap();
                    bytes = &bytes[usize::try_from(inflate.total_in() - read).unwrap()..];
                    if status == Status::StreamEnd || inflate.total_out() == wrote && bytes.is_empty() {
                        return;
                    }
                }
            }
            Self::Zstd(decoder) => {
                let mut out = vec![0; 4_096];
                loop {
                    let status = decoder.run_on_buffers(bytes, &mut out).unwrap();
                    bytes = &bytes[status.bytes_read..];
                    said.extend_from_slice(&out[..status.bytes_written]);
                    if status.bytes_written < out.len() && bytes.is_empty() {
                        return;
                    }
                }
            }
        }
    }
}

/// What others make of a whole body; they check the sums too.
fn decoded(coding: Coding, body: &[u8]) -> Vec<u8> {
    let mut said = Vec::new();
    match coding {
        Coding::Gzip => drop(flate2::read::GzDecoder::new(body).read_to_end(&mut said).unwrap()),
        Coding::Zstd => drop(zstd::stream::read::Decoder::new(body).unwrap().read_to_end(&mut said).unwrap()),
        _ => {
            let decoder = zstd::stream::read::Decoder::with_dictionary(body, dictionary().content());
            decoder.unwrap().read_to_end(&mut said).unwrap();
        }
    }
    said
}

fn body(coding: Coding, frames: &[Frame], min_bytes: usize) -> Vec<u8> {
    let (mut body, mut sum, mut shift) = (head(coding), Sum::default(), Shift::default());
    for frame in frames {
        let coded = coded(coding, frame, min_bytes);
        body.extend_from_slice(&coded.bytes);
        sum.add(coded.sum, &mut shift);
    }
    body.extend_from_slice(&coding.end(sum));
    body
}

fn plain(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(|frame| frame.as_bytes().to_vec()).collect()
}

fn a_frame() -> impl Strategy<Value = Frame> {
    let text = prop_oneof![
        "\\PC{0,300}",
        Just("{\"price\": 12}".repeat(700)),
        // More than one block of either coding, and nothing to gain in it.
        proptest::collection::vec(any::<char>(), 50_000).prop_map(|chars| chars.into_iter().collect()),
    ];
    prop_oneof![
        8 => text.prop_map(|text: String| Event::new(text).to_frame()),
        1 => "\\PC{0,30}".prop_map(|text| Frame::comment(&text)),
        1 => Just(Frame::KEEP_ALIVE),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_body_is_valid_and_says_what_its_frames_say(
        frames in proptest::collection::vec(a_frame(), 0..12),
        min_bytes in prop_oneof![Just(0), Just(COMPRESSED_FROM_BYTES), Just(usize::MAX)],
    ) {
        for coding in CODINGS {
            prop_assert_eq!(decoded(coding, &body(coding, &frames, min_bytes)), plain(&frames));
        }
    }

    /// Goal: nothing is held back: with an event's last byte the client has all of it, without the next.
    /// Method: a decoder is handed frame by frame, each cut anywhere.
    #[test]
    fn an_event_is_there_with_its_own_last_byte(
        frames in proptest::collection::vec(a_frame(), 1..8),
        min_bytes in prop_oneof![Just(0), Just(COMPRESSED_FROM_BYTES), Just(usize::MAX)],
        cut in any::<prop::sample::Index>(),
    ) {
        for coding in CODINGS {
            let (mut client, mut said) = (Client::of(coding), Vec::new());
            client.take(&head(coding), &mut said);
            for (number, frame) in frames.iter().enumerate() {
                let bytes = coded(coding, frame, min_bytes).bytes;
                let (first, rest) = bytes.split_at(cut.index(bytes.len()));
                client.take(first, &mut said);
                client.take(rest, &mut said);
                prop_assert_eq!(&said, &plain(&frames[..=number]), "{:?}", coding);
            }
        }
    }

    /// Goal: what is decoded up to a cut is where a client resumes, and never more than was said.
    #[test]
    fn a_body_cut_anywhere_gives_a_beginning_of_what_was_said(
        frames in proptest::collection::vec(a_frame(), 0..5),
        cut in any::<prop::sample::Index>(),
    ) {
        for coding in CODINGS {
            let whole = body(coding, &frames, 0);
            let (mut client, mut said) = (Client::of(coding), Vec::new());
            client.take(&whole[..cut.index(whole.len() + 1)], &mut said);
            prop_assert!(plain(&frames).starts_with(&said));
        }
    }

    /// Goal: no window spans two events. Method: what stands before a frame changes nothing of its bytes, and it can be decoded alone.
    #[test]
    fn a_frame_is_coded_without_a_look_at_another(before in a_frame(), frame in a_frame()) {
        for coding in CODINGS {
            let alone = std::thread::scope(|scope| scope.spawn(|| coded(coding, &frame, 0)).join().unwrap());
            let _ = coded(coding, &before, 0);
            prop_assert_eq!(coded(coding, &frame, 0), alone);
            prop_assert_eq!(decoded(coding, &body(coding, std::slice::from_ref(&frame), 0)), plain(std::slice::from_ref(&frame)));
        }
    }
}

#[test]
fn a_frame_never_takes_much_more_room_than_it_is_long() {
    let noise: String =
        (0..300_000_u32).filter_map(|n| char::from_u32(n.wrapping_mul(2_654_435_761) >> 12)).collect();
    for frame in [Frame::KEEP_ALIVE, Event::new("x").to_frame(), Event::new(noise).to_frame()] {
        for coding in CODINGS {
            let more = coded(coding, &frame, 0).bytes.len().saturating_sub(frame.as_bytes().len());
            assert!(
                more <= 12 + frame.as_bytes().len() / 8_192,
                "{coding:?}: {more} of {}",
                frame.as_bytes().len()
            );
        }
    }
}

/// Go's decoder hands nothing on before an empty stored block; zlib's does not mind.
#[test]
fn each_frame_in_gzip_ends_with_an_empty_stored_block() {
    for frame in [Frame::KEEP_ALIVE, Event::new("x".repeat(1_000)).to_frame()] {
        for min_bytes in [0, usize::MAX] {
            let bytes = frame.coded(Coding::Gzip, min_bytes).bytes;
            assert!(bytes.ends_with(&[0, 0, 0xff, 0xff]), "{bytes:?}");
        }
    }
}

#[test]
fn a_kept_form_is_made_once_counted_and_given_back() {
    let all = Arc::new(CodedForms::new(0).with_dictionary(dictionary().clone()));
    let frame = Event::new("{\"price\": 12}".repeat(50)).to_frame().kept_in(&all);
    for coding in CODINGS {
        assert_eq!(frame.ready(coding), None);
        let before = all.bytes();
        let coded = frame.clone().coded(coding, usize::MAX);
        assert!(coded.bytes.len() < frame.as_bytes().len() / 2, "the limit of those who keep it counts");
        assert_eq!(all.bytes(), before + coded.bytes.len());
        assert_eq!(frame.ready(coding), Some((&coded.bytes[..], coded.sum)));
        assert_eq!(frame.coded(coding, 0).bytes.as_ptr(), coded.bytes.as_ptr());
    }
    drop(frame);
    assert_eq!(all.bytes(), 0);
}

#[test]
fn json_of_a_kilobyte_becomes_half_of_it() {
    for (bytes, factor) in [(1_024, 2), (8_192, 3)] {
        let mut text = String::from("[");
        for n in 0.. {
            if text.len() >= bytes {
                break;
            }
            text.push_str(&record(n));
            text.push(',');
        }
        let frame = Event::new(text).to_frame();
        for coding in CODINGS {
            let coded = coded(coding, &frame, 0).bytes.len();
            assert!(
                coded * factor < frame.as_bytes().len(),
                "{coding:?}: {coded} of {}",
                frame.as_bytes().len()
            );
        }
    }
}

/// Goal: what gains most by a dictionary are events that are too small for anything else.
#[test]
fn a_small_event_becomes_two_thirds_with_a_dictionary_and_no_less_without() {
    let forms = Arc::new(CodedForms::new(COMPRESSED_FROM_BYTES).with_dictionary(dictionary().clone()));
    let frame = Event::new(record(777)).to_frame().kept_in(&forms);
    let (plain, dcz) = (frame.as_bytes().len(), frame.coded(Coding::Dcz, 0).bytes.len());
    assert!(plain < COMPRESSED_FROM_BYTES && dcz * 3 < plain * 2, "{dcz} of {plain}");
    for coding in [Coding::Gzip, Coding::Zstd] {
        assert!(frame.clone().coded(coding, 0).bytes.len() >= plain, "{coding:?}");
    }
}

/// Goal: what no dictionary helps, and what is not to be compressed at all, costs nine bytes and needs none.
#[test]
fn a_frame_without_the_dictionary_stands_in_such_a_body_too() {
    let kept = |min_bytes| Arc::new(CodedForms::new(min_bytes).with_dictionary(dictionary().clone()));
    let frame = Event::new(record(5)).to_frame();
    for one in [
        frame.clone(),
        frame.clone().kept_in(&kept(usize::MAX)),
        Event::new("x").to_frame().kept_in(&kept(0)),
    ] {
        let coded = one.coded(Coding::Dcz, usize::MAX).bytes;
        assert_eq!(coded.len(), one.as_bytes().len() + 9);
        assert_eq!(decoded(Coding::Zstd, &coded), one.as_bytes());
        assert_eq!(decoded(Coding::Dcz, &[dictionary().head(), &coded].concat()), one.as_bytes());
    }
    let forms = Arc::new(CodedForms::new(0));
    let compressed = frame.clone().kept_in(&forms).coded(Coding::Dcz, 0);
    assert_eq!(compressed, frame.coded(Coding::Zstd, 0), "without a dictionary it is zstd");
}

/// RFC 9659: those of HTTP keep no more than 8 MiB.
#[test]
fn a_decoder_need_not_keep_all_of_a_large_event_that_is_not_compressed() {
    let frame = Event::new("x".repeat(9 << 20)).to_frame();
    for coding in [Coding::Zstd, Coding::Dcz] {
        let bytes = coded(coding, &frame, usize::MAX).bytes;
        let mut decoder = zstd::stream::read::Decoder::new(&bytes[..]).unwrap();
        decoder.window_log_max(23).unwrap();
        let mut said = Vec::new();
        decoder.read_to_end(&mut said).unwrap();
        assert!(bytes.len() > said.len() && said == frame.as_bytes(), "{coding:?}");
    }
}

/// RFC 8878: a frame whose window is as large as itself may refer to all of the dictionary, wherever in it.
#[test]
fn the_end_of_a_large_event_may_refer_to_the_dictionary_too() {
    let text = (0..20_000).map(record).collect::<Vec<_>>().join(",");
    let frame = Event::new(text + &record(49)).to_frame();
    let whole = body(Coding::Dcz, std::slice::from_ref(&frame), 0);
    assert_eq!(decoded(Coding::Dcz, &whole), frame.as_bytes());
}
