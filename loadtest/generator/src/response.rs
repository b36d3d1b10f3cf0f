//! Where a response ends: by its Content-Length or its last chunk.
//!
//! No more than one response is ever under way on a connection, so bytes behind its end are an
//! error of the server, and a chunked body ends where the bytes end with the last chunk.

use memchr::memmem;

const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

#[derive(Debug, PartialEq)]
pub(crate) enum Framing {
    Partial,
    Whole { status: u16 },
    Malformed(&'static str),
}

/// `bytes`: everything that was received since the request was sent.
pub(crate) fn frame(bytes: &[u8]) -> Framing {
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
        return Framing::Partial;
    };
    let Some(status) = status(bytes) else {
        return Framing::Malformed("no status line");
    };
    let fields = &bytes[..end];
    let body = &bytes[end + 4..];
    if let Some(length) = value(fields, b"content-length").and_then(decimal) {
        return match body.len().cmp(&length) {
            std::cmp::Ordering::Less => Framing::Partial,
            std::cmp::Ordering::Equal => Framing::Whole { status },
            std::cmp::Ordering::Greater => Framing::Malformed("body exceeds its content-length"),
        };
    }
    if value(fields, b"transfer-encoding").is_none() {
        return Framing::Malformed("neither content-length nor transfer-encoding");
    }
    // The line end of an empty body's only chunk is that of the head.
    match bytes[end + 2..].ends_with(LAST_CHUNK) {
        true => Framing::Whole { status },
        false => Framing::Partial,
    }
}

fn status(bytes: &[u8]) -> Option<u16> {
    let code = bytes.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    u16::try_from(decimal(code)?).ok()
}

/// The value of a field; `name` is in lower case.
fn value<'head>(head: &'head [u8], name: &[u8]) -> Option<&'head [u8]> {
    let mut rest = head;
    while let Some(at) = memchr::memchr(b'\n', rest) {
        rest = &rest[at + 1..];
        let (field, value) = rest.split_at_checked(name.len())?;
        if value.first() == Some(&b':') && field.eq_ignore_ascii_case(name) {
            let end = memchr::memchr(b'\r', value).unwrap_or(value.len());
            return Some(value[1..end].trim_ascii());
        }
    }
    None
}

fn decimal(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole, the response is what is expected; every shorter piece of it is partial.
    fn check(response: &[u8], expected: &Framing) {
        assert_eq!(frame(response), *expected);
        for length in 0..response.len() {
            assert_eq!(frame(&response[..length]), Framing::Partial, "first {length} bytes");
        }
    }

    #[test]
    fn a_response_ends_by_its_content_length() {
        let response = b"HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 5\r\n\r\nhello";
        check(response, &Framing::Whole { status: 200 });
        check(b"HTTP/1.1 204 No\r\ncontent-length:0\r\n\r\n", &Framing::Whole { status: 204 });
    }

    #[test]
    fn a_chunked_response_ends_with_its_last_chunk() {
        let head = "HTTP/1.1 500 Oh\r\ntransfer-encoding: chunked\r\n\r\n";
        check(format!("{head}5\r\nhello\r\n0\r\n\r\n").as_bytes(), &Framing::Whole { status: 500 });
        check(format!("{head}0\r\n\r\n").as_bytes(), &Framing::Whole { status: 500 });
    }

    #[test]
    fn bytes_behind_a_response_are_an_error() {
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhello";
        assert!(matches!(frame(response), Framing::Malformed(_)));
    }

    #[test]
    fn a_response_without_a_length_is_an_error() {
        let response = b"HTTP/1.1 200 OK\r\nX-Content-Length: 4\r\n\r\n";
        assert!(matches!(frame(response), Framing::Malformed(_)));
    }
}
