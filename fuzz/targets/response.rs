//! Whatever an application answers, the head on the wire says that and no more: the fields that were
//! taken stand there once, each on a line of its own, and one length at most frames the body.
#![no_main]

use hurricane_http::{
    BodyLength, Dialect, Head, HeadEncoder, HttpDate, Limits, RequestFacts, TransferFraming,
};
use libfuzzer_sys::arbitrary::{self, Arbitrary};

#[derive(Arbitrary, Debug)]
struct Answer<'a> {
    status: u16,
    reason: &'a [u8],
    fields: Vec<(&'a [u8], &'a [u8])>,
    length: Option<u32>,
    is_old: bool,
    is_legacy: bool,
    is_head: bool,
    keep_alive: bool,
}

libfuzzer_sys::fuzz_target!(|answer: Answer<'_>| {
    let mut out = b"before".to_vec();
    let Some((framing, lives_on, taken)) = encode(&answer, &mut out) else {
        // Without `finish` the fields so far may stand there; an error leaves nothing.
        assert_eq!(out, b"before");
        return;
    };
    let wire = &out[b"before".len()..];
    let (head, rest) = wire.split_at(wire.len() - 4);
    assert_eq!(rest, b"\r\n\r\n");
    assert!(!head.windows(4).any(|four| four == b"\r\n\r\n"));
    let mut lines = head.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    assert!(first.starts_with(format!("HTTP/1.1 {} ", answer.status).as_bytes()));
    let lines: Vec<&[u8]> = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
    assert!(lines.iter().all(|line| !line.iter().any(|byte| b"\r\0".contains(byte))));
    let named = |name: &str| {
        let is = |line: &&&[u8]| {
            line.get(..=name.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(format!("{name}:").as_bytes()))
        };
        lines.iter().filter(is).count()
    };
    let framed = named("content-length") + named("transfer-encoding");
    assert!(framed <= 1 && named("connection") <= 1);
    assert_eq!(named("transfer-encoding") == 1, framing == TransferFraming::Chunked);
    assert!(!lives_on || (answer.keep_alive && framing != TransferFraming::Close));
    let ours = framed + named("connection");
    // Those of the application, and at most Date and Server.
    assert!((taken + ours..=taken + ours + 2).contains(&lines.len()), "{lines:?}");
});

/// What is said of the answer, and how many fields of the application stand in it.
fn encode(answer: &Answer<'_>, out: &mut Vec<u8>) -> Option<(TransferFraming, bool, usize)> {
    let method = if answer.is_head { "HEAD" } else { "GET" };
    let version = if answer.is_old { "1.0" } else { "1.1" };
    let request = format!("{method} / HTTP/{version}\r\nHost: a\r\n\r\n");
    let dialect = if answer.is_legacy { &Dialect::LEGACY } else { &Dialect::OURS };
    let limits = Limits { dialect, ..Limits::default() };
    let (head, _) = Head::parse(request.as_bytes(), &limits).ok().flatten()?;
    let facts = RequestFacts::of(&head, answer.keep_alive);
    let mut encoder = HeadEncoder::new(out, answer.status, answer.reason).ok()?;
    let mut taken = 0;
    for (name, value) in &answer.fields {
        encoder.header(name, value).ok()?;
        let kept_aside = [&b"content-length"[..], b"connection"];
        taken += usize::from(!kept_aside.iter().any(|kept| name.eq_ignore_ascii_case(kept)));
    }
    let length = answer.length.map_or(BodyLength::Unknown, |len| BodyLength::Known(len.into()));
    let (framing, lives_on) = encoder.finish(length, facts, &HttpDate::new(784_111_777)).ok()?;
    Some((framing, lives_on, taken))
}
