//! A head is judged the same whole, where httparse sees it first, and byte by byte, where the
//! state machine does.
#![no_main]

use hurricane_http::{Head, HeadParser, Limits};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let limits = Limits { head_bytes_max: 4096, target_bytes_max: 512, ..Limits::default() };
    let whole = Head::parse(input, &limits).map(|head| head.map(|(_, consumed)| consumed));
    let mut parser = HeadParser::default();
    let split = (0..=input.len())
        .map(|len| parser.parse(&input[..len], &limits).map(|head| head.map(|(_, len)| len)))
        .find(|outcome| *outcome != Ok(None));
    assert_eq!(whole, split.unwrap_or(Ok(None)));
});
