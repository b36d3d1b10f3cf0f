//! Says what a connection's bytes are to us, for comparisons with other parsers.
//!
//! Each input is its length in four bytes (little endian) and itself, on standard input; of each one
//! line of JSON is written: the requests with the offset at which each ends, the rule that is broken
//! (`null`: none), and what the rest still waits for. Bytes are characters below U+0100.

use std::io::{self, BufReader, BufWriter, Read as _, Write as _};

use hurricane_http::{BodyDecoder, HeadParser, Limits, ProxyHeader, RequestError, Version};
use serde_json::{Value, json};

fn main() -> io::Result<()> {
    let mut input = BufReader::new(io::stdin().lock());
    let mut output = BufWriter::new(io::stdout().lock());
    let (limits, mut len, mut bytes) = (Limits::default(), [0; 4], Vec::new());
    while input.read_exact(&mut len).is_ok() {
        bytes.resize(u32::from_le_bytes(len) as usize, 0);
        input.read_exact(&mut bytes)?;
        let mut requests = Vec::new();
        // As with --proxy-protocol, where there is such a header.
        let header = ProxyHeader::parse(&bytes, &limits);
        let mut ended = header.ok().flatten().map_or(0, |(_, len)| len);
        let (rule, waits) = loop {
            match request(&bytes[ended..], &limits) {
                Ok(Ok((mut request, taken))) => {
                    ended += taken;
                    request["end"] = ended.into();
                    requests.push(request);
                }
                Ok(Err(waits)) => break (None, Some(waits)),
                Err(error) => break (Some(error.name()), None),
            }
        };
        writeln!(output, "{}", json!({"requests": requests, "rule": rule, "waits": waits}))?;
    }
    output.flush()
}

/// The request at the start of `bytes` and its length, or what is missing of it.
fn request(
    bytes: &[u8],
    limits: &Limits,
) -> Result<Result<(Value, usize), &'static str>, RequestError> {
    let Some((head, head_len)) = HeadParser::default().parse(bytes, limits)? else {
        return Ok(Err(if bytes.is_empty() { "request" } else { "head" }));
    };
    let mut decoder = BodyDecoder::new(head.framing(), limits)?;
    let mut body = Vec::new();
    let progress = decoder.decode(&bytes[head_len..], &mut body)?;
    if !progress.complete {
        return Ok(Err("body"));
    }
    let fields: Vec<_> = head.fields().map(|(name, value)| [text(name), text(value)]).collect();
    let request = json!({
        "method": head.method(),
        "target": text(head.target()),
        "version": if head.version() == Version::Http11 { "1.1" } else { "1.0" },
        "fields": fields,
        "body": text(&body),
        "keep_alive": head.keep_alive(),
    });
    Ok(Ok((request, head_len + progress.consumed)))
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
