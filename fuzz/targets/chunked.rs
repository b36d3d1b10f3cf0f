//! A chunked body is decoded the same whole and byte by byte, and never grows.
#![no_main]

use hurricane_http::{BodyDecoder, BodyFraming, Limits};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let decode = |size: usize| {
        let mut decoder = BodyDecoder::new(BodyFraming::Chunked, &Limits::default())?;
        let mut out = Vec::new();
        input.chunks(size).try_for_each(|piece| decoder.decode(piece, &mut out).map(drop))?;
        assert!(out.len() <= input.len());
        Ok::<_, hurricane_http::RequestError>((out, decoder.is_complete()))
    };
    assert_eq!(decode(input.len().max(1)), decode(1));
});
