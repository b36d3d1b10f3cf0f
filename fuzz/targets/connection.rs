//! The requests of one connection, pipelined, are the same whole and in any split: each head, each
//! body, where it ends, and what the connection is refused for.
#![no_main]

use hurricane_http::{BodyDecoder, BodyFraming, Head, HeadParser, Limits, RequestError, Version};
use libfuzzer_sys::arbitrary::{self, Arbitrary};

/// Bytes, and how many of them each read brings: over and over again.
#[derive(Arbitrary, Debug)]
struct Peer<'a> {
    reads: [u8; 6],
    sent: &'a [u8],
}

/// What the application would see of a request, and the bytes that it took.
#[derive(Debug, PartialEq)]
struct Seen {
    head: String,
    body: Vec<u8>,
    taken: usize,
}

/// What is being read.
enum Reading {
    Head(HeadParser),
    /// And the bytes that it has taken so far.
    Body(BodyDecoder, Vec<u8>, usize),
}

libfuzzer_sys::fuzz_target!(|peer: Peer<'_>| {
    let limits = Limits {
        head_bytes_max: 2048,
        target_bytes_max: 512,
        body_bytes_max: 4096,
        ..Limits::default()
    };
    let whole = serve(peer.sent, &[usize::MAX], &limits);
    let reads = peer.reads.map(|read| usize::from(read % 32) + 1);
    assert_eq!(whole, serve(peer.sent, &reads, &limits));
    assert_eq!(whole, serve(peer.sent, &[1], &limits));
});

/// Reads as a connection does: a buffer of what is unread, from which heads and bodies are taken.
fn serve(sent: &[u8], reads: &[usize], limits: &Limits) -> (Vec<Seen>, Option<RequestError>) {
    let (mut seen, mut buffer, mut rest) = (Vec::new(), Vec::new(), sent);
    let mut reading = Reading::Head(HeadParser::default());
    for read in reads.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (bytes, behind) = rest.split_at((*read).min(rest.len()));
        buffer.extend_from_slice(bytes);
        rest = behind;
        loop {
            let before = buffer.len();
            match step(&mut reading, &mut buffer, limits, &mut seen) {
                Ok(true) if !buffer.is_empty() && buffer.len() < before => {}
                Ok(_) => break,
                Err(error) => return (seen, Some(error)),
            }
        }
    }
    (seen, None)
}

/// Takes one head, or what there is of a body, off the buffer; whether that is complete.
fn step(
    reading: &mut Reading,
    buffer: &mut Vec<u8>,
    limits: &Limits,
    seen: &mut Vec<Seen>,
) -> Result<bool, RequestError> {
    match reading {
        Reading::Head(parser) => {
            let Some((head, consumed)) = parser.parse(buffer, limits)? else { return Ok(false) };
            assert!(head.headers().all(|field| !field.name.is_empty()) && !head.path().is_empty());
            assert!(head.host().is_some() || head.version() == Version::Http10);
            buffer.drain(..consumed);
            let decoder = BodyDecoder::new(head.framing(), limits)?;
            seen.push(Seen { head: essence(&head), body: Vec::new(), taken: consumed });
            if head.framing() != BodyFraming::None {
                *reading = Reading::Body(decoder, Vec::new(), 0);
            }
            Ok(true)
        }
        Reading::Body(decoder, body, taken) => {
            let progress = decoder.decode(buffer, body)?;
            assert!(progress.complete || progress.consumed == buffer.len());
            buffer.drain(..progress.consumed);
            *taken += progress.consumed;
            if progress.complete {
                assert!(body.len() as u64 <= limits.body_bytes_max);
                let last = seen.last_mut().expect("a body follows its head");
                last.taken += *taken;
                last.body = std::mem::take(body);
                *reading = Reading::Head(HeadParser::default());
            }
            Ok(progress.complete)
        }
    }
}

fn essence(head: &Head) -> String {
    let fields: Vec<_> = head.fields().collect();
    let (method, target) = (head.method(), head.target());
    format!(
        "{method} {target:?} {:?} {:?} {:?} {:?} {fields:?} {:?} {} {}",
        head.path(),
        head.query(),
        head.version(),
        head.host(),
        head.framing(),
        head.keep_alive(),
        head.expects_continue(),
    )
}
