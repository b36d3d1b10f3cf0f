//! One line of the access log, with nothing in it that could end it or move a terminal's cursor.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use hurricane_http::{Answered, Head};

/// Bytes of a `traceparent` that are kept; version 00 has 55.
const TRACEPARENT_BYTES_MAX: usize = 128;

/// How bad an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Below 400.
    Info,
    /// The client's fault.
    Warning,
    /// The server's.
    Error,
}

impl Severity {
    /// Of a status code.
    pub fn of(status: u16) -> Self {
        match status {
            ..400 => Self::Info,
            400..500 => Self::Warning,
            500.. => Self::Error,
        }
    }
}

/// An answer, as text. Texts of peers are escaped already.
#[derive(Debug)]
pub struct Line {
    status: u16,
    peer: Option<IpAddr>,
    took: Duration,
    /// Method, target, id and traceparent, one behind the other: one allocation a line.
    text: String,
    method_end: usize,
    /// Within the target, without its query.
    path_end: usize,
    target_end: usize,
    id_end: usize,
}

impl Line {
    /// The line about an answer.
    pub fn of(answered: &Answered<'_>) -> Self {
        let Answered { status, head, peer, took } = *answered;
        let mut text = String::with_capacity(128);
        let (method, target) = head.map_or(("-", &b"-"[..]), |head| (head.method(), head.target()));
        text.push_str(method);
        let method_end = text.len();
        let path_len = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
        escape(&mut text, &target[..path_len]);
        let path_end = text.len();
        escape(&mut text, &target[path_len..]);
        let target_end = text.len();
        let id = head.and_then(Head::id).unwrap_or_default();
        text.push_str(std::str::from_utf8(id).unwrap_or_default());
        let id_end = text.len();
        let traceparent = head.and_then(|head| head.header("traceparent")).unwrap_or_default();
        escape(&mut text, &traceparent[..traceparent.len().min(TRACEPARENT_BYTES_MAX)]);
        Self { status, peer, took, text, method_end, path_end, target_end, id_end }
    }

    /// How long the answer took, where that was not known when the line was made.
    pub fn set_took(&mut self, took: Duration) {
        self.took = took;
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        Severity::of(self.status)
    }

    /// The method; `-` of a request whose head was not understood, as for the target.
    pub fn method(&self) -> &str {
        &self.text[..self.method_end]
    }

    /// The target without its query.
    pub fn path(&self) -> &str {
        &self.text[self.method_end..self.path_end]
    }

    /// The target as sent.
    pub fn target(&self) -> &str {
        &self.text[self.method_end..self.target_end]
    }

    /// The request's identifier.
    pub fn id(&self) -> Option<&str> {
        Some(&self.text[self.target_end..self.id_end]).filter(|id| !id.is_empty())
    }

    /// The trace that the request belongs to.
    pub fn traceparent(&self) -> Option<&str> {
        Some(&self.text[self.id_end..]).filter(|it| !it.is_empty())
    }

    /// Who asked; none on a Unix domain socket.
    pub fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    /// How long the answer took, in milliseconds.
    pub fn milliseconds(&self) -> f64 {
        self.took.as_secs_f64() * 1000.0
    }

    /// What it costs to keep.
    pub(super) fn bytes(&self) -> usize {
        self.text.len() + size_of::<Self>()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} (", self.status, self.method(), self.target())?;
        match self.peer {
            Some(peer) => write!(f, "{peer}")?,
            None => f.write_str("-")?,
        }
        write!(f, ") {:.2}ms", self.milliseconds())
    }
}

/// Whether a byte may stand in a line as it is.
fn is_plain(byte: &u8) -> bool {
    byte.is_ascii_graphic()
}

/// Appends bytes, those that are not printable ASCII as `\x1b`.
fn escape(text: &mut String, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let plain = bytes.iter().position(|byte| !is_plain(byte)).unwrap_or(bytes.len());
        let (head, tail) = bytes.split_at(plain);
        text.push_str(std::str::from_utf8(head).unwrap_or_default());
        let Some((odd, rest)) = tail.split_first() else { return };
        let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
        text.extend(['\\', 'x', digit(odd >> 4), digit(odd & 0xf)]);
        bytes = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hurricane_http::{Limits, REQUEST_ID_BYTES_MAX as ID_BYTES_MAX};
    use std::net::Ipv4Addr;

    fn line(request: &str, status: u16) -> Line {
        let head = Head::parse(request.as_bytes(), &Limits::default()).unwrap().unwrap().0;
        let peer = Some(IpAddr::from(Ipv4Addr::LOCALHOST));
        let took = Duration::from_micros(8_334);
        Line::of(&Answered { status, head: Some(&head), peer, took })
    }

    #[test]
    fn a_line_is_that_of_django_hurricane() {
        let line = line("GET /path?query=1 HTTP/1.1\r\nHost: a\r\n\r\n", 200);
        assert_eq!(line.to_string(), "200 GET /path?query=1 (127.0.0.1) 8.33ms");
        assert_eq!((line.path(), line.target()), ("/path", "/path?query=1"));
        assert_eq!((line.id(), line.traceparent()), (None, None));
    }

    #[test]
    fn bytes_that_a_terminal_or_a_parser_would_obey_are_escaped() {
        let fields = "X-Request-ID: a\tb\r\nTraceparent: 00-\u{9b}31m\tx\r\n";
        let line = line(&format!("GET /\u{e4}?\u{9b} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"), 404);
        assert_eq!(line.target(), "/\\xc3\\xa4?\\xc2\\x9b");
        assert_eq!(line.id(), None);
        assert_eq!(line.traceparent(), Some("00-\\xc2\\x9b31m\\x09x"));
    }

    #[test]
    fn an_identifier_is_believed_up_to_its_longest_length() {
        for (length, is_believed) in [(1, true), (ID_BYTES_MAX, true), (ID_BYTES_MAX + 1, false)] {
            let id = "i".repeat(length);
            let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: {id}\r\n\r\n");
            assert_eq!(line(&request, 200).id(), is_believed.then_some(id.as_str()));
        }
    }

    #[test]
    fn what_was_refused_unread_has_dashes() {
        let took = Duration::ZERO;
        let line = Line::of(&Answered { status: 400, head: None, peer: None, took });
        assert_eq!(line.to_string(), "400 - - (-) 0.00ms");
    }

    #[test]
    fn severity_follows_the_status() {
        let severities = [200, 399, 400, 499, 500, 999].map(Severity::of);
        use Severity::{Error, Info, Warning};
        assert_eq!(severities, [Info, Info, Warning, Warning, Error, Error]);
    }
}
