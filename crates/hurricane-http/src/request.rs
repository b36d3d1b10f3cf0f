//! A request: its head, parsed once into spans of one buffer, and its body.

use std::net::{Ipv4Addr, SocketAddr};

use crate::request_id::{self, REQUEST_ID_BYTES, RequestId, SentId};
use crate::span::{FieldSpan, Span};
use crate::target::Target;
use crate::{Body, Dialect, HeadParser, Limits, Outlet, RequestError, Scheme};

/// HTTP version of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
}

/// How the body of a request ends on the wire (RFC 9112 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFraming {
    /// No body: neither Content-Length nor Transfer-Encoding, or `Content-Length: 0`.
    None,
    /// Content-Length, above zero.
    Length(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
}

/// One field: name as sent (compare without case), value without surrounding space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// A token.
    pub name: &'a str,
    /// Bytes without control bytes other than the tab; may be empty or not UTF-8.
    pub value: &'a [u8],
}

/// A request head that has passed every rule of RFC 9112 and 9110 that we hold peers to.
///
/// Made by [`Head::parse`] or [`HeadParser`]. It is handed from the parser to the application and
/// never copied on the way: it is one pointer.
#[derive(Clone, Debug)]
pub struct Head(pub(crate) Box<Parts>);

/// What a [`Head`] points to.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    /// Exactly the head, without an empty line before it and with the one that ends it; behind it
    /// what [`Head::identify`] adds.
    pub(crate) bytes: Vec<u8>,
    pub(crate) fields: Vec<FieldSpan>,
    pub(crate) method: Span,
    pub(crate) target: Target,
    pub(crate) host: Option<Span>,
    pub(crate) version: Version,
    pub(crate) framing: BodyFraming,
    pub(crate) keep_alive: bool,
    pub(crate) expects_continue: bool,
    pub(crate) id: SentId,
    /// Whether the answer tells the identifier.
    pub(crate) is_identified: bool,
    /// How it is answered.
    pub(crate) dialect: &'static Dialect,
}

impl Head {
    /// Parses the head at the start of `input`.
    ///
    /// `Ok(None)`: not complete yet. `Ok(Some((head, consumed)))`: `input[consumed..]` is body
    /// or the next request. At most one empty line before the request line is skipped
    /// (RFC 9112 §2.2). A broken rule is reported with the first byte that breaks it, whether or
    /// not the rest is there.
    ///
    /// Starts anew each time: a connection that gets its head in pieces keeps a [`HeadParser`].
    pub fn parse(input: &[u8], limits: &Limits) -> Result<Option<(Self, usize)>, RequestError> {
        HeadParser::default().parse(input, limits)
    }

    /// The method token, such as `GET`. Any token is accepted, but CONNECT is refused.
    pub fn method(&self) -> &str {
        text(self.0.method.of(&self.0.bytes))
    }

    /// The target as sent.
    pub fn target(&self) -> &[u8] {
        self.0.target.whole.of(&self.0.bytes)
    }

    /// The path of the target, percent-encoded as sent: of absolute-form the part after the
    /// authority (`/` when empty), `*` for asterisk-form.
    pub fn path(&self) -> &[u8] {
        match self.0.target.path.of(&self.0.bytes) {
            [] => b"/",
            path => path,
        }
    }

    /// What follows the first `?` of the target, without it; empty when there is none.
    pub fn query(&self) -> &[u8] {
        self.0.target.query.of(&self.0.bytes)
    }

    /// The version of the request line.
    pub fn version(&self) -> Version {
        self.0.version
    }

    /// All fields in order.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = Header<'_>> {
        self.0.fields.iter().map(|field| Header {
            name: text(field.name.of(&self.0.bytes)),
            value: field.value.of(&self.0.bytes),
        })
    }

    /// All fields in order, names as bytes: for those who look them up in a table and have no
    /// use for text.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        self.0
            .fields
            .iter()
            .map(|field| (field.name.of(&self.0.bytes), field.value.of(&self.0.bytes)))
    }

    /// The first value of a field.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.0
            .fields
            .iter()
            .find(|field| field.name.of(&self.0.bytes).eq_ignore_ascii_case(name.as_bytes()))
            .map(|field| field.value.of(&self.0.bytes))
    }

    /// The request's identifier: the value of its one `X-Request-ID`, or what it was given.
    pub fn id(&self) -> Option<&[u8]> {
        self.0.id.place.map(|place| place.of(&self.0.bytes))
    }

    /// The identifier that the answer is to tell: none before [`Head::identify`].
    pub fn echo(&self) -> Option<RequestId> {
        self.id().filter(|_| self.0.is_identified).map(RequestId::new)
    }

    /// Gives the request an identifier, as if it had come with one, unless it has. One that cannot
    /// be believed is replaced. From now on the answer tells it.
    pub fn identify(&mut self, make: impl FnOnce() -> [u8; REQUEST_ID_BYTES]) {
        self.0.is_identified = true;
        if self.0.id.place.is_some() {
            return;
        }
        if self.0.id.is_odd {
            let bytes = &self.0.bytes;
            self.0.fields.retain(|field| !request_id::is_field(field.name.of(bytes)));
        }
        let begin = self.0.bytes.len();
        let Ok(_) = u32::try_from(begin + request_id::ROOM_BYTES) else { return };
        self.0.bytes.extend_from_slice(request_id::FIELD);
        let name = Span::new(begin, self.0.bytes.len());
        self.0.bytes.extend_from_slice(&make());
        let value = Span::new(begin + request_id::FIELD.len(), self.0.bytes.len());
        self.0.fields.push(FieldSpan { name, value });
        self.0.id = SentId { place: Some(value), is_odd: false };
    }

    /// Host: of absolute-form the target's authority, else the Host field; `None` only for
    /// HTTP/1.0 without it.
    pub fn host(&self) -> Option<&[u8]> {
        self.0.target.authority.or(self.0.host).map(|host| host.of(&self.0.bytes))
    }

    /// How the request is taken and answered.
    pub fn dialect(&self) -> &'static Dialect {
        self.0.dialect
    }

    /// How the body ends.
    pub fn framing(&self) -> BodyFraming {
        self.0.framing
    }

    /// Whether the peer lets the connection live on: HTTP/1.1 without `Connection: close`, or
    /// HTTP/1.0 with `Connection: keep-alive`.
    pub fn keep_alive(&self) -> bool {
        self.0.keep_alive
    }

    /// Whether the peer waits for `100 Continue` (HTTP/1.1 with a body only).
    pub fn expects_continue(&self) -> bool {
        self.0.expects_continue
    }
}

/// A token as text; tokens are ASCII.
#[inline]
fn text(token: &[u8]) -> &str {
    std::str::from_utf8(token).unwrap_or_default()
}

/// One request as the application gets it.
#[derive(Debug)]
pub struct Request {
    /// Request line and fields.
    pub head: Head,
    /// The whole body.
    pub body: Body,
    /// The client's address, which is the peer's unless a trusted proxy has told another; none on a
    /// Unix domain socket. Port 0: not known.
    pub peer: Option<SocketAddr>,
    /// Our address on this connection; none on a Unix domain socket.
    pub local: Option<SocketAddr>,
    /// How the client has reached us, or the proxy that we trust.
    pub scheme: Scheme,
    /// Whether the connection may live on after the answer: what the peer asks for and the
    /// server (which may be draining) allows.
    pub keep_alive: bool,
    /// For applications that write their response themselves.
    pub outlet: Option<Outlet>,
}

impl Request {
    /// A plain request from and to port 0 of the loopback address, whose connection lives on as its
    /// head asks, without an outlet. Set the fields that are otherwise.
    pub fn new(head: Head, body: Body) -> Self {
        let loopback = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let keep_alive = head.keep_alive();
        let (peer, local, scheme) = (loopback, loopback, Scheme::Http);
        Self { head, body, peer, local, scheme, keep_alive, outlet: None }
    }
}
