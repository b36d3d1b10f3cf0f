//! Request bodies and their framing. Every case is fed whole, byte by byte and in three pieces.

use hurricane_http::{BodyDecoder, BodyFraming, Limits, RequestError};
use proptest::prelude::*;

/// Decoded bytes, bytes consumed, and whether the body is complete.
type Outcome = Result<(Vec<u8>, usize, bool), RequestError>;

fn decode_at(input: &[u8], size: usize, framing: BodyFraming, limits: &Limits) -> Outcome {
    let mut decoder = BodyDecoder::new(framing, limits)?;
    let mut out = Vec::new();
    let mut consumed = 0;
    for piece in input.chunks(size.max(1)) {
        let before = out.len();
        let progress = decoder.decode(piece, &mut out)?;
        assert!(out.len() - before <= piece.len());
        consumed += progress.consumed;
        if progress.complete {
            break;
        }
        assert_eq!(progress.consumed, piece.len(), "an unfinished body uses up all bytes");
    }
    Ok((out, consumed, decoder.is_complete()))
}

fn decode(input: &[u8], framing: BodyFraming, limits: &Limits) -> Outcome {
    let whole = decode_at(input, input.len(), framing, limits);
    for size in [1, input.len().div_ceil(3)] {
        let split = decode_at(input, size, framing, limits);
        assert_eq!(whole, split, "pieces of {size}: {:?}", String::from_utf8_lossy(input));
    }
    whole
}

fn chunked(input: &str) -> Outcome {
    decode(input.as_bytes(), BodyFraming::Chunked, &Limits::default())
}

#[test]
fn a_body_of_known_length_ends_there() {
    let limits = Limits::default();
    let length = |length, input: &[u8]| decode(input, BodyFraming::Length(length), &limits);
    assert_eq!(length(5, b"helloGET"), Ok((b"hello".to_vec(), 5, true)));
    assert_eq!(length(5, b"hel"), Ok((b"hel".to_vec(), 3, false)));
    assert_eq!(decode(b"GET", BodyFraming::None, &limits), Ok((Vec::new(), 0, true)));
    let decoder = BodyDecoder::new(BodyFraming::None, &limits).unwrap();
    assert!(decoder.is_complete(), "without a byte read");
}

#[test]
fn a_declared_length_over_the_limit_is_refused_before_the_body() {
    let limits = Limits { body_bytes_max: 10, ..Limits::default() };
    assert!(BodyDecoder::new(BodyFraming::Length(10), &limits).is_ok());
    let refused = BodyDecoder::new(BodyFraming::Length(11), &limits).unwrap_err();
    assert_eq!(refused, RequestError::BodyTooLarge { limit: 10 });
    assert_eq!(refused.status(), 413);
}

#[test]
fn chunks_are_joined_and_what_follows_is_left() {
    let cases = [
        ("0\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("5\r\nhello\r\n6\r\n world\r\n000\r\n\r\n", "hello world"),
        ("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789"),
        ("00000000000000000000005\r\nhello\r\n0\r\n\r\n", "hello"),
        ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
        ("1;a\r\nx\r\n0;b=c\r\n\r\n", "x"),
        ("1 ; a = b\t;c=\"d; \\\"\\\u{e9}\"\r\nx\r\n0\r\n\r\n", "x"),
        ("1;a=\"\"\r\nx\r\n0\r\n\r\n", "x"),
        ("0\r\nA: b\r\nC:\r\n\r\n", ""),
        ("0\r\nContent-Length: 5\r\n\r\n", ""),
    ];
    for (input, expected) in cases {
        for rest in ["", "GET / HTTP/1.1\r\n", "0\r\n\r\n"] {
            assert_eq!(
                chunked(&format!("{input}{rest}")),
                Ok((expected.as_bytes().to_vec(), input.len(), true)),
                "{input:?}"
            );
        }
        for len in 0..input.len() {
            if let Some(prefix) = input.get(..len) {
                assert!(matches!(chunked(prefix), Ok((_, _, false))), "{prefix:?}");
            }
        }
    }
}

#[test]
fn chunked_bodies_are_held_to_the_grammar() {
    let cases = [
        ("\r\n", RequestError::InvalidChunkSize),
        ("x\r\n", RequestError::InvalidChunkSize),
        (";a\r\n", RequestError::InvalidChunkSize),
        (" 5\r\n", RequestError::InvalidChunkSize),
        ("5 \r\n", RequestError::InvalidChunkSize),
        ("5 5\r\n", RequestError::InvalidChunkSize),
        ("0x5\r\n", RequestError::InvalidChunkSize),
        ("+5\r\n", RequestError::InvalidChunkSize),
        ("-5\r\n", RequestError::InvalidChunkSize),
        ("5_0\r\n", RequestError::InvalidChunkSize),
        ("5\0\r\n", RequestError::InvalidChunkSize),
        ("5;\r\n", RequestError::InvalidChunkExtension),
        ("5;=a\r\n", RequestError::InvalidChunkExtension),
        ("5;a=\r\n", RequestError::InvalidChunkExtension),
        ("5;a b\r\n", RequestError::InvalidChunkExtension),
        ("5;a \r\n", RequestError::InvalidChunkExtension),
        ("5;a=b \r\n", RequestError::InvalidChunkExtension),
        ("5;a=\"b\r\n", RequestError::InvalidChunkExtension),
        ("5;a=\"b\"c\r\n", RequestError::InvalidChunkExtension),
        ("5;a=\"\\\0\"\r\n", RequestError::InvalidChunkExtension),
        ("5;a\0\r\n", RequestError::InvalidChunkExtension),
        ("5\nhello", RequestError::BareLineFeed),
        ("5;a\nhello", RequestError::BareLineFeed),
        ("5;a=\"\nhello", RequestError::BareLineFeed),
        ("5\rhello", RequestError::BareCarriageReturn),
        ("5\r\r\nhello", RequestError::BareCarriageReturn),
        ("5;a\r;b\r\n", RequestError::BareCarriageReturn),
        ("5\r\nhelloo\r\n", RequestError::MissingChunkEnd),
        ("5\r\nhello\n", RequestError::MissingChunkEnd),
        ("5\r\nhello\r5", RequestError::MissingChunkEnd),
        ("5\r\nhello0\r\n\r\n", RequestError::MissingChunkEnd),
        ("0\r\n\n", RequestError::BareLineFeed),
        ("0\r\n\rX", RequestError::BareCarriageReturn),
        ("0\r\n a\r\n", RequestError::FoldedField),
        ("0\r\nA: b\r\n c\r\n", RequestError::FoldedField),
        ("0\r\n: a\r\n", RequestError::EmptyFieldName),
        ("0\r\nA : b\r\n", RequestError::SpaceBeforeColon),
        ("0\r\nA\r\n", RequestError::MissingColon),
        ("0\r\nA(: b\r\n", RequestError::InvalidFieldName),
        ("0\r\n(\r\n", RequestError::InvalidFieldName),
        ("0\r\nA: \0\r\n", RequestError::InvalidFieldValue),
        ("0\r\nA: b\n", RequestError::BareLineFeed),
        ("0\r\nA: b\rC", RequestError::BareCarriageReturn),
        ("0\r\nA\n", RequestError::BareLineFeed),
    ];
    for (input, expected) in cases {
        assert_eq!(chunked(input), Err(expected), "{input:?}");
    }
}

#[test]
fn the_sum_of_chunks_is_held_to_the_body_limit() {
    let limits = Limits { body_bytes_max: 10, ..Limits::default() };
    let chunked = |input: &[u8]| decode(input, BodyFraming::Chunked, &limits);
    let too_large = Err(RequestError::BodyTooLarge { limit: 10 });
    assert!(chunked(b"a\r\n0123456789\r\n0\r\n\r\n").is_ok());
    assert!(chunked(b"5\r\n01234\r\n5\r\n01234\r\n0\r\n\r\n").is_ok());
    assert_eq!(chunked(b"b"), too_large);
    assert_eq!(chunked(b"5\r\n01234\r\n6"), too_large);
    assert_eq!(chunked(b"10"), too_large);
}

#[test]
fn a_chunk_size_never_wraps() {
    let limits = Limits { body_bytes_max: u64::MAX, ..Limits::default() };
    let chunked = |input: &[u8]| decode(input, BodyFraming::Chunked, &limits);
    assert_eq!(chunked(b"ffffffffffffffff\r\nx"), Ok((b"x".to_vec(), 19, false)));
    assert_eq!(
        chunked(b"10000000000000000\r\n"),
        Err(RequestError::BodyTooLarge { limit: u64::MAX })
    );
    let after_one = chunked(b"1\r\nx\r\nffffffffffffffff\r\n");
    assert_eq!(after_one, Err(RequestError::BodyTooLarge { limit: u64::MAX }));
}

#[test]
fn chunk_lines_extensions_and_trailers_are_bounded() {
    let limits = Limits {
        chunk_line_bytes_max: 8,
        chunk_extension_bytes_max: 12,
        trailer_bytes_max: 10,
        ..Limits::default()
    };
    let chunked = |input: &[u8]| decode(input, BodyFraming::Chunked, &limits);
    assert!(chunked(b"1;abcdef\r\nx\r\n0\r\n\r\n").is_ok());
    let line = Err(RequestError::ChunkLineTooLong { limit: 8 });
    assert_eq!(chunked(b"1;abcdefg"), line);
    assert_eq!(chunked(b"000000001"), line);
    let twice = b"1;abcde\r\nx\r\n1;abcde\r\nx\r\n0\r\n\r\n";
    assert!(chunked(twice).is_ok());
    let extensions = Err(RequestError::ChunkExtensionsTooLarge { limit: 12 });
    assert_eq!(chunked(b"1;abcde\r\nx\r\n1;abcdef\r\n"), extensions);
    assert!(chunked(b"0\r\nA:b\r\nC:d\r\n\r\n").is_ok());
    let trailers = Err(RequestError::TrailersTooLarge { limit: 10 });
    assert_eq!(chunked(b"0\r\nA:b\r\nC:dd\r\n\r\n"), trailers);
    assert_eq!(chunked(b"0\r\nAAAAAAAAAAA"), trailers);
}

/// A body as some peer may cut it into chunks, and its bytes.
fn chunked_body() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let chunk = (proptest::collection::vec(any::<u8>(), 1..40), "(;[a-z]{1,3}(=[a-z]{1,3})?)?");
    (proptest::collection::vec(chunk, 0..6), "([A-Z]{1,4}: [a-z]{0,4}\r\n){0,3}").prop_map(
        |(chunks, trailers)| {
            let mut wire = Vec::new();
            let mut body = Vec::new();
            for (data, extension) in chunks {
                wire.extend_from_slice(format!("{:x}{extension}\r\n", data.len()).as_bytes());
                wire.extend_from_slice(&data);
                wire.extend_from_slice(b"\r\n");
                body.extend_from_slice(&data);
            }
            wire.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
            (wire, body)
        },
    )
}

proptest! {
    #[test]
    fn chunked_bodies_come_out_as_they_went_in((wire, body) in chunked_body(), size in 1_usize..50) {
        let expected = Ok((body, wire.len(), true));
        let limits = Limits::default();
        prop_assert_eq!(decode_at(&wire, size, BodyFraming::Chunked, &limits), expected.clone());
        let mut followed = wire.clone();
        followed.extend_from_slice(b"GET /");
        prop_assert_eq!(decode(&followed, BodyFraming::Chunked, &limits), expected);
    }

    #[test]
    fn damaged_chunked_bodies_give_the_same_result_in_any_split(
        (mut wire, _) in chunked_body(),
        at in any::<prop::sample::Index>(),
        byte in prop_oneof![any::<u8>(), proptest::sample::select(b"\r\n;=\" 0f\\".to_vec())],
    ) {
        let at = at.index(wire.len());
        wire[at] = byte;
        let _ = decode(&wire, BodyFraming::Chunked, &Limits::default());
    }

    #[test]
    fn arbitrary_chunked_bytes_give_the_same_result_in_any_split(
        input in "[0-9a-f;=\"\\\\ \t\r\nxX:]{0,60}",
    ) {
        let _ = chunked(&input);
    }
}
