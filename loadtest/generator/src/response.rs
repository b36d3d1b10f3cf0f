//! Where a response ends: by its Content-Length, its last chunk, or the end of the connection.
//!
//! Fed piece by piece and keeping nothing but the head, so that a stream of any length is read to
//! its end without being held.

/// A head or chunk line that is longer is not what this load is about.
const LINE_BYTES_MAX: usize = 64 << 10;

/// A response that has arrived to its last byte.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body_bytes: u64,
    /// Whether no further response follows on this connection.
    pub(crate) closes: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Parser {
    awaited: Awaited,
    /// The beginning of a head or line whose end has not arrived.
    partial: Vec<u8>,
    status: u16,
    body_bytes: u64,
    closes: bool,
}

#[derive(Debug, Default)]
enum Awaited {
    #[default]
    Head,
    /// So many bytes of a body with a length.
    Body(u64),
    ChunkLine,
    /// So many bytes of a chunk, and its line end.
    Chunk(u64),
    Trailer,
    Close,
}

impl Parser {
    /// Takes bytes up to the end of a response off `rest`; none while it has not arrived.
    pub(crate) fn feed(&mut self, rest: &mut &[u8]) -> Result<Option<Response>, &'static str> {
        loop {
            match self.awaited {
                Awaited::Head => {
                    let Some(head) = take(&mut self.partial, rest, b"\r\n\r\n")? else {
                        return Ok(None);
                    };
                    self.begin(&head)?;
                }
                Awaited::Body(left) => {
                    let left = left - self.skip(rest, left);
                    self.awaited = Awaited::Body(left);
                    return Ok((left == 0).then(|| self.conclude()));
                }
                Awaited::ChunkLine => {
                    let Some(line) = take(&mut self.partial, rest, b"\r\n")? else {
                        return Ok(None);
                    };
                    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
                    let digits = std::str::from_utf8(digits.trim_ascii()).unwrap_or_default();
                    self.awaited = match u64::from_str_radix(digits, 16) {
                        Ok(0) => Awaited::Trailer,
                        Ok(length) => Awaited::Chunk(length + 2),
                        Err(_) => return Err("a chunk has no length"),
                    };
                }
                Awaited::Chunk(left) => {
                    let left = left - self.skip(rest, left);
                    self.awaited = Awaited::Chunk(left);
                    if left > 0 {
                        return Ok(None);
                    }
                    self.body_bytes -= 2;
                    self.awaited = Awaited::ChunkLine;
                }
                Awaited::Trailer => match take(&mut self.partial, rest, b"\r\n")? {
                    None => return Ok(None),
                    Some(line) if line.is_empty() => return Ok(Some(self.conclude())),
                    Some(_) => {}
                },
                Awaited::Close => {
                    self.skip(rest, u64::MAX);
                    return Ok(None);
                }
            }
        }
    }

    /// The response that the end of the connection has ended, if it is one that may end so.
    pub(crate) fn close(&mut self) -> Option<Response> {
        matches!(self.awaited, Awaited::Close).then(|| self.conclude())
    }

    fn begin(&mut self, head: &[u8]) -> Result<(), &'static str> {
        let version = head.get(..9).unwrap_or_default();
        if version != b"HTTP/1.1 " && version != b"HTTP/1.0 " {
            return Err("no status line");
        }
        let status = head.get(9..12).and_then(decimal).and_then(|code| u16::try_from(code).ok());
        self.status = status.ok_or("no status code")?;
        let connection = value(head, b"connection").unwrap_or_default();
        self.closes = match version {
            b"HTTP/1.0 " => !connection.eq_ignore_ascii_case(b"keep-alive"),
            _ => connection.eq_ignore_ascii_case(b"close"),
        };
        self.awaited = if let Some(length) = value(head, b"content-length") {
            Awaited::Body(decimal(length).ok_or("content-length is no number")?)
        } else if value(head, b"transfer-encoding").is_some() {
            Awaited::ChunkLine
        } else if self.closes {
            Awaited::Close
        } else {
            return Err("neither content-length nor transfer-encoding");
        };
        Ok(())
    }

    /// Takes at most so many bytes of the body, and says how many there were.
    fn skip(&mut self, rest: &mut &[u8], most: u64) -> u64 {
        let length = rest.len().min(usize::try_from(most).unwrap_or(usize::MAX));
        *rest = &rest[length..];
        self.body_bytes += length as u64;
        length as u64
    }

    fn conclude(&mut self) -> Response {
        let Self { status, body_bytes, closes, .. } = *self;
        *self = Self { partial: std::mem::take(&mut self.partial), ..Self::default() };
        Response { status, body_bytes, closes }
    }
}

/// What precedes a delimiter, which is taken too; none while it has not arrived.
fn take<'bytes>(
    partial: &mut Vec<u8>,
    rest: &mut &'bytes [u8],
    delimiter: &[u8],
) -> Result<Option<std::borrow::Cow<'bytes, [u8]>>, &'static str> {
    if partial.is_empty()
        && let Some(end) = memchr::memmem::find(rest, delimiter)
    {
        let found = &rest[..end];
        *rest = &rest[end + delimiter.len()..];
        return Ok(Some(found.into()));
    }
    let known = partial.len();
    partial.extend_from_slice(rest);
    let from = known.saturating_sub(delimiter.len() - 1);
    let Some(end) = memchr::memmem::find(&partial[from..], delimiter) else {
        *rest = &[];
        return if partial.len() > LINE_BYTES_MAX { Err("a line without end") } else { Ok(None) };
    };
    *rest = &rest[from + end + delimiter.len() - known..];
    let found = partial[..from + end].to_vec();
    partial.clear();
    Ok(Some(found.into()))
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

fn decimal(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body_bytes: u64, closes: bool) -> Option<Response> {
        Some(Response { status, body_bytes, closes })
    }

    /// Whole, and cut in two at every byte, it is what is expected, and what follows is left.
    fn check(text: &str, expected: Option<Response>) {
        let bytes = [text.as_bytes(), b"HTTP"].concat();
        for cut in 0..text.len() {
            let (mut parser, mut first) = (Parser::default(), &bytes[..cut]);
            assert_eq!(parser.feed(&mut first), Ok(None), "{text} to {cut}");
            assert!(first.is_empty(), "{text} to {cut} leaves {first:?}");
            let mut second = &bytes[cut..];
            assert_eq!(parser.feed(&mut second), Ok(expected), "{text} {cut}");
            assert_eq!(second, b"HTTP", "{text} from {cut}");
        }
    }

    #[test]
    fn a_response_ends_by_its_content_length() {
        let text = "HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 5\r\n\r\nhello";
        check(text, response(200, 5, false));
        check("HTTP/1.1 204 No\r\ncontent-length:0\r\n\r\n", response(204, 0, false));
    }

    #[test]
    fn a_chunked_response_ends_behind_its_trailer() {
        let head = "HTTP/1.1 500 Oh\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
        check(&format!("{head}5\r\nhello\r\n0\r\n\r\n"), response(500, 5, true));
        check(
            &format!("{head}a;b=c\r\n0\r\n\r\n34567\r\n1\r\nx\r\n0\r\n\r\n"),
            response(500, 11, true),
        );
        check(&format!("{head}0\r\nA: b\r\n\r\n"), response(500, 0, true));
    }

    #[test]
    fn a_response_of_the_old_version_may_end_with_its_connection() {
        let mut rest = &b"HTTP/1.0 200 OK\r\n\r\nhello"[..];
        let mut parser = Parser::default();
        assert_eq!(parser.feed(&mut rest), Ok(None));
        assert_eq!(parser.close(), response(200, 5, true));
        assert_eq!(parser.close(), None);
    }

    #[test]
    fn what_is_no_response_is_an_error() {
        for text in [
            "HTTP/1.1 200 OK\r\nX-Content-Length: 4\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n",
            "HTTP/2 200\r\nContent-Length: 4\r\n\r\n",
        ] {
            assert!(Parser::default().feed(&mut text.as_bytes()).is_err(), "{text}");
        }
    }
}
