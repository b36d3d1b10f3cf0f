//! A head is judged the same whole, where httparse sees it first, and byte by byte, where the
//! state machine does. Each request can be given an identifier, and has one then.
#![no_main]

use hurricane_http::{Dialect, Head, HeadParser, Limits, REQUEST_ID_BYTES};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    for dialect in [&Dialect::OURS, &Dialect::LEGACY] {
        let default = Limits::default();
        judge(input, &Limits { head_bytes_max: 4096, target_bytes_max: 512, dialect, ..default });
    }
});

fn judge(input: &[u8], limits: &Limits) {
    let whole = Head::parse(input, limits).map(|head| {
        head.map(|(mut head, consumed)| {
            let mut field = None;
            head.identify(|| [b'a'; REQUEST_ID_BYTES]);
            for (name, value) in head.fields().filter(|(name, _)| is_request_id(name)) {
                assert_eq!(field.replace(value), None, "{name:?} twice");
            }
            assert!(head.id().is_some() && head.id() == field);
            consumed
        })
    });
    let mut parser = HeadParser::default();
    let split = (0..=input.len())
        .map(|len| parser.parse(&input[..len], limits).map(|head| head.map(|(_, len)| len)))
        .find(|outcome| *outcome != Ok(None));
    assert_eq!(whole, split.unwrap_or(Ok(None)));
}

fn is_request_id(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"x-request-id")
}
