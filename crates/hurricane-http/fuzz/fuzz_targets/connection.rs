//! The requests of one connection, pipelined, are read to the end or to the first error.
#![no_main]

use hurricane_http::{BodyDecoder, Head, Limits};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let (mut rest, limits) = (input, Limits::default());
    while let Ok(Some((head, consumed))) = Head::parse(rest, &limits) {
        rest = &rest[consumed..];
        let Ok(mut decoder) = BodyDecoder::new(head.framing(), &limits) else { return };
        let Ok(progress) = decoder.decode(rest, &mut Vec::new()) else { return };
        rest = &rest[progress.consumed..];
        assert!(progress.complete || rest.is_empty());
        assert!(head.headers().all(|field| !field.name.is_empty()) && !head.path().is_empty());
    }
});
