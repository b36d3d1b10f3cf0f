//! Puts response heads and the framing of their bodies on the wire.
//!
//! Invariants:
//! - No byte of an application can end a line: names are tokens, values and reasons hold no
//!   control bytes, and what frames the message is written by us alone.
//! - After an error the buffer is as it was before the head.
//! - Nothing is allocated but room in the buffer.

use crate::fields::{
    ConnectionOptions, DecimalError, decimal, is_token, is_value_byte, trim, value_prefix_len,
};
use crate::request_id;
use crate::{
    BodyLength, Dialect, HttpDate, RequestFacts, RequestId, ResponseError, TransferFraming, Version,
};

/// The whole interim response that a peer waits for; see [`crate::Head::expects_continue`].
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Ends a chunked body.
pub const FINAL_CHUNK: &[u8] = b"0\r\n\r\n";

/// Appends the size line of a chunk of `len` bytes (`len` > 0). The chunk's bytes and `\r\n`
/// follow.
pub fn chunk_prefix(out: &mut Vec<u8>, len: usize) {
    debug_assert!(len > 0, "an empty chunk ends the body");
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        out.push(b"0123456789abcdef"[len >> (digit * 4) & 0xf]);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes a response head into a buffer, field by field, validating each.
///
/// Dropped without [`HeadEncoder::finish`] it leaves the fields so far in the buffer.
#[derive(Debug)]
pub struct HeadEncoder<'a> {
    out: &'a mut Vec<u8>,
    /// Length of `out` before this head.
    start: usize,
    status: u16,
    content_length: Option<u64>,
    has_date: bool,
    has_server: bool,
    has_request_id: bool,
    close: bool,
    /// The first error, which every later call repeats.
    failed: Option<ResponseError>,
}

impl<'a> HeadEncoder<'a> {
    /// Starts with the status line. An empty `reason` takes the standard phrase. On an error
    /// here or later `out` is cut back to where it was.
    #[inline]
    pub fn new(out: &'a mut Vec<u8>, status: u16, reason: &[u8]) -> Result<Self, ResponseError> {
        if !(200..=999).contains(&status) {
            return Err(ResponseError::Status(status));
        }
        if !reason.iter().all(|&byte| is_value_byte(byte)) {
            return Err(ResponseError::Reason);
        }
        let start = out.len();
        out.reserve(256);
        match standard_line(status) {
            Some(line) if reason.is_empty() => out.extend_from_slice(line),
            _ => {
                out.extend_from_slice(b"HTTP/1.1 ");
                out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
                out.push(b' ');
                out.extend_from_slice(reason);
                out.extend_from_slice(b"\r\n");
            }
        }
        Ok(Self {
            out,
            start,
            status,
            content_length: None,
            has_date: false,
            has_server: false,
            has_request_id: false,
            close: false,
            failed: None,
        })
    }

    /// Adds a field of the application: name a token, value without control bytes (the tab may
    /// be), which includes CR, LF and NUL. Hop-by-hop fields (PEP 3333) are an error, except
    /// `Connection: close` which ends the connection and `Connection: keep-alive` which is
    /// dropped. Content-Length is parsed and kept aside.
    pub fn header(&mut self, name: &[u8], value: &[u8]) -> Result<(), ResponseError> {
        let result = match &self.failed {
            Some(error) => Err(error.clone()),
            None => self.add(name, value),
        };
        if let Err(error) = &result {
            self.out.truncate(self.start);
            self.failed = Some(error.clone());
        }
        result
    }

    fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), ResponseError> {
        if !is_token(name) {
            return Err(ResponseError::FieldName { name: readable(name) });
        }
        if value_prefix_len(value) != value.len() {
            return Err(ResponseError::FieldValue { name: readable(name) });
        }
        let value = trim(value);
        match Role::of(name) {
            Role::Plain => {}
            Role::Date => self.has_date = true,
            Role::Server => self.has_server = true,
            Role::RequestId => self.has_request_id = true,
            Role::ContentLength => return self.content_length(value),
            Role::Connection => {
                let mut options = ConnectionOptions::default();
                options.add(value);
                if options.other {
                    return Err(ResponseError::HopByHop { name: readable(name) });
                }
                self.close |= options.close;
                return Ok(());
            }
            Role::HopByHop => return Err(ResponseError::HopByHop { name: readable(name) }),
        }
        self.field(name, value);
        Ok(())
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), ResponseError> {
        let second = decimal(value).map_err(|_: DecimalError| ResponseError::ContentLength)?;
        match self.content_length.replace(second) {
            Some(first) if first != second => {
                Err(ResponseError::DifferingContentLengths { first, second })
            }
            _ => Ok(()),
        }
    }

    #[inline]
    fn field(&mut self, name: &[u8], value: &[u8]) {
        self.out.reserve(name.len() + value.len() + 4);
        self.out.extend_from_slice(name);
        self.out.extend_from_slice(b": ");
        self.out.extend_from_slice(value);
        self.out.extend_from_slice(b"\r\n");
    }

    /// Ends the head: adds Date, Server and the request's identifier where missing, Content-Length
    /// or Transfer-Encoding, and `Connection`. Returns how to write the body and whether the connection lives on.
    ///
    /// The application's Content-Length wins over `BodyLength`: the caller counts, cuts or
    /// closes. It is left out where it must not stand or would say something wrong: 204, 304
    /// (for which an application seldom knows the length of the 200), and HEAD when the
    /// application gave neither a length nor a body.
    pub fn finish(
        mut self,
        length: BodyLength,
        facts: RequestFacts<'_>,
        date: &HttpDate,
    ) -> Result<(TransferFraming, bool), ResponseError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let framing = self.framing(length, facts);
        let said = match (framing, length) {
            (TransferFraming::Length(length), _) => Some(length),
            (TransferFraming::None, _)
                if self.status == 204 && facts.dialect.measures_no_content =>
            {
                Some(0)
            }
            (TransferFraming::None, _) if matches!(self.status, 204 | 304) => None,
            (TransferFraming::None, _) if self.status == 205 => Some(0),
            (TransferFraming::None, BodyLength::Known(known)) if known > 0 => {
                Some(self.content_length.unwrap_or(known))
            }
            (TransferFraming::None, _) => self.content_length,
            _ => None,
        };
        if let Some(length) = said {
            self.field(b"Content-Length", itoa::Buffer::new().format(length).as_bytes());
        }
        if framing == TransferFraming::Chunked {
            self.out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        if !self.has_date && facts.dialect.dates {
            self.out.extend_from_slice(date.line());
        }
        if !self.has_server {
            name_server(self.out, facts.dialect);
        }
        if !self.has_request_id {
            tell(self.out, facts.id);
        }
        let lives_on = facts.keep_alive && !self.close && framing != TransferFraming::Close;
        end(self.out, RequestFacts { keep_alive: lives_on, ..facts });
        Ok((framing, lives_on))
    }

    fn framing(&self, length: BodyLength, facts: RequestFacts<'_>) -> TransferFraming {
        if facts.is_head || matches!(self.status, 204 | 205 | 304) {
            return TransferFraming::None;
        }
        match (self.content_length, length) {
            (Some(length), _) | (None, BodyLength::Known(length)) => {
                TransferFraming::Length(length)
            }
            (None, BodyLength::Unknown) if facts.version == Version::Http11 => {
                TransferFraming::Chunked
            }
            (None, BodyLength::Unknown) => TransferFraming::Close,
        }
    }
}

/// Ends a head whose other lines, the one that frames the body too, are there: adds Date, Server,
/// the request's identifier and `Connection`. For heads that are made of lines known to be valid.
pub fn end_head(out: &mut Vec<u8>, facts: RequestFacts<'_>, date: &HttpDate) {
    if facts.dialect.dates {
        out.extend_from_slice(date.line());
    }
    name_server(out, facts.dialect);
    tell(out, facts.id);
    end(out, facts);
}

/// Adds the line that names the server.
#[inline]
fn name_server(out: &mut Vec<u8>, dialect: &Dialect) {
    match dialect.server {
        None => out.extend_from_slice(SERVER),
        Some(server) => out.extend_from_slice(server),
    }
}

/// Adds the identifier of the request, if there is one.
#[inline]
fn tell(out: &mut Vec<u8>, id: Option<&RequestId>) {
    if let Some(id) = id {
        out.extend_from_slice(request_id::FIELD);
        out.extend_from_slice(b": ");
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

#[inline]
fn end(out: &mut Vec<u8>, facts: RequestFacts<'_>) {
    if !facts.keep_alive {
        out.extend_from_slice(b"Connection: close\r\n");
    } else if facts.version == Version::Http10 {
        out.extend_from_slice(b"Connection: keep-alive\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

const SERVER: &[u8] = b"Server: hurricane\r\n";

/// What the encoder does with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Plain,
    Date,
    Server,
    RequestId,
    ContentLength,
    Connection,
    HopByHop,
}

impl Role {
    #[inline]
    fn of(name: &[u8]) -> Self {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        match name.len() {
            2 if is(b"te") => Self::HopByHop,
            4 if is(b"date") => Self::Date,
            6 if is(b"server") => Self::Server,
            7 if is(b"trailer") || is(b"upgrade") => Self::HopByHop,
            8 if is(b"trailers") => Self::HopByHop,
            10 if is(b"connection") => Self::Connection,
            10 if is(b"keep-alive") => Self::HopByHop,
            12 if request_id::is_field(name) => Self::RequestId,
            14 if is(b"content-length") => Self::ContentLength,
            16 if is(b"proxy-connection") => Self::HopByHop,
            17 if is(b"transfer-encoding") => Self::HopByHop,
            18 if is(b"proxy-authenticate") => Self::HopByHop,
            19 if is(b"proxy-authorization") => Self::HopByHop,
            _ => Self::Plain,
        }
    }
}

fn readable(name: &[u8]) -> String {
    String::from_utf8_lossy(&name[..name.len().min(64)]).into_owned()
}

/// Makes the function that finds a status line.
macro_rules! standard_lines {
    ($($status:literal $phrase:literal,)*) => {
        /// The line of a status code in the registry, with the phrase that it has there.
        fn standard_line(status: u16) -> Option<&'static [u8]> {
            match status {
                $($status => {
                    Some(concat!("HTTP/1.1 ", $status, " ", $phrase, "\r\n").as_bytes())
                })*
                _ => None,
            }
        }
    };
}

standard_lines! {
    200 "OK",
    201 "Created",
    202 "Accepted",
    203 "Non-Authoritative Information",
    204 "No Content",
    205 "Reset Content",
    206 "Partial Content",
    207 "Multi-Status",
    208 "Already Reported",
    226 "IM Used",
    300 "Multiple Choices",
    301 "Moved Permanently",
    302 "Found",
    303 "See Other",
    304 "Not Modified",
    305 "Use Proxy",
    307 "Temporary Redirect",
    308 "Permanent Redirect",
    400 "Bad Request",
    401 "Unauthorized",
    402 "Payment Required",
    403 "Forbidden",
    404 "Not Found",
    405 "Method Not Allowed",
    406 "Not Acceptable",
    407 "Proxy Authentication Required",
    408 "Request Timeout",
    409 "Conflict",
    410 "Gone",
    411 "Length Required",
    412 "Precondition Failed",
    413 "Content Too Large",
    414 "URI Too Long",
    415 "Unsupported Media Type",
    416 "Range Not Satisfiable",
    417 "Expectation Failed",
    421 "Misdirected Request",
    422 "Unprocessable Content",
    423 "Locked",
    424 "Failed Dependency",
    425 "Too Early",
    426 "Upgrade Required",
    428 "Precondition Required",
    429 "Too Many Requests",
    431 "Request Header Fields Too Large",
    451 "Unavailable For Legal Reasons",
    500 "Internal Server Error",
    501 "Not Implemented",
    502 "Bad Gateway",
    503 "Service Unavailable",
    504 "Gateway Timeout",
    505 "HTTP Version Not Supported",
    506 "Variant Also Negotiates",
    507 "Insufficient Storage",
    508 "Loop Detected",
    511 "Network Authentication Required",
}
